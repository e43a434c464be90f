//! The ways out: deleted, expired, abandoned.

use payload_manager_types::{PayloadId, PayloadState, Tier, TierSet};

use super::{Ledger, Now, retired, shown};
use crate::backlog::Retired;
use crate::board::{BlockState, Board};
use crate::facts::Facts;
use crate::payload::{Copy, Payload, Work};
use crate::refusal::Refusal;

/// A payload that nobody can find any more. Its row goes first, then [`Self::free`]; what leases keep comes later from
/// [`Ledger::release`] and [`Ledger::expire_leases`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// What it was.
    pub facts: Facts,
    /// Whether its row must be gone durably before the caller is answered.
    pub durable: bool,
    /// Its files that are still there, for the catalog to remember until they are gone; one that a transfer is still
    /// writing is among them.
    pub files: Vec<Retired>,
    /// Blocks that no lease names, to be freed once the row is gone.
    pub free: Vec<Retired>,
}

impl<B: Board> Ledger<B> {
    /// Deletes a payload. With a live lease and no `force` it is refused; with `force` every lease is over from this
    /// instant, and its bytes stay until its holder gives it back or it runs out.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::Leased`].
    pub fn delete(&mut self, id: PayloadId, force: bool, now: Now) -> Result<Deletion, Refusal> {
        self.payload(id, now)?;
        // Closed first, then looked at: a lease taken meanwhile is either seen here or sees the closed entry.
        self.close(id);
        if force {
            if let Some(index) = self.payloads.get(&id).and_then(|p| p.entry) {
                self.board.revoke(index);
            }
        } else {
            let leases = self.live_on(id);
            if leases > 0 {
                self.publish(id);
                return Err(Refusal::Leased { id, leases });
            }
        }
        Ok(self.bury(id))
    }

    /// Refuses what may not be deleted by a spill to VOID.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::NotCommitted`], [`Refusal::Pinned`], [`Refusal::RequireDurable`],
    /// [`Refusal::MinResidency`].
    pub fn check_void(&self, id: PayloadId, now: Now) -> Result<(), Refusal> {
        let payload = self.committed(id, now)?;
        if payload.is_pinned(now.wall) {
            return Err(Refusal::Pinned { id });
        }
        if payload.facts.policy.require_durable {
            return Err(Refusal::RequireDurable { id });
        }
        match payload.facts.policy.min_residency {
            Some(floor) => Err(Refusal::MinResidency { id, floor }),
            None => Ok(()),
        }
    }

    /// Ends the payloads whose time has come: TTL, or an allocation that was abandoned. Leases run to their end.
    pub fn end_due(&mut self, now: Now) -> Vec<Deletion> {
        let mut ended = Vec::new();
        while let Some(&(at, id)) = self.timers.first().filter(|(at, _)| *at <= now.wall) {
            self.timers.remove(&(at, id));
            let due = self.payloads.get(&id).is_some_and(|p| is_due(p, now));
            if due {
                self.close(id);
                ended.push(self.bury(id));
            }
        }
        ended
    }

    /// Lets nobody take a lease any more.
    pub(super) fn close(&mut self, id: PayloadId) {
        let Some(payload) = self.payloads.get(&id) else { return };
        let Some(index) = payload.entry else { return };
        let face = payload.face().unwrap_or(crate::board::Face {
            id,
            version: payload.facts.version,
            state: PayloadState::Deleting,
            tier: payload.facts.preferred,
            place: payload_manager_types::Place::OWN,
            length: payload.facts.size,
            expires: payload.facts.expires,
            generations: [0; 4],
            last_generation: payload.last_generation,
        });
        self.board.publish(index, &crate::board::Face { state: PayloadState::Deleting, ..face });
    }

    /// Live claims on any of its blocks.
    fn live_on(&mut self, id: PayloadId) -> u32 {
        match self.payloads.get(&id).and_then(|p| p.entry) {
            Some(index) => self.board.live_leases(&[index]).into_iter().sum(),
            None => 0,
        }
    }

    /// Takes a closed payload out of everything; records say DELETING before anything else happens.
    fn bury(&mut self, id: PayloadId) -> Deletion {
        let Some(payload) = self.payloads.remove(&id) else {
            unreachable!("payload {id} was there under the same lock")
        };
        self.unlist(shown(&payload), (payload.facts.created, id), payload.facts.size);
        self.clear_timers(&payload);
        let copies: Vec<(Tier, Copy)> =
            Tier::ALL.into_iter().filter_map(|t| payload.copy(t).map(|c| (t, *c))).collect();
        for (_, copy) in &copies {
            self.mark_record(copy, BlockState::Deleting);
        }
        let mut blocks: Vec<Retired> = copies.iter().map(|(tier, copy)| retired(&payload, *tier, copy)).collect();
        // Files that wait for leases from before are doomed already; saying so again does no harm.
        let waiting = self.backlog.of(id).filter(|b| b.tier.is_durable()).copied();
        let files = blocks.iter().filter(|b| b.tier.is_durable()).copied().chain(waiting).chain(in_flight(&payload));
        let files = files.collect();
        blocks.retain(|b| !self.backlog.contains(id, b.tier));
        if let Some(index) = payload.entry {
            self.graves.insert(id, index);
        }
        let free = self.retire(blocks);
        if self.backlog.of(id).next().is_none()
            && let Some(index) = self.graves.remove(&id)
        {
            self.board.remove(index);
        }
        let held: TierSet = payload.facts().copies;
        Deletion { durable: payload.is_committed() && held.any_durable(), facts: payload.facts(), files, free }
    }
}

fn is_due(payload: &Payload, now: Now) -> bool {
    let abandoned = payload.facts.reclaim_at.is_some_and(|at| at <= now.wall) && payload.work == Work::None;
    payload.is_expired(now.wall) || (!payload.is_committed() && abandoned)
}

/// The file that a transfer is writing, which nobody has a lease on.
fn in_flight(payload: &Payload) -> Option<Retired> {
    match payload.work {
        Work::Transfer { to, .. } if to.is_durable() => Some(Retired {
            id: payload.id(),
            tier: to,
            place: payload_manager_types::Place::OWN,
            size: payload.facts.size,
            block: None,
            record: None,
        }),
        Work::Transfer { .. } | Work::Sealing | Work::None => None,
    }
}
