//! From nothing to committed: reserve, let the producer write, commit; or abort.

use payload_manager_types::{
    BlockName, Checksum, EvictionPolicy, PayloadId, Place, Priority, Protection, Tier, TierSet, YEAR_9999_END,
};

use super::{Deletion, Ledger, Now};
use crate::board::{BlockState, Board, Full, RecordIndex};
use crate::facts::{Facts, Labels, Phase};
use crate::payload::{Copy, Descriptor, Payload, Work};
use crate::refusal::Refusal;

/// What a producer asks for, already validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocateRequest {
    /// A fresh id.
    pub id: PayloadId,
    /// Bytes.
    pub size: u64,
    /// Where.
    pub tier: Tier,
    /// And where in that tier.
    pub place: Place,
    /// Time to live in milliseconds from now; 0: for ever.
    pub ttl_ms: u64,
    /// Exclude from eviction.
    pub no_evict: bool,
    /// What eviction may do.
    pub policy: EvictionPolicy,
    /// Who may write after commit.
    pub protection: Protection,
    /// When it is taken to be abandoned, in milliseconds from now.
    pub reclaim_after_ms: u64,
    /// What its producer says about it.
    pub labels: Labels,
}

/// The licence to make the space: bring it back with [`Ledger::allocated`] or [`Ledger::abandon`].
#[derive(Debug)]
#[must_use]
pub struct Allocation {
    payload: Payload,
    tier: Tier,
    place: Place,
    record: Option<RecordIndex>,
}

impl Allocation {
    /// Whose space.
    #[must_use]
    pub fn id(&self) -> PayloadId {
        self.payload.id()
    }

    /// In which tier.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// And where in it, as far as that was known when it was asked for.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// How many bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.payload.facts.size
    }

    /// The row to write before the answer, where no record says it: everything but RAM.
    #[must_use]
    pub fn row(&self) -> Facts {
        Facts { copies: TierSet::EMPTY.with(self.tier), ..self.payload.facts.clone() }
    }
}

/// A payload that has just been committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// What its producer is shown.
    pub descriptor: Descriptor,
}

impl<B: Board> Ledger<B> {
    /// Reserves the bytes and, for RAM, writes the record, before anything is made.
    ///
    /// # Errors
    /// [`Refusal::TierFull`] means that [`Ledger::plan_room`] may help; the others are final.
    pub fn allocate(&mut self, request: AllocateRequest, now: Now) -> Result<Allocation, Refusal> {
        self.check_limits(&request)?;
        let expires = match request.ttl_ms {
            0 => None,
            ms => Some(now.wall.checked_add(ms).ok_or(Refusal::TimeTooLate { ttl_ms: ms })?),
        };
        let (tier, place, size) = (request.tier, request.place, request.size);
        self.budget(tier)?.reserve(size)?;
        let payload = Payload::new(Facts {
            id: request.id,
            size,
            phase: Phase::Allocated,
            version: 1,
            preferred: tier,
            copies: TierSet::EMPTY,
            created: now.wall,
            expires,
            reclaim_at: Some(now.wall.checked_add(request.reclaim_after_ms).unwrap_or(YEAR_9999_END)),
            policy: request.policy,
            no_evict: request.no_evict || request.policy.priority == Priority::Never,
            protection: request.protection,
            checksum: None,
            pin: None,
            labels: request.labels,
        });
        let record = match tier {
            Tier::Ram => match self.board.reserve_record(&payload.record(place, None)) {
                Ok(record) => Some(record),
                Err(full) => {
                    self.release_budget(tier, size);
                    return Err(full.refusal(|limit| Refusal::PayloadLimit { limit }));
                }
            },
            Tier::Gpu | Tier::Disk | Tier::Object => None,
        };
        self.unborn += 1;
        Ok(Allocation { payload, tier, place, record })
    }

    fn check_limits(&self, request: &AllocateRequest) -> Result<(), Refusal> {
        if request.size > self.limits.max_payload {
            return Err(Refusal::SizeLimit { asked: request.size, limit: self.limits.max_payload });
        }
        let held = self.payloads.len() as u64 + self.graves.len() as u64 + self.unborn;
        if held >= self.limits.max_payloads {
            return Err(Refusal::PayloadLimit { limit: self.limits.max_payloads });
        }
        Ok(())
    }

    /// The space is there: the payload can be found from now on, ALLOCATED.
    pub fn allocated(&mut self, allocation: Allocation, place: Place) -> Descriptor {
        let Allocation { mut payload, tier, record, .. } = allocation;
        self.unborn -= 1;
        payload.set_copy(tier, Some(Copy { place, generation: 0, record }));
        let (id, descriptor) = (payload.id(), payload.descriptor());
        self.list(tier.index(), (payload.facts.created, id), payload.facts.size);
        self.changes.born(&payload);
        self.payloads.insert(id, Box::new(payload));
        self.set_timer(id);
        descriptor
    }

    /// The space could not be made: nothing is left of it.
    pub fn abandon(&mut self, allocation: Allocation) {
        self.unborn -= 1;
        self.release_budget(allocation.tier, allocation.payload.facts.size);
        if let Some(record) = allocation.record {
            self.board.free_record(record);
        }
    }

    /// The producer says it is done: hands out where its bytes are, for them to be sealed. Bring it back with
    /// [`Ledger::finish_commit`] or [`Ledger::abort_commit`].
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::AlreadyCommitted`].
    pub fn begin_commit(&mut self, id: PayloadId, now: Now) -> Result<(Tier, Place, Facts), Refusal> {
        let payload = self.payload(id, now)?;
        if payload.is_committed() || payload.work == Work::Sealing {
            return Err(Refusal::AlreadyCommitted { id, state: payload.state() });
        }
        let (tier, copy) = payload.fastest().ok_or(Refusal::BytesLost { id })?;
        let (place, facts) = (copy.place, payload.facts());
        self.update(id, |p| p.work = Work::Sealing);
        Ok((tier, place, facts))
    }

    /// The row that a commit writes: what [`Ledger::finish_commit`] will make true.
    #[must_use]
    pub fn committed_row(facts: &Facts, checksum: Option<Checksum>) -> Facts {
        Facts {
            phase: Phase::Committed,
            version: facts.version + 1,
            reclaim_at: None,
            checksum: facts.checksum.or(checksum),
            ..facts.clone()
        }
    }

    /// The commit came to nothing, here or in [`Ledger::finish_commit`]: the payload is ALLOCATED as before. If it was
    /// deleted meanwhile, its bytes were still being sealed then; they are handed out now: carry the deletion out once
    /// more, row and all.
    #[must_use = "a payload deleted during its commit is freed here or never"]
    pub fn abort_commit(&mut self, id: PayloadId) -> Option<Deletion> {
        if let Some(deletion) = self.unsealed.remove(&id) {
            return Some(Deletion { free: self.backlog.sealed(id), ..deletion });
        }
        self.update(id, |p| p.work = if p.work == Work::Sealing { Work::None } else { p.work });
        // It may have been due while the commit was under way.
        self.set_timer(id);
        None
    }

    /// The bytes are sealed: entry and record, and from here on the payload is committed (promise: survives-kill).
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if it was deleted meanwhile, [`Refusal::AlreadyCommitted`] if no commit was begun,
    /// [`Refusal::PayloadLimit`] or [`Refusal::PagesFull`] if the directory is full. Whichever it is, [`Ledger::abort_commit`] comes next.
    pub fn finish_commit(&mut self, id: PayloadId, checksum: Option<Checksum>, now: Now) -> Result<Committed, Refusal> {
        let payload = self.payload(id, now)?;
        if payload.work != Work::Sealing {
            return Err(Refusal::AlreadyCommitted { id, state: payload.state() });
        }
        let before = payload.clone();
        self.update(id, |p| {
            p.work = Work::None;
            p.facts = Self::committed_row(&p.facts, checksum);
        });
        if let Err(full) = self.enter(id) {
            self.update(id, |p| *p = before);
            return Err(full.refusal(|limit| Refusal::PayloadLimit { limit }));
        }
        if let Some(at) = before.facts.reclaim_at {
            self.drop_timer(id, at);
        }
        self.enqueue(id);
        self.descriptor(id, now).map(|descriptor| Committed { descriptor })
    }

    /// Record first, entry second: a crash in between leaves a record from which the entry is made again.
    fn enter(&mut self, id: PayloadId) -> Result<(), Full> {
        let generation = self.next_generation(id);
        let Some(payload) = self.payloads.get_mut(&id) else { return Ok(()) };
        let Some((tier, mut copy)) = payload.fastest().map(|(t, c)| (t, *c)) else { return Ok(()) };
        copy.generation = generation;
        payload.set_copy(tier, Some(copy));
        let Some(mut face) = payload.face() else { return Ok(()) };
        // The index is needed for the record, so the entry is made closed and opened after the record is live.
        let open = face.state;
        face.state = payload_manager_types::PayloadState::Allocated;
        let index = self.board.insert(&face)?;
        face.state = open;
        payload.entry = Some(index);
        if let Some(at) = copy.record {
            self.board.set_live(at, &payload.record(copy.place, Some(generation)));
        }
        self.board.publish(index, &face);
        Ok(())
    }

    /// Names the block of a copy.
    pub(super) fn block_name(&self, id: PayloadId, tier: Tier) -> Option<BlockName> {
        let payload = self.payloads.get(&id)?;
        Some(BlockName { index: payload.entry?, generation: payload.copy(tier)?.generation })
    }

    /// Marks a RAM copy's record.
    pub(super) fn mark_record(&mut self, copy: &Copy, state: BlockState) {
        if let Some(record) = copy.record {
            self.board.mark(record, state);
        }
    }
}
