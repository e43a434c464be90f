//! Watermarks: eviction by itself, before anybody has to wait for it. It begins when a tier holds more than the high
//! mark and ends when it holds no more than the low one. Nothing is done by the clock: whether it is time is worked out
//! from counters after each command.

use payload_manager_types::Tier;

use super::super::{Ledger, Now};
use super::Step;
use super::hunt::Hunt;
use crate::board::Board;

/// When eviction begins and ends, in percent of each tier's capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// It begins above this.
    pub high: u8,
    /// It ends at this; below `high`.
    pub low: u8,
}

impl Watermarks {
    /// Eviction only when somebody needs the room.
    pub const OFF: Self = Self { high: 100, low: 99 };
}

impl Default for Watermarks {
    fn default() -> Self {
        Self { high: 90, low: 80 }
    }
}

/// `share` percent of `bytes`.
fn percent(bytes: u64, share: u8) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(share) / 100).unwrap_or(bytes)
}

impl<B: Board> Ledger<B> {
    /// Whether [`Self::plan_eviction`] would find something to do. Constant time, but for a tree look-up for each tier
    /// that others wait for.
    pub fn eviction_due(&mut self) -> bool {
        Tier::ALL.into_iter().any(|tier| self.excess(tier) > 0 && self.has_candidates(tier))
    }

    /// Begins to evict from tiers that are too full, at most so many payloads at once; the others' turn comes when some
    /// of these have gone. What is returned has begun and must be carried out.
    pub fn plan_eviction(&mut self, at_most: usize, now: Now) -> Vec<Step> {
        let mut steps = Vec::new();
        for tier in Tier::ALL {
            while steps.len() < at_most && self.excess(tier) > 0 && self.has_candidates(tier) {
                let hunt = Hunt { tier, need: self.excess(tier), at_most: at_most - steps.len(), now };
                let picks = self.hunt(hunt);
                steps.extend(picks.into_iter().filter_map(|pick| self.evict(tier, pick, now)));
            }
        }
        steps
    }

    /// Bytes that should leave a tier and are not yet on their way.
    fn excess(&mut self, tier: Tier) -> u64 {
        let Some(budget) = self.budget_of(tier) else { return 0 };
        let (used, capacity) = (budget.used(), budget.capacity());
        let low = percent(capacity, self.limits.watermarks.low);
        let high = percent(capacity, self.limits.watermarks.high);
        let Some(evicting) = self.evicting.get_mut(tier.index()) else { return 0 };
        *evicting = used > if *evicting { low } else { high };
        if !*evicting {
            return 0;
        }
        used.saturating_sub(low).saturating_sub(self.leaving_bytes(tier))
    }

    /// Whether there is anybody to look at: in the queue, or let try again.
    fn has_candidates(&self, tier: Tier) -> bool {
        self.queued_bytes(tier) > 0
            || Tier::ALL.into_iter().any(|to| to > tier && self.first_waiting(tier, to).is_some())
    }
}
