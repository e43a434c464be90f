//! Making room: who goes when a tier is full.
//!
//! A read beats an eviction: what is leased, pinned, under way or protected by its policy is passed over, and never
//! stops the others. A copy with a slower twin costs no write.

use std::collections::HashSet;

use payload_manager_types::{PayloadId, SpillTarget, Tier};

use super::{Begun, Deletion, Dropped, Ledger, Now, Ticket};
use crate::board::Board;
use crate::payload::{Payload, Work};
use crate::queue::{Look, Ticket as Place};
use crate::refusal::Refusal;

/// One payload's way out of a tier.
#[derive(Debug)]
pub enum Step {
    /// Copy it to a slower tier first.
    Copy(Ticket),
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
        if bytes > budget.capacity() {
            return Err(budget.full(bytes));
        }
        let need = bytes.saturating_sub(budget.free());
        if need == 0 {
            return Ok(Room::Enough);
        }
        let leaving = self.leaving.get(tier.index()).copied().unwrap_or(0) + self.backlog.freeing_bytes(tier);
        if need <= leaving {
            return Ok(Room::Wait);
        }
        let victims = self.victims(tier, need - leaving, now).ok_or_else(|| budget.full(bytes))?;
        let steps: Vec<Step> = victims.into_iter().filter_map(|id| self.evict(id, tier, now)).collect();
        if steps.is_empty() {
            return if leaving > 0 { Ok(Room::Wait) } else { Err(budget.full(bytes)) };
        }
        Ok(Room::Steps(steps))
    }

    /// Payloads that may go and are `need` bytes together, or `None` if there are not so many.
    fn victims(&mut self, tier: Tier, need: u64, now: Now) -> Option<Vec<PayloadId>> {
        let mut held = HashSet::new();
        loop {
            let picked = self.candidates(tier, need, &held, now);
            let names: Vec<_> = picked.iter().filter_map(|(id, _)| self.block_name(*id, tier)).collect();
            let holders = self.board.holders(&names);
            let leased: Vec<PayloadId> =
                picked.iter().zip(holders).filter(|(_, h)| h.pinning > 0).map(|((id, _), _)| *id).collect();
            if leased.is_empty() {
                let total: u64 = picked.iter().map(|(_, size)| size).sum();
                return (total >= need).then(|| picked.into_iter().map(|(id, _)| id).collect());
            }
            held.extend(leased);
        }
    }

    fn candidates(&mut self, tier: Tier, need: u64, held: &HashSet<PayloadId>, now: Now) -> Vec<(PayloadId, u64)> {
        let mut queue = std::mem::take(match self.queues.get_mut(tier.index()) {
            Some(queue) => queue,
            None => return Vec::new(),
        });
        let mut picked: Vec<(PayloadId, u64)> = Vec::new();
        let total = std::cell::Cell::new(0u64);
        queue.sweep(
            |place| {
                let look = self.look(place, tier, held, now);
                if look == Look::Victim
                    && let Some(payload) = self.payloads.get(&place.id)
                {
                    picked.push((place.id, payload.facts.size));
                    total.set(total.get() + payload.facts.size);
                }
                look
            },
            || total.get() >= need,
        );
        if let Some(slot) = self.queues.get_mut(tier.index()) {
            *slot = queue;
        }
        picked
    }

    fn look(&mut self, place: Place, tier: Tier, held: &HashSet<PayloadId>, now: Now) -> Look {
        let Some(payload) = self.payloads.get_mut(&place.id).filter(|p| p.ticket == place.number) else {
            return Look::Stale;
        };
        if payload.fastest().map(|(t, _)| t) != Some(tier) {
            return Look::Stale;
        }
        let kept = held.contains(&place.id)
            || payload.work != Work::None
            || payload.is_pinned(now.wall)
            || way_out(payload, tier, |t| self.budgets.get(t.index()).is_some_and(Option::is_some)).is_none();
        if kept {
            return Look::Kept;
        }
        if std::mem::take(&mut payload.visited) { Look::Spared } else { Look::Victim }
    }

    fn evict(&mut self, id: PayloadId, tier: Tier, now: Now) -> Option<Step> {
        let payload = self.payloads.get(&id)?;
        match way_out(payload, tier, |t| self.budgets.get(t.index()).is_some_and(Option::is_some))? {
            SpillTarget::Void => self.delete(id, false, now).ok().map(Step::Deleted),
            SpillTarget::Tier(to) => match self.spill(id, to, now).ok()? {
                Begun::Copy(ticket) => Some(Step::Copy(ticket)),
                Begun::Dropped(dropped) => Some(Step::Dropped(dropped)),
                Begun::There(_) | Begun::Busy => None,
            },
        }
    }
}

/// Where a payload may go when it leaves `tier`: to a slower copy it already has, or where its policy sends it.
fn way_out(payload: &Payload, tier: Tier, configured: impl Fn(Tier) -> bool) -> Option<SpillTarget> {
    let policy = payload.facts.policy;
    let allowed = |to: Tier| to > tier && policy.min_residency.is_none_or(|floor| to.is_at_least(floor));
    if let Some(twin) = payload.tiers().iter().find(|t| allowed(*t)) {
        return (!policy.require_durable || payload.tiers().any_durable()).then_some(SpillTarget::Tier(twin));
    }
    match policy.target() {
        SpillTarget::Tier(to) => (allowed(to) && configured(to)).then_some(SpillTarget::Tier(to)),
        SpillTarget::Void => (!policy.require_durable && policy.min_residency.is_none()).then_some(SpillTarget::Void),
    }
}
