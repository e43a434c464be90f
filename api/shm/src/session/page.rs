//! The daemon's end of one session's page. Its owner may write anything on it at any time.
//!
//! So: every word is read once and means what it says, or nothing; loops are bounded by the daemon's own numbers; loads
//! stand behind the SIGBUS guard; and what the daemon decided (that the page is closed, until when it pins what) it
//! keeps to itself, and does not read back.

use std::os::fd::AsFd;

use payload_manager_types::{BlockName, EntryIndex, LeaseDeadline};

use super::{MOST_SLOTS, SLOT_STEP, plan};
use crate::boot::Identity;
use crate::error::OpenError;
use crate::guard::Watch;
use crate::layout::{HEADER_BYTES, Kind, counter_of, read_words, session_counters_at};
use crate::object::ObjectError;
use crate::page::Page;
use crate::slot::line::{SLOTS, slots_within_reach};
use crate::slot::{self, PAGE_OPEN, SlotState, Tick, Word};
use crate::sync::{AtomicU64, Ordering};

/// What the daemon makes of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Leases are taken on it.
    Open,
    /// Nothing new on it counts. What was held when it was closed is pinned until given back, or until its deadline.
    Closed,
    /// Its owner cut it short: nothing on it counts.
    Condemned,
}

/// One occupied slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldSlot {
    /// Which, counted from the start of the page.
    pub slot: u32,
    /// What it pins.
    pub block: BlockName,
    /// Whether it still claims it.
    pub state: SlotState,
    /// When the claim ends.
    pub deadline: LeaseDeadline,
}

/// What a sweep over a page found, and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Slots that claim their blocks.
    pub live: u32,
    /// Slots that only pin them: expired or revoked and not given back.
    pub over: u32,
    /// Deadlines that lay beyond the maximum.
    pub lowered: u32,
    /// Claims that this look has ended, for their time was over.
    pub expired: u32,
}

/// A session's lease page, as the daemon has it.
#[derive(Debug)]
pub struct SessionPage {
    // Before the page: it ends before the range is unmapped.
    watch: Watch,
    page: Page,
    number: u32,
    entries: u32,
    /// Of a closed page: what it held then, and until when. Its owner can't prolong these any more.
    frozen: Option<Vec<HeldSlot>>,
    /// What its counters said when they were last looked at.
    counted: u64,
}

impl SessionPage {
    pub(super) fn create(
        name: &str,
        number: u32,
        identity: &Identity,
        epoch_ms: u64,
        entries: u32,
        slots: u32,
    ) -> Result<Self, ObjectError> {
        let slots = slots.clamp(1, MOST_SLOTS).next_multiple_of(SLOT_STEP);
        let page = Page::create(name, identity, plan(entries)(slots), epoch_ms, slots)?;
        if let Some(header) = page.header() {
            header.state.store(PAGE_OPEN, Ordering::Relaxed);
        }
        Self::watched(page, number, entries)
            .map_err(|source| ObjectError::Os { name: name.to_owned(), source })
            .inspect_err(|_| drop(crate::object::unlink(name)))
    }

    /// Takes on a page that a daemon before this one made. One that says it is closed is closed now.
    pub(super) fn adopt(
        name: &str,
        number: u32,
        identity: &Identity,
        entries: u32,
        now_ms: u64,
        latest: LeaseDeadline,
    ) -> Result<Self, OpenError> {
        let page = Page::open(name, identity, Kind::SessionLeases, plan(entries))?;
        let (slots, epoch_ms) = (page.max(), page.epoch_ms());
        let torn = |what| OpenError::Torn { name: name.to_owned(), what };
        if !slots.is_multiple_of(SLOT_STEP) || slots > MOST_SLOTS {
            return Err(torn(format!("{slots} slots")));
        }
        if epoch_ms > now_ms {
            return Err(torn("made in the future".to_owned()));
        }
        let os = |source| OpenError::Os { name: name.to_owned(), source };
        let mut page = Self::watched(page, number, entries).map_err(os)?;
        if page.state().is_none_or(|state| state.load(Ordering::Acquire) != PAGE_OPEN) {
            page.close(now_ms, latest);
        }
        Ok(page)
    }

    fn watched(page: Page, number: u32, entries: u32) -> std::io::Result<Self> {
        let watch = Watch::over(page.range())?;
        let mut page = Self { watch, page, number, entries, frozen: None, counted: 0 };
        page.counted = page.counters();
        Ok(page)
    }

    /// Its number, which its name ends with.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// How many leases it has room for.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.page.max()
    }

    /// The descriptor to pass to its client: for reading and writing.
    #[must_use]
    pub fn descriptor(&self) -> impl AsFd + '_ {
        self.page.file()
    }

    /// Whether what is on it counts.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.frozen {
            _ if self.watch.is_condemned() => Standing::Condemned,
            Some(_) => Standing::Closed,
            None => Standing::Open,
        }
    }

    /// Whether its object is as long as it was made. A client can make it longer as well as shorter, and so take memory
    /// that nobody counts: close its session then.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn is_intact(&self) -> std::io::Result<bool> {
        Ok(self.page.file().metadata()?.len() == self.page.range().1 as u64)
    }

    /// Closes it, and says what it held. Who takes or renews on it from now on learns that it is closed.
    ///
    /// What was held is kept as it was: scans go on counting it until it is given back or its deadline has come, which
    /// is `latest` at the latest, and nothing that the client writes prolongs that. Closing it again changes nothing.
    pub fn close(&mut self, now_ms: u64, latest: LeaseDeadline) -> &[HeldSlot] {
        if self.frozen.is_none() {
            if let Some(state) = self.state() {
                slot::close_page(state);
            }
            // In the slots too: there their holders read until when they may count on them.
            let lowest = self.tick(latest);
            self.used().iter().for_each(|word| _ = slot::lower_deadline(word, lowest));
            let held = self.occupied(now_ms);
            self.frozen = Some(held.map(|held| HeldSlot { deadline: held.deadline.min(latest), ..held }).collect());
        }
        self.frozen.as_deref().unwrap_or_default()
    }

    /// Every lease that counts, whatever its state. What was published before this is called is published.
    #[must_use]
    pub fn held(&self, now_ms: u64) -> Vec<HeldSlot> {
        slot::before_scan::<AtomicU64>();
        let mut held = Vec::new();
        self.each(now_ms, |slot| held.push(slot));
        if self.standing() == Standing::Condemned { Vec::new() } else { held }
    }

    /// Goes through the leases that count, without a fence of its own.
    pub(super) fn each(&self, now_ms: u64, see: impl FnMut(HeldSlot)) {
        match &self.frozen {
            None => self.occupied(now_ms).for_each(see),
            Some(frozen) => frozen.iter().filter(|held| self.still_pins(held, now_ms)).copied().for_each(see),
        }
    }

    /// Whether a slot of a closed page is as it was, and its time not over.
    fn still_pins(&self, held: &HeldSlot, now_ms: u64) -> bool {
        let word = self.slots().get(held.slot as usize).and_then(slot::look);
        held.deadline.0 > now_ms && word.is_some_and(|word| word.block() == held.block)
    }

    fn occupied(&self, now_ms: u64) -> impl Iterator<Item = HeldSlot> + '_ {
        let at = (0u32..).zip(self.used());
        at.filter_map(move |(slot, word)| Some(self.held_as(slot, slot::look(word)?, now_ms)))
    }

    fn held_as(&self, slot: u32, word: Word, now_ms: u64) -> HeldSlot {
        let deadline = word.deadline().to_deadline(self.page.epoch_ms(), now_ms);
        HeldSlot { slot, block: word.block(), state: word.state(), deadline }
    }

    /// The slots of an open page that may be in use, for the inner loop of a scan. The client says how far they go: if
    /// it lies, its own leases are not seen, and the bytes under them not kept for it.
    pub(super) fn used(&self) -> &[AtomicU64] {
        let reach = self.page.header().map_or(0, |header| slots_within_reach(&header.reach));
        let slots = self.slots();
        slots.get(..reach.min(slots.len())).unwrap_or_default()
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.frozen.is_some()
    }

    /// Marks what has run out, and lowers deadlines beyond `latest` to it, each once.
    ///
    /// Only what is marked is over for good: until then the client can still renew it, whatever the time.
    pub fn sweep(&self, now_ms: u64, latest: LeaseDeadline) -> Swept {
        let (now, latest) = (self.tick(LeaseDeadline(now_ms)), self.tick(latest));
        let mut swept = Swept::default();
        if self.standing() != Standing::Open {
            return swept;
        }
        for word in self.used() {
            let Some(seen) = slot::look(word) else { continue };
            if latest.is_before(seen.deadline()) {
                swept.lowered += u32::from(slot::lower_deadline(word, latest).is_some());
            }
            let due = seen.state() == SlotState::Live && seen.deadline().is_over_at(now);
            let expired = due && slot::expire(word, now).is_some();
            swept.expired += u32::from(expired);
            let over = expired || seen.state() != SlotState::Live;
            if over { swept.over += 1 } else { swept.live += 1 }
        }
        swept
    }

    /// Takes every lease on any block of this entry away. How many were live. The slots pin their blocks until they are
    /// given back. Without a fence of its own.
    pub(super) fn revoke(&mut self, index: EntryIndex) -> u32 {
        let mut revoked = 0;
        for word in self.used() {
            let was_live = slot::look(word).is_some_and(|w| w.block().index == index && w.state() == SlotState::Live);
            let done = was_live && slot::revoke(word, index).is_some();
            revoked += u32::from(done);
        }
        let frozen = self.frozen.iter_mut().flatten().filter(|held| held.block.index == index);
        frozen.for_each(|held| held.state = SlotState::Revoked);
        revoked
    }

    /// Hands the entries whose payloads were read since the last time to `read`, and forgets them.
    pub fn collect_reads(&self, mut read: impl FnMut(EntryIndex)) {
        let words: &[AtomicU64] = self.page.many(HEADER_BYTES, read_words(self.entries)).unwrap_or_default();
        for (n, word) in (0u32..).zip(words) {
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut bits = word.swap(0, Ordering::Relaxed);
            while bits != 0 {
                let index = n * u64::BITS + bits.trailing_zeros();
                EntryIndex::new(index).filter(|index| index.get() < self.entries).into_iter().for_each(&mut read);
                bits &= bits - 1;
            }
        }
    }

    /// Leases taken on it since this was last asked, or since it was made or taken on. As its client counts them: what
    /// can't be true is not counted.
    pub(super) fn newly_taken(&mut self) -> u64 {
        /// More than a process can take between two looks.
        const MOST: u64 = 1 << 40;
        let now = self.counters();
        let taken = now.wrapping_sub(std::mem::replace(&mut self.counted, now));
        if taken <= MOST { taken } else { 0 }
    }

    /// The sum of its counters. Only lines that were used have anything to say.
    fn counters(&self) -> u64 {
        let lines = self.slots().len() / SLOTS;
        let counters: &[AtomicU64] = self.page.many(session_counters_at(self.entries), lines).unwrap_or_default();
        let used = 0..self.used().len() / SLOTS;
        let words = used.filter_map(|line| counters.get(counter_of(line, lines)));
        words.fold(0, |sum, word| sum.wrapping_add(word.load(Ordering::Relaxed)))
    }

    pub(super) const fn tick(&self, at: LeaseDeadline) -> Tick {
        Tick::new(at, self.page.epoch_ms())
    }

    pub(super) const fn epoch_ms(&self) -> u64 {
        self.page.epoch_ms()
    }

    fn state(&self) -> Option<&AtomicU64> {
        self.page.header().map(|header| &header.state)
    }

    fn slots(&self) -> &[AtomicU64] {
        self.page.items().unwrap_or_default()
    }
}
