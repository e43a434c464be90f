//! What clients may rely on, over real sockets to real daemons.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod activated;
mod archives;
mod batches;
mod compression;
mod crowd;
mod daemons;
mod followers;
mod framing;
mod health;
mod leases;
mod life;
mod lineage;
mod listing;
mod marks;
mod metadata;
mod object;
mod pins;
mod rebuild;
mod resuming;
mod retention;
mod services;
mod stream_logs;
mod streams;
mod supervised;
mod table;
mod tiers;
mod verify;
mod watch;
