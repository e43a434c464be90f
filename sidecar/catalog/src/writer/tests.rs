//! Order, grouping, failing stores and stopping.

mod failing;
mod gate;
mod grouping;
mod life;
