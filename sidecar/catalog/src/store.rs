//! The port: what a back end of the catalog does.

use std::path::PathBuf;

use payload_manager_core::facts::Facts;
use payload_manager_types::{InstanceId, Retention, StreamEntry, StreamName, UnixMillis};

use crate::change::{Change, DoomedFile, Outcome};

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
    #[error("{path} is not a usable catalog: {what}; restore it from a backup, or move it away and start with --fresh")]
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

    /// Nothing is queued: the moment for housekeeping that changes wait for if it is done while they come. What fails
    /// here loses nothing and is tried again at the next rest.
    ///
    /// # Errors
    /// [`StoreError`].
    fn rest(&mut self) -> Result<(), StoreError> {
        Ok(())
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

    /// Entries of a stream from offset `from` on, in order, at most `max`; with `not_before`, only those appended then
    /// or later. A stream that is not there has none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn entries(
        &mut self,
        stream: &StreamName,
        from: u64,
        max: usize,
        not_before: Option<UnixMillis>,
    ) -> Result<Vec<StreamEntry>, StoreError>;
}
