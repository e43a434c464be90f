//! Making room: who goes when a tier is full, or nearly so.
//!
//! A read beats an eviction: what is leased, pinned, under way or protected by its policy is passed over, and never
//! stops the others. A copy with a slower twin costs no write. `hunt` finds who goes, `stand` knows who is passed over
//! and for how long, `marks` when it is time.

mod audit;
mod hunt;
mod marks;
mod stand;

use payload_manager_types::{SpillTarget, Tier};

use self::hunt::{Hunt, Pick};
pub use self::marks::Watermarks;
pub(super) use self::stand::Kept;
use super::{Begun, Check, Deletion, Dropped, Ledger, Now, Ticket};
use crate::board::Board;
use crate::payload::Why;
use crate::queue::{EvictionQueue, Line};
use crate::refusal::Refusal;

/// One payload's way out of a tier.
#[derive(Debug)]
pub enum Step {
    /// Copy it to a slower tier first.
    Copy(Ticket),
    /// It has a slower copy: the faster one is dropped once that has been looked at.
    Check(Check),
    /// It had a slower copy: the faster one is dropped.
    Dropped(Dropped),
    /// Its policy says VOID: it is deleted.
    Deleted(Deletion),
}

/// What to do for a tier to have room.
#[derive(Debug)]
pub enum Room {
    /// It has.
    Enough,
    /// Carry these out, then ask again.
    Steps(Vec<Step>),
    /// Enough is on its way out already: wait for any change, then ask again.
    Wait,
}

impl<B: Board> Ledger<B> {
    /// Finds room for `bytes` in `tier` by eviction. What is returned has begun and must be carried out.
    ///
    /// # Errors
    /// [`Refusal::NotConfigured`]; [`Refusal::TierFull`] if nothing that may go makes enough room, and then nothing
    /// has begun.
    pub fn plan_room(&mut self, tier: Tier, bytes: u64, now: Now) -> Result<Room, Refusal> {
        let budget = *self.budget(tier)?;
        if budget.charge(bytes) > budget.capacity() {
            return Err(budget.full(bytes));
        }
        let need = budget.charge(bytes).saturating_sub(budget.free());
        if need == 0 {
            return Ok(Room::Enough);
        }
        let leaving = self.leaving_bytes(tier);
        if need <= leaving {
            return Ok(Room::Wait);
        }
        let picks = self.enough(tier, need - leaving, now).ok_or_else(|| budget.full(bytes))?;
        let steps: Vec<Step> = picks.into_iter().filter_map(|pick| self.evict(tier, pick, now)).collect();
        if steps.is_empty() {
            return if leaving > 0 { Ok(Room::Wait) } else { Err(budget.full(bytes)) };
        }
        Ok(Room::Steps(steps))
    }

    /// Evicts `bytes` from a tier whose budget has room and that is full all the same: somebody else has filled what it
    /// lives in. What is returned has begun and must be carried out; nothing, if not so many may go.
    pub fn plan_relief(&mut self, tier: Tier, bytes: u64, now: Now) -> Vec<Step> {
        let picks = self.enough(tier, self.charge(tier, bytes), now).unwrap_or_default();
        picks.into_iter().filter_map(|pick| self.evict(tier, pick, now)).collect()
    }

    /// What is taken of a tier, in bytes.
    #[must_use]
    pub fn used(&self, tier: Tier) -> u64 {
        self.budget_of(tier).map_or(0, |budget| budget.used())
    }

    /// What of a tier is not taken, in bytes.
    #[must_use]
    pub fn unused(&self, tier: Tier) -> u64 {
        self.budget_of(tier).map_or(0, |budget| budget.free())
    }

    /// Whether bytes are on their way out of a tier.
    #[must_use]
    pub fn is_anything_leaving(&self, tier: Tier) -> bool {
        self.leaving_bytes(tier) > 0
    }

    /// Payloads that may go and are `need` bytes together, or `None` if there are not so many. What is refused costs no
    /// look at anybody who is known to stay.
    fn enough(&mut self, tier: Tier, need: u64, now: Now) -> Option<Vec<Pick>> {
        loop {
            if self.queued_bytes(tier) < need {
                self.let_try(tier);
            }
            if self.queued_bytes(tier) >= need {
                let picks = self.hunt(Hunt { tier, need, at_most: usize::MAX, now });
                if picks.iter().map(|pick| pick.bytes).sum::<u64>() >= need {
                    return Some(picks);
                }
                self.give_seats_back(tier, picks);
            }
            if !self.look_again() {
                return None;
            }
        }
    }

    /// Begins one payload's way out. One that can't go after all is looked at again when something changes with it.
    fn evict(&mut self, tier: Tier, pick: Pick, now: Now) -> Option<Step> {
        self.keep(pick.id, tier, pick.seat, Why::Busy);
        let step = match pick.to {
            SpillTarget::Void => match self.delete(pick.id, false, now) {
                Ok(deletion) => Some(Step::Deleted(deletion)),
                Err(refusal) => {
                    if matches!(refusal, Refusal::Leased { .. }) {
                        self.pass_over(pick.id, tier, pick.seat, Why::Leased);
                    }
                    None
                }
            },
            SpillTarget::Tier(to) => match self.spill(pick.id, to, now).ok()? {
                Begun::Copy(ticket) => Some(Step::Copy(ticket)),
                Begun::Check(check) => Some(Step::Check(check)),
                Begun::Dropped(dropped) => Some(Step::Dropped(dropped)),
                Begun::There(_) | Begun::Busy => None,
            },
        }?;
        self.evictions.count_begun(tier, pick.to);
        let queue = self.queues.get_mut(tier.index())?;
        queue.went(pick.bytes);
        let at = queue.gone();
        if let Some(payload) = self.payloads.get_mut(&pick.id).filter(|_| pick.seat.line == Line::Small) {
            payload.went = Some((tier, at));
        }
        Some(step)
    }

    /// Bytes of a tier that are on their way out of it.
    fn leaving_bytes(&self, tier: Tier) -> u64 {
        self.leaving.get(tier.index()).copied().unwrap_or(0) + self.backlog.freeing_bytes(tier)
    }

    /// Bytes of those of whom nobody knows that they must stay.
    fn queued_bytes(&self, tier: Tier) -> u64 {
        self.queues.get(tier.index()).map_or(0, EvictionQueue::bytes)
    }

    fn free_in(&self, tier: Tier) -> u64 {
        self.budget_of(tier).map_or(0, |budget| budget.free())
    }

    fn fits(&self, tier: Tier, size: u64) -> bool {
        self.budget_of(tier).is_some_and(|b| b.charge(size) <= b.free())
    }

    /// Times that eviction looked at a payload, ever: what its work is measured by.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.looks
    }
}
