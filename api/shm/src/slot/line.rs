//! Lines: eight slots, one cache line, in which one thread at a time takes leases.
//!
//! The owner of a line takes in it by plain stores; anyone who holds a lease gives it back, from whatever thread. Which
//! lines have an owner is known in the process alone: bits in private memory. The page itself says which of the eight
//! slots are free, and how far the daemon has to look.
//!
//! | race | outcome |
//! | --- | --- |
//! | give back on one thread against take in the same slot on another | the daemon that sees the later lease sees the earlier reads over |
//! | a line goes from thread to thread | the next owner sees every slot that the one before has taken |
//! | a line is used for the first time against a scan | the scan looks that far, or the taker sees that the entry changed |

use crate::sync::{Atomic64, Ordering};

/// Slots of a line.
pub(crate) const SLOTS: usize = 8;

/// The orders of the moves here. A type, so that a test can weaken them.
pub(crate) trait Orders {
    const FREE: Ordering;
    const CLAIM: Ordering;
    const GIVE: Ordering;
}

/// Those that ship.
pub(crate) struct Shipped;

impl Orders for Shipped {
    const FREE: Ordering = Ordering::Acquire;
    const CLAIM: Ordering = Ordering::Acquire;
    const GIVE: Ordering = Ordering::Release;
}

/// The first free slot of one's own line. Acquires, so that the lease that is written there passes on what whoever gave
/// the slot back had read.
#[inline]
pub(crate) fn free_slot<A: Atomic64, O: Orders>(line: &[A]) -> Option<usize> {
    line.iter().position(|slot| slot.load(O::FREE) == 0)
}

/// Makes the line of this bit one's own. Whether it was nobody's.
#[inline]
pub(crate) fn claim<A: Atomic64, O: Orders>(owned: &A, bit: u64) -> bool {
    let mut seen = owned.load(Ordering::Relaxed);
    while seen & bit == 0 {
        match owned.compare_exchange(seen, seen | bit, O::CLAIM, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => seen = now,
        }
    }
    false
}

/// Gives one's line up; leases in it stay.
#[inline]
pub(crate) fn give_up<A: Atomic64, O: Orders>(owned: &A, bit: u64) {
    let mut seen = owned.load(Ordering::Relaxed);
    while let Err(now) = owned.compare_exchange(seen, seen & !bit, O::GIVE, Ordering::Relaxed) {
        seen = now;
    }
}

/// Says that lines below `lines` may be in use. Before the first take there: the fence in it is what orders the two.
#[inline]
pub(crate) fn raise_reach<A: Atomic64>(reach: &A, lines: u64) {
    let mut seen = reach.load(Ordering::Acquire);
    while seen < lines {
        match reach.compare_exchange(seen, lines, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

/// How many slots a scan has to look at. After its fence, like all that it reads.
#[inline]
pub(crate) fn slots_within_reach<A: Atomic64>(reach: &A) -> usize {
    usize::try_from(reach.load(Ordering::Acquire)).map_or(usize::MAX, |lines| lines.saturating_mul(SLOTS))
}
