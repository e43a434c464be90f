//! The directory: which payload is where, written by the daemon alone, read by every client without asking.
//!
//! [`Directory`] is the daemon's end, [`DirectoryReader`] a client's; `table` is the hash table, `face` the words
//! of an entry that a lookup reads, `details` the others. Not here: leases (`slot`), and the decision what to publish.

mod details;
mod face;
mod reader;
mod table;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::os::fd::AsFd;

use payload_manager_types::{EntryIndex, Generation, LeaseDeadline, PayloadId};

pub use self::details::Details;
pub use self::face::{EntryState, Face};
pub use self::reader::DirectoryReader;
use self::table::{Table, plan};
use crate::boot::{Identity, monotonic_ms};
use crate::error::{Full, OpenError};
use crate::layout::{DirectoryEntry, Kind, byte, mix, words_of};
use crate::object::ObjectError;
use crate::page::Page;
use crate::slot::Tick;

/// One entry as recovery finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundEntry {
    /// Where.
    pub index: EntryIndex,
    /// Whose. An entry keeps its id as long as it lives, so this is right even where the rest is torn.
    pub id: PayloadId,
    /// What it shows. In a torn entry each word is the old one or the new one, so that its generations, which share a
    /// word, are those that leases name. `None` where nothing was ever shown: remove it.
    pub face: Option<Face>,
    /// Its writer died at it, and no client can read it: publish it anew, or remove it.
    pub torn: bool,
}

/// The daemon's end of the directory. One writer: `&mut` is what says so.
#[derive(Debug)]
pub struct Directory {
    table: Table,
    /// Vacant indexes below `fresh`, longest vacant first, so that a slot that still names an old block of one has time.
    vacant: VecDeque<EntryIndex>,
    /// The lowest index that was never used.
    fresh: u32,
    used: u32,
}

impl Directory {
    /// Makes the directory, whole or not at all, for up to `max_entries` payloads. Its epoch is now.
    ///
    /// # Errors
    /// The name is taken, or there is no memory.
    pub fn create(name: &str, identity: &Identity, max_entries: u32) -> Result<Self, ObjectError> {
        Self::create_at(name, identity, max_entries, monotonic_ms())
    }

    pub(crate) fn create_at(
        name: &str,
        identity: &Identity,
        max_entries: u32,
        epoch_ms: u64,
    ) -> Result<Self, ObjectError> {
        let max = max_entries.clamp(1, crate::MOST_ITEMS);
        let page = Page::create(name, identity, plan(max), epoch_ms, 0)?;
        Ok(Self { table: table(page, identity), vacant: VecDeque::new(), fresh: 0, used: 0 })
    }

    /// Opens this daemon's directory and builds its buckets anew from the entries; call it before anyone is served.
    ///
    /// Entries whose writer died are left as they are, see [`Self::entries`].
    ///
    /// # Errors
    /// There is none, or it is not to be trusted.
    pub fn open(name: &str, identity: &Identity) -> Result<Self, OpenError> {
        let table = table(Page::open(name, identity, Kind::Directory, plan)?, identity);
        let mut directory = Self { table, vacant: VecDeque::new(), fresh: 0, used: 0 };
        directory.rebuild();
        Ok(directory)
    }

    /// Buckets, free list and counts from the entries.
    fn rebuild(&mut self) {
        self.table.clear();
        let in_use = |index: &EntryIndex| self.table.id_at(*index).is_some();
        let last = (0..self.table.page.grown()).rev().filter_map(EntryIndex::new).find(in_use);
        self.fresh = last.map_or(0, |index| index.get() + 1);
        let (mut used, mut vacant) = (0, VecDeque::new());
        for index in (0..self.fresh).filter_map(EntryIndex::new) {
            match self.table.id_at(index) {
                Some(id) => {
                    self.table.link(id, index);
                    used += 1;
                }
                None => vacant.push_back(index),
            }
        }
        (self.used, self.vacant) = (used, vacant);
    }

    /// How many payloads there can be.
    #[must_use]
    pub fn max_entries(&self) -> u32 {
        self.table.page.max()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.used
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// What lease deadlines count from: milliseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn epoch_ms(&self) -> u64 {
        self.table.page.epoch_ms()
    }

    /// A deadline as slots hold it.
    #[must_use]
    pub const fn tick(&self, at: LeaseDeadline) -> Tick {
        Tick::new(at, self.epoch_ms())
    }

    /// The descriptor of the object. For clients, re-open it read-only.
    #[must_use]
    pub fn descriptor(&self) -> impl AsFd + '_ {
        self.table.page.file()
    }

    /// The entry that the next [`Self::insert`] will use, and the generation that a block of it got last: count on from
    /// there, so that no slot can name a block of the payload before by the name of one of the next.
    ///
    /// # Errors
    /// All entries are in use, or there is no memory for more.
    pub fn next_entry(&mut self) -> Result<(EntryIndex, Generation), Full> {
        // An index can be in the list and in use after `insert_at`.
        while self.vacant.front().is_some_and(|index| self.table.id_at(*index).is_some()) {
            self.vacant.pop_front();
        }
        let limit = Full::Limit { what: "directory entries", max: self.max_entries() };
        let index = match self.vacant.front() {
            Some(index) => *index,
            None => EntryIndex::new(self.fresh).filter(|_| self.fresh < self.max_entries()).ok_or(limit)?,
        };
        self.table.page.grow_to(index.get() + 1)?;
        Ok((index, self.last_generation(index)))
    }

    /// The generation that a block of this entry got last; 0 if none ever did.
    #[must_use]
    pub fn last_generation(&self, index: EntryIndex) -> Generation {
        self.table.entry(index).map_or(0, |entry| byte(entry.peek()[6], 7))
    }

    /// Shows a payload that is not there yet. One that is keeps its entry and is published anew.
    ///
    /// # Errors
    /// As [`Self::next_entry`]; nothing changed.
    pub fn insert(&mut self, face: &Face) -> Result<EntryIndex, Full> {
        if let Some(index) = self.find(face.id) {
            self.publish(index, face);
            return Ok(index);
        }
        let (index, _) = self.next_entry()?;
        self.fill(index, face);
        Ok(index)
    }

    /// Shows a payload at an index that it had before: for a directory that is made anew from the records while lease
    /// slots live on. Whether the index was vacant and the id not there.
    ///
    /// # Errors
    /// The index is beyond the limit, or there is no memory for it; nothing changed.
    pub fn insert_at(&mut self, index: EntryIndex, face: &Face) -> Result<bool, Full> {
        self.table.page.grow_to(index.get() + 1)?;
        if self.table.id_at(index).is_some() || self.find(face.id).is_some() {
            return Ok(false);
        }
        self.fill(index, face);
        Ok(true)
    }

    fn fill(&mut self, index: EntryIndex, face: &Face) {
        if self.vacant.front() == Some(&index) {
            self.vacant.pop_front();
        }
        self.vacant.extend((self.fresh..index.get()).filter_map(EntryIndex::new));
        self.fresh = self.fresh.max(index.get() + 1);
        self.used += 1;
        // The entry before the bucket: who finds the bucket finds the entry.
        self.write(index, face);
        self.table.link(face.id, index);
    }

    /// Shows a payload in a new light. After this returns, a scan of the lease pages sees every lease on what was shown
    /// before. Nothing happens where the entry is not that payload's.
    pub fn publish(&mut self, index: EntryIndex, face: &Face) {
        if self.table.id_at(index) == Some(face.id) {
            self.write(index, face);
        }
    }

    fn write(&self, index: EntryIndex, face: &Face) {
        if let Some(entry) = self.table.entry(index) {
            entry.publish(face.to_words());
        }
    }

    /// Says of a payload what its leases' holders may ask. Nothing happens where the entry is not that payload's.
    pub fn describe(&mut self, index: EntryIndex, id: PayloadId, details: &Details) {
        if let Some(item) = self.table.item(index).filter(|_| self.table.id_at(index) == Some(id)) {
            details::describe(item, details);
        }
    }

    /// Lets nobody take a lease on it from now on; publish to open it again. Fenced like [`Self::publish`].
    pub fn close(&mut self, index: EntryIndex) {
        let Some(entry) = self.table.entry(index) else { return };
        if let Some(face) = Face::from_words(entry.peek()) {
            entry.publish(Face { state: EntryState::Closed, ..face }.to_words());
        }
    }

    /// Takes a payload out. The entry keeps its sequence number and its last generation. Fenced like [`Self::publish`].
    pub fn remove(&mut self, index: EntryIndex) {
        let Some(id) = self.table.id_at(index) else { return };
        let last = self.last_generation(index);
        self.table.unlink(id, index);
        if let Some(entry) = self.table.entry(index) {
            entry.publish(face::vacant(last));
        }
        self.vacant.push_back(index);
        self.used = self.used.saturating_sub(1);
    }

    /// What an entry shows, and under which number. `None`: vacant or torn.
    #[must_use]
    pub fn read(&self, index: EntryIndex) -> Option<(Face, u64)> {
        read(self.table.entry(index)?)
    }

    /// The entry of a payload. `None`: not there, or torn.
    #[must_use]
    pub fn lookup(&self, id: PayloadId) -> Option<(EntryIndex, Face, u64)> {
        let index = self.find(id)?;
        let (face, seq) = self.read(index)?;
        Some((index, face, seq))
    }

    fn find(&self, id: PayloadId) -> Option<EntryIndex> {
        let is_it = |index| (self.table.id_at(index) == Some(id)).then_some(index);
        self.table.find(id, usize::MAX, is_it).map(|(_, found)| found)
    }

    /// All entries in use, torn ones included, by index.
    pub fn entries(&self) -> impl Iterator<Item = FoundEntry> + '_ {
        (0..self.fresh).filter_map(EntryIndex::new).filter_map(|index| {
            let entry = self.table.entry(index)?;
            let id = self.table.id_at(index)?;
            Some(FoundEntry { index, id, face: Face::from_words(entry.peek()), torn: entry.seq() & 1 == 1 })
        })
    }
}

fn table(page: Page, identity: &Identity) -> Table {
    Table { page, seed: seed(*identity.instance.as_bytes()) }
}

/// What the hash of an instance's directory starts from.
fn seed(instance: [u8; 16]) -> u64 {
    mix(0, &words_of(instance))
}

#[inline]
fn read(entry: &DirectoryEntry) -> Option<(Face, u64)> {
    let snapshot = entry.read()?;
    Some((Face::from_words(snapshot.words)?, snapshot.seq))
}
