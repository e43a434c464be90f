//! What the ledger promises, checked through its public face over a model of the shared pages that is strict: it fails
//! the test at the first write that a reader, a lease holder or a crash could be hurt by.
//!
//! One binary, so that the models are compiled once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]
#![allow(unreachable_pub, reason = "a test has no outside")]

mod board;
mod crash;
mod eviction;
mod leases;
mod life;
mod listing;
mod marks;
mod oracle;
mod order;
mod pages;
mod plain;
mod property;
mod recovery;
mod short;
mod transfers;
mod watching;
mod world;
