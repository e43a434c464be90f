//! Where the bytes lie. One [`TierStore`] a tier; [`copy`](copy::copy) moves bytes between any two of them.
//!
//! A back end knows how to hold bytes; it does not know budgets, leases, states or policies: those are the ledger's.
//! `heap` is the reference; `conformance` is the suite that all of them pass.

pub mod store;

pub use store::{Location, Sealed, Sink, Source, TierError, TierStore};
