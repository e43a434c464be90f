//! Whether eviction's books are true, for tests: who may go is in a queue, and who is not has a reason that still holds.
//! Looks at everything, so nothing that serves calls it.

use payload_manager_types::{Priority, SpillTarget, Tier};

use super::super::{Ledger, Now};
use crate::board::Board;
use crate::payload::{Payload, Stand, Why, Work};

impl<B: Board> Ledger<B> {
    /// What is wrong with eviction's books, in words; nothing, if they are true.
    pub fn audit_eviction(&mut self, now: Now) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut queued = [0u64; 4];
        for payload in self.payloads.values() {
            let stands = payload.is_committed() && payload.fastest().is_some() && payload.class() != Priority::Never;
            match payload.stand {
                Stand::Out if stands => wrong.push(format!("{} is lost to eviction", payload.id())),
                Stand::Out => {}
                Stand::Queued(tier, _) | Stand::Kept(tier, ..) if Some(tier) != payload.fastest().map(|(t, _)| t) => {
                    wrong.push(format!("{} stands in {tier}, where it is not", payload.id()));
                }
                Stand::Queued(tier, _) => {
                    if let Some(bytes) = queued.get_mut(tier.index()) {
                        *bytes += self.charge(tier, payload.facts.size);
                    }
                }
                Stand::Kept(tier, _, why) if !self.still(payload, tier, why, now) => {
                    wrong.push(format!("{} is kept in {tier}: {why:?}, which is over", payload.id()));
                }
                Stand::Kept(..) => {}
            }
        }
        for tier in Tier::ALL {
            let counted = self.queued_bytes(tier);
            if Some(&counted) != queued.get(tier.index()) {
                wrong.push(format!("{tier} counts {counted} bytes in its queue; there are {queued:?}"));
            }
        }
        wrong
    }

    /// Whether the reason holds, or what comes to an end with it has not been told yet. Of leases the board knows.
    fn still(&self, payload: &Payload, tier: Tier, why: Why, now: Now) -> bool {
        match why {
            Why::Leased => true,
            Why::Pinned => payload.is_pinned(now.wall) || self.next_timer().is_some_and(|at| at <= now.wall),
            Why::Busy => payload.work != Work::None || self.backlog.of(payload.id()).next().is_some(),
            Why::NoRoom(to) => !self.fits(to, payload.facts.size) || self.kept.has_given_back(to),
            Why::Policy => match payload.facts.policy.way_out(tier, payload.tiers()) {
                None => true,
                Some(SpillTarget::Tier(to)) => self.budget_of(to).is_none(),
                Some(SpillTarget::Void) => false,
            },
        }
    }
}
