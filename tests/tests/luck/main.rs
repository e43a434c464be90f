//! Bad luck: what is full, damaged, lost, foreign or gone in the middle. Clear error, nothing lost, nothing leaked,
//! daemon alive.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod clients;
mod damaged;
mod foreign;
mod full;
mod ground;
mod lost;
mod said;
mod swept;
mod wiped;
