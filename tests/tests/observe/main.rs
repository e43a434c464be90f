//! What an operator is shown: metrics and traces at a collector, and the page of metrics, of a daemon that works.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod collector;
mod log;
mod metrics;
mod page;
mod scenario;
mod traces;
