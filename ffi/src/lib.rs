//! The C ABI over [`payload_manager_client::blocking`]: thin, and the one place outside shared memory with unsafe code.
//!
//! `include/payload_manager.h` is made from this crate by its test `header`, and is where its contract stands: what each
//! pointer must be, who owns what, what may be null and which calls block. Every function does its work inside
//! `panic.rs`; every handle goes through `handle.rs`; every pointer from outside is read by `input.rs`.

#![allow(unsafe_code, reason = "C's pointers are followed here")]
#![allow(clippy::missing_safety_doc, reason = "the header's first comment is the contract, and once is enough")]
#![allow(non_camel_case_types, reason = "types are named as C has them")]
#![allow(private_interfaces, reason = "what is behind a handle is nobody's business")]

mod error;
mod handle;
mod input;
mod panic;

mod id;
mod types;

mod version;

mod client;
mod dlpack;
mod payload;
mod view;

#[doc(hidden)]
pub mod caller;

mod kept;
mod lineage;
mod list;
mod metadata;
mod stats;
mod stream;
mod subscription;
mod tiering;

pub use client::*;
pub use dlpack::*;
pub use error::*;
pub use id::*;
pub use lineage::*;
pub use list::*;
pub use metadata::*;
pub use payload::*;
pub use stats::*;
pub use stream::*;
pub use subscription::*;
pub use tiering::*;
pub use types::*;
pub use version::*;
pub use view::*;
