//! What can be written, how durably, and what came of it.

use std::collections::BTreeMap;

use payload_manager_core::facts::Facts;
use payload_manager_types::{BlockName, NewEntry, PayloadId, Retention, StreamName, Tier, UnixMillis};

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
    /// Removes a payload's row; no row is fine.
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
    /// Removes a stream, its entries and its groups; none is fine.
    DeleteStream {
        /// Its name.
        name: StreamName,
    },
    /// Appends entries at the next offsets, all or none; with no entries it changes nothing and is
    /// [`Outcome::Done`]. Refused: [`Refusal::NoSuchStream`].
    Append {
        /// To which stream.
        stream: StreamName,
        /// What, in order.
        entries: Vec<NewEntry>,
        /// Now.
        at: UnixMillis,
    },
}

impl Change {
    /// About how many bytes it adds to a transaction.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Put { facts, .. } => {
                let labels = &facts.labels;
                256 + labels.dataset.len() + labels.producer.len() + tags_weight(&labels.tags)
            }
            Self::Append { entries, .. } => entries.iter().map(|entry| 64 + tags_weight(&entry.tags)).sum(),
            Self::Delete { doomed, .. } => 64 * (1 + doomed.len()),
            Self::Doom(_) | Self::Undoom { .. } | Self::CreateStream { .. } | Self::DeleteStream { .. } => 64,
        }
    }
}

fn tags_weight(tags: &BTreeMap<String, String>) -> usize {
    tags.iter().map(|(key, value)| key.len() + value.len() + 8).sum()
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
    },
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
}
