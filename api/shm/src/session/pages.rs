//! All sessions' pages, as the daemon has them: made, found again after a restart, asked together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64 as AtomicCount, Ordering};

use payload_manager_types::{BlockName, EntryIndex, LeaseDeadline};

use super::page::{HeldSlot, SessionPage, Standing, Swept};
use crate::boot::Identity;
use crate::error::OpenError;
use crate::lease_page::{Holders, Question};
use crate::object::{self, ObjectError};
use crate::page::DRAFT;
use crate::slot::{self, SlotState, Word};
use crate::sync::AtomicU64;

/// A page that was found and not taken on. Its object is left where it is: see [`Self::is_garbage`].
#[derive(Debug)]
pub struct SetAside {
    /// The object.
    pub name: String,
    /// What is wrong with it.
    pub why: OpenError,
}

impl SetAside {
    /// Whether its object is the daemon's own, by its name and its owner, and nothing on it will ever count: its client
    /// has spoilt it. To be unlinked then (promise no-leak). What is another user's, or could not be looked at, is not
    /// known to be garbage.
    #[must_use]
    pub const fn is_garbage(&self) -> bool {
        match self.why {
            OpenError::Torn { .. }
            | OpenError::Foreign { .. }
            | OpenError::OtherBoot { .. }
            // Made with the directory, whose layout is known: it was written over the number.
            | OpenError::OtherLayout { .. } => true,
            OpenError::NotThere | OpenError::OtherOwner { .. } | OpenError::Os { .. } => false,
        }
    }
}

/// Who holds a block, for those who ask why it is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionHolders {
    /// The session's page.
    pub session: u32,
    /// The slot that names the block.
    pub held: HeldSlot,
}

/// The pages of all sessions. One owner: `&mut` is what says so; scans need `&` alone.
///
/// A block that [`Self::holders`] finds unpinned, asked after its entry was published without it, is nobody's: that is
/// the daemon's half of promise stable-lease.
#[derive(Debug)]
pub struct SessionPages {
    base: String,
    identity: Identity,
    epoch_ms: u64,
    entries: u32,
    pages: BTreeMap<u32, SessionPage>,
    next: u32,
    /// Leases taken on any page since this was opened, as far as they are counted.
    taken: u64,
    /// Claims that were ended here because their time was over. Scans have no more than `&`.
    expired: AtomicCount,
}

impl SessionPages {
    /// Takes on the pages `/<base>-session-<n>` that there are, leases and all. `epoch_ms` and `entries` are those of
    /// the directory (`max_entries`); no deadline of a page found closed lasts beyond `latest`.
    ///
    /// Pages that are not to be trusted come back with the reason: no lease on them is known.
    ///
    /// # Errors
    /// What is there can't be listed, or what a kill left half made can't be unlinked.
    pub fn open(
        base: &str,
        identity: &Identity,
        epoch_ms: u64,
        entries: u32,
        now_ms: u64,
        latest: LeaseDeadline,
    ) -> Result<(Self, Vec<SetAside>), OpenError> {
        let mut all = Self {
            base: base.to_owned(),
            identity: *identity,
            epoch_ms,
            entries,
            pages: BTreeMap::new(),
            next: 0,
            taken: 0,
            expired: AtomicCount::new(0),
        };
        let mut aside = Vec::new();
        for name in all.names_there()? {
            let Some(number) = name.rsplit_once("-session-").and_then(|(_, n)| n.parse::<u32>().ok()) else {
                continue;
            };
            all.next = all.next.max(number.saturating_add(1));
            match SessionPage::adopt(&name, number, identity, entries, now_ms, latest) {
                Ok(page) => drop(all.pages.insert(number, page)),
                Err(why) => aside.push(SetAside { name, why }),
            }
        }
        Ok((all, aside))
    }

    /// The pages that there are. What a kill left half made goes (promise no-leak).
    fn names_there(&self) -> Result<Vec<String>, OpenError> {
        let prefix = format!("{}-session-", self.base);
        let os = |source| OpenError::Os { name: prefix.clone(), source };
        let names = object::list(&prefix).map_err(os)?.into_iter().map(|found| found.name);
        let (drafts, names): (Vec<_>, Vec<_>) = names.partition(|name| name.ends_with(DRAFT));
        drafts.iter().try_for_each(|name| object::unlink(name).map(drop)).map_err(os)?;
        Ok(names)
    }

    fn name(&self, number: u32) -> String {
        format!("{}-session-{number}", self.base)
    }

    /// Makes a page with room for at least `slots` leases, under a number that no page had since this was opened.
    ///
    /// # Errors
    /// There is no memory for it, or no number.
    pub fn create(&mut self, slots: u32) -> Result<&SessionPage, ObjectError> {
        let number = self.next;
        let name = self.name(number);
        let page = SessionPage::create(&name, number, &self.identity, self.epoch_ms, self.entries, slots)?;
        self.next = number.saturating_add(1);
        Ok(self.pages.entry(number).or_insert(page))
    }

    /// A session's page.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&SessionPage> {
        self.pages.get(&number)
    }

    /// A session's page, to close it.
    #[must_use]
    pub fn get_mut(&mut self, number: u32) -> Option<&mut SessionPage> {
        self.pages.get_mut(&number)
    }

    /// All pages, by number.
    pub fn iter(&self) -> impl Iterator<Item = &SessionPage> {
        self.pages.values()
    }

    /// Forgets a page and unlinks it: its process is dead, or it is closed and [over](Self::over). Whatever it pinned is
    /// pinned no more. Whether there was one.
    ///
    /// # Errors
    /// It can't be unlinked; it is forgotten all the same, and found again at the next start.
    pub fn remove(&mut self, number: u32) -> std::io::Result<bool> {
        let Some(mut page) = self.pages.remove(&number) else { return Ok(false) };
        self.taken = self.taken.wrapping_add(page.newly_taken());
        object::unlink(&self.name(number)).map(|_| true)
    }

    /// How many leases clients have taken by themselves since this was opened, as they count them.
    pub fn taken(&mut self) -> u64 {
        let new = self.pages.values_mut().map(SessionPage::newly_taken).fold(0, u64::wrapping_add);
        self.taken = self.taken.wrapping_add(new);
        self.taken
    }

    /// How many claims of sessions were ended since this was opened because their time was over.
    #[must_use]
    pub fn expired_count(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// Pages that pin nothing any more and never will: closed and given back or run out, or condemned.
    #[must_use]
    pub fn over(&self, now_ms: u64) -> Vec<u32> {
        let is_over = |page: &SessionPage| match page.standing() {
            Standing::Open => false,
            Standing::Closed => {
                let mut pins = false;
                page.each(now_ms, |_| pins = true);
                !pins
            }
            Standing::Condemned => true,
        };
        self.iter().filter(|page| is_over(page)).map(SessionPage::number).collect()
    }

    /// What holds each of these blocks, in their order, in one pass over all pages. What was published before this is
    /// called is published: a lease that this does not see has seen it.
    ///
    /// `live` counts claims, and what has run out is marked so that it can't be renewed any more. `pinning` counts slots,
    /// whatever their deadline: on an open page a block waits for its holder. `latest` is when the last claim ends.
    #[must_use]
    pub fn holders(&self, blocks: &[BlockName], now_ms: u64) -> Vec<Holders> {
        let mut question = Question::about(blocks);
        slot::before_scan::<AtomicU64>();
        self.scan(&mut question, now_ms);
        question.answers()
    }

    fn scan(&self, question: &mut Question, now_ms: u64) {
        for page in self.iter().filter(|page| page.standing() != Standing::Condemned) {
            if page.is_closed() {
                page.each(now_ms, |held| question.count_held(held.block, held.state, held.deadline));
                continue;
            }
            let (epoch_ms, now) = (page.epoch_ms(), page.tick(LeaseDeadline(now_ms)));
            for word in page.used() {
                let Some(seen) = slot::look(word).filter(|seen| question.asks_about(seen.name())) else { continue };
                let Some((seen, expired)) = settled(word, seen, now) else { continue };
                self.expired.fetch_add(u64::from(expired), Ordering::Relaxed);
                question.count_held(seen.block(), seen.state(), seen.deadline().to_deadline(epoch_ms, now_ms));
            }
        }
    }

    /// Which sessions hold a block, slot by slot.
    #[must_use]
    pub fn why(&self, block: BlockName, now_ms: u64) -> Vec<SessionHolders> {
        self.all(now_ms).filter(|holder| holder.held.block == block).collect()
    }

    /// Every lease of every session that counts, whatever its state.
    pub fn all(&self, now_ms: u64) -> impl Iterator<Item = SessionHolders> + '_ {
        let of = move |page: &SessionPage| {
            let session = page.number();
            page.held(now_ms).into_iter().map(move |held| SessionHolders { session, held })
        };
        self.iter().flat_map(of)
    }

    /// How many claims there are on any block of each of these entries, in their order, in one pass.
    #[must_use]
    pub fn count_by_entry(&self, entries: &[EntryIndex], now_ms: u64) -> Vec<u32> {
        slot::before_scan::<AtomicU64>();
        let mut order: Vec<_> = entries.iter().copied().zip(0..).collect();
        order.sort_unstable();
        let mut counts = vec![0; entries.len()];
        let mut count = |held: HeldSlot| {
            if held.state != SlotState::Live || held.deadline.0 <= now_ms {
                return;
            }
            let from = order.partition_point(|(entry, _)| *entry < held.block.index);
            for (_, at) in order.iter().skip(from).take_while(|(entry, _)| *entry == held.block.index) {
                let at: usize = *at;
                if let Some(count) = counts.get_mut(at) {
                    *count += 1;
                }
            }
        };
        let counting = self.iter().filter(|page| page.standing() != Standing::Condemned);
        counting.for_each(|page| page.each(now_ms, &mut count));
        counts
    }

    /// Takes every lease on any block of this entry away: a forced delete. How many were live. The slots go on pinning
    /// their blocks until they are given back.
    pub fn revoke(&mut self, index: EntryIndex) -> u32 {
        slot::before_scan::<AtomicU64>();
        self.pages.values_mut().map(|page| page.revoke(index)).sum()
    }

    /// Marks on all open pages what has run out, and lowers deadlines beyond `latest`. Once a second is often enough.
    pub fn sweep(&self, now_ms: u64, latest: LeaseDeadline) -> Swept {
        let swept = self.iter().map(|page| page.sweep(now_ms, latest)).fold(Swept::default(), |sum, page| Swept {
            live: sum.live + page.live,
            over: sum.over + page.over,
            lowered: sum.lowered + page.lowered,
            expired: sum.expired + page.expired,
        });
        self.expired.fetch_add(u64::from(swept.expired), Ordering::Relaxed);
        swept
    }

    /// Hands the entries that sessions have read since the last time to `read`, once for each session.
    pub fn collect_reads(&self, mut read: impl FnMut(EntryIndex)) {
        self.iter().for_each(|page| page.collect_reads(&mut read));
    }
}

/// What a slot holds, with a claim that has run out ended for good, and whether that was done here: who asks "may it be deleted" acts on the answer, and
/// a renewal after that must fail. `None`: it was given back meanwhile.
fn settled(word: &AtomicU64, seen: Word, now: slot::Tick) -> Option<(Word, bool)> {
    if seen.state() == SlotState::Live && seen.deadline().is_over_at(now) {
        let ended = slot::expire(word, now);
        let now_there = ended.or_else(|| slot::look(word)).filter(|word| word.name() == seen.name())?;
        return Some((now_there, ended.is_some()));
    }
    Some((seen, false))
}
