//! The records: the daemon's own account of every block of RAM that it set aside, and for RAM the commit log itself.
//!
//! ```text
//! FREE ──reserve──► RESERVED ──set_live──► LIVE ──mark──► RETIRED      free leads back from any of them;
//!                       └────────────────────┴───mark───────┴────► DELETING    set_live from RETIRED, too
//! ```
//!
//! The state word is stored last, with release, so a record is all there or not there: a daemon that is killed at any
//! instant leaves the state before or the state after (promise survives-kill). A block that moves gets a new record;
//! what changes in a live one (its version, a checksum that became known) changes word by word, so that a kill in
//! between leaves a record that is right in every word.
//!
//! Not here: what follows from a record at a start; that is recovery's.

mod record;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub use self::record::{BlockState, Record};
use crate::boot::{Identity, monotonic_ms};
use crate::error::{Full, OpenError};
use crate::layout::{HEADER_BYTES, Kind, RecordWords};
use crate::object::ObjectError;
use crate::page::{Page, Plan};
use crate::sync::Ordering;

/// Which record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordIx(u32);

impl RecordIx {
    /// The record of that number, in use or not: asking about one that is not gets no answer.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A record as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRecord {
    /// Never FREE.
    pub state: BlockState,
    /// What it says.
    pub record: Record,
}

/// A record that contradicts itself: bits that this program never wrote. Nothing in it is to be trusted, and nothing
/// that it may have named is to be deleted (promise never-the-only-copy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornRecord {
    /// What its state word says.
    pub state: u64,
}

/// The page of records. One writer: `&mut` is what says so.
#[derive(Debug)]
pub struct Records {
    page: Page,
    /// Free records below `fresh`.
    free: VecDeque<RecordIx>,
    /// The lowest record that was never used.
    fresh: u32,
    used: u32,
}

fn plan(max: u32) -> Plan {
    let item_bytes = size_of::<RecordWords>();
    Plan { kind: Kind::Records, items_at: HEADER_BYTES, item_bytes, max, what: "block records" }
}

impl Records {
    /// Makes the page, whole or not at all, for up to `max` blocks.
    ///
    /// # Errors
    /// The name is taken, or there is no memory.
    pub fn create(name: &str, identity: &Identity, max: u32) -> Result<Self, ObjectError> {
        Self::create_at(name, identity, max, monotonic_ms())
    }

    pub(crate) fn create_at(name: &str, identity: &Identity, max: u32, epoch_ms: u64) -> Result<Self, ObjectError> {
        let page = Page::create(name, identity, plan(max.clamp(1, crate::MOST_ITEMS)), epoch_ms, 0)?;
        Ok(Self { page, free: VecDeque::new(), fresh: 0, used: 0 })
    }

    /// Opens this daemon's records as it left them.
    ///
    /// # Errors
    /// There are none, or they are not to be trusted.
    pub fn open(name: &str, identity: &Identity) -> Result<Self, OpenError> {
        let page = Page::open(name, identity, Kind::Records, plan)?;
        let mut records = Self { page, free: VecDeque::new(), fresh: 0, used: 0 };
        let is_free = |at: u32| records.words(RecordIx(at)).is_none_or(|w| w.state.load(Ordering::Acquire) == 0);
        let fresh = (0..records.page.grown()).rev().find(|at| !is_free(*at)).map_or(0, |at| at + 1);
        let free: VecDeque<_> = (0..fresh).filter(|at| is_free(*at)).map(RecordIx).collect();
        records.used = fresh - u32::try_from(free.len()).unwrap_or(fresh);
        (records.fresh, records.free) = (fresh, free);
        Ok(records)
    }

    /// How many blocks there can be.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.page.max()
    }

    /// How many there are, torn ones included.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.used
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Writes a new record, RESERVED.
    ///
    /// # Errors
    /// All records are in use, or there is no memory for more; nothing changed.
    pub fn reserve(&mut self, record: &Record) -> Result<RecordIx, Full> {
        let ix = self.free.front().copied().unwrap_or(RecordIx(self.fresh));
        self.page.grow_to(ix.0.saturating_add(1))?;
        if let Some(words) = self.words(ix) {
            let fixed = record::fixed_words(record);
            words.fixed.iter().zip(fixed).for_each(|(place, word)| place.store(word, Ordering::Relaxed));
            words.check.store(record::check(&fixed), Ordering::Relaxed);
            record::say_rest(words, record);
            words.state.store(BlockState::Reserved as u64, Ordering::Release);
        }
        if self.free.pop_front().is_none() {
            self.fresh += 1;
        }
        self.used += 1;
        Ok(ix)
    }

    /// Makes a record LIVE that says this from now on: for a reserved one that is the commit. What was fixed when it was
    /// reserved stays. Whether it was RESERVED, LIVE or RETIRED, its payload this one, and the version no older.
    pub fn set_live(&mut self, ix: RecordIx, record: &Record) -> bool {
        let Ok(Some(StoredRecord { state, record: before })) = self.read(ix) else { return false };
        let legal = matches!(state, BlockState::Reserved | BlockState::Live | BlockState::Retired);
        // Promise monotonic.
        if !legal || before.id != record.id || before.version > record.version {
            return false;
        }
        if let Some(words) = self.words(ix) {
            record::say_rest(words, record);
            words.state.store(BlockState::Live as u64, Ordering::Release);
        }
        true
    }

    /// Makes a record RETIRED or DELETING. Whether that was legal: what is DELETING stays so.
    pub fn mark(&mut self, ix: RecordIx, state: BlockState) -> bool {
        let Some(words) = self.words(ix) else { return false };
        let now = BlockState::from_word(words.state.load(Ordering::Relaxed));
        let legal = match state {
            BlockState::Retired => matches!(now, Some(BlockState::Reserved | BlockState::Live | BlockState::Retired)),
            BlockState::Deleting => now.is_some_and(|now| now != BlockState::Free),
            BlockState::Free | BlockState::Reserved | BlockState::Live => false,
        };
        if legal {
            words.state.store(state as u64, Ordering::Release);
        }
        legal
    }

    /// The block's bytes are given back: the record may be used again. Whether it was in use.
    pub fn free(&mut self, ix: RecordIx) -> bool {
        let Some(words) = self.words(ix) else { return false };
        if words.state.load(Ordering::Relaxed) == BlockState::Free as u64 {
            return false;
        }
        words.state.store(BlockState::Free as u64, Ordering::Release);
        self.free.push_back(ix);
        self.used -= 1;
        true
    }

    /// What a record says; `None` for a free one.
    ///
    /// # Errors
    /// It contradicts itself.
    pub fn read(&self, ix: RecordIx) -> Result<Option<StoredRecord>, TornRecord> {
        let Some(words) = self.words(ix) else { return Ok(None) };
        let state = words.state.load(Ordering::Acquire);
        let torn = TornRecord { state };
        let state = BlockState::from_word(state).ok_or(torn)?;
        if state == BlockState::Free {
            return Ok(None);
        }
        let record = record::read(words).ok_or(torn)?;
        Ok(Some(StoredRecord { state, record }))
    }

    /// All records in use, torn ones included.
    pub fn iter(&self) -> impl Iterator<Item = (RecordIx, Result<StoredRecord, TornRecord>)> + '_ {
        (0..self.fresh).map(RecordIx).filter_map(|ix| Some((ix, self.read(ix).transpose()?)))
    }

    fn words(&self, ix: RecordIx) -> Option<&RecordWords> {
        self.page.item(ix.0)
    }
}
