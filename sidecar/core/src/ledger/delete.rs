//! The way out of a payload: closed, looked at, taken out of everything. Its blocks' way out is in `blocks`.

use payload_manager_types::{PayloadId, Place, Tier};

use super::blocks::retired;
use super::{Ledger, Now, shown};
use crate::backlog::Retired;
use crate::board::{BlockState, Board};
use crate::changes::Kind;
use crate::facts::Facts;
use crate::payload::{Copy, Payload, Work};
use crate::refusal::Refusal;

/// A payload that nobody can find any more. Its row goes first, then tell [`Ledger::row_gone`], and [`Self::free`] goes.
/// What leases keep comes later from [`Ledger::release`] and [`Ledger::expire_leases`], what a commit under way keeps
/// from [`Ledger::abort_commit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// What it was.
    pub facts: Facts,
    /// Whether its row must be gone durably before the caller is answered.
    pub durable: bool,
    /// Whether a record says that it is being deleted. Without one its row must be gone before the caller is answered,
    /// or a crash brings it back (promise: monotonic).
    pub recorded: bool,
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
        self.bury(id, Kind::Deleted).ok_or(Refusal::NotFound { id })
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

    /// Lets nobody take a lease any more.
    pub(super) fn close(&mut self, id: PayloadId) {
        let Some(payload) = self.payloads.get(&id) else { return };
        let Some(index) = payload.entry else { return };
        let face = payload.closed_face();
        self.board.publish(index, &face);
    }

    /// Live claims on any of its blocks.
    fn live_on(&mut self, id: PayloadId) -> u32 {
        match self.payloads.get(&id).and_then(|p| p.entry) {
            Some(index) => self.board.live_leases(&[index]).into_iter().sum(),
            None => 0,
        }
    }

    /// Takes a closed payload out of everything; records say DELETING before anything else happens.
    pub(super) fn bury(&mut self, id: PayloadId, how: Kind) -> Option<Deletion> {
        self.leave_queue(id);
        let payload = self.payloads.remove(&id)?;
        self.changes.gone(&payload, how);
        self.unlist(shown(&payload), (payload.facts.created, id), payload.facts.size);
        self.clear_timers(&payload);
        let copies: Vec<(Tier, Copy)> =
            Tier::ALL.into_iter().filter_map(|t| payload.copy(t).map(|c| (t, *c))).collect();
        for (_, copy) in &copies {
            self.mark_record(copy, BlockState::Deleting);
        }
        let blocks = copies.iter().map(|(tier, copy)| retired(&payload, *tier, copy));
        let blocks: Vec<Retired> = blocks.chain(self.rests(&payload)).collect();
        // Files that wait for leases from before are doomed already; saying so again does no harm.
        let waiting = self.backlog.of(id).filter(|b| b.tier.is_durable()).copied();
        let files = blocks.iter().filter(|b| b.tier.is_durable()).copied().chain(waiting).chain(in_flight(&payload));
        let facts = payload.facts();
        let files = files.collect();
        // A commit under way may have written its row already.
        let durable = (payload.is_committed() || payload.work == Work::Sealing) && facts.copies.any_durable();
        let recorded = copies.iter().any(|(_, copy)| copy.record.is_some());
        let mut deletion = Deletion { facts, durable, recorded, files, free: Vec::new() };
        if let Some(index) = payload.entry {
            self.graves.insert(id, index);
        }
        if payload.work == Work::Sealing {
            blocks.into_iter().for_each(|block| self.backlog.hold_sealing(block));
            self.unsealed.insert(id, deletion.clone());
        } else {
            deletion.free = self.retire(blocks);
        }
        // A row without its bytes, or the record that says DELETING, would come back from a crash as a loss.
        if self.backlog.of(id).next().is_some() {
            self.rows.insert(id);
        }
        self.close_grave(id);
        Some(deletion)
    }

    /// What may be left of copies that are gone or bad: cut-off files, objects whose record is lost. They count for
    /// nothing, and go with the payload (promise: no-leak).
    fn rests(&self, payload: &Payload) -> Vec<Retired> {
        let id = payload.id();
        let being_made = |tier| matches!(payload.work, Work::Transfer { to, .. } if to == tier);
        let left = payload.missing.iter().filter(|tier| !being_made(*tier) && !self.backlog.contains(id, *tier));
        left.map(|tier| Retired { id, tier, place: Place::OWN, size: 0, block: None, record: None }).collect()
    }

    /// The row of a deleted payload is gone: its blocks whose leases have ended meanwhile are handed out to be freed.
    pub fn row_gone(&mut self, id: PayloadId) -> Vec<Retired> {
        if !self.rows.remove(&id) {
            return Vec::new();
        }
        let names = self.backlog.of(id).filter_map(|b| b.block).collect();
        self.let_go(names)
    }
}

/// The file that a transfer is writing, which nobody has a lease on.
fn in_flight(payload: &Payload) -> Option<Retired> {
    match payload.work {
        Work::Transfer { to, .. } if to.is_durable() => Some(Retired {
            id: payload.id(),
            tier: to,
            place: Place::OWN,
            size: payload.facts.size,
            block: None,
            record: None,
        }),
        Work::Transfer { .. } | Work::Check { .. } | Work::Sealing | Work::None => None,
    }
}
