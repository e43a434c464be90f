//! What a process knows of its leases beside their slots: a note for each slot, in memory of its own.
//!
//! So a lease is a few words that can be copied, and nothing of it is on the heap: what its copies share is here, as is what
//! the thread needs that prolongs leases without having any of them. The notes of a line lie together and apart from those
//! of others, because a line is a thread's.
//!
//! A note is written before its slot is, so that whoever sees a lease in the slot sees what was noted of it.

use crate::slot::line::SLOTS;
use crate::sync::{AtomicU64, Ordering};

const MS_BITS: u32 = 40;
const MS_MASK: u64 = (1 << MS_BITS) - 1;

/// The notes of a line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Notes([Note; SLOTS]);

impl Notes {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Note::new()))
    }

    /// That of the slot with this number, counted from the start of the page or of the line.
    #[inline]
    pub(super) fn of(&self, slot: usize) -> &Note {
        let [first, ..] = &self.0;
        self.0.get(slot % SLOTS).unwrap_or(first)
    }
}

/// What is noted of the lease in a slot, or of the last one that was.
#[derive(Debug)]
pub(super) struct Note {
    /// Which lease of the slot it is, counted in 24 bits; and until when it was granted, in milliseconds of the daemon's
    /// clock (34 years in 40). The slot can say more, after a renewal that found the page closed; such a deadline is one
    /// that the daemon has not seen.
    grant: AtomicU64,
    /// How many copies of the lease there are beside the first.
    others: AtomicU64,
    /// For how long it was asked for, in milliseconds.
    asked_ms: AtomicU64,
}

/// A grant, and which lease's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant(u64);

impl Grant {
    pub(super) const fn until_ms(self) -> u64 {
        self.0 & MS_MASK
    }

    /// The same lease's, until then.
    const fn with_until(self, until_ms: u64) -> Self {
        let until_ms = if until_ms > MS_MASK { MS_MASK } else { until_ms };
        Self(self.0 & !MS_MASK | until_ms)
    }
}

impl Note {
    fn new() -> Self {
        Self { grant: AtomicU64::new(0), others: AtomicU64::new(0), asked_ms: AtomicU64::new(0) }
    }

    /// Another lease is about to be written to the slot, by the one thread that may.
    #[inline]
    pub(super) fn begin(&self, until_ms: u64, asked_ms: u64) {
        let next = Grant(self.grant().0.wrapping_add(1 << MS_BITS)).with_until(until_ms);
        self.grant.store(next.0, Ordering::Relaxed);
        self.asked_ms.store(asked_ms, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn grant(&self) -> Grant {
        Grant(self.grant.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn asked_ms(&self) -> u64 {
        self.asked_ms.load(Ordering::Relaxed)
    }

    /// The lease that `seen` is of was prolonged until then. Says nothing of the one that came after it.
    pub(super) fn prolonged(&self, seen: Grant, until_ms: u64) {
        self.change(seen, |now_ms| now_ms.max(until_ms));
    }

    /// The daemon has let it have no more than that.
    pub(super) fn lowered(&self, seen: Grant, until_ms: u64) {
        self.change(seen, |now_ms| now_ms.min(until_ms));
    }

    fn change(&self, seen: Grant, until_ms: impl Fn(u64) -> u64) {
        let mut now = seen;
        while now.0 >> MS_BITS == seen.0 >> MS_BITS {
            let next = now.with_until(until_ms(now.until_ms()));
            match self.grant.compare_exchange(now.0, next.0, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => now = Grant(other),
            }
        }
    }

    /// One copy more.
    #[inline]
    pub(super) fn share(&self) {
        self.others.fetch_add(1, Ordering::Relaxed);
    }

    /// One copy less. Whether it was the last: then what all of them have read is before what is done next.
    #[inline]
    pub(super) fn leave(&self) -> bool {
        // Who is alone can't be copied by anyone else: the usual case costs no more than a load.
        if self.others.load(Ordering::Acquire) == 0 {
            return true;
        }
        let was_last = self.others.fetch_sub(1, Ordering::AcqRel) == 0;
        if was_last {
            self.others.store(0, Ordering::Relaxed);
        }
        was_last
    }
}

#[cfg(not(loom))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_leases_copies_is_told_so_whoever_goes_first() {
        let notes = Notes::new();
        let note = notes.of(3);
        assert!(note.leave(), "a lease without copies");
        note.share();
        note.share();
        assert_eq!([note.leave(), note.leave(), note.leave()], [false, false, true]);
        assert!(note.leave(), "and the next one in the slot begins alone");
    }

    #[test]
    fn of_many_that_go_at_once_one_is_the_last() {
        let notes = Notes::new();
        let note = notes.of(0);
        for _ in 0..200 {
            (0..3).for_each(|_| note.share());
            let last = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| usize::from(note.leave()))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
            });
            assert_eq!(last, 1);
        }
    }

    #[test]
    fn a_grant_to_a_lease_is_none_to_the_one_after_it() {
        let notes = Notes::new();
        let note = notes.of(9);
        note.begin(1_000, 20);
        let first = note.grant();
        note.prolonged(first, 900);
        assert_eq!((note.grant().until_ms(), note.asked_ms()), (1_000, 20), "never shortened");
        note.prolonged(first, 2_000);
        note.lowered(first, 1_800);
        note.lowered(first, 9_000);
        assert_eq!(note.grant().until_ms(), 1_800, "and lowered only by what is less");
        note.begin(1_500, 30);
        note.prolonged(first, 9_000);
        assert_eq!((note.grant().until_ms(), note.asked_ms()), (1_500, 30));
        note.prolonged(note.grant(), u64::MAX);
        assert_eq!(note.grant().until_ms(), MS_MASK);
    }
}
