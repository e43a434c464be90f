//! The records: the daemon's own account of every block of RAM that it set aside, and for RAM the commit log itself.
//!
//! ```text
//! FREE ──reserve──► RESERVED ──set_live──► LIVE ──mark──► RETIRED ──free──► FREE
//!                       └──────free──────►   └───mark──► DELETING ──free──►
//! ```
//!
//! The state word is stored last, with release, so a record is all there or not there: a daemon that is killed at any
//! instant leaves the state before or the state after (promise survives-kill). What a live record says stays, but for
//! two words of their own, stored one at a time: `version`, and `tiers` (which tiers hold a copy), as when ACTIVE
//! becomes DURABLE. Tiers go first: a kill in between leaves the version that clients have seen.
//!
//! Not here: what follows from a record at a start; that is recovery's.

mod record;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use payload_manager_types::TierSet;

pub use self::record::{BlockState, Live, Record};
use self::record::{fixed_check, tiers_word};
use crate::boot::{Identity, monotonic_ms};
use crate::error::{Full, OpenError};
use crate::layout::{HEADER_BYTES, Kind, RecordWords};
use crate::object::ObjectError;
use crate::page::{Page, Plan};
use crate::sync::{AtomicU64, Ordering};

/// Which record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordIx(u32);

impl RecordIx {
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
    /// What was known when it was set aside.
    pub record: Record,
    /// What was known at commit; `None` in a block that never was.
    pub live: Option<Live>,
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
            let fixed = record.to_words();
            store(&words.fixed, fixed);
            words.fixed_check.store(fixed_check(&fixed), Ordering::Relaxed);
            // What the record's last life said at commit must not pass for what this one says.
            words.tiers.store(0, Ordering::Relaxed);
            words.state.store(BlockState::Reserved as u64, Ordering::Release);
        }
        if self.free.pop_front().is_none() {
            self.fresh += 1;
        }
        self.used += 1;
        Ok(ix)
    }

    /// RESERVED becomes LIVE: the commit, for bytes in RAM. Whether it was RESERVED.
    pub fn set_live(&mut self, ix: RecordIx, live: &Live) -> bool {
        let Some(words) = self.words(ix) else { return false };
        if words.state.load(Ordering::Relaxed) != BlockState::Reserved as u64 {
            return false;
        }
        let said = live.to_words();
        store(&words.live, said);
        words.version.store(live.version, Ordering::Relaxed);
        words.tiers.store(tiers_word(live.tiers, &said), Ordering::Relaxed);
        words.state.store(BlockState::Live as u64, Ordering::Release);
        true
    }

    /// Moves the two changing words of a live record on. Whether it was LIVE, and the version no older.
    pub fn advance(&mut self, ix: RecordIx, version: u64, tiers: TierSet) -> bool {
        let Some(words) = self.words(ix) else { return false };
        let live = words.state.load(Ordering::Relaxed) == BlockState::Live as u64;
        // Promise monotonic.
        if !live || version < words.version.load(Ordering::Relaxed) {
            return false;
        }
        words.tiers.store(tiers_word(tiers, &load(&words.live)), Ordering::Release);
        words.version.store(version, Ordering::Release);
        true
    }

    /// LIVE becomes RETIRED or DELETING, RETIRED becomes DELETING. Whether that was legal; else nothing changed.
    pub fn mark(&mut self, ix: RecordIx, state: BlockState) -> bool {
        let Some(words) = self.words(ix) else { return false };
        let now = BlockState::from_word(words.state.load(Ordering::Relaxed));
        let legal = matches!(
            (now, state),
            (Some(BlockState::Live), BlockState::Retired | BlockState::Deleting)
                | (Some(BlockState::Retired | BlockState::Reserved), BlockState::Deleting)
        );
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
        let fixed = load(&words.fixed);
        if words.fixed_check.load(Ordering::Relaxed) != fixed_check(&fixed) {
            return Err(torn);
        }
        let record = Record::from_words(fixed).ok_or(torn)?;
        let live = self.live(words, state).map_err(|()| torn)?;
        Ok(Some(StoredRecord { state, record, live }))
    }

    /// What was said at commit. A block can become DELETING without ever having been committed.
    fn live(&self, words: &RecordWords, state: BlockState) -> Result<Option<Live>, ()> {
        let said = || {
            let version = words.version.load(Ordering::Relaxed);
            Live::from_words(load(&words.live), version, words.tiers.load(Ordering::Relaxed))
        };
        match state {
            BlockState::Live | BlockState::Retired => said().map(Some).ok_or(()),
            BlockState::Deleting => Ok(said()),
            BlockState::Free | BlockState::Reserved => Ok(None),
        }
    }

    /// All records in use, torn ones included.
    pub fn iter(&self) -> impl Iterator<Item = (RecordIx, Result<StoredRecord, TornRecord>)> + '_ {
        (0..self.fresh).map(RecordIx).filter_map(|ix| Some((ix, self.read(ix).transpose()?)))
    }

    fn words(&self, ix: RecordIx) -> Option<&RecordWords> {
        self.page.item(ix.0)
    }
}

fn store<const N: usize>(places: &[AtomicU64; N], words: [u64; N]) {
    places.iter().zip(words).for_each(|(place, word)| place.store(word, Ordering::Relaxed));
}

fn load<const N: usize>(places: &[AtomicU64; N]) -> [u64; N] {
    std::array::from_fn(|i| places.get(i).map_or(0, |place| place.load(Ordering::Relaxed)))
}
