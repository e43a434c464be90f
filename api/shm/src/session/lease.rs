//! A lease that was taken without asking: one's own until it is dropped.

use std::sync::Arc;
use std::time::Duration;

use payload_manager_types::{BlockName, LeaseDeadline};

use super::notes::Note;
use super::table::{Anchor, Body};
use crate::directory::{Details, Face};
use crate::slot::{self, NotRenewed, SlotState, Word};
use crate::sync::AtomicU64;

/// How often its slot may change while it is prolonged.
const TRIES: usize = 64;

/// A lease on one copy of a payload. Dropping it gives it back: one store.
///
/// **What is guaranteed.** While it [is valid](Self::is_valid), the copy's bytes stay where [`Self::face`] says and do
/// not change, and the payload is not deleted but by force. After that the claim is over; the bytes are left alone until
/// the lease is dropped all the same, with one exception: when the daemon has closed the session (its uid pins more than
/// it may), they can go at the deadline.
///
/// It stays in its slot for life. Clones share it, and the last one that is dropped gives it back. In a child of the process
/// that took it, it is not valid, and dropping it does nothing.
#[derive(Debug)]
pub struct Lease<K = ()> {
    anchor: Arc<Anchor<K>>,
    at: usize,
    word: Word,
    face: Face,
}

impl<K> Clone for Lease<K> {
    fn clone(&self) -> Self {
        self.note().into_iter().for_each(Note::share);
        Self { anchor: Arc::clone(&self.anchor), at: self.at, word: self.word, face: self.face }
    }
}

impl<K> Lease<K> {
    #[inline]
    pub(super) fn new(anchor: Arc<Anchor<K>>, at: usize, word: Word, face: Face) -> Self {
        Self { anchor, at, word, face }
    }

    /// What the directory showed when it was taken: tier, place, length, version of the copy that is leased.
    #[must_use]
    pub const fn face(&self) -> &Face {
        &self.face
    }

    /// What is said of the payload beside where it is: at any time, because a lease keeps the entry its payload's. `None` is
    /// rare: the daemon was at the entry for too long, or the process is a child.
    #[must_use]
    pub fn details(&self) -> Option<Details> {
        self.body().directory.details(self.word.block().index, self.face.id)
    }

    /// The slot that it stays in, counted from the start of the page: one lease's at a time.
    #[inline]
    #[must_use]
    pub const fn slot_number(&self) -> usize {
        self.at
    }

    /// The name of the leased block.
    #[must_use]
    pub fn block(&self) -> BlockName {
        self.word.block()
    }

    /// What outlives it.
    #[must_use]
    pub fn kept(&self) -> &K {
        &self.anchor.body.keep
    }

    /// Whether its claim stands: not run out, not taken away. One load of its own slot and a look at the clock, which is
    /// taken to be as late as it can be.
    #[inline]
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.look().is_some_and(|word| self.stands(word, self.body().clock.latest_ms()))
    }

    #[inline]
    fn stands(&self, word: Word, now_ms: u64) -> bool {
        let now = self.body().directory.tick(LeaseDeadline(now_ms));
        let granted = now_ms < self.granted_ms();
        granted && word.state() == SlotState::Live && !word.deadline().is_over_at(now)
    }

    /// What became of it: live (perhaps past its deadline), expired or revoked. `None` in a child process, and where
    /// something else wrote over the slot.
    #[must_use]
    pub fn state(&self) -> Option<SlotState> {
        self.look().map(Word::state)
    }

    /// When its claim ends, by the daemon's clock; earlier than was asked for where the daemon has lowered it.
    #[must_use]
    pub fn deadline(&self) -> LeaseDeadline {
        self.ends(self.look().unwrap_or(self.word), self.body().clock.now_ms())
    }

    fn ends(&self, word: Word, now_ms: u64) -> LeaseDeadline {
        LeaseDeadline(self.body().said(word, now_ms).min(self.granted_ms()))
    }

    /// Prolongs it to `duration` from now; never shortens it. When it ends now. No system call.
    ///
    /// # Errors
    /// It is over, or the session is: take another lease.
    pub fn renew(&self, duration: Duration) -> Result<LeaseDeadline, NotRenewed> {
        let mut done = Err(NotRenewed::Free);
        for _ in 0..TRIES {
            done = self.try_renew(duration);
            // Its slot was changed meanwhile, and it still is a lease.
            if done != Err(NotRenewed::Over(SlotState::Live)) {
                break;
            }
        }
        done
    }

    fn try_renew(&self, duration: Duration) -> Result<LeaseDeadline, NotRenewed> {
        let body = self.body();
        let word = self.look().ok_or(NotRenewed::Free)?;
        let now_ms = body.clock.now_ms();
        if !self.stands(word, body.clock.latest_after(now_ms)) {
            // Past its deadline it is over, even if the daemon has not said so yet.
            let state = if word.state() == SlotState::Live { SlotState::Expired } else { word.state() };
            return Err(NotRenewed::Over(state));
        }
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(super::table::LONGEST_MS);
        let until = LeaseDeadline(now_ms.saturating_add(millis)).max(self.ends(word, now_ms));
        body.move_deadline(self.at, word, now_ms, until)?;
        Ok(until)
    }

    #[inline]
    fn body(&self) -> &Body<K> {
        &self.anchor.body
    }

    #[inline]
    fn note(&self) -> Option<&Note> {
        self.body().note(self.at)
    }

    /// When it ends by what was asked for and granted, in milliseconds of the daemon's clock: [`Self::deadline`], but for
    /// what the daemon has changed.
    #[inline]
    #[must_use]
    pub fn granted_ms(&self) -> u64 {
        self.note().map_or(0, |note| note.grant().until_ms())
    }

    #[inline]
    fn slot(&self) -> Option<&AtomicU64> {
        self.body().slots().get(self.at)
    }

    /// What is in its slot, if that is still this lease and this still its process.
    #[inline]
    fn look(&self) -> Option<Word> {
        let word = slot::look(self.slot()?)?;
        (word.name() == self.word.name() && self.body().lines.are_ours()).then_some(word)
    }
}

impl<K> Drop for Lease<K> {
    #[inline]
    fn drop(&mut self) {
        if self.body().lines.are_ours()
            && self.note().is_some_and(Note::leave)
            && let Some(slot) = self.slot()
        {
            slot::give_back(slot);
        }
    }
}
