//! The durable catalog: payload rows, what users say about them, lineage, files to be removed, streams.
//!
//! A [`Store`] applies batches of [`Change`]s, each batch one transaction. [`writer::Catalog`] is the one FIFO in front
//! of it: it groups what is queued into a batch, applies it, and answers each change in order. The back ends are
//! `memory` (the reference) and `sqlite`; `conformance` is the suite that both pass, also behind the wrapper `faulty`.
//!
//! ```
//! use payload_manager_catalog::{Catalog, Change, Durability, Memory, Outcome};
//! use payload_manager_types::{InstanceId, Retention, StreamName, UnixMillis};
//!
//! let catalog = Catalog::start(Box::new(Memory::new(InstanceId::from_bytes([1; 16]))), 1024)?;
//! let name = StreamName::new("", "frames").map_err(|bad| bad.to_string())?;
//! let create = Change::CreateStream { name, retention: Retention::default(), at: UnixMillis(0) };
//! assert_eq!(catalog.write(create, Durability::Synced)?, Outcome::Done);
//! assert_eq!(catalog.read(|reader| reader.streams())?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod change;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod faulty;
pub mod lineage;
pub mod memory;
pub mod metadata;
pub mod page;
mod readers;
pub mod sqlite;
pub mod store;
#[cfg(test)]
mod tests;
pub mod writer;

pub use change::{Change, DoomedFile, Durability, Outcome, Refusal, TRIM};
pub use lineage::{Direction, Edge, Lineage, LineageEdge, LineageQuery};
pub use memory::Memory;
pub use metadata::{Metadata, MetadataEvent, MetadataMode, MetadataRecord, MetadataUpdate, NewMetadataEvent};
pub use page::{Limit, Page};
pub use sqlite::{Opened, Sqlite};
pub use store::{ConsumerGroup, Reader, Span, StaleArchive, StaleLog, Store, StoreError, StreamInfo};
pub use writer::{Catalog, CatalogError, Done};
