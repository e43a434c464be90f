//! The port: what a back end of the catalog does.

use std::path::PathBuf;

use payload_manager_core::facts::Facts;
use payload_manager_types::{InstanceId, PayloadId, Retention, StreamEntry, StreamName, UnixMillis};

use crate::change::{Change, DoomedFile, Outcome, tags_weight};
use crate::lineage::{Lineage, LineageQuery};
use crate::metadata::{MetadataEvent, MetadataRecord, OVERHEAD};
use crate::page::{Limit, Page};

/// Why the store could not do it. Nothing of the batch was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Out of reach for now: locked, a full disk, an I/O error. Trying again may help.
    #[error("the catalog is out of reach: {0}")]
    Unavailable(String),
    /// Written by a newer version of this program.
    #[error(
        "{path} has schema version {found}, newer than {known}, the newest this program knows: start a newer program, or restore a backup"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Not a catalog of ours, or damaged.
    #[error(
        "{path} is not a usable catalog: {what}; restore it from a backup, or move it away and make it again with payload-manager rebuild"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// What is known of a stream without reading its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub name: StreamName,
    /// What is kept.
    pub retention: Retention,
    /// The oldest kept offset; equal to `next` if none is.
    pub first: u64,
    /// The offset the next entry gets.
    pub next: u64,
    /// When it was made.
    pub created: UnixMillis,
}

/// Which entries of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From this offset on.
    pub from: u64,
    /// Up to this one, inclusive; it need not be written yet.
    pub to: u64,
    /// Only those appended then or later.
    pub not_before: Option<UnixMillis>,
}

impl Span {
    /// All from `from` on.
    #[must_use]
    pub const fn from(from: u64) -> Self {
        Self { from, to: u64::MAX, not_before: None }
    }
}

/// What was appended before this time is too old at `now`.
pub(crate) fn horizon(retention: Retention, now: UnixMillis) -> UnixMillis {
    match retention.max_age_sec {
        0 => UnixMillis(0),
        seconds => UnixMillis(now.0.saturating_sub(seconds.saturating_mul(1000))),
    }
}

/// Bytes that a [`Limit`] counts for an entry of `stream`: at least those of its wire form.
#[must_use]
pub fn entry_weight(stream: &StreamName, entry: &StreamEntry) -> usize {
    OVERHEAD + name_weight(stream) + tags_weight(&entry.what.tags)
}

fn name_weight(name: &StreamName) -> usize {
    name.namespace().len() + name.name().len()
}

impl StreamInfo {
    /// Bytes that a [`Limit`] counts: at least those of its wire form.
    #[must_use]
    pub fn weight(&self) -> usize {
        OVERHEAD + name_weight(&self.name)
    }
}

/// How far a consumer group has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroup {
    /// Its name.
    pub name: String,
    /// What it said last.
    pub offset: u64,
    /// When it said so.
    pub at: UnixMillis,
}

impl ConsumerGroup {
    /// Bytes that a [`Limit`] counts: at least those of its wire form.
    #[must_use]
    pub fn weight(&self) -> usize {
        OVERHEAD + self.name.len()
    }
}

/// A payload with a durable copy beside which is not written yet what was said about it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaleArchive {
    /// Which.
    pub id: PayloadId,
    /// Rises with whatever is said; see [`Change::Archived`].
    pub number: u64,
}

/// A stream whose archived log is behind, or that is deleted and whose archived log is to go, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleLog {
    /// Which.
    pub stream: StreamName,
    /// Rises with whatever changes it; see [`Change::LogArchived`].
    pub number: u64,
}

impl StaleLog {
    /// Bytes that a [`Limit`] counts.
    #[must_use]
    pub fn weight(&self) -> usize {
        OVERHEAD + name_weight(&self.stream)
    }
}

/// Writes the catalog. One at a time; see [`crate::writer`].
pub trait Store: Send {
    /// Whose catalog this is; made at creation.
    fn instance(&self) -> InstanceId;

    /// Applies `changes` in order in one transaction; `sync` asks for it to survive power loss, otherwise it survives
    /// the death of this process. A refused change leaves the others alone. There is one outcome a change, in order.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was applied.
    fn apply(&mut self, changes: &[Change], sync: bool) -> Result<Vec<Outcome>, StoreError>;

    /// A reader of its own, usable from another thread; it sees what was applied before each of its calls.
    ///
    /// # Errors
    /// [`StoreError`].
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// Nothing is queued: the moment for housekeeping that changes wait for if it is done while they come. True if
    /// there is more to be done at the next rest. What fails here loses nothing and is tried again at the next rest.
    ///
    /// # Errors
    /// [`StoreError`].
    fn rest(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// Reads the catalog.
pub trait Reader: Send {
    /// One more reader of the same catalog.
    ///
    /// # Errors
    /// [`StoreError`].
    fn another(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// Calls `each` with every payload's row, in no order that matters.
    ///
    /// # Errors
    /// [`StoreError`].
    fn payloads(&mut self, each: &mut dyn FnMut(Facts)) -> Result<(), StoreError>;

    /// Every file to be removed.
    ///
    /// # Errors
    /// [`StoreError`].
    fn doomed(&mut self) -> Result<Vec<DoomedFile>, StoreError>;

    /// Every stream, ordered by namespace and name.
    ///
    /// # Errors
    /// [`StoreError`].
    fn streams(&mut self) -> Result<Vec<StreamInfo>, StoreError>;

    /// Streams by namespace and name, from after `after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    fn streams_after(&mut self, after: Option<&StreamName>, limit: Limit) -> Result<Page<StreamInfo>, StoreError>;

    /// One stream; `None` if it is not there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn stream(&mut self, name: &StreamName) -> Result<Option<StreamInfo>, StoreError>;

    /// Entries of a stream, in order. A stream that is not there has none. If retention has cut into the span, the
    /// first one says so by its offset.
    ///
    /// # Errors
    /// [`StoreError`].
    fn entries(&mut self, stream: &StreamName, span: Span, limit: Limit) -> Result<Page<StreamEntry>, StoreError>;

    /// How far a consumer group has come; `None` if it never said so.
    ///
    /// # Errors
    /// [`StoreError`].
    fn committed(&mut self, stream: &StreamName, group: &str) -> Result<Option<u64>, StoreError>;

    /// The consumer groups of a stream by name, from after `after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    fn groups(
        &mut self,
        stream: &StreamName,
        after: Option<&str>,
        limit: Limit,
    ) -> Result<Page<ConsumerGroup>, StoreError>;

    /// A payload's metadata; `None` if it was never set.
    ///
    /// # Errors
    /// [`StoreError`].
    fn metadata(&mut self, id: PayloadId) -> Result<Option<MetadataRecord>, StoreError>;

    /// A payload's history, oldest first, from after the event numbered `after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    fn metadata_events(
        &mut self,
        id: PayloadId,
        after: Option<u64>,
        limit: Limit,
    ) -> Result<Page<MetadataEvent>, StoreError>;

    /// Payloads whose archives are behind, by id, from after `after` on: something was said about them (metadata, an event,
    /// an edge to a parent) since [`Change::Archived`], or before they had a durable copy.
    ///
    /// # Errors
    /// [`StoreError`].
    fn stale_archives(&mut self, after: Option<PayloadId>, limit: Limit) -> Result<Page<StaleArchive>, StoreError>;

    /// Streams whose archived logs are behind, by namespace and name, from after `after` on: they were made, changed or
    /// deleted since [`Change::LogArchived`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn stale_logs(&mut self, after: Option<&StreamName>, limit: Limit) -> Result<Page<StaleLog>, StoreError>;

    /// A payload's ancestors or descendants.
    ///
    /// # Errors
    /// [`StoreError`].
    fn lineage(&mut self, query: &LineageQuery) -> Result<Lineage, StoreError>;
}
