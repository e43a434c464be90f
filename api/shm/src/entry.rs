//! How an entry is published by its one writer and read by anyone: a sequence number around plain words.
//!
//! Not here: what the words mean (`directory`), nor the lease that rests on the number (`slot`).
//!
//! ```text
//! writer: seq = odd · words · seq = next even      reader: seq even? · words · seq still the same?
//! ```
//!
//! The number is never reset, not by re-use of the entry and not by a restart, so "the same number" means "nothing
//! happened in between". A writer that was killed in the middle leaves it odd; the next [`Entry::publish`] mends it.

use crate::sync::{Atomic64, Ordering};

/// A sequence number and the words it guards. In the directory: 8 words, one cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Entry<A, const N: usize> {
    pub(crate) seq: A,
    pub(crate) body: [A; N],
}

/// What a reader found: the words, and the number under which they were all there together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot<const N: usize> {
    /// Even; pass it to [`crate::slot::take`].
    pub seq: u64,
    /// The words.
    pub words: [u64; N],
}

/// How many times a reader looks before it gives up and asks the daemon. Looking again adds nothing to the model.
const TRIES: usize = if cfg!(loom) { 1 } else { 16 };

impl<A: Atomic64, const N: usize> Entry<A, N> {
    /// Writes the words so that a reader sees all of them or none. One writer at a time; the caller sees to that.
    ///
    /// A full fence comes last: what the caller scans next, it scans after the publication (promise stable-lease).
    pub fn publish(&self, words: [u64; N]) {
        self.write(words);
        A::fence(Ordering::SeqCst);
    }

    /// All of [`Self::publish`] that a daemon killed at its end has done.
    pub(crate) fn write(&self, words: [u64; N]) {
        let odd = self.seq.load(Ordering::Relaxed) | 1;
        self.seq.store(odd, Ordering::Relaxed);
        A::fence(Ordering::Release);
        for (place, word) in self.body.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        self.seq.store(odd.wrapping_add(1), Ordering::Release);
    }

    /// The words, if they stood still; `None` after a bounded number of tries, or where a writer died at work.
    ///
    /// Relaxed loads and fences only: those are the loads that may be done on memory mapped read-only.
    #[must_use]
    #[inline]
    pub fn read(&self) -> Option<Snapshot<N>> {
        (0..TRIES).find_map(|_| {
            let found = self.try_read();
            if found.is_none() {
                std::hint::spin_loop();
            }
            found
        })
    }

    #[inline]
    fn try_read(&self) -> Option<Snapshot<N>> {
        let seq = self.seq.load(Ordering::Relaxed);
        if seq & 1 == 1 {
            return None;
        }
        A::fence(Ordering::Acquire);
        let words = self.peek();
        A::fence(Ordering::Acquire);
        (self.seq.load(Ordering::Relaxed) == seq).then_some(Snapshot { seq, words })
    }

    /// The words as they are, perhaps half written: for the one writer, and for repair.
    #[must_use]
    #[inline]
    pub fn peek(&self) -> [u64; N] {
        std::array::from_fn(|i| self.body.get(i).map_or(0, |word| word.load(Ordering::Relaxed)))
    }

    /// The sequence number as it is; odd while a writer is at work or died at it.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq.load(Ordering::Relaxed)
    }

    /// The word that a lease is checked against, for [`crate::slot::take`].
    #[must_use]
    pub const fn seq_word(&self) -> &A {
        &self.seq
    }
}
