//! A shell without I/O: carries out what the ledger hands out, one stage at a time and in any order, over bytes and a
//! catalog that are plain maps. What is still to be done is a [`Job`]; a crash between any two is `crash`'s.

use std::collections::{BTreeMap, VecDeque};

use payload_manager_core::backlog::Retired;
use payload_manager_core::facts::{Facts, Labels, Pin};
use payload_manager_core::ledger::{
    AcquireRequest, Acquired, AllocateRequest, Allocation, Begun, Check, Deletion, Dropped, Grant, Limits, Now,
    Outcome, Room, Step, Ticket, Watermarks,
};
use payload_manager_core::{Ledger, Refusal};
use payload_manager_types::{
    BlockName, Checksum, EvictionPolicy, LeaseId, PayloadId, Place, Protection, Tier, UnixMillis,
};

use crate::board::{self, ModelBoard};
use crate::pages::Pages;

/// What is under way outside the ledger.
#[derive(Debug)]
pub enum Job {
    /// Space is to be made.
    Make(Allocation),
    /// It is made, and the ledger not told.
    Made(Allocation),
    /// The producer's bytes are to be sealed.
    Seal(PayloadId, Tier, Facts),
    /// They are, and the row says committed.
    Sealed(PayloadId, Facts),
    /// Bytes are to be copied.
    Copy(Ticket),
    /// They are, and the row not written.
    Copied(Ticket),
    /// The row says so, and the ledger is not told.
    Rowed(Ticket),
    /// A slower copy is to be looked at before the faster ones go.
    Check(Check),
    /// A deleted payload's row is to go.
    Bury(Deletion),
    /// A block is to be freed; after a crash it may be gone already.
    Free(Retired, bool),
    /// It is, and the ledger not told.
    Freed(Retired),
}

/// Whose bytes, in which tier, and where in it.
pub type Spot = (PayloadId, Tier, Place);

/// The object or file of a payload's own.
pub const fn own(id: PayloadId, tier: Tier) -> Spot {
    (id, tier, Place::OWN)
}

/// What outlives the process beside the shared pages.
#[derive(Debug, Default)]
pub struct Outside {
    /// Whose bytes are where.
    pub bytes: BTreeMap<Spot, u64>,
    pub rows: BTreeMap<PayloadId, Facts>,
    /// Rows queued and not written: a crash loses them.
    pub queue: VecDeque<Facts>,
    /// Files that are garbage.
    pub doomed: BTreeMap<(PayloadId, Tier), (Option<BlockName>, u64)>,
}

impl Outside {
    /// Whether a payload has bytes in a tier.
    pub fn has(&self, id: PayloadId, tier: Tier) -> bool {
        self.bytes.keys().any(|(of, at, _)| (*of, *at) == (id, tier))
    }

    /// Writes what is queued: the writer is first in, first out.
    pub fn flush(&mut self) {
        for row in std::mem::take(&mut self.queue) {
            self.rows.insert(row.id, row);
        }
    }

    fn put(&mut self, row: Facts) {
        self.queue.push_back(row);
        self.flush();
    }

    fn delete(&mut self, id: PayloadId, files: &[Retired]) {
        self.flush();
        self.rows.remove(&id);
        self.doom(files);
    }

    fn doom(&mut self, files: &[Retired]) {
        self.doomed.extend(files.iter().map(|f| ((f.id, f.tier), (f.block, f.size))));
    }
}

/// What came of a promotion or a spill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    There,
    Dropped,
    Copying,
    Checking,
    Busy,
}

/// Ledger, pages, bytes, catalog, clock.
pub struct World {
    pub ledger: Ledger<ModelBoard>,
    pub now: Now,
    pub outside: Outside,
    pub jobs: Vec<Job>,
    /// Slower copies are looked at when their turn comes, not at once.
    pub looks_later: bool,
}

pub const SUM: Checksum = Checksum([7; 16]);

pub fn id(n: u64) -> PayloadId {
    PayloadId::from_words(1, n)
}

/// So many bytes in GPU, RAM, DISK and OBJECT; 0: not configured.
pub fn limits(capacity: [u64; 4]) -> Limits {
    Limits {
        capacity: capacity.map(|c| (c > 0).then_some(c)),
        max_payload: 1 << 40,
        max_payloads: 64,
        lease_default_ms: 20_000,
        lease_max_ms: 120_000,
        watermarks: Watermarks::OFF,
        page: 1,
    }
}

/// The same, with watermarks at 90 and 80 percent.
pub fn marked(capacity: [u64; 4]) -> Limits {
    Limits { watermarks: Watermarks { high: 90, low: 80 }, ..limits(capacity) }
}

pub const ROOM: board::Room = board::Room { entries: 80, records: 80, leases: 40 };

pub fn request(n: u64, size: u64, tier: Tier) -> AllocateRequest {
    AllocateRequest {
        id: id(n),
        size,
        tier,
        place: Place::OWN,
        ttl_ms: 0,
        no_evict: false,
        policy: EvictionPolicy::default(),
        protection: Protection::Shared,
        reclaim_after_ms: 600_000,
        labels: Labels::default(),
    }
}

impl World {
    pub fn new(capacity: [u64; 4]) -> Self {
        Self::with(limits(capacity), ROOM)
    }

    pub fn with(limits: Limits, room: board::Room) -> Self {
        let ledger = Ledger::new(ModelBoard::new(Pages::default(), room), limits);
        let now = Now { wall: UnixMillis(1_000_000), monotonic: 5_000 };
        Self { ledger, now, outside: Outside::default(), jobs: Vec::new(), looks_later: false }
    }

    pub fn pages(&self) -> &Pages {
        &self.ledger.board().pages
    }

    // Commands: what they leave to be done is queued.

    pub fn allocate(&mut self, request: AllocateRequest) -> Result<(), Refusal> {
        let allocation = self.ledger.allocate(request, self.now)?;
        self.jobs.push(Job::Make(allocation));
        Ok(())
    }

    pub fn commit(&mut self, n: u64) -> Result<(), Refusal> {
        let (tier, _, facts) = self.ledger.begin_commit(id(n), self.now)?;
        self.jobs.push(Job::Seal(id(n), tier, facts));
        Ok(())
    }

    pub fn promote(&mut self, n: u64, to: Tier) -> Result<Did, Refusal> {
        let begun = self.ledger.promote(id(n), to, self.now)?;
        Ok(self.begun(begun))
    }

    pub fn spill(&mut self, n: u64, to: Tier) -> Result<Did, Refusal> {
        let begun = self.ledger.spill(id(n), to, self.now)?;
        Ok(self.begun(begun))
    }

    pub fn back_up(&mut self, n: u64, to: Tier) -> Result<Did, Refusal> {
        let begun = self.ledger.back_up(id(n), to, self.now)?;
        Ok(self.begun(begun))
    }

    pub fn set_apart(&mut self, n: u64) -> Result<Did, Refusal> {
        let begun = self.ledger.set_apart(id(n), Tier::Ram, self.now)?;
        Ok(self.begun(begun))
    }

    pub fn delete(&mut self, n: u64, force: bool) -> Result<(), Refusal> {
        let deletion = self.ledger.delete(id(n), force, self.now)?;
        self.jobs.push(Job::Bury(deletion));
        Ok(())
    }

    pub fn lease_for(&mut self, n: u64, ms: u64) -> Result<Grant, Refusal> {
        let request = AcquireRequest { id: id(n), min_tier: None, duration_ms: ms, takes_part: true };
        match self.ledger.acquire(request, self.now)? {
            Acquired::Granted(grant) => Ok(*grant),
            Acquired::TooSlow { .. } | Acquired::IsPart(_) => panic!("any tier and any place will do"),
        }
    }

    pub fn release(&mut self, lease: LeaseId) {
        let free = self.ledger.release(lease);
        self.free(free, false);
    }

    pub fn pin(&mut self, n: u64, pin: Option<Pin>) -> Result<(), Refusal> {
        let row = self.ledger.pin(id(n), pin, self.now)?;
        self.outside.queue.push_back(row);
        Ok(())
    }

    /// Begins to make room, and says how many steps it takes; none: there is room, or it is on its way.
    pub fn make_room(&mut self, tier: Tier, bytes: u64) -> Result<usize, Refusal> {
        let Room::Steps(steps) = self.ledger.plan_room(tier, bytes, self.now)? else { return Ok(0) };
        Ok(self.step(steps))
    }

    /// Begins what eviction by itself would, and says how many steps that is.
    pub fn evict_some(&mut self, at_most: usize) -> usize {
        let steps = self.ledger.plan_eviction(at_most, self.now);
        assert!(steps.len() <= at_most, "more at once than was asked for");
        assert!(!steps.is_empty() || !self.ledger.eviction_due(), "it would be asked again and again");
        self.step(steps)
    }

    fn step(&mut self, steps: Vec<Step>) -> usize {
        let count = steps.len();
        for step in steps {
            match step {
                Step::Copy(ticket) => self.jobs.push(Job::Copy(ticket)),
                Step::Dropped(dropped) => self.dropped(dropped),
                Step::Check(check) => drop(self.check_twin(check)),
                Step::Deleted(deletion) => self.jobs.push(Job::Bury(deletion)),
            }
        }
        count
    }

    pub fn tick(&mut self, ms: u64) {
        self.now.wall.0 += ms;
        self.now.monotonic += ms;
        let free = self.ledger.expire_leases(self.now);
        self.free(free, false);
        self.end_due();
    }

    fn end_due(&mut self) {
        self.jobs.extend(self.ledger.end_due(self.now).into_iter().map(Job::Bury));
    }

    pub fn lose(&mut self, n: u64, tier: Tier) {
        let free = self.ledger.lose_copy(id(n), tier);
        self.free(free, false);
    }

    fn begun(&mut self, begun: Begun) -> Did {
        match begun {
            Begun::There(_) => Did::There,
            Begun::Busy => Did::Busy,
            Begun::Copy(ticket) => {
                self.jobs.push(Job::Copy(ticket));
                Did::Copying
            }
            Begun::Check(check) => self.check_twin(check),
            Begun::Dropped(dropped) => {
                self.dropped(dropped);
                Did::Dropped
            }
        }
    }

    fn check_twin(&mut self, check: Check) -> Did {
        if self.looks_later {
            self.jobs.push(Job::Check(check));
            return Did::Checking;
        }
        self.look_at_twin(check, true);
        Did::Dropped
    }

    /// A copy that is gone: not one that is leased, which is moved away under its readers, and the ledger has no part
    /// in that.
    fn look_at_twin(&mut self, check: Check, there: bool) {
        let leased = self.pages().slots.values().any(|slot| slot.on == own(check.id, check.tier));
        match (there, leased) {
            (true, _) => {
                let dropped = self.ledger.finish_check(check);
                dropped.into_iter().for_each(|dropped| self.dropped(dropped));
            }
            (false, true) => self.ledger.abort_check(check),
            (false, false) => {
                let free = self.ledger.twin_lost(check).unwrap_or_default();
                self.free(free, false);
            }
        }
    }

    fn dropped(&mut self, dropped: Dropped) {
        if !dropped.files.is_empty() {
            self.outside.put(dropped.descriptor.facts);
            self.outside.doom(&dropped.files);
        }
        self.free(dropped.free, false);
    }

    pub fn free(&mut self, blocks: Vec<Retired>, again: bool) {
        self.jobs.extend(blocks.into_iter().map(|block| Job::Free(block, again)));
    }

    // Work: `well` says whether what is outside obeys.

    /// Does the next stage of a job.
    pub fn work(&mut self, at: usize, well: bool) {
        match self.jobs.remove(at) {
            Job::Make(allocation) => self.make(allocation, well),
            Job::Made(allocation) => {
                let place = allocation.place();
                drop(self.ledger.allocated(allocation, place));
            }
            Job::Seal(id, tier, facts) => self.seal(id, tier, facts, well),
            Job::Sealed(id, facts) => self.commit_in_ledger(id, &facts),
            Job::Copy(ticket) => self.copy(ticket, well),
            Job::Copied(ticket) => self.write_row(ticket, well),
            Job::Rowed(ticket) => self.arrive(ticket),
            Job::Check(check) => self.look_at_twin(check, well),
            Job::Bury(deletion) => {
                self.outside.delete(deletion.facts.id, &deletion.files);
                let held = self.ledger.row_gone(deletion.facts.id);
                self.free(held, false);
                self.free(deletion.free, false);
            }
            Job::Free(block, again) => {
                let held = block.block.map_or(0, |name| self.pages().pins(name));
                assert_eq!(held, 0, "freed while a lease keeps it: {block:?}");
                let there = self.outside.bytes.remove(&(block.id, block.tier, block.place)).is_some();
                // Of a copy that was gone or bad, which counts for nothing, nothing need be left.
                assert!(there || again || block.size == 0, "freed twice: {block:?}");
                self.jobs.push(Job::Freed(block));
            }
            Job::Freed(block) => {
                self.ledger.freed(&block);
                self.undoom((block.id, block.tier));
            }
        }
        // What came too late.
        self.end_due();
    }

    fn make(&mut self, allocation: Allocation, well: bool) {
        if !well {
            return self.ledger.abandon(allocation);
        }
        if allocation.tier() != Tier::Ram {
            self.outside.put(allocation.row());
        }
        self.outside.bytes.insert((allocation.id(), allocation.tier(), allocation.place()), allocation.size());
        self.jobs.push(Job::Made(allocation));
    }

    fn seal(&mut self, id: PayloadId, tier: Tier, facts: Facts, well: bool) {
        assert!(self.outside.has(id, tier), "its bytes were freed under the seal");
        if !well || (tier.is_durable() && self.ledger.payload(id, self.now).is_err()) {
            return self.abort_commit(id);
        }
        if !tier.is_durable() {
            return self.commit_in_ledger(id, &facts);
        }
        self.outside.put(Ledger::<ModelBoard>::committed_row(&facts, Some(SUM)));
        self.jobs.push(Job::Sealed(id, facts));
    }

    fn commit_in_ledger(&mut self, id: PayloadId, facts: &Facts) {
        match self.ledger.finish_commit(id, None, self.now) {
            Ok(_) if facts.copies.any_durable() => {}
            Ok(_) => self.outside.queue.push_back(Ledger::<ModelBoard>::committed_row(facts, None)),
            Err(_) => self.abort_commit(id),
        }
    }

    fn abort_commit(&mut self, id: PayloadId) {
        let deletion = self.ledger.abort_commit(id);
        self.jobs.extend(deletion.map(Job::Bury));
    }

    fn copy(&mut self, ticket: Ticket, well: bool) {
        if !well {
            return self.abort_transfer(ticket);
        }
        let before = self.outside.bytes.insert(own(ticket.id(), ticket.to), ticket.facts.size);
        assert_eq!(before, None, "written over bytes that are there: {ticket:?}");
        self.jobs.push(Job::Copied(ticket));
    }

    fn write_row(&mut self, ticket: Ticket, well: bool) {
        if !well {
            self.outside.bytes.remove(&own(ticket.id(), ticket.to));
            return self.abort_transfer(ticket);
        }
        if ticket.to.is_durable()
            && let Some(row) = self.ledger.row_after(&ticket, SUM)
        {
            let files = self.ledger.files_after(&ticket);
            self.outside.put(row);
            self.outside.doom(&files);
        }
        self.jobs.push(Job::Rowed(ticket));
    }

    fn abort_transfer(&mut self, ticket: Ticket) {
        let file = (ticket.id(), ticket.to);
        if !self.ledger.abort_transfer(ticket) {
            self.undoom(file);
        }
    }

    /// A file is gone: neither the catalog need remember it nor a row that is about to go.
    fn undoom(&mut self, file: (PayloadId, Tier)) {
        self.outside.doomed.remove(&file);
        for job in &mut self.jobs {
            if let Job::Bury(deletion) = job {
                deletion.files.retain(|f| (f.id, f.tier) != file);
            }
        }
    }

    fn arrive(&mut self, ticket: Ticket) {
        match self.ledger.finish_transfer(ticket, Place::OWN, SUM) {
            Outcome::Live(dropped) => self.dropped(*dropped),
            Outcome::Gone(block) => self.free(vec![block], false),
        }
    }

    /// Does all that is to be done, and what comes of it.
    pub fn settle(&mut self) {
        while !self.jobs.is_empty() {
            self.work(0, true);
            self.check();
        }
    }
}
