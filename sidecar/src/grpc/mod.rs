//! The gRPC edge: thin handlers over the engine, one file a service. Wire types come in here and go no further.
//!
//! `wire` turns what the engine says into messages, `status` its errors into codes; `serve` listens, `watched` sees how long calls take and how they end, `health` says how it is.

mod admin;
mod calls;
pub(crate) mod catalog;
mod data;
mod deadline;
pub(crate) mod health;
mod leases;
mod lineage;
mod metadata;
pub(crate) mod peers;
pub(crate) mod serve;
pub(crate) mod status;
mod stream;
mod token;
mod watch;
mod watched;
pub(crate) mod wire;

use crate::engine::Engine;

/// The services, all over one engine.
#[derive(Clone)]
struct Service {
    engine: Engine,
}
