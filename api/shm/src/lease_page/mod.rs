//! Leases taken by RPC: slots in pages of the daemon's own, which outlive it.
//!
//! The same slots as a session client's, so there is one kind of lease. Beside each slot stands a random nonce, written
//! before it: the lease's id is page, slot and nonce, and who does not know the nonce gives nothing back. The daemon is
//! the holder of these slots, on its callers' behalf; so at the deadline it frees them itself.
//!
//! Not here: what may be leased. The caller holds whatever lock keeps the entry from changing while it grants.

mod list;
mod page;
mod scan;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use payload_manager_types::{BlockName, EntryIndex, LeaseDeadline, LeaseId};

pub use self::list::Listing;
use self::page::{At, LeasePage, SLOTS, id_of, parts_of};
pub use self::scan::Holders;
pub(crate) use self::scan::Question;
use crate::boot::Identity;
use crate::error::{Full, OpenError};
use crate::object::{self, ObjectError};
use crate::page::DRAFT;
use crate::slot::{self, SlotState, Word};
use crate::sync::{AtomicU64, Ordering};

/// So many released leases are remembered until their deadlines, besides as many as there are leases.
const RELEASED: usize = 1 << 14;

/// One lease, for lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseView {
    /// Its id.
    pub id: LeaseId,
    /// What it is on.
    pub block: BlockName,
    /// Whether it holds.
    pub state: SlotState,
    /// When it ends.
    pub deadline: LeaseDeadline,
}

/// All leases of RPC callers. One writer: `&mut` is what says so.
#[derive(Debug)]
pub struct RpcLeases {
    base: String,
    identity: Identity,
    epoch_ms: u64,
    max: u32,
    pages: Vec<LeasePage>,
    free: Vec<At>,
    /// When to look at a slot again. A renewed lease is found not to be due and put back.
    due: BinaryHeap<Reverse<(u64, At, u64)>>,
    live: u32,
    /// Claims that came to their deadline since this was opened.
    expired: u64,
}

impl RpcLeases {
    /// Opens the pages `/<base>-lease-<n>` that there are, with every lease that is on them; makes one if there is none.
    ///
    /// `epoch_ms` is the directory's, for new pages. No lease can last beyond `latest`: deadlines that do, or seem to
    /// because the daemon was away for days, are lowered to it.
    ///
    /// # Errors
    /// A page is not to be trusted, or the first one can't be made.
    pub fn open(
        base: &str,
        identity: &Identity,
        epoch_ms: u64,
        max_leases: u32,
        now_ms: u64,
        latest: LeaseDeadline,
    ) -> Result<Self, OpenError> {
        let mut leases = Self {
            base: base.to_owned(),
            identity: *identity,
            epoch_ms,
            max: max_leases,
            pages: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            live: 0,
            expired: 0,
        };
        for n in 0..leases.pages_there()?.max(1) {
            let page = match LeasePage::open(&leases.name(n), identity) {
                Err(OpenError::NotThere) => leases.create_page(n).map_err(|e| not_made(leases.name(n), e))?,
                opened => opened?,
            };
            leases.adopt(n, page, now_ms, latest);
        }
        Ok(leases)
    }

    fn name(&self, n: u32) -> String {
        format!("{}-lease-{n}", self.base)
    }

    /// One more than the highest page that there is: a page that is missing in between takes no other with it. What a
    /// kill left half made goes (promise no-leak).
    fn pages_there(&self) -> Result<u32, OpenError> {
        let prefix = format!("{}-lease-", self.base);
        let os = |source| OpenError::Os { name: prefix.clone(), source };
        let found = object::list(&prefix).map_err(os)?;
        for draft in found.iter().filter(|object| object.name.ends_with(DRAFT)) {
            object::unlink(&draft.name).map_err(os)?;
        }
        let numbers = found.iter().filter_map(|object| object.name.rsplit_once("-lease-")?.1.parse::<u32>().ok());
        Ok(numbers.max().map_or(0, |n| n.saturating_add(1)))
    }

    fn create_page(&self, n: u32) -> Result<LeasePage, ObjectError> {
        LeasePage::create(&self.name(n), &self.identity, self.epoch_ms)
    }

    /// Takes a page on with all that is in it.
    fn adopt(&mut self, n: u32, mut page: LeasePage, now_ms: u64, latest: LeaseDeadline) {
        let latest = page.tick(latest);
        let mut occupied = 0;
        for (slot, word) in (0..SLOTS).zip(page.slots()).rev() {
            let at = At { page: n, slot };
            slot::lower_deadline(word, latest);
            let Some(found) = slot::look(word) else {
                // Also what no legal move makes: it names nothing.
                word.store(0, Ordering::Relaxed);
                self.free.push(at);
                continue;
            };
            occupied += 1;
            self.live += u32::from(found.state() == SlotState::Live);
            let deadline = found.deadline().to_deadline(page.epoch_ms(), now_ms);
            let nonce = page.nonce(slot).map_or(0, |nonce| nonce.load(Ordering::Relaxed));
            self.due.push(Reverse((deadline.0, at, nonce)));
        }
        page.occupied = occupied;
        self.pages.push(page);
    }

    /// Writes a lease on `block` until `deadline`. Fenced: an entry that the caller reads after this and finds as it was
    /// is held.
    ///
    /// # Errors
    /// All leases are in use, or there is no memory for more.
    pub fn grant(&mut self, block: BlockName, deadline: LeaseDeadline) -> Result<LeaseId, Full> {
        self.grant_as(nonce()?, block, deadline)
    }

    pub(crate) fn grant_as(&mut self, nonce: u64, block: BlockName, deadline: LeaseDeadline) -> Result<LeaseId, Full> {
        let limit = Full::Limit { what: "leases", max: self.max };
        if self.occupied() >= self.max {
            return Err(limit);
        }
        if self.free.is_empty() {
            self.add_page()?;
        }
        let at = self.free.pop().ok_or(limit)?;
        self.write(at, nonce, block, deadline);
        self.due.push(Reverse((deadline.0, at, nonce)));
        self.forget_released();
        self.live += 1;
        Ok(id_of(at, nonce))
    }

    fn write(&mut self, at: At, nonce: u64, block: BlockName, deadline: LeaseDeadline) {
        let Some(page) = self.pages.get_mut(at.page as usize) else { return };
        page.occupied += 1;
        if let (Some(slot), Some(word)) = (page.slot(at.slot), page.nonce(at.slot)) {
            word.store(nonce, Ordering::Release);
            slot.store(Word::live(block, page.tick(deadline)).bits(), Ordering::Release);
        }
        slot::before_scan::<AtomicU64>();
    }

    fn add_page(&mut self) -> Result<(), Full> {
        let n = u32::try_from(self.pages.len()).unwrap_or(u32::MAX);
        let page = self.create_page(n).map_err(|e| match e {
            ObjectError::Full { bytes, source, .. } => Full::Memory { what: "lease slots", bytes, source },
            other => Full::Memory { what: "lease slots", bytes: 0, source: std::io::Error::other(other) },
        })?;
        self.free.extend((0..SLOTS).rev().map(|slot| At { page: n, slot }));
        self.pages.push(page);
        Ok(())
    }

    /// Ends a lease, whatever its state, and says which block it was on. `None`: there is no such lease any more.
    pub fn release(&mut self, id: LeaseId) -> Option<BlockName> {
        let (at, word) = self.find(id)?;
        self.clear(at, word).then(|| word.block())
    }

    /// Prolongs a live lease to `deadline`; never shortens it. What it is on and when it ends now. `None`: it is over, or
    /// never was.
    pub fn renew(&mut self, id: LeaseId, deadline: LeaseDeadline, now_ms: u64) -> Option<(BlockName, LeaseDeadline)> {
        let (at, word) = self.find(id)?;
        let page = self.pages.get(at.page as usize)?;
        let over = word.deadline().is_over_at(page.tick(LeaseDeadline(now_ms)));
        if over || word.state() != SlotState::Live {
            return None;
        }
        let until = deadline.max(word.deadline().to_deadline(page.epoch_ms(), now_ms));
        let renewed = slot::renew(page.slot(at.slot)?, page.state()?, page.tick(until)).ok()?;
        Some((renewed.block(), until))
    }

    /// What holds each of these blocks, in their order, in one pass over all pages. What was published before this is
    /// called is published: a lease that this does not see has seen it.
    #[must_use]
    pub fn holders(&self, blocks: &[BlockName], now_ms: u64) -> Vec<Holders> {
        let mut question = Question::about(blocks);
        self.scan(|page, word| {
            let until = |word: Word| word.deadline().to_deadline(page.epoch_ms(), now_ms);
            question.count(word, page.tick(LeaseDeadline(now_ms)), until);
        });
        question.answers()
    }

    /// How many live leases there are on any block of each of these entries, in their order, in one pass.
    #[must_use]
    pub fn count_by_entry(&self, entries: &[EntryIndex], now_ms: u64) -> Vec<u32> {
        let mut order: Vec<_> = entries.iter().copied().enumerate().map(|(i, entry)| (entry, i)).collect();
        order.sort_unstable();
        let mut counts = vec![0; entries.len()];
        self.scan(|page, word| {
            if word.state() != SlotState::Live || word.deadline().is_over_at(page.tick(LeaseDeadline(now_ms))) {
                return;
            }
            let index = word.block().index;
            let from = order.partition_point(|(entry, _)| *entry < index);
            for (_, i) in order.iter().skip(from).take_while(|(entry, _)| *entry == index) {
                if let Some(count) = counts.get_mut(*i) {
                    *count += 1;
                }
            }
        });
        counts
    }

    /// Takes every lease on any block of this entry away: a forced delete. How many were live. The slots keep pinning
    /// their blocks until their deadlines.
    pub fn revoke(&mut self, index: EntryIndex) -> u32 {
        slot::before_scan::<AtomicU64>();
        let mut revoked = 0;
        for word in self.pages.iter().filter(|page| page.occupied > 0).flat_map(LeasePage::slots) {
            let was_live = slot::look(word).is_some_and(|w| w.state() == SlotState::Live);
            if slot::revoke(word, index).is_some() && was_live {
                revoked += 1;
            }
        }
        self.live -= revoked.min(self.live);
        revoked
    }

    /// Frees the slots whose deadline has come, and says what they pinned. Looks at no others.
    pub fn expire_due(&mut self, now_ms: u64) -> Vec<BlockName> {
        let mut freed = Vec::new();
        while let Some(Reverse((due, at, nonce))) = self.due.peek().copied() {
            if due > now_ms {
                break;
            }
            self.due.pop();
            let Some((word, deadline)) = self.deadline_at(at, nonce, now_ms) else { continue };
            if deadline.0 > now_ms {
                self.due.push(Reverse((deadline.0, at, nonce)));
            } else if self.clear(at, word) {
                self.expired += u64::from(word.state() == SlotState::Live);
                freed.push(word.block());
            }
        }
        freed
    }

    /// Leases that were released wait for their deadlines too. Once most of what waits is such, that goes: now and then,
    /// for all of it is looked at.
    fn forget_released(&mut self) {
        if self.due.len() <= 2 * self.occupied() as usize + RELEASED {
            return;
        }
        let mut due = std::mem::take(&mut self.due);
        due.retain(|Reverse((_, at, nonce))| self.nonce_at(*at) == Some(*nonce));
        self.due = due;
    }

    /// When [`Self::expire_due`] has something to do next, at the earliest.
    #[must_use]
    pub fn next_due(&self) -> Option<LeaseDeadline> {
        self.due.peek().map(|Reverse((due, ..))| LeaseDeadline(*due))
    }

    /// What is in a slot, if it is still the lease that had this nonce.
    fn deadline_at(&self, at: At, nonce: u64, now_ms: u64) -> Option<(Word, LeaseDeadline)> {
        let page = self.pages.get(at.page as usize)?;
        let word = slot::look(page.slot(at.slot)?)?;
        let same = self.nonce_at(at)? == nonce;
        same.then(|| (word, word.deadline().to_deadline(page.epoch_ms(), now_ms)))
    }

    /// Of the lease that is, or was last, in a slot.
    fn nonce_at(&self, at: At) -> Option<u64> {
        Some(self.pages.get(at.page as usize)?.nonce(at.slot)?.load(Ordering::Relaxed))
    }

    /// Leases that hold, as of the last [`Self::expire_due`].
    #[must_use]
    pub const fn live_count(&self) -> u32 {
        self.live
    }

    /// How many claims came to their deadline since this was opened.
    #[must_use]
    pub const fn expired_count(&self) -> u64 {
        self.expired
    }

    /// Slots in use, revoked ones included.
    fn occupied(&self) -> u32 {
        self.pages.iter().map(|page| page.occupied).sum()
    }

    /// Every lease, whatever its state.
    #[must_use]
    pub fn all(&self, now_ms: u64) -> Vec<LeaseView> {
        let mut all = Vec::new();
        for (n, page) in (0u32..).zip(&self.pages) {
            for (slot, word) in (0u32..).zip(page.slots()) {
                let Some(word) = slot::look(word) else { continue };
                let nonce = page.nonce(slot).map_or(0, |nonce| nonce.load(Ordering::Relaxed));
                let deadline = word.deadline().to_deadline(page.epoch_ms(), now_ms);
                let id = id_of(At { page: n, slot }, nonce);
                all.push(LeaseView { id, block: word.block(), state: word.state(), deadline });
            }
        }
        all
    }

    fn scan(&self, mut see: impl FnMut(&LeasePage, Word)) {
        slot::before_scan::<AtomicU64>();
        for page in self.pages.iter().filter(|page| page.occupied > 0) {
            page.slots().iter().filter_map(slot::look).for_each(|word| see(page, word));
        }
    }

    /// The slot of a lease, if the nonce is its own.
    fn find(&self, id: LeaseId) -> Option<(At, Word)> {
        let (at, nonce) = parts_of(id);
        let page = self.pages.get(at.page as usize)?;
        let known = page.nonce(at.slot)?.load(Ordering::Relaxed);
        if nonce == 0 || known != nonce {
            return None;
        }
        Some((at, slot::look(page.slot(at.slot)?)?))
    }

    /// Frees a slot: the nonce first, so that a kill in between leaves a lease that nobody can give back, and not one
    /// that somebody else's id fits.
    fn clear(&mut self, at: At, word: Word) -> bool {
        let Some(page) = self.pages.get_mut(at.page as usize) else { return false };
        let (Some(slot), Some(nonce)) = (page.slot(at.slot), page.nonce(at.slot)) else { return false };
        nonce.store(0, Ordering::Release);
        if !slot::clear(slot, word) {
            return false;
        }
        page.occupied -= 1;
        self.free.push(at);
        self.live -= u32::from(word.state() == SlotState::Live).min(self.live);
        true
    }
}

/// Random, and never 0.
fn nonce() -> Result<u64, Full> {
    let failed = |e: getrandom::Error| std::io::Error::other(e.to_string());
    let random = getrandom::u64().map_err(failed);
    random.map(|n| n.max(1)).map_err(|source| Full::Memory { what: "random bytes", bytes: 8, source })
}

fn not_made(name: String, e: ObjectError) -> OpenError {
    OpenError::Os { name, source: std::io::Error::other(e) }
}
