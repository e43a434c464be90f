//! Which leases of a session are to be prolonged, and when to look next.
//!
//! What there is to prolong is in the slots of the lease page: no queue, no timer of a lease's own. The session's thread
//! looks through them often enough for leases of the usual length; only one that is due before that wakes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use payload_manager_shm::Renewals;

use super::bell::Bell;
use super::life::Core;

/// Nothing is to be prolonged.
const NEVER: u64 = u64::MAX;
/// Between two looks at least, in milliseconds, however short the leases are.
const SHORTEST_MS: u64 = 10;

#[derive(Debug)]
pub(super) struct Pace {
    /// When the thread looks next at the latest, in milliseconds of the session's clock.
    next_ms: AtomicU64,
    /// Whether a lease was noted since the last look: then there is a next one.
    noted: AtomicBool,
    bell: Arc<Bell>,
}

impl Pace {
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self { next_ms: AtomicU64::new(NEVER), noted: AtomicBool::new(false), bell }
    }

    /// A lease was taken that is to be prolonged then, for as long as its view lives. After it was taken: between its slot
    /// and what is looked at here lies the fence of that.
    #[inline]
    pub(super) fn note(&self, due_ms: u64) {
        // In this order; see [`Self::look`].
        if !self.noted.load(Ordering::SeqCst) {
            self.noted.store(true, Ordering::SeqCst);
        }
        if due_ms < self.next_ms.load(Ordering::SeqCst) {
            self.bell.ring();
        }
    }

    /// When to look next; `None`: only when woken.
    pub(super) fn next_ms(&self) -> Option<u64> {
        Some(self.next_ms.load(Ordering::SeqCst)).filter(|next| *next != NEVER)
    }

    /// Looks through the slots, if it is time or `woken`, and prolongs what is due.
    ///
    /// Who notes a lease relies on the next look that it sees announced, and rings only if that is too late. So each look
    /// announces the next one before it begins, and may come earlier but not later: a lease that it misses was noted after
    /// that, and marks so. Leases come and go without waking this thread, which rests when none came and none is left.
    pub(super) fn look(&self, core: &Core, leases: &Renewals<Arc<Core>>, woken: bool) {
        let now = core.clock.now_ms();
        let due = self.next_ms().is_some_and(|next| next <= now);
        if !due && !woken {
            return;
        }
        let usual = now + (core.default_ms() / 4).max(SHORTEST_MS);
        let came = self.noted.swap(false, Ordering::SeqCst);
        self.next_ms.store(usual, Ordering::SeqCst);
        let soonest = prolong(core, leases);
        if soonest != NEVER {
            self.next_ms.store(usual.min(soonest.max(now + SHORTEST_MS)), Ordering::SeqCst);
        } else if !came {
            self.next_ms.store(NEVER, Ordering::SeqCst);
            // Whoever saw the announcement has marked that before.
            if self.noted.load(Ordering::SeqCst) {
                self.next_ms.store(usual, Ordering::SeqCst);
            }
        }
    }
}

/// Prolongs what is due; when the next one is.
fn prolong(core: &Core, leases: &Renewals<Arc<Core>>) -> u64 {
    let left = if core.is_over() { None } else { leases.prolong() };
    left.map_or(NEVER, |left| core.clock.now_ms() + crate::keeper::millis(left))
}
