//! The 64 bits of a lease slot, and the 30-bit clock in them.
//!
//! ```text
//! 63            40 39        32 31   30 29                    0
//! ├─ entry index ─┼ generation ┼ state ┼─ deadline ────────────┤     0 as a whole: free
//!       24               8         2       30, milliseconds since the directory's epoch
//! ```

use payload_manager_types::{BlockName, EntryIndex, Generation, LeaseDeadline};

const DEADLINE_BITS: u32 = 30;
const STATE_SHIFT: u32 = DEADLINE_BITS;
const BLOCK_SHIFT: u32 = 32;
const DEADLINE_MASK: u64 = (1 << DEADLINE_BITS) - 1;

/// What a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SlotState {
    /// Holds.
    Live = 1,
    /// Its deadline passed: no claim any more.
    Expired = 2,
    /// Taken away by a forced delete.
    Revoked = 3,
}

/// A moment of `CLOCK_MONOTONIC` in 30 bits of milliseconds since the directory's epoch (12.4 days, then it wraps).
///
/// Two moments are compared by half range, which is right while they are less than 6.2 days apart. Leases last
/// minutes, and deadlines far beyond that are lowered when first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tick(u32);

impl Tick {
    /// The moment `at`, seen from `epoch_ms` (milliseconds of `CLOCK_MONOTONIC`).
    #[must_use]
    pub const fn new(at: LeaseDeadline, epoch_ms: u64) -> Self {
        Self((at.0.wrapping_sub(epoch_ms) & DEADLINE_MASK) as u32)
    }

    /// Whether this comes before `other`, by half range.
    #[must_use]
    pub const fn is_before(self, other: Self) -> bool {
        let ahead = (other.0.wrapping_sub(self.0) as u64) & DEADLINE_MASK;
        ahead != 0 && ahead < 1 << (DEADLINE_BITS - 1)
    }

    /// Whether a deadline is over at `now`: at the very millisecond it is.
    #[must_use]
    pub const fn is_over_at(self, now: Self) -> bool {
        !now.is_before(self)
    }

    /// The absolute moment nearest to `now_ms`.
    #[must_use]
    pub const fn to_deadline(self, epoch_ms: u64, now_ms: u64) -> LeaseDeadline {
        let now = Self::new(LeaseDeadline(now_ms), epoch_ms);
        let ahead = (self.0.wrapping_sub(now.0) as u64) & DEADLINE_MASK;
        if ahead < 1 << (DEADLINE_BITS - 1) {
            LeaseDeadline(now_ms.saturating_add(ahead))
        } else {
            LeaseDeadline(now_ms.saturating_sub(DEADLINE_MASK + 1 - ahead))
        }
    }
}

/// What an occupied slot says. Never 0: the state is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(u64);

impl Word {
    /// A live lease on `block` until `deadline`.
    #[must_use]
    pub const fn live(block: BlockName, deadline: Tick) -> Self {
        Self(block_bits(block) << BLOCK_SHIFT | (SlotState::Live as u64) << STATE_SHIFT | deadline.0 as u64)
    }

    /// The word with these bits; `None` for a free slot, and for bits that no legal move makes.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if (bits >> STATE_SHIFT) & 3 == 0 { None } else { Some(Self(bits)) }
    }

    /// The bits, as they stand in memory.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The block that it pins.
    #[must_use]
    pub fn block(self) -> BlockName {
        let [.., generation] = self.name().to_be_bytes();
        let index = EntryIndex::new(self.name() >> 8).unwrap_or(FIRST);
        BlockName { index, generation }
    }

    /// The block's name as one number, for tables: index and generation.
    #[must_use]
    pub const fn name(self) -> u32 {
        (self.0 >> BLOCK_SHIFT) as u32
    }

    /// Whether it holds, or why not.
    #[must_use]
    pub const fn state(self) -> SlotState {
        match (self.0 >> STATE_SHIFT) & 3 {
            1 => SlotState::Live,
            2 => SlotState::Expired,
            _ => SlotState::Revoked,
        }
    }

    /// When it ends.
    #[must_use]
    pub const fn deadline(self) -> Tick {
        Tick((self.0 & DEADLINE_MASK) as u32)
    }

    /// The same lease in another state.
    #[must_use]
    pub const fn with_state(self, state: SlotState) -> Self {
        Self(self.0 & !(3 << STATE_SHIFT) | (state as u64) << STATE_SHIFT)
    }

    /// The same lease with another deadline.
    #[must_use]
    pub const fn with_deadline(self, deadline: Tick) -> Self {
        Self(self.0 & !DEADLINE_MASK | deadline.0 as u64)
    }
}

const FIRST: EntryIndex = match EntryIndex::new(0) {
    Some(first) => first,
    None => unreachable!(),
};

/// A block's name as one number: index and generation. What [`Word::name`] gives for a lease on it.
pub(crate) const fn block_bits(block: BlockName) -> u64 {
    let generation: Generation = block.generation;
    (block.index.get() as u64) << 8 | generation as u64
}
