//! Numbers of segments and of slabs. Clients keep what they have mapped by these, so a daemon gives none out twice.
//!
//! ```text
//!   31       24   23            22                                 0
//!   [  era   ] [ 0 segment, 1 slab ] [ count                        ]
//! ```
//!
//! A daemon's first era is the low byte of the count of its starts. When an era's numbers are used up, which takes millions
//! of segments, it goes on with those of the era before. So the era that the next start begins with is its last of all, and a
//! client that has not seen a restart yet does not take a new number for an old one.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use payload_manager_types::Place;

/// So many an era has, of segments and of slabs each.
const COUNT_BITS: u32 = 23;

/// So many are given out at most: every era's.
const MOST: u32 = 1 << (u8::BITS + COUNT_BITS);

/// What is numbered: one number never means one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbered {
    /// Segments, in RAM.
    Segment,
    /// Slabs, on cards.
    Slab,
}

/// Gives out numbers of one kind.
#[derive(Debug)]
pub(crate) struct Numbers {
    numbered: Numbered,
    first_era: AtomicU8,
    given: AtomicU32,
}

impl Numbers {
    pub(crate) const fn of(numbered: Numbered) -> Self {
        Self { numbered, first_era: AtomicU8::new(0), given: AtomicU32::new(0) }
    }

    /// From here on those of this start of the daemon.
    pub(crate) fn begin(&self, start: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "the low byte is meant")]
        self.first_era.store(start as u8, Ordering::Relaxed);
        self.given.store(0, Ordering::Relaxed);
    }

    /// The next one that is free; `None` after the last.
    pub(crate) fn next(&self, is_taken: impl Fn(u32) -> bool) -> Option<u32> {
        let free = |number: &u32| Place { unit: *number, offset: 0 }.is_part() && !is_taken(*number);
        std::iter::from_fn(|| self.step()).find(free)
    }

    fn step(&self) -> Option<u32> {
        let more = |given: u32| (given < MOST).then_some(given + 1);
        let given = self.given.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "it wraps")]
        let eras = (given >> COUNT_BITS) as u8;
        let era = self.first_era.load(Ordering::Relaxed).wrapping_sub(eras);
        let kind = u32::from(self.numbered == Numbered::Slab);
        let count = given & ((1 << COUNT_BITS) - 1);
        Some(u32::from(era) << (COUNT_BITS + 1) | kind << COUNT_BITS | count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const ERA: u32 = 1 << COUNT_BITS;

    fn numbers(numbered: Numbered, start: u64) -> Numbers {
        let numbers = Numbers::of(numbered);
        numbers.begin(start);
        numbers
    }

    /// The first and the last two of each era, in order.
    fn edges(numbered: Numbered, start: u64) -> Vec<u32> {
        let numbers = numbers(numbered, start);
        let eras = (0..MOST / ERA).flat_map(|era| [era * ERA, era * ERA + ERA - 2]);
        let two = |given| {
            numbers.given.store(given, Ordering::Relaxed);
            [numbers.step().unwrap(), numbers.step().unwrap()]
        };
        eras.flat_map(two).collect()
    }

    #[test]
    fn all_eras_come_before_one_comes_again() {
        let (segments, slabs) = (edges(Numbered::Segment, 7), edges(Numbered::Slab, 7));
        let different: HashSet<u32> = segments.iter().chain(&slabs).copied().collect();
        assert_eq!(different.len(), segments.len() + slabs.len(), "a number means one of either");
        assert_eq!(different.len(), 2 * 4 * 256);
    }

    #[test]
    fn after_the_last_there_is_none() {
        let numbers = numbers(Numbered::Slab, 7);
        numbers.given.store(MOST - 1, Ordering::Relaxed);
        assert!(numbers.next(|_| false).is_some());
        assert_eq!((numbers.next(|_| false), numbers.next(|_| false)), (None, None));
    }

    #[test]
    fn what_is_taken_is_left_out_and_so_is_what_means_no_part() {
        let segments = numbers(Numbered::Segment, 256);
        assert_eq!(segments.next(|_| false), Some(1), "0 is an object of its own");
        assert_eq!(segments.next(|number| number < 5), Some(5));

        let slabs = numbers(Numbered::Slab, 255);
        slabs.given.store(ERA - 1, Ordering::Relaxed);
        let next = slabs.next(|_| false).unwrap();
        assert_ne!(next, Place::SEALED.unit);
        assert_eq!(next, 254 << 24 | ERA, "the era before is next");
    }

    #[test]
    fn the_era_of_the_next_start_comes_last() {
        let eras: Vec<u32> = edges(Numbered::Segment, 40).chunks(4).map(|edges| edges[0] >> 24).collect();
        assert_eq!((eras[0], eras[255]), (40, 41));
    }
}
