//! The image that `examples/container` describes: what its root file system holds, and the daemon in it as a container's
//! runtime starts it, killed and started again under a client in a container of its own.
//!
//! The image itself is not built here, for that takes a registry; its last stage is what these tests assemble and start.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod client;
mod contents;
mod file;
mod life;
mod pod;
