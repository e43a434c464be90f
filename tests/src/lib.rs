//! The harness of the whole-system tests: real daemons in processes of their own, and what it takes to speak to them.
//!
//! [`Daemon`] is a process of the program as it is built, in a folder and under a name of its own, gone without a trace
//! when it is dropped. [`Rpc`] speaks to it as any gRPC client does, [`Wire`] sends it anything at all, and [`v1`] opens
//! the locations it answers as a client of the first version does. No test sleeps: it waits for an answer, for a line of
//! the log ([`Daemon::wait_for_line`]), or for [`eventually`].
//!
//! The program is found beside the tests: `cargo test --workspace` builds both. For this package alone, build it first
//! with `cargo build -p payload-manager`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a harness says by panicking that a test has failed")]

pub mod crash;
pub mod daemon;
pub mod log;
#[path = "../../sidecar/tiers/src/object/tests/moto.rs"]
pub mod moto;
pub mod named;
#[path = "../../sidecar/tiers/src/object/tests/proxy.rs"]
pub mod proxy;
pub mod remains;
pub mod rpc;
pub mod setup;
pub mod v1;
pub mod wait;
pub mod wire;

pub use daemon::Daemon;
pub use rpc::Rpc;
pub use setup::{Refused, Setup};
pub use wait::{eventually, within};
pub use wire::{Answer, Wire};

/// Says that a test cannot do its work here, and what is missing. Where `PAYLOAD_MANAGER_NO_SKIP` is set, as it is in CI,
/// that is a failure.
///
/// # Panics
/// If nothing may be skipped.
pub fn skip(name: &str, missing: &str) {
    assert!(std::env::var_os("PAYLOAD_MANAGER_NO_SKIP").is_none(), "{name} may not be skipped: {missing}");
    eprintln!("SKIPPED {name}: {missing}");
}
