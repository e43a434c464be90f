//! The durable catalog: payload rows, files to be removed, streams.
//!
//! A [`Store`] applies batches of [`Change`]s, each batch one transaction. [`writer::Catalog`] is the one FIFO in front
//! of it: it groups what is queued into a batch, applies it, and answers each change in order. The back ends are
//! `memory` (the reference) and `sqlite`; `conformance` is the suite that both pass, also behind the wrapper `faulty`.

pub mod change;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod faulty;
pub mod memory;
mod readers;
pub mod sqlite;
pub mod store;
#[cfg(test)]
mod tests;
pub mod writer;

pub use change::{Change, DoomedFile, Durability, Outcome, Refusal};
pub use memory::Memory;
pub use sqlite::{Opened, Sqlite};
pub use store::{Reader, Store, StoreError, StreamInfo};
pub use writer::{Catalog, CatalogError, Done};
