//! Order, grouping, failing stores and stopping.
