//! The contract of Payload Manager: its messages and services, their validation, and the reasons for errors.
//!
//! What a client may rely on stands in the `.proto` files beside this crate and in its README. Here is what both
//! ends in Rust share:
//!
//! - the generated messages, clients and servers, by package: [`core::v1`], [`runtime::v1`], [`catalog::v1`],
//!   [`admin::v1`], [`services::v1`], [`session::v1`];
//! - [`convert`]: wire messages become plain, valid requests, once;
//! - [`reason`]: why a call failed, for programs, and how that travels with a [`tonic::Status`];
//! - [`codec`]: an undecodable message is the caller's mistake, not a bug of the daemon.
//!
//! It decides nothing about what a call does: that is the daemon's.

pub mod codec;
pub mod convert;
pub mod generated;
pub mod reason;
pub mod timestamp;

pub use generated::{FILE_DESCRIPTOR_SET, admin, catalog, core, runtime, services, session};
pub use reason::Reason;
pub use timestamp::Timestamp;
