//! The lease slot: one atomic word, and every legal move on it.
//!
//! ```text
//!            take / renew              expire                     0 is written by the lease's holder alone
//!   0 ──────────────────► LIVE ─────────────────► EXPIRED ──┐     (for RPC leases the daemon is the holder)
//!   ▲                       │        revoke                 │
//!   │                       └──────────────────► REVOKED ◄──┘
//!   └──────────────── give back, from any state
//! ```
//!
//! State changes keep the block's name, so the daemon always knows which bytes a slot pins. Who wins each race:
//!
//! | race | outcome |
//! | --- | --- |
//! | take against retire | the taker sees the entry changed, or the scan sees the slot; both may happen, never neither |
//! | take against page close | the same, with the page's state word |
//! | renew against expire or revoke | the compare-and-swap decides; the loser is told |
//! | give back against scan | the scan sees the slot (block waits a little longer) or all of the holder's reads are over |
//!
//! Not here: what a deadline means, when blocks are freed. All functions are generic over the atomics, so that the
//! code that ships is the code that loom checks.

pub(crate) mod line;
mod word;

#[cfg(loom)]
#[cfg(test)]
mod loom_model;
#[cfg(loom)]
#[cfg(test)]
mod loom_session;

#[cfg(not(loom))]
pub(crate) use word::block_bits;
pub use word::{SlotState, Tick, Word};

use payload_manager_types::EntryIndex;

use crate::sync::{Atomic64, Ordering};

/// The state word in front of a lease page: leases may be taken.
pub const PAGE_OPEN: u64 = 1;
/// The state word in front of a lease page: nothing on it is a lease any more.
pub const PAGE_CLOSED: u64 = 2;

/// Why a lease was not taken; the slot is free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// The entry changed: look it up again.
    EntryMoved,
    /// The page is closed: the session is over.
    PageClosed,
}

/// Why a lease was not renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRenewed {
    /// No lease in the slot.
    Free,
    /// It ran out, or was taken away.
    Over(SlotState),
    /// The page is closed: the session is over.
    PageClosed,
}

/// The fence between what one side wrote and what it looks at next. A type, so that a test can weaken it.
pub(crate) trait Barrier {
    fn raise<A: Atomic64>();
}

/// The one that ships.
pub(crate) struct Full;

impl Barrier for Full {
    #[inline]
    fn raise<A: Atomic64>() {
        A::fence(Ordering::SeqCst);
    }
}

/// Takes a lease: writes the slot, then makes sure that what it names is still so.
///
/// `seen` is the sequence number under which the entry was read. `slot` must be free and the caller's.
///
/// # Errors
/// The entry changed or the page closed meanwhile; the slot is free again.
#[inline]
pub fn take<A: Atomic64>(slot: &A, seq: &A, page: &A, word: Word, seen: u64) -> Result<(), NotTaken> {
    take_with::<A, Full>(slot, seq, page, word, seen)
}

#[inline]
pub(crate) fn take_with<A: Atomic64, B: Barrier>(
    slot: &A,
    seq: &A,
    page: &A,
    word: Word,
    seen: u64,
) -> Result<(), NotTaken> {
    slot.store(word.bits(), Ordering::Release);
    B::raise::<A>();
    let refused = if seq.load(Ordering::Relaxed) != seen {
        NotTaken::EntryMoved
    } else if page.load(Ordering::Relaxed) != PAGE_OPEN {
        NotTaken::PageClosed
    } else {
        return Ok(());
    };
    slot.store(0, Ordering::Release);
    Err(refused)
}

/// Gives a lease back. Everything that was read under it is over before the slot is seen free.
#[inline]
pub fn give_back<A: Atomic64>(slot: &A) {
    slot.store(0, Ordering::Release);
}

/// Moves the deadline of a live lease to `until`, whichever way that is.
///
/// # Errors
/// The lease was over, or the page is closed; then it does not hold, whatever the slot says.
#[inline]
pub fn renew<A: Atomic64>(slot: &A, page: &A, until: Tick) -> Result<Word, NotRenewed> {
    renew_with::<A, Full>(slot, page, until)
}

#[inline]
pub(crate) fn renew_with<A: Atomic64, B: Barrier>(slot: &A, page: &A, until: Tick) -> Result<Word, NotRenewed> {
    move_deadline::<A, B>(slot, page, until, |word| word.state() == SlotState::Live)
}

fn move_deadline<A: Atomic64, B: Barrier>(
    slot: &A,
    page: &A,
    until: Tick,
    which: impl Fn(Word) -> bool,
) -> Result<Word, NotRenewed> {
    let renewed = change(slot, |word| which(word).then(|| word.with_deadline(until)));
    let word = renewed.map_err(|found| found.map_or(NotRenewed::Free, |word| NotRenewed::Over(word.state())))?;
    B::raise::<A>();
    if page.load(Ordering::Relaxed) == PAGE_OPEN { Ok(word) } else { Err(NotRenewed::PageClosed) }
}

/// Moves the deadline of a live lease to `until` if the slot still says `seen`: for whoever does not hold the lease, and may
/// find another one in its place.
///
/// # Errors
/// As [`renew`]; `Over` with the state that it is in, [`SlotState::Live`] too, when the slot says something else by now.
pub fn prolong<A: Atomic64>(slot: &A, page: &A, seen: Word, until: Tick) -> Result<Word, NotRenewed> {
    let same = |word: Word| word == seen && word.state() == SlotState::Live;
    move_deadline::<A, Full>(slot, page, until, same)
}

/// Takes a lease on any block of `index` away from its holder: REVOKED, the name stays. What it became.
#[inline]
pub fn revoke<A: Atomic64>(slot: &A, index: EntryIndex) -> Option<Word> {
    let hit = |word: Word| word.block().index == index && word.state() != SlotState::Revoked;
    change(slot, |word| hit(word).then(|| word.with_state(SlotState::Revoked))).ok()
}

/// Ends the claim of a live lease whose deadline has passed: EXPIRED, the name stays. What it became.
#[inline]
pub fn expire<A: Atomic64>(slot: &A, now: Tick) -> Option<Word> {
    let due = |word: Word| word.state() == SlotState::Live && word.deadline().is_over_at(now);
    change(slot, |word| due(word).then(|| word.with_state(SlotState::Expired))).ok()
}

/// Lowers a deadline that lies beyond `latest`. What the word became.
#[inline]
pub fn lower_deadline<A: Atomic64>(slot: &A, latest: Tick) -> Option<Word> {
    change(slot, |word| latest.is_before(word.deadline()).then(|| word.with_deadline(latest))).ok()
}

/// Gives back on the holder's behalf what is exactly `word`: for slots whose holder is the daemon itself.
#[inline]
pub fn clear<A: Atomic64>(slot: &A, word: Word) -> bool {
    slot.compare_exchange(word.bits(), 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// What a slot holds, for a scan. A scan that decides on freeing must come after [`before_scan`].
#[inline]
pub fn look<A: Atomic64>(slot: &A) -> Option<Word> {
    Word::from_bits(slot.load(Ordering::Acquire))
}

/// The daemon's half of every race with a taker: what was published is published before anything is scanned.
#[inline]
pub fn before_scan<A: Atomic64>() {
    A::fence(Ordering::SeqCst);
}

/// Closes a page. After this, who takes or renews on it learns that it is closed, or is seen by the next scan.
#[inline]
pub fn close_page<A: Atomic64>(page: &A) {
    page.store(PAGE_CLOSED, Ordering::Release);
    before_scan::<A>();
}

/// How often a word may change under a compare-and-swap. Two honest sides have a handful of moves between them; who
/// keeps rewriting its slot for longer is out to hold up the daemon, and is left with what it wrote.
const TRIES: usize = 1 << 10;

/// Compare-and-swap until `decide` has had its way with what is there. `Err`: what it did not want to change.
fn change<A: Atomic64>(slot: &A, decide: impl Fn(Word) -> Option<Word>) -> Result<Word, Option<Word>> {
    let mut seen = slot.load(Ordering::Acquire);
    for _ in 0..TRIES {
        let word = Word::from_bits(seen).ok_or(None)?;
        let wanted = decide(word).ok_or(Some(word))?;
        match slot.compare_exchange(seen, wanted.bits(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Ok(wanted),
            Err(now) => seen = now,
        }
    }
    Err(Word::from_bits(seen))
}

#[cfg(not(loom))]
#[cfg(test)]
mod tests;
