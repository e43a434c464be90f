//! What sessions promise: leases without a call keep their bytes through all that the daemon does meanwhile, end with
//! their process, and outlive the daemon; and who breaks the rules harms nobody else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod client;
mod container;
mod ends;
mod hostile;
mod leases;
mod others;
mod producers;
mod quota;
mod restarts;
mod sealed;
mod segments;
mod strict;
mod threads;
