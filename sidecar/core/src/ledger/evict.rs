//! Making room: who goes when a tier is full.
//!
//! A read beats an eviction: what is leased, pinned, under way or protected by its policy is passed over, and never
//! stops the others. A copy with a slower twin costs no write.

use std::collections::HashSet;

use payload_manager_types::{BlockName, EntryIndex, PayloadId, SpillTarget, Tier};

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
        let steps: Vec<Step> = victims.into_iter().filter_map(|pick| self.evict(pick, now)).collect();
        if steps.is_empty() {
            return if leaving > 0 { Ok(Room::Wait) } else { Err(budget.full(bytes)) };
        }
        Ok(Room::Steps(steps))
    }

    /// Payloads that may go and are `need` bytes together, or `None` if there are not so many.
    ///
    /// Who is leased is found by looking through the lease pages, for many at once: each look is at twice as many.
    fn victims(&mut self, tier: Tier, need: u64, now: Now) -> Option<Vec<Pick>> {
        let mut stay = HashSet::new();
        let mut at_least = 1;
        loop {
            let picked = self.candidates(&Hunt { tier, need, at_least, stay: &stay, now });
            let mut out = self.leased(&picked, tier);
            let victims = self.choose(&picked, need, &mut out);
            if victims.is_some() || out.is_empty() {
                return victims;
            }
            at_least = picked.len() * 2;
            stay.extend(out);
        }
    }

    /// The first of `picked` that are enough, less those that are `out`, and less those that no longer fit where the
    /// ones before them go: these are out, too.
    fn choose(&self, picked: &[Pick], need: u64, out: &mut HashSet<PayloadId>) -> Option<Vec<Pick>> {
        let mut room = self.budgets.map(|b| b.map_or(0, |b| b.free()));
        let (mut left, mut victims) = (need, Vec::new());
        for pick in picked {
            if left == 0 {
                break;
            }
            if out.contains(&pick.id) {
                continue;
            }
            if let Some(free) = pick.writes.and_then(|to| room.get_mut(to.index())) {
                if *free < pick.size {
                    out.insert(pick.id);
                    continue;
                }
                *free -= pick.size;
            }
            left = left.saturating_sub(pick.size);
            victims.push(*pick);
        }
        (left == 0).then_some(victims)
    }

    /// Those that a lease keeps: a lease on the block in this tier or, for who would be deleted, on any.
    fn leased(&mut self, picked: &[Pick], tier: Tier) -> HashSet<PayloadId> {
        let named: Vec<(Pick, BlockName)> =
            picked.iter().filter_map(|p| self.block_name(p.id, tier).map(|name| (*p, name))).collect();
        let names: Vec<BlockName> = named.iter().map(|(_, name)| *name).collect();
        let held = named.iter().zip(self.board.holders(&names)).filter(|(_, h)| h.pinning > 0);
        let mut leased: HashSet<PayloadId> = held.map(|((pick, _), _)| pick.id).collect();
        let doomed: Vec<(Pick, BlockName)> = named.into_iter().filter(|(p, _)| p.to == SpillTarget::Void).collect();
        let entries: Vec<EntryIndex> = doomed.iter().map(|(_, name)| name.index).collect();
        if !entries.is_empty() {
            let counts = self.board.live_leases(&entries);
            leased.extend(doomed.iter().zip(counts).filter(|(_, n)| *n > 0).map(|((pick, _), _)| pick.id));
        }
        leased
    }

    /// The first in the queue that may go unless a lease keeps them: enough bytes, and enough of them.
    fn candidates(&mut self, hunt: &Hunt<'_>) -> Vec<Pick> {
        let Some(queue) = self.queues.get_mut(hunt.tier.index()) else { return Vec::new() };
        let mut queue = std::mem::take(queue);
        let (mut picked, mut bytes) = (Vec::new(), 0u64);
        queue.sweep(|place| {
            if bytes >= hunt.need && picked.len() >= hunt.at_least {
                return None;
            }
            let (look, pick) = self.look(place, hunt);
            bytes = bytes.saturating_add(pick.map_or(0, |p| p.size));
            picked.extend(pick);
            Some(look)
        });
        if let Some(slot) = self.queues.get_mut(hunt.tier.index()) {
            *slot = queue;
        }
        picked
    }

    fn look(&mut self, place: Place, hunt: &Hunt<'_>) -> (Look, Option<Pick>) {
        let here = Some((hunt.tier, place.number));
        let Some(payload) = self.payloads.get_mut(&place.id).filter(|p| p.ticket == here) else {
            return (Look::Stale, None);
        };
        let stays = hunt.stay.contains(&place.id) || payload.work != Work::None || payload.is_pinned(hunt.now.wall);
        let size = payload.facts.size;
        let free = |to: Tier| self.budgets.get(to.index()).copied().flatten().map_or(0, |b| b.free());
        let fits = |to: Tier| size <= free(to) && !self.backlog.contains(place.id, to);
        let Some(to) = way_out(payload, hunt.tier, fits).filter(|_| !stays) else { return (Look::Kept, None) };
        if std::mem::take(&mut payload.visited) {
            return (Look::Spared, None);
        }
        let writes = match to {
            SpillTarget::Tier(to) => payload.copy(to).is_none().then_some(to),
            SpillTarget::Void => None,
        };
        (Look::Victim, Some(Pick { id: place.id, size, to, writes }))
    }

    fn evict(&mut self, pick: Pick, now: Now) -> Option<Step> {
        match pick.to {
            SpillTarget::Void => self.delete(pick.id, false, now).ok().map(Step::Deleted),
            SpillTarget::Tier(to) => match self.spill(pick.id, to, now).ok()? {
                Begun::Copy(ticket) => Some(Step::Copy(ticket)),
                Begun::Dropped(dropped) => Some(Step::Dropped(dropped)),
                Begun::There(_) | Begun::Busy => None,
            },
        }
    }
}

/// What is looked for.
struct Hunt<'a> {
    /// Where.
    tier: Tier,
    /// How many bytes.
    need: u64,
    /// How many payloads, at least.
    at_least: usize,
    /// Known to stay.
    stay: &'a HashSet<PayloadId>,
    now: Now,
}

/// Who may go.
#[derive(Debug, Clone, Copy)]
struct Pick {
    id: PayloadId,
    size: u64,
    to: SpillTarget,
    /// The tier that its bytes must be written to first.
    writes: Option<Tier>,
}

/// Where a payload may go when it leaves `tier`: to a slower copy it already has, or where its policy sends it if it
/// `fits` there. What must be durable first goes nowhere else.
fn way_out(payload: &Payload, tier: Tier, fits: impl Fn(Tier) -> bool) -> Option<SpillTarget> {
    let policy = payload.facts.policy;
    let safe = |to: Tier| !policy.require_durable || to.is_durable() || payload.tiers().any_durable();
    let allowed = |to: Tier| to > tier && policy.min_residency.is_none_or(|floor| to.is_at_least(floor)) && safe(to);
    if let Some(twin) = payload.tiers().iter().find(|t| allowed(*t)) {
        return Some(SpillTarget::Tier(twin));
    }
    match policy.target() {
        SpillTarget::Tier(to) => (allowed(to) && fits(to)).then_some(SpillTarget::Tier(to)),
        SpillTarget::Void => (!policy.require_durable && policy.min_residency.is_none()).then_some(SpillTarget::Void),
    }
}
