//! Promote and spill: one mechanism, a [`Ticket`] to copy bytes from one tier to another.
//!
//! One transfer a payload at a time; a second asker waits for it and asks again, and then finds the work done. Readers
//! keep the old copy throughout. A ticket ends in [`Ledger::finish_transfer`] or [`Ledger::abort_transfer`], once.

use payload_manager_types::{Checksum, PayloadId, Place, Tier, TierSet};

use super::blocks::retired;
use super::{Check, Ledger, Now};
use crate::backlog::Retired;
use crate::board::{BlockState, Board, RecordIndex};
use crate::facts::Facts;
use crate::payload::{Copy, Descriptor, Payload, TransferId, Work};
use crate::refusal::Refusal;

/// The licence to copy a payload's bytes into a tier.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    /// Which transfer.
    pub transfer: TransferId,
    /// From which tier.
    pub from: Tier,
    /// Where in it.
    pub from_place: Place,
    /// To which tier; its bytes are reserved.
    pub to: Tier,
    /// What is known of the payload, for the archive and for the checksum to expect.
    pub facts: Facts,
    spill: bool,
    record: Option<RecordIndex>,
}

impl Ticket {
    /// Whose bytes.
    #[must_use]
    pub fn id(&self) -> PayloadId {
        self.facts.id
    }
}

/// Faster copies that have been dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// What the payload is now.
    pub descriptor: Descriptor,
    /// Blocks that no lease names, to be freed.
    pub free: Vec<Retired>,
    /// The durable ones among them, leased or not: the row must be written before they go.
    pub files: Vec<Retired>,
}

/// What came of asking for a transfer.
#[derive(Debug)]
pub enum Begun {
    /// Nothing to do.
    There(Descriptor),
    /// No bytes to write: a slower copy is there. See that it is before the faster ones are dropped.
    Check(Check),
    /// No bytes to write: the slower copy was only on its way out. The faster ones are dropped.
    Dropped(Dropped),
    /// Copy the bytes.
    Copy(Ticket),
    /// Something else is under way with the payload: wait for any change and ask again.
    Busy,
}

/// What came of a finished transfer.
#[derive(Debug)]
pub enum Outcome {
    /// The copy is live, and if it was a spill the faster ones are dropped.
    Live(Box<Dropped>),
    /// The payload was deleted meanwhile: free what was written.
    Gone(Retired),
}

impl<B: Board> Ledger<B> {
    /// Asks for a copy in `to`, keeping the slower ones.
    ///
    /// # Errors
    /// [`Refusal::TierFull`] means that [`Ledger::plan_room`] may help; the others are final.
    pub fn promote(&mut self, id: PayloadId, to: Tier, now: Now) -> Result<Begun, Refusal> {
        let payload = self.committed(id, now)?;
        let (have, _) = payload.fastest().ok_or(Refusal::BytesLost { id })?;
        if payload.copy(to).is_some() {
            return Ok(Begun::There(payload.descriptor()));
        }
        if have.is_at_least(to) {
            return Err(Refusal::PromoteToSlower { id, have, want: to });
        }
        self.begin(id, to, false)
    }

    /// Refuses a spill that can't be, before anything is begun; a payload that is there already is fine.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::NotCommitted`], [`Refusal::BytesLost`], [`Refusal::NotConfigured`],
    /// [`Refusal::SpillToFaster`], [`Refusal::Pinned`], [`Refusal::MinResidency`].
    pub fn check_spill(&self, id: PayloadId, to: Tier, now: Now) -> Result<&Payload, Refusal> {
        let payload = self.committed(id, now)?;
        let (have, _) = payload.fastest().ok_or(Refusal::BytesLost { id })?;
        if self.budgets.get(to.index()).is_none_or(Option::is_none) {
            return Err(Refusal::NotConfigured { tier: to });
        }
        if have == to {
            return Ok(payload);
        }
        if to.is_at_least(have) {
            return Err(Refusal::SpillToFaster { id, have, want: to });
        }
        if payload.is_pinned(now.wall) {
            return Err(Refusal::Pinned { id });
        }
        match payload.facts.policy.min_residency.filter(|f| !to.is_at_least(*f)) {
            Some(floor) => Err(Refusal::MinResidency { id, floor }),
            None => Ok(payload),
        }
    }

    /// Asks for a copy in `to` or, if there is one, just to drop what is faster.
    ///
    /// # Errors
    /// [`Refusal::TierFull`] means that [`Ledger::plan_room`] may help; the others are final.
    pub fn spill(&mut self, id: PayloadId, to: Tier, now: Now) -> Result<Begun, Refusal> {
        let payload = self.check_spill(id, to, now)?;
        if payload.fastest().is_some_and(|(have, _)| have == to) {
            return Ok(Begun::There(payload.descriptor()));
        }
        if payload.work != Work::None {
            return Ok(Begun::Busy);
        }
        if payload.copy(to).is_some() {
            return self.begin_check(id, to);
        }
        self.begin(id, to, true)
    }

    /// Asks for a copy of the payload's own in a tier where its copy is a part of something, in place of that.
    ///
    /// # Errors
    /// [`Refusal::TierFull`] means that [`Ledger::plan_room`] may help; the others are final.
    pub fn set_apart(&mut self, id: PayloadId, tier: Tier, now: Now) -> Result<Begun, Refusal> {
        let payload = self.committed(id, now)?;
        let Some(from_place) = payload.copy(tier).map(|copy| copy.place).filter(|place| place.is_part()) else {
            return Ok(Begun::There(payload.descriptor()));
        };
        // The object of its own that leases keep from before would be written over.
        if payload.work != Work::None || self.backlog.holds(id, tier, Place::OWN) {
            return Ok(Begun::Busy);
        }
        let record = self.reserve(id, tier)?;
        let (transfer, facts) = self.start(id, tier, false)?;
        Ok(Begun::Copy(Ticket { transfer, from: tier, from_place, to: tier, facts, spill: false, record }))
    }

    /// Asks for a copy in a slower tier, keeping the faster ones: so that something outlives them.
    ///
    /// # Errors
    /// [`Refusal::TierFull`] means that [`Ledger::plan_room`] may help; the others are final.
    pub fn back_up(&mut self, id: PayloadId, to: Tier, now: Now) -> Result<Begun, Refusal> {
        let payload = self.committed(id, now)?;
        let (have, _) = payload.fastest().ok_or(Refusal::BytesLost { id })?;
        if payload.copy(to).is_some() {
            return Ok(Begun::There(payload.descriptor()));
        }
        if to.is_at_least(have) {
            return Err(Refusal::SpillToFaster { id, have, want: to });
        }
        self.begin(id, to, false)
    }

    fn begin(&mut self, id: PayloadId, to: Tier, spill: bool) -> Result<Begun, Refusal> {
        self.budget(to)?;
        let payload = self.payloads.get(&id).ok_or(Refusal::NotFound { id })?;
        let (from, from_place) = payload.fastest().map(|(t, c)| (t, c.place)).ok_or(Refusal::BytesLost { id })?;
        if payload.work != Work::None {
            return Ok(Begun::Busy);
        }
        if !to.is_durable()
            && let Some(block) = self.backlog.take_back(id, to)
        {
            return self.restore(block, spill);
        }
        if self.backlog.contains(id, to) {
            return Ok(Begun::Busy);
        }
        let record = self.reserve(id, to)?;
        let (transfer, facts) = self.start(id, to, spill)?;
        if spill {
            self.set_out(from, facts.size);
        }
        Ok(Begun::Copy(Ticket { transfer, from, from_place, to, facts, spill, record }))
    }

    /// The bytes of a copy that the daemon fills, and for RAM its record.
    fn reserve(&mut self, id: PayloadId, to: Tier) -> Result<Option<RecordIndex>, Refusal> {
        let payload = self.payloads.get(&id).ok_or(Refusal::NotFound { id })?;
        let (size, record) = (payload.facts.size, payload.record(Place::OWN, None));
        self.budget(to)?.reserve(size)?;
        if to != Tier::Ram {
            return Ok(None);
        }
        match self.board.reserve_record(&record) {
            Ok(at) => Ok(Some(at)),
            Err(full) => {
                self.release_budget(to, size);
                Err(full.refusal(|limit| Refusal::PayloadLimit { limit }))
            }
        }
    }

    /// From here on the transfer is under way; a spill shows it.
    fn start(&mut self, id: PayloadId, to: Tier, spill: bool) -> Result<(TransferId, Facts), Refusal> {
        let transfer = self.new_transfer();
        let facts = self.update(id, |p| {
            p.work = Work::Transfer { id: transfer, to, spill };
            p.facts.version += u64::from(spill);
            p.facts()
        });
        if spill {
            self.publish(id);
        }
        facts.map(|facts| (transfer, facts)).ok_or(Refusal::NotFound { id })
    }

    /// A copy that was on its way out is wanted again, and its bytes are still there, kept by a lease.
    fn restore(&mut self, block: Retired, spill: bool) -> Result<Begun, Refusal> {
        let id = block.id;
        let generation = block.block.map_or(0, |b| b.generation);
        let copy = Copy { place: block.place, generation, record: block.record };
        self.settle(id, block.tier, copy, |_| {});
        if spill {
            return self.drop_faster(id, block.tier).map(Begun::Dropped).ok_or(Refusal::NotFound { id });
        }
        self.show(id);
        self.payloads.get(&id).map(|p| Begun::There(p.descriptor())).ok_or(Refusal::NotFound { id })
    }

    /// A copy is there, and its record says so. Not shown yet.
    fn settle(&mut self, id: PayloadId, tier: Tier, copy: Copy, and: impl FnOnce(&mut Payload)) {
        self.update(id, |p| {
            and(p);
            p.facts.version += 1;
            p.missing = p.missing.without(tier);
            p.set_copy(tier, Some(copy));
        });
        if let (Some(at), Some(payload)) = (copy.record, self.payloads.get(&id)) {
            self.board.set_live(at, &payload.record(copy.place, Some(copy.generation)));
        }
    }

    fn show(&mut self, id: PayloadId) {
        self.publish(id);
        self.enqueue(id);
    }

    /// Whether what was copied is still wanted, and the row that says so, to be written before
    /// [`Ledger::finish_transfer`] where the new copy is durable.
    #[must_use]
    pub fn row_after(&self, ticket: &Ticket, checksum: Checksum) -> Option<Facts> {
        let payload = self.payloads.get(&ticket.id()).filter(|p| is_current(p, ticket.transfer))?;
        let facts = payload.facts();
        let faster = |t: &Tier| ticket.spill && *t < ticket.to;
        let copies: TierSet = facts.copies.iter().filter(|t| !faster(t)).chain([ticket.to]).collect();
        Some(Facts { copies, checksum: facts.checksum.or(Some(checksum)), version: facts.version + 1, ..facts })
    }

    /// The files that the row of [`Self::row_after`] no longer names: to be doomed in the same transaction, by their
    /// names, so that after a crash leases on them still hold (promise: survives-kill).
    #[must_use]
    pub fn files_after(&self, ticket: &Ticket) -> Vec<Retired> {
        let Some(payload) = self.payloads.get(&ticket.id()).filter(|p| is_current(p, ticket.transfer)) else {
            return Vec::new();
        };
        let dropped = payload.tiers().iter().filter(|t| ticket.spill && t.is_durable() && *t < ticket.to);
        dropped.filter_map(|t| payload.copy(t).map(|copy| retired(payload, t, copy))).collect()
    }

    /// The bytes are there: the copy is live from now on, and if it was a spill the faster ones go.
    pub fn finish_transfer(&mut self, ticket: Ticket, place: Place, checksum: Checksum) -> Outcome {
        self.forget_leaving(&ticket);
        self.arrive(&ticket, place, checksum).map_or_else(
            || {
                let (id, size) = (ticket.id(), ticket.facts.size);
                let block = Retired { id, tier: ticket.to, place, size, block: None, record: ticket.record };
                self.backlog.free(block);
                Outcome::Gone(block)
            },
            |dropped| Outcome::Live(Box::new(dropped)),
        )
    }

    /// `None` if the payload was deleted meanwhile.
    fn arrive(&mut self, ticket: &Ticket, place: Place, checksum: Checksum) -> Option<Dropped> {
        let (id, to) = (ticket.id(), ticket.to);
        self.payloads.get(&id).filter(|p| is_current(p, ticket.transfer))?;
        let before = self.payloads.get(&id).and_then(|p| p.copy(to).map(|copy| (*copy, retired(p, to, copy))));
        let generation = self.next_generation(id);
        self.settle(id, to, Copy { place, generation, record: ticket.record }, |p| {
            p.work = Work::None;
            p.learn(Some(checksum));
        });
        if ticket.spill {
            return self.drop_faster(id, to);
        }
        self.show(id);
        let free = before.map(|(copy, block)| self.replaced(&copy, block)).unwrap_or_default();
        let descriptor = self.payloads.get(&id)?.descriptor();
        Some(Dropped { descriptor, free, files: Vec::new() })
    }

    /// A copy that another one in its tier has taken the place of, and that is shown.
    fn replaced(&mut self, copy: &Copy, block: Retired) -> Vec<Retired> {
        self.mark_record(copy, BlockState::Retired);
        self.retire(vec![block])
    }

    /// The bytes could not be copied, and nothing of them is left: everything is as before. Says whether the payload
    /// is still there.
    pub fn abort_transfer(&mut self, ticket: Ticket) -> bool {
        let id = ticket.id();
        self.forget_leaving(&ticket);
        self.release_budget(ticket.to, ticket.facts.size);
        if let Some(record) = ticket.record {
            self.board.free_record(record);
        }
        let current = self.payloads.get(&id).is_some_and(|p| is_current(p, ticket.transfer));
        if current {
            self.update(id, |p| {
                p.work = Work::None;
                p.facts.version += u64::from(ticket.spill);
            });
            if ticket.spill {
                self.publish(id);
            }
            self.enqueue(id);
        }
        current
    }

    fn forget_leaving(&mut self, ticket: &Ticket) {
        if ticket.spill {
            self.arrived(ticket.from, ticket.facts.size);
        }
    }

    /// Publishes the copy in `to`, then retires what is faster: never the other way round. The version has grown.
    pub(super) fn drop_faster(&mut self, id: PayloadId, to: Tier) -> Option<Dropped> {
        let payload = self.payloads.get(&id)?;
        let faster = payload.tiers().iter().filter(|t| *t < to);
        let gone: Vec<(Copy, Retired)> =
            faster.filter_map(|t| payload.copy(t).map(|c| (*c, retired(payload, t, c)))).collect();
        let descriptor = self.update(id, |p| {
            gone.iter().for_each(|(_, block)| p.set_copy(block.tier, None));
            p.missing = p.missing.iter().filter(|t| *t >= to).collect();
            p.descriptor()
        })?;
        self.show(id);
        gone.iter().for_each(|(copy, _)| self.mark_record(copy, BlockState::Retired));
        let blocks: Vec<Retired> = gone.into_iter().map(|(_, block)| block).collect();
        let files = blocks.iter().filter(|b| b.tier.is_durable()).copied().collect();
        Some(Dropped { descriptor, free: self.retire(blocks), files })
    }

    /// A copy turned out to be gone or bad, and is out of the way: the others serve, or the bytes are lost. Its bytes
    /// are given back to the budget by [`Ledger::freed`] on what is returned.
    pub fn lose_copy(&mut self, id: PayloadId, tier: Tier) -> Vec<Retired> {
        let Some((payload, copy)) = self.payloads.get(&id).and_then(|p| p.copy(tier).map(|c| (p, *c))) else {
            return Vec::new();
        };
        let block = retired(payload, tier, &copy);
        self.update(id, |p| {
            p.set_copy(tier, None);
            p.miss(p.missing.with(tier));
            p.facts.version += 1;
        });
        if self.payloads.get(&id).is_some_and(|p| p.fastest().is_none()) {
            self.close(id);
        } else {
            self.publish(id);
        }
        self.enqueue(id);
        self.mark_record(&copy, BlockState::Retired);
        self.retire_bad(vec![block])
    }
}

fn is_current(payload: &Payload, transfer: TransferId) -> bool {
    matches!(payload.work, Work::Transfer { id, .. } if id == transfer)
}
