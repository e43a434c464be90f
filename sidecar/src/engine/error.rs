//! Why a call of the engine failed. Every enum of the layers below, kept whole: nothing is turned into text before the
//! edge.

use payload_manager_catalog::CatalogError;
use payload_manager_core::Refusal;
use payload_manager_tiers::TierError;
use payload_manager_types::{PayloadId, StreamName, Tier};

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A tier could not do it.
    #[error(transparent)]
    Tier(#[from] std::sync::Arc<TierError>),
    /// The producer resized or removed what it was given to write in.
    #[error("payload {id}: can't be committed: {what}; leave the object at the length it was allocated with")]
    Resized {
        /// Which.
        id: PayloadId,
        /// What was found.
        what: String,
    },
    /// What its producer was to upload is not in the store, or has another length.
    #[error("payload {id}: can't be imported: {what}; upload all of it to object_upload_path, then call ImportPayload")]
    NotUploaded {
        /// Which.
        id: PayloadId,
        /// What was found.
        what: String,
    },
    /// The bytes are not what they were.
    #[error(
        "payload {id}: the bytes of its {tier} copy fail their checksum (expected {expected}, found {found}); the copy was set aside"
    )]
    Corrupt {
        /// Which.
        id: PayloadId,
        /// Where.
        tier: Tier,
        /// The checksum it must have.
        expected: payload_manager_types::Checksum,
        /// The one it has.
        found: payload_manager_types::Checksum,
    },
    /// The catalog could not.
    #[error("{0}")]
    Catalog(CatalogError),
    /// There is no such stream.
    #[error("stream {0}: not found; create it with CreateStream")]
    NoSuchStream(StreamName),
    /// There is one already.
    #[error("stream {0}: already exists; use it, or delete it first")]
    StreamExists(StreamName),
    /// A position that is not there.
    #[error("stream {stream}: offset {asked} is {}; kept are {first} up to, not including, {next}", if asked < first { "no longer kept" } else { "beyond the next one to be written" })]
    Offset {
        /// Which.
        stream: StreamName,
        /// What was asked for.
        asked: u64,
        /// The oldest kept.
        first: u64,
        /// The next to be written.
        next: u64,
    },
    /// An edge that would make a payload its own ancestor.
    #[error("payload {child}: {via} was made from it, so it can't have been made from {via}; leave that parent out")]
    LineageCycle {
        /// Which.
        child: PayloadId,
        /// The parent that the edge would lead to.
        via: PayloadId,
    },
    /// More ancestors or descendants than one answer may hold.
    #[error("payload {id}: its lineage is larger than one answer may be (3 MiB); ask for fewer steps with max_depth")]
    LineageTooLarge {
        /// Whose.
        id: PayloadId,
    },
    /// A resume token that no daemon made, or none like this one's.
    #[error("resume_token: not one of this daemon's; send a token as it came, or none to watch from now on")]
    BadResumeToken,
    /// What followed a resume token is not known any more.
    #[error("resume_token: what came after it is no longer known: {why}; watch again with include_current")]
    ResumeTooOld {
        /// What has happened since.
        why: &'static str,
    },
    /// Retention has cut into what was asked for.
    #[error(
        "stream {stream}: retention has removed offset {asked}; what is kept begins at {first}: ask for what is kept, or use Read"
    )]
    RangeCut {
        /// Of which.
        stream: StreamName,
        /// What was asked for.
        asked: u64,
        /// The oldest kept.
        first: u64,
    },
    /// A lease outlasted the wait for the memory under it.
    #[error("payload {id}: spilled, but a lease still keeps the memory of its {tier} copy")]
    StillLeased {
        /// Which.
        id: PayloadId,
        /// Where.
        tier: Tier,
    },
    /// The daemon is on its way out.
    #[error("the daemon is shutting down; try again when it is back")]
    ShuttingDown,
    /// A bug of ours.
    #[error("internal error: {0}; please report it")]
    Bug(String),
}

impl From<TierError> for Error {
    fn from(error: TierError) -> Self {
        Self::Tier(std::sync::Arc::new(error))
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Stopped => Self::ShuttingDown,
            CatalogError::Store(_) | CatalogError::NoThread(_) => Self::Catalog(error),
        }
    }
}

impl From<payload_manager_catalog::StoreError> for Error {
    fn from(error: payload_manager_catalog::StoreError) -> Self {
        Self::Catalog(error.into())
    }
}
