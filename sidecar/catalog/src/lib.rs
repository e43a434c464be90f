//! The durable catalog: payload rows, files to be removed, streams.
//!
//! A [`Store`] applies batches of [`Change`]s, each batch one transaction. [`writer::Catalog`] is the one FIFO in front
//! of it: it groups what is queued into a batch, applies it, and answers each change in order. The back ends are
//! `memory` (the reference) and `sqlite`; `conformance` is the suite that both pass.

pub mod change;
pub mod store;

pub use change::{Change, DoomedFile, Durability, Outcome, Refusal};
pub use store::{Reader, Store, StoreError, StreamInfo};
