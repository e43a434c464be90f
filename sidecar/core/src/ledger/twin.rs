//! A spill that only drops memory trusts the slower copy that is there already, so somebody looks at that copy first: a
//! file that was removed under the daemon's feet must not cost the payload its bytes.
//!
//! Nothing is shown meanwhile, and no byte is written. A [`Check`] ends in [`Ledger::finish_check`],
//! [`Ledger::abort_check`] or [`Ledger::twin_lost`], once.

use payload_manager_types::{PayloadId, Place, Tier};

use super::{Begun, Dropped, Ledger};
use crate::backlog::Retired;
use crate::board::Board;
use crate::payload::{TransferId, Work};
use crate::refusal::Refusal;

/// The licence to look at a copy before the faster ones are dropped.
#[derive(Debug)]
#[must_use]
pub struct Check {
    /// Whose.
    pub id: PayloadId,
    /// Where it should be.
    pub tier: Tier,
    /// Where in it.
    pub place: Place,
    /// How many bytes it must have.
    pub size: u64,
    transfer: TransferId,
    from: Tier,
}

impl<B: Board> Ledger<B> {
    pub(super) fn begin_check(&mut self, id: PayloadId, tier: Tier) -> Result<Begun, Refusal> {
        let payload = self.payloads.get(&id).ok_or(Refusal::NotFound { id })?;
        let size = payload.facts.size;
        let twin = payload.copy(tier).zip(payload.fastest());
        let (place, from) = twin.map(|(twin, (from, _))| (twin.place, from)).ok_or(Refusal::BytesLost { id })?;
        let transfer = self.new_transfer();
        self.update(id, |p| p.work = Work::Check { id: transfer });
        self.set_out(from, size);
        Ok(Begun::Check(Check { id, tier, place, size, transfer, from }))
    }

    /// The copy is there: what is faster goes. `None` if the payload was deleted meanwhile.
    pub fn finish_check(&mut self, check: Check) -> Option<Dropped> {
        let (id, tier) = (check.id, check.tier);
        if !self.end_check(check) {
            return None;
        }
        self.bump(id);
        self.drop_faster(id, tier)
    }

    /// Nobody could tell: everything is as before.
    pub fn abort_check(&mut self, check: Check) {
        let id = check.id;
        if self.end_check(check) {
            self.enqueue(id);
        }
    }

    /// The copy is gone or has another length: it is one no longer, and the faster ones stay. Its bytes are given back
    /// to the budget by [`Ledger::freed`] on what is returned. `None` if the payload was deleted meanwhile, and its copy
    /// with it: nothing is lost.
    pub fn twin_lost(&mut self, check: Check) -> Option<Vec<Retired>> {
        let (id, tier) = (check.id, check.tier);
        self.end_check(check).then(|| self.lose_copy(id, tier))
    }

    /// Whether the payload is still there.
    fn end_check(&mut self, check: Check) -> bool {
        self.arrived(check.from, check.size);
        let under_way = |work| matches!(work, Work::Check { id } if id == check.transfer);
        let current = self.payloads.get(&check.id).is_some_and(|p| under_way(p.work));
        if current {
            self.update(check.id, |p| p.work = Work::None);
        }
        current
    }
}
