//! Which leases of a session are to be prolonged, and when to look next.
//!
//! A lease is noted under its slot, by a store: no queue, no timer of its own. The session's thread looks through the
//! slots often enough for leases of the usual length; only one that is due before that wakes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use super::bell::Bell;
use super::life::Core;
use super::take::Fast;

/// Nothing is to be prolonged.
const NEVER: u64 = u64::MAX;
/// The thread is looking through the slots right now.
const LOOKING: u64 = 0;
/// Between two looks at least, in milliseconds, however short the leases are.
const SHORTEST_MS: u64 = 10;

#[derive(Debug)]
pub(super) struct Pace {
    slots: OnceLock<Box<[Mutex<Weak<Fast>>]>>,
    /// When the thread looks next, in milliseconds of the session's clock.
    next_ms: AtomicU64,
    /// Somebody came while it looked.
    again: AtomicBool,
    bell: Arc<Bell>,
}

impl Pace {
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self { slots: OnceLock::new(), next_ms: AtomicU64::new(NEVER), again: AtomicBool::new(false), bell }
    }

    /// Makes room for so many leases; before the first.
    pub(super) fn make_room(&self, slots: usize) {
        self.slots.get_or_init(|| (0..slots).map(|_| Mutex::default()).collect());
    }

    /// Prolongs a lease for as long as its view lives.
    #[inline]
    pub(super) fn note(&self, slot: usize, fast: &Arc<Fast>, due_ms: u64) {
        let Some(place) = self.slots.get().and_then(|slots| slots.get(slot)) else { return };
        let before = std::mem::replace(&mut *place.lock(), Arc::downgrade(fast));
        drop(before);
        // Noted first, then asked: a look that did not see it was announced before, and that is seen here.
        match self.next_ms.load(Ordering::SeqCst) {
            LOOKING => self.come_again(due_ms),
            next if due_ms < next => self.bell.ring(),
            _ => {}
        }
    }

    #[cold]
    fn come_again(&self, due_ms: u64) {
        self.again.store(true, Ordering::SeqCst);
        let next = self.next_ms.load(Ordering::SeqCst);
        // It may have finished without seeing that.
        if next != LOOKING && due_ms < next {
            self.bell.ring();
        }
    }

    /// When to look next; `None`: only when woken.
    pub(super) fn next_ms(&self) -> Option<u64> {
        Some(self.next_ms.load(Ordering::SeqCst)).filter(|next| *next != NEVER)
    }

    /// Looks through the slots, if it is time or `woken`, and prolongs what is due.
    pub(super) fn look(&self, core: &Core, woken: bool) {
        let due = self.next_ms().is_some_and(|next| next <= core.clock.now_ms());
        if !due && !woken {
            return;
        }
        loop {
            self.next_ms.store(LOOKING, Ordering::SeqCst);
            self.again.store(false, Ordering::SeqCst);
            let soonest = self.prolong();
            let now = core.clock.now_ms();
            let usual = if core.views.is_empty() { NEVER } else { now + core.default_ms() / 4 };
            self.next_ms.store(usual.min(soonest.max(now + SHORTEST_MS)), Ordering::SeqCst);
            if !self.again.swap(false, Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Prolongs what is due; when the next one is.
    fn prolong(&self) -> u64 {
        let mut soonest = NEVER;
        for place in self.slots.get().into_iter().flatten() {
            // In a statement of its own: if ours turns out to be the last, the view is dropped outside the lock.
            let fast = place.lock().upgrade();
            if let Some(due_ms) = fast.and_then(|fast| fast.prolong()) {
                soonest = soonest.min(due_ms);
            }
        }
        soonest
    }
}
