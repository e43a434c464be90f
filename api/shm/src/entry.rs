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
        self.change(|| {
            for (place, word) in self.body.iter().zip(words) {
                place.store(word, Ordering::Relaxed);
            }
        });
    }

    /// Changes what the number guards: these words, or others that lie beside them. Relaxed stores will do.
    pub(crate) fn change(&self, stores: impl FnOnce()) {
        let odd = self.seq.load(Ordering::Relaxed) | 1;
        self.seq.store(odd, Ordering::Relaxed);
        A::fence(Ordering::Release);
        stores();
        self.seq.store(odd.wrapping_add(1), Ordering::Release);
    }

    /// The words, if they stood still; `None` after a bounded number of tries, or where a writer died at work.
    ///
    /// Relaxed loads and fences only: those are the loads that may be done on memory mapped read-only.
    #[must_use]
    #[inline]
    pub fn read(&self) -> Option<Snapshot<N>> {
        self.read_with(|| self.peek()).map(|(words, seq)| Snapshot { seq, words })
    }

    /// The same of what `loads` finds of all that the number guards, with the number.
    #[inline]
    pub(crate) fn read_with<T>(&self, loads: impl Fn() -> T) -> Option<(T, u64)> {
        (0..TRIES).find_map(|_| {
            let found = self.try_read(&loads);
            if found.is_none() {
                std::hint::spin_loop();
            }
            found
        })
    }

    #[inline]
    fn try_read<T>(&self, loads: impl Fn() -> T) -> Option<(T, u64)> {
        let seq = self.seq.load(Ordering::Relaxed);
        if seq & 1 == 1 {
            return None;
        }
        A::fence(Ordering::Acquire);
        let found = loads();
        A::fence(Ordering::Acquire);
        (self.seq.load(Ordering::Relaxed) == seq).then_some((found, seq))
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
