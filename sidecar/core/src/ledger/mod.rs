//! The ledger: every payload, every budget, every transfer under way, and the rules for all of them.
//!
//! One command at a time, under the shell's lock, each with the time it happens at. A command either returns what to do
//! next or a [`Refusal`], and a refusal changes nothing. Work that takes time (making space, copying, syncing) is handed
//! out as a licence ([`Allocation`], [`Spare`], [`Ticket`], [`Retired`](crate::backlog::Retired)) that the shell brings back, done
//! or not, exactly once.
//!
//! One file a verb: `allocate` (allocate, commit, abort), `spare` (room for a copy at commit), `lease`, `transfer` (promote, spill), `twin` (spill to what is
//! there), `evict`, `pin`, `delete`, `time` (expiry), `list`, `watch`, `recover`; and `blocks`, the way out of every block.

mod allocate;
mod blocks;
mod delete;
mod evict;
mod lease;
mod lease_list;
mod list;
mod parts;
mod pin;
mod recover;
mod spare;
mod time;
mod transfer;
mod twin;
mod watch;

use std::collections::{BTreeSet, HashMap, HashSet};

use payload_manager_types::{EntryIndex, PayloadId, Tier, UnixMillis};

pub use allocate::{AllocateRequest, Allocation, Committed};
pub use delete::Deletion;
pub use evict::{Room, Step, Watermarks};
pub use lease::{AcquireRequest, Acquired, Grant};
pub use lease_list::{LeasePage, LeaseRow, Named};
pub use list::{Cursor, Page, Summary};
pub use recover::{Adopted, RamBlock};
pub use spare::Spare;
pub use transfer::{Begun, Dropped, Outcome, Ticket};
pub use twin::Check;
pub use watch::{Told, Watch, WatchError, WatchFrom};

use crate::backlog::Backlog;
use crate::board::Board;
use crate::budget::{Budget, Grain};
use crate::changes::Changes;
use crate::counts::Evictions;
use crate::facts::Phase;
use crate::payload::{Descriptor, Payload, TransferId};
use crate::queue::EvictionQueue;
use crate::refusal::Refusal;

/// The capacity of a tier that takes whatever comes.
pub const UNLIMITED: u64 = u64::MAX;

/// What the ledger is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Capacity of each tier of [`Tier::ALL`] in bytes, or [`UNLIMITED`]; `None`: not configured.
    pub capacity: [Option<u64>; 4],
    /// Bytes a payload may have.
    pub max_payload: u64,
    /// Payloads there may be.
    pub max_payloads: u64,
    /// Lease duration when none is asked for, in milliseconds.
    pub lease_default_ms: u64,
    /// Longest lease, in milliseconds.
    pub lease_max_ms: u64,
    /// When eviction begins and ends by itself.
    pub watermarks: Watermarks,
    /// Bytes that memory is given out in: what a RAM payload takes is a multiple of it.
    pub page: u64,
}

/// Now, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock; never goes back.
    pub wall: UnixMillis,
    /// `CLOCK_MONOTONIC` in milliseconds.
    pub monotonic: u64,
}

/// Payloads and bytes by tier of the fastest copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TierCount {
    /// How many.
    pub payloads: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// What Stats shows; all of it from counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// By [`Tier::index`].
    pub tiers: [TierCount; 4],
    /// Capacity and free bytes by tier; `None`: not configured.
    pub budgets: [Option<(u64, u64)>; 4],
    /// Live leases.
    pub leases: u64,
    /// Blocks that wait for leases to end.
    pub backlog_blocks: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
    /// When the block came there that waits longest, by the monotonic clock in milliseconds.
    pub backlog_since: Option<u64>,
    /// Payloads that are listed and have no copy left.
    pub lost: u64,
    /// What eviction has done.
    pub evictions: Evictions,
}

/// The key by which a payload is listed: newest first is the reverse of this order.
type Age = (UnixMillis, PayloadId);

/// The ledger over a board.
pub struct Ledger<B> {
    board: B,
    limits: Limits,
    /// Boxed: a hash table keeps up to twice the room that it needs, and a payload is large.
    payloads: HashMap<PayloadId, Box<Payload>>,
    budgets: [Option<Budget>; 4],
    counts: [TierCount; 4],
    /// Listing order by shown tier; the last is of those whose bytes are lost.
    listed: [BTreeSet<Age>; 5],
    /// TTLs and abandoned allocations by the time they come due.
    timers: BTreeSet<Age>,
    queues: [EvictionQueue; 4],
    kept: evict::Kept,
    /// Tiers that have gone above their high watermark and are not yet down at the low one.
    evicting: [bool; 4],
    /// Times that eviction looked at a payload.
    looks: u64,
    evictions: Evictions,
    backlog: Backlog,
    /// Entries of deleted payloads that wait for their last block.
    graves: HashMap<PayloadId, EntryIndex>,
    /// Payloads deleted while their commit was being carried out; what is left to do once that has come to an end.
    unsealed: HashMap<PayloadId, Deletion>,
    /// Deleted payloads that have a row still: until it is gone their blocks stay, leased or not.
    rows: HashSet<PayloadId>,
    /// Entries that start-up has found an owner for.
    owned: HashSet<EntryIndex>,
    next_transfer: u64,
    /// Bytes of each tier that a spill under way is about to take out of it.
    leaving: [u64; 4],
    /// Payloads whose space is being made; they are in no list yet.
    unborn: u64,
    /// For those who watch.
    changes: Changes,
}

impl<B: Board> Ledger<B> {
    /// An empty ledger.
    pub fn new(board: B, limits: Limits) -> Self {
        let grain = |tier: Tier| Grain::new(if tier == Tier::Ram { limits.page } else { 1 });
        let budget = |tier: Tier| {
            let capacity = limits.capacity.get(tier.index()).copied().flatten();
            capacity.map(|capacity| Budget::new(tier, capacity, grain(tier)))
        };
        Self {
            board,
            limits,
            payloads: HashMap::new(),
            budgets: Tier::ALL.map(budget),
            counts: Default::default(),
            listed: Default::default(),
            timers: BTreeSet::new(),
            queues: Default::default(),
            kept: evict::Kept::default(),
            evicting: [false; 4],
            looks: 0,
            evictions: Evictions::default(),
            backlog: Backlog::new(Tier::ALL.map(grain)),
            graves: HashMap::new(),
            unsealed: HashMap::new(),
            rows: HashSet::new(),
            owned: HashSet::new(),
            next_transfer: 0,
            leaving: [0; 4],
            unborn: 0,
            changes: Changes::default(),
        }
    }

    /// The shared pages.
    pub fn board(&self) -> &B {
        &self.board
    }

    /// The shared pages, for what is no rule: growing them, closing them.
    pub fn board_mut(&mut self) -> &mut B {
        &mut self.board
    }

    /// What it was told.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A payload that can be found now.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if it is not there, on its way out, or its time is over.
    pub fn payload(&self, id: PayloadId, now: Now) -> Result<&Payload, Refusal> {
        self.payloads
            .get(&id)
            .map(Box::as_ref)
            .filter(|p| p.facts.phase != Phase::Deleting && !p.is_expired(now.wall))
            .ok_or(Refusal::NotFound { id })
    }

    /// What a caller is shown of a payload.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn descriptor(&self, id: PayloadId, now: Now) -> Result<Descriptor, Refusal> {
        self.payload(id, now).map(Payload::descriptor)
    }

    /// A payload that is committed.
    fn committed(&self, id: PayloadId, now: Now) -> Result<&Payload, Refusal> {
        let payload = self.payload(id, now)?;
        if payload.is_committed() { Ok(payload) } else { Err(Refusal::NotCommitted { id }) }
    }

    /// Whether a stream may name it.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::NotCommitted`].
    pub fn check_committed(&self, id: PayloadId, now: Now) -> Result<(), Refusal> {
        self.committed(id, now).map(|_| ())
    }

    /// What Stats shows.
    pub fn stats(&self) -> Stats {
        Stats {
            tiers: self.counts,
            budgets: self.budgets.map(|b| b.map(|b| (b.capacity(), b.free()))),
            leases: self.board.lease_count(),
            backlog_blocks: self.backlog.len() as u64,
            backlog_bytes: self.backlog.held_bytes(),
            backlog_since: self.backlog.oldest(),
            lost: self.listed.last().map_or(0, |lost| lost.len() as u64),
            evictions: self.evictions,
        }
    }

    /// Places in a tier's eviction queue, stale ones included: at most some more than twice its payloads.
    pub fn places(&self, tier: Tier) -> usize {
        self.queues.get(tier.index()).map_or(0, EvictionQueue::len)
    }

    fn budget(&mut self, tier: Tier) -> Result<&mut Budget, Refusal> {
        self.budgets.get_mut(tier.index()).and_then(Option::as_mut).ok_or(Refusal::NotConfigured { tier })
    }

    /// A tier's budget as it is; `None` where the tier is not configured.
    fn budget_of(&self, tier: Tier) -> Option<Budget> {
        self.budgets.get(tier.index()).copied().flatten()
    }

    fn release_budget(&mut self, tier: Tier, bytes: u64) {
        if let Ok(budget) = self.budget(tier) {
            budget.release(bytes);
        }
        self.kept.gave_back(tier, bytes);
    }

    /// What the payload's bytes take of a tier's budget.
    fn charge_of(&self, id: PayloadId, tier: Tier) -> u64 {
        self.charge(tier, self.payloads.get(&id).map_or(0, |p| p.facts.size))
    }

    /// What so many bytes of a payload take of a tier's budget.
    fn charge(&self, tier: Tier, size: u64) -> u64 {
        self.budget_of(tier).map_or(size, |budget| budget.charge(size))
    }

    /// So many bytes of a payload are about to leave a tier.
    fn set_out(&mut self, from: Tier, size: u64) {
        let charge = self.charge(from, size);
        if let Some(bytes) = self.leaving.get_mut(from.index()) {
            *bytes += charge;
        }
    }

    /// They have left it, or will not: whichever, they are no longer counted as about to.
    fn arrived(&mut self, from: Tier, size: u64) {
        let charge = self.charge(from, size);
        if let Some(bytes) = self.leaving.get_mut(from.index()) {
            *bytes -= charge;
        }
    }

    /// A name for what is about to be under way.
    fn new_transfer(&mut self) -> TransferId {
        self.next_transfer += 1;
        TransferId(self.next_transfer)
    }

    /// Changes a payload through `change`, keeps the lists and counters true, and lets those who watch know. The version
    /// grows nowhere else.
    fn update<R>(&mut self, id: PayloadId, change: impl FnOnce(&mut Payload) -> R) -> Option<R> {
        let payload = self.payloads.get_mut(&id)?;
        let (before, was) = (shown(payload), (payload.facts.version, payload.is_committed()));
        let result = change(payload);
        let after = shown(payload);
        self.changes.touched(payload, was);
        if before != after {
            let (age, size) = ((payload.facts.created, id), payload.facts.size);
            self.unlist(before, age, size);
            self.list(after, age, size);
        }
        Some(result)
    }

    fn list(&mut self, slot: usize, age: Age, size: u64) {
        if let Some(list) = self.listed.get_mut(slot) {
            list.insert(age);
        }
        if let Some(count) = self.counts.get_mut(slot) {
            count.payloads += 1;
            count.bytes += size;
        }
    }

    fn unlist(&mut self, slot: usize, age: Age, size: u64) {
        if let Some(list) = self.listed.get_mut(slot) {
            list.remove(&age);
        }
        if let Some(count) = self.counts.get_mut(slot) {
            count.payloads -= 1;
            count.bytes -= size;
        }
    }

    /// Shows what a payload is now to those who look it up.
    fn publish(&mut self, id: PayloadId) {
        let Some(payload) = self.payloads.get(&id) else { return };
        if let (Some(index), Some(face)) = (payload.entry, payload.face()) {
            self.board.publish(index, &face);
        }
    }

    /// One more for the version: placement or state has changed (promise: monotonic).
    fn bump(&mut self, id: PayloadId) {
        self.update(id, |p| p.facts.version += 1);
    }
}

/// In which list a payload stands.
fn shown(payload: &Payload) -> usize {
    payload.fastest().map_or(4, |(tier, _)| tier.index())
}
