//! What can be written, how durably, and what came of it.

use std::collections::BTreeMap;

use payload_manager_core::facts::{Facts, Pin};
use payload_manager_types::{BlockName, NewEntry, PayloadId, Retention, StreamName, Tier, UnixMillis};

use crate::lineage::Edge;
use crate::metadata::{MetadataRecord, MetadataUpdate, NewMetadataEvent, OVERHEAD};

/// A file that is to be removed once nobody reads it: written in the transaction that forgets the copy, so that a crash
/// in between leaves no file that no payload owns (promise: no-leak).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DoomedFile {
    /// Whose bytes.
    pub id: PayloadId,
    /// In which tier.
    pub tier: Tier,
    /// The block's name in leases.
    pub block: BlockName,
    /// Its length in bytes.
    pub size: u64,
}

/// One change of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Writes a payload's row, and with it forgets or remembers files to be removed.
    Put {
        /// The row, whole.
        facts: Box<Facts>,
        /// A copy this row no longer has, whose file is still there.
        doomed: Option<DoomedFile>,
    },
    /// Removes a payload's row, and with it its metadata, its events and the edges to its parents; no row is fine.
    Delete {
        /// Whose row.
        id: PayloadId,
        /// Its files that are still there.
        doomed: Vec<DoomedFile>,
    },
    /// Remembers a file to be removed, and leaves the row alone.
    Doom(DoomedFile),
    /// A doomed file is gone; one that nobody doomed is fine.
    Undoom {
        /// Whose bytes.
        id: PayloadId,
        /// In which tier.
        tier: Tier,
    },
    /// Makes a stream. Refused: [`Refusal::StreamExists`].
    CreateStream {
        /// Its name.
        name: StreamName,
        /// What is kept.
        retention: Retention,
        /// Now.
        at: UnixMillis,
    },
    /// Makes a stream again as it was, without entries: the first one that is appended gets the offset `next`. Refused:
    /// [`Refusal::StreamExists`].
    RestoreStream {
        /// Its name.
        name: StreamName,
        /// What is kept.
        retention: Retention,
        /// The offset that the next entry gets.
        next: u64,
        /// When it was made.
        created: UnixMillis,
    },
    /// Removes a stream, its entries and its groups; none is fine.
    DeleteStream {
        /// Its name.
        name: StreamName,
    },
    /// Appends entries at the next offsets, all or none, and then removes what retention no longer keeps, as
    /// [`Change::Trim`] does. With no entries it changes nothing and is [`Outcome::Done`]; otherwise
    /// [`Outcome::Appended`]. Refused: [`Refusal::NoSuchStream`].
    Append {
        /// To which stream.
        stream: StreamName,
        /// What, in order.
        entries: Vec<NewEntry>,
        /// Now.
        at: UnixMillis,
    },
    /// Removes the oldest entries that retention no longer keeps, of those too old at most [`TRIM`]:
    /// [`Outcome::Trimmed`]. Refused: [`Refusal::NoSuchStream`].
    Trim {
        /// In which stream.
        stream: StreamName,
        /// Now.
        at: UnixMillis,
    },
    /// Says how far a consumer group has come; back is fine. Refused: [`Refusal::NoSuchStream`],
    /// [`Refusal::OffsetBeyondEnd`].
    CommitOffset {
        /// In which stream.
        stream: StreamName,
        /// Which group.
        group: String,
        /// The next offset to be written, or any before it.
        offset: u64,
        /// Now.
        at: UnixMillis,
    },
    /// Sets a payload's metadata: [`Outcome::Metadata`]. Refused: [`Refusal::NoSuchPayload`].
    SetMetadata {
        /// Of which payload.
        id: PayloadId,
        /// What, and how.
        update: Box<MetadataUpdate>,
        /// Now.
        at: UnixMillis,
    },
    /// Adds to a payload's history. Refused: [`Refusal::NoSuchPayload`].
    AppendMetadataEvent {
        /// Of which payload.
        id: PayloadId,
        /// What.
        event: Box<NewMetadataEvent>,
        /// Now.
        at: UnixMillis,
    },
    /// Adds edges from a payload to its parents, all or none; those that are there already are fine. Refused:
    /// [`Refusal::NoSuchPayload`] for the child, [`Refusal::LineageCycle`].
    AddLineage {
        /// What was made.
        child: PayloadId,
        /// From what.
        edges: Vec<Edge>,
    },
    /// Beside a payload's durable copies is written what was said about it as of this mark
    /// ([`crate::Reader::stale_archives`]). One that is not marked so, or not any more, is fine.
    Archived {
        /// Of which payload.
        id: PayloadId,
        /// The mark's number.
        number: u64,
    },
    /// Beside the durable copies lies a stream's log as of this mark ([`crate::Reader::stale_logs`]), or none if it is
    /// deleted. One that is not marked so, or not any more, is fine.
    LogArchived {
        /// Of which stream.
        stream: StreamName,
        /// The mark's number.
        number: u64,
    },
    /// Says in a payload's row how long it is pinned, and leaves the rest of the row alone: a transfer under way may have
    /// written there what its payload does not show yet. Refused: [`Refusal::NoSuchPayload`].
    SetPin {
        /// Whose row.
        id: PayloadId,
        /// How long; `None`: not at all.
        pin: Option<Pin>,
    },
    /// Counts a start of the daemon: [`Outcome::Start`].
    CountStart,
    /// Starts are numbered beyond this one from now on: for a catalog that was made again, whose daemon has started before.
    CountStartsFrom(u64),
}

/// Entries removed by one change at most because they are too old: changes that wait behind it must not wait for long.
pub const TRIM: u64 = 4096;

impl Change {
    /// About how many bytes it adds to a transaction.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Put { facts, .. } => {
                let labels = &facts.labels;
                256 + labels.dataset.len() + labels.producer.len() + tags_weight(&labels.tags)
            }
            Self::Append { entries, .. } => entries.iter().map(|entry| OVERHEAD + tags_weight(&entry.tags)).sum(),
            Self::SetMetadata { update, .. } => update.weight(),
            Self::AppendMetadataEvent { event, .. } => event.weight(),
            Self::AddLineage { edges, .. } => 64 + edges.iter().map(Edge::weight).sum::<usize>(),
            Self::Delete { doomed, .. } => 64 * (1 + doomed.len()),
            Self::CommitOffset { group, .. } => 64 + group.len(),
            Self::Doom(_)
            | Self::Undoom { .. }
            | Self::CreateStream { .. }
            | Self::RestoreStream { .. }
            | Self::LogArchived { .. }
            | Self::DeleteStream { .. }
            | Self::Trim { .. }
            | Self::SetPin { .. }
            | Self::Archived { .. }
            | Self::CountStart
            | Self::CountStartsFrom(_) => 64,
        }
    }
}

pub(crate) fn tags_weight(tags: &BTreeMap<String, String>) -> usize {
    tags.iter().map(|(key, value)| key.len() + value.len() + 16).sum()
}

/// When a change may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// At once or later: somebody else remembers it until then. Tried again until it succeeds.
    Soon,
    /// When it survives SIGKILL of this process.
    Committed,
    /// When it survives power loss.
    Synced,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// The entries have these offsets, both inclusive.
    Appended {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
        /// The oldest that is kept now, or the next one if none is.
        oldest: u64,
    },
    /// Retention has done its work.
    Trimmed {
        /// The oldest that is kept now, or the next one if none is.
        oldest: u64,
        /// Whether there may be more to remove: trim again.
        more: bool,
    },
    /// What is stored now.
    Metadata(Box<MetadataRecord>),
    /// The number of this start: from 1, each time one more.
    Start(u64),
    /// It did not apply; the rest of its batch did.
    Refused(Refusal),
}

/// Why a change did not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is a stream of that name.
    StreamExists,
    /// There is no stream of that name.
    NoSuchStream,
    /// The offset is beyond the next one to be written.
    OffsetBeyondEnd {
        /// Which is this one.
        next: u64,
    },
    /// There is no such payload.
    NoSuchPayload,
    /// An edge would make a payload its own ancestor.
    LineageCycle {
        /// The parent it leads to.
        via: PayloadId,
    },
}
