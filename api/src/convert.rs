//! From wire messages to plain, valid requests and back: the one place where what came from outside is checked.
//!
//! Every request of the contract turns into a struct of the vocabulary through `TryFrom`, or into the one value it
//! holds (`PayloadId::try_from(CommitPayloadRequest)`). What needs the daemon's state or its configuration, such as
//! upper limits of size and time to live, is the ledger's to refuse. The way back is `From`, and used by both ends.

mod archive;
mod catalog;
mod descriptor;
mod field;
mod invalid;
mod lease;
mod lifecycle;
mod page;
mod stream;
mod summary;
mod tiering;
mod watch;

pub use archive::{METADATA_VERSION, from_json, to_json};
pub use catalog::{
    AddLineage, AppendMetadataEvent, Edge, GetLineage, ListMetadataEvents, METADATA_LIMIT, Metadata, SCHEMA_LIMIT,
    UpdateMetadata,
};
pub use descriptor::{Descriptor, Location, descriptor};
pub use field::{payload_state, tier, tier_number, tiers};
pub use invalid::{Invalid, Subject};
pub use lease::{AcquireReadLease, AcquireReadLeases, BATCH_LIMIT, ReleaseLeases, RenewLease};
pub use lifecycle::{ALIGNMENT_LIMIT, Allocate, Delete, Import, Labels, ListPayloads};
pub use page::{ListLeases, PAGE_DEFAULT, PAGE_LIMIT, Page};
pub use stream::{
    Append, Commit, CreateStream, GetCommitted, GetRange, ITEM_LIMIT, READ_LIMIT, Read, Start, Subscribe, entry,
    entry_to_wire,
};
pub use summary::Summary;
pub use tiering::{Pin, Promote, SPILL_LIMIT, Spill};
pub use watch::WatchFrom;
