//! A client's end of the directory: mapped read-only, asked without a system call.

use std::fs::File;

use payload_manager_types::{EntryIndex, InstanceId, LeaseDeadline, PayloadId};

use super::details::details_of;
use super::table::{Table, plan};
use super::{Details, Face, read, seed};
use crate::error::OpenError;
use crate::layout::{DirectoryEntry, Kind};
use crate::page::Page;
use crate::slot::Tick;

/// A lookup gives up after this many buckets and leaves the answer to the daemon.
const MOST_BUCKETS: usize = 256;

/// The directory as its clients see it. Whatever it can't answer, the daemon can.
#[derive(Debug)]
pub struct DirectoryReader {
    table: Table,
    instance: InstanceId,
}

impl DirectoryReader {
    /// Maps the directory behind a descriptor, which need not be writable.
    ///
    /// # Errors
    /// It is no directory, or of a newer layout.
    pub fn of_file(file: File) -> Result<Self, OpenError> {
        let (page, instance) = Page::read_only(file, Kind::Directory, plan)?;
        Ok(Self { table: Table { page, seed: seed(*instance.as_bytes()) }, instance })
    }

    /// Whose directory it is.
    #[must_use]
    pub const fn instance(&self) -> InstanceId {
        self.instance
    }

    /// What lease deadlines count from: milliseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    #[inline]
    pub const fn epoch_ms(&self) -> u64 {
        self.table.page.epoch_ms()
    }

    /// How many payloads it can show.
    #[must_use]
    #[inline]
    pub fn max_entries(&self) -> u32 {
        self.table.page.max()
    }

    /// The entry at an index that [`Self::lookup`] gave.
    #[inline]
    pub(crate) fn entry(&self, index: EntryIndex) -> Option<&DirectoryEntry> {
        self.table.entry(index)
    }

    /// What the entry says of this payload beside where it is. Under a lease the entry stays the payload's; `None` is rare
    /// then: its writer was at it for too long.
    #[must_use]
    pub fn details(&self, index: EntryIndex, id: PayloadId) -> Option<Details> {
        details_of(self.table.item(index)?, id)
    }

    /// A deadline as slots hold it.
    #[must_use]
    #[inline]
    pub const fn tick(&self, at: LeaseDeadline) -> Tick {
        Tick::new(at, self.epoch_ms())
    }

    /// The entry of a payload, and the number to check it against. `None` is "ask the daemon", never "no such payload".
    #[must_use]
    #[inline]
    pub fn lookup(&self, id: PayloadId) -> Option<(EntryIndex, Face, u64)> {
        let is_it = |index| {
            let (face, seq) = read(self.table.entry(index)?)?;
            (face.id == id).then_some((index, face, seq))
        };
        self.table.find(id, MOST_BUCKETS, is_it).map(|(_, found)| found)
    }
}
