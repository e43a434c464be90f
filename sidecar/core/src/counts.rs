//! What eviction has done and left undone, counted since the ledger was made. For who watches the daemon: nothing is decided
//! by it.

use payload_manager_types::{SpillTarget, Tier};

use crate::payload::Why;

/// Why a payload that eviction looked at stayed where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Its policy knows no way out.
    Policy,
    /// Something is under way with it.
    Busy,
    /// It is pinned.
    Pinned,
    /// It is leased.
    Leased,
    /// The tier it must go to has no room.
    NoRoom,
}

impl Kept {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Policy, Self::Busy, Self::Pinned, Self::Leased, Self::NoRoom];
}

impl From<Why> for Kept {
    fn from(why: Why) -> Self {
        match why {
            Why::Policy => Self::Policy,
            Why::Busy => Self::Busy,
            Why::Pinned => Self::Pinned,
            Why::Leased => Self::Leased,
            Why::NoRoom(_) => Self::NoRoom,
        }
    }
}

/// The counters: they only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evictions {
    /// By tier left and where to: the tiers, and VOID.
    gone: [[u64; 5]; 4],
    /// By tier and reason.
    kept: [[u64; 5]; 4],
}

impl Evictions {
    /// Payloads whose way out of `tier` to `to` has begun.
    #[must_use]
    pub fn begun(&self, tier: Tier, to: SpillTarget) -> u64 {
        self.gone.get(tier.index()).and_then(|row| row.get(column(to))).copied().unwrap_or(0)
    }

    /// Times that one was passed over in `tier` for this reason.
    #[must_use]
    pub fn passed_over(&self, tier: Tier, kept: Kept) -> u64 {
        self.kept.get(tier.index()).and_then(|row| row.get(kept as usize)).copied().unwrap_or(0)
    }

    pub(crate) fn count_begun(&mut self, tier: Tier, to: SpillTarget) {
        if let Some(count) = self.gone.get_mut(tier.index()).and_then(|row| row.get_mut(column(to))) {
            *count += 1;
        }
    }

    pub(crate) fn count_passed_over(&mut self, tier: Tier, why: Why) {
        if let Some(count) = self.kept.get_mut(tier.index()).and_then(|row| row.get_mut(Kept::from(why) as usize)) {
            *count += 1;
        }
    }
}

const fn column(to: SpillTarget) -> usize {
    match to {
        SpillTarget::Tier(tier) => tier.index(),
        SpillTarget::Void => 4,
    }
}
