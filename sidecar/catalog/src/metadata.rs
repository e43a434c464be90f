//! What users say about a payload: metadata, of which the last counts, and events, of which all do.

use payload_manager_types::UnixMillis;

/// Bytes that an item of an answer is counted with beside its texts and data: more than its wire form needs.
pub(crate) const OVERHEAD: usize = 96;

/// Opaque bytes, and what they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Opaque.
    pub data: Vec<u8>,
    /// What `data` is.
    pub schema: String,
}

/// How new metadata meets what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataMode {
    /// The new takes the place of the old.
    Replace,
    /// The data or the schema that comes empty keeps its stored value.
    Merge,
}

/// Metadata to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataUpdate {
    /// The new one.
    pub metadata: Metadata,
    /// How it meets the stored one.
    pub mode: MetadataMode,
    /// Who sets it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

impl MetadataUpdate {
    /// What is stored after this has met what was `stored`.
    pub(crate) fn apply(&self, stored: Option<Metadata>, updated: UnixMillis) -> MetadataRecord {
        let mut metadata = self.metadata.clone();
        if let (MetadataMode::Merge, Some(stored)) = (self.mode, stored) {
            if metadata.data.is_empty() {
                metadata.data = stored.data;
            }
            if metadata.schema.is_empty() {
                metadata.schema = stored.schema;
            }
        }
        MetadataRecord { metadata, actor: self.actor.clone(), reason: self.reason.clone(), updated }
    }

    pub(crate) fn weight(&self) -> usize {
        self.metadata.weight() + self.actor.len() + self.reason.len()
    }
}

/// A payload's metadata as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataRecord {
    /// What is said.
    pub metadata: Metadata,
    /// Who said so last.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub updated: UnixMillis,
}

/// What is added to a payload's history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewMetadataEvent {
    /// What.
    pub metadata: Metadata,
    /// Who says so.
    pub source: String,
    /// Of the source's own choosing.
    pub version: String,
}

/// One event of a payload's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataEvent {
    /// Its place in the payload's history: from 0, by 1.
    pub number: u64,
    /// When the daemon took it in.
    pub at: UnixMillis,
    /// What was said.
    pub what: NewMetadataEvent,
}

impl Metadata {
    pub(crate) fn weight(&self) -> usize {
        OVERHEAD + self.data.len() + self.schema.len()
    }
}

impl NewMetadataEvent {
    pub(crate) fn weight(&self) -> usize {
        self.metadata.weight() + self.source.len() + self.version.len()
    }
}

impl MetadataEvent {
    /// Bytes that a [`crate::Limit`] counts: at least those of its wire form.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.what.weight()
    }
}
