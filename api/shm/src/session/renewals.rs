//! Leases prolonged by a thread that has none of them: looked up in the page, and moved where they are.

use std::sync::Weak;
use std::time::Duration;

use payload_manager_types::LeaseDeadline;

use super::table::{Body, LONGEST_MS};
use crate::slot::{self, NotRenewed, SlotState, Tick, Word, line};
use crate::sync::{Ordering, fence};

/// A way to all leases of a session, for whoever prolongs them: [`LeaseTable::renewals`](super::LeaseTable::renewals).
/// Keeps neither them nor the session.
#[derive(Debug)]
pub struct Renewals<K>(pub(super) Weak<Body<K>>);

impl<K> Renewals<K> {
    /// Prolongs each lease of which half of the time it was taken for is over, to that time from now. How long it is until
    /// the next one is due; `None`: there is none that holds, or this is a child of the session's process.
    ///
    /// A lease that is taken meanwhile is seen, or its taker sees what this thread wrote before. No system call.
    #[must_use]
    pub fn prolong(&self) -> Option<Duration> {
        let body = self.0.upgrade().filter(|body| body.lines.are_ours())?;
        // The other half of what a taker's fence is for.
        fence(Ordering::SeqCst);
        let slots = line::slots_within_reach(&body.page.header()?.reach).min(body.slots().len());
        let now_ms = body.clock.now_ms();
        let soonest = (0..slots).filter_map(|at| body.prolong(at, now_ms)).min()?;
        Some(Duration::from_millis(soonest.saturating_sub(now_ms)))
    }
}

impl<K> Body<K> {
    /// Prolongs the lease in this slot if it is due. When it is due next; `None`: none is.
    fn prolong(&self, at: usize, now_ms: u64) -> Option<u64> {
        let (slot, note) = (self.slots().get(at)?, self.note(at)?);
        let word = slot::look(slot)?;
        let asked_ms = note.asked_ms().min(LONGEST_MS);
        let said = self.said(word, now_ms);
        let ends = said.min(note.grant().until_ms());
        if word.state() != SlotState::Live || ends <= self.clock.latest_after(now_ms) {
            return None;
        }
        let due_ms = ends.saturating_sub(asked_ms / 2);
        if due_ms > now_ms {
            return Some(due_ms);
        }
        let until = LeaseDeadline((now_ms + asked_ms).max(said));
        match self.move_deadline(at, word, now_ms, until) {
            Ok(()) => Some(until.0 - asked_ms / 2),
            // The daemon was at it, or it is another lease by now: one look more.
            Err(NotRenewed::Over(SlotState::Live)) => Some(now_ms),
            Err(_) => None,
        }
    }

    /// The deadline in a slot.
    pub(super) fn said(&self, word: Word, now_ms: u64) -> u64 {
        word.deadline().to_deadline(self.directory.epoch_ms(), now_ms).0
    }

    /// Moves the deadline of a lease from what `seen` says.
    ///
    /// On a page that is closed, the daemon may have seen what the slot said, and nothing after that: so this is all that is
    /// granted, until it is clear that the daemon sees the new one.
    ///
    /// # Errors
    /// As [`slot::prolong`].
    pub(super) fn move_deadline(
        &self,
        at: usize,
        seen: Word,
        now_ms: u64,
        until: LeaseDeadline,
    ) -> Result<(), NotRenewed> {
        let (slot, note) = self.slots().get(at).zip(self.note(at)).ok_or(NotRenewed::Free)?;
        let grant = note.grant();
        note.lowered(grant, self.said(seen, now_ms));
        let until_tick = Tick::new(until, self.directory.epoch_ms());
        slot::prolong(slot, self.state().ok_or(NotRenewed::PageClosed)?, seen, until_tick)?;
        note.prolonged(grant, until.0);
        Ok(())
    }
}
