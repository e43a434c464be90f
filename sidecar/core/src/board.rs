//! The port to the shared pages: directory, records, lease pages.
//!
//! Every call is memory only: no system call that waits, so the ledger may make it under its lock. The shell lays it over
//! shared memory; tests lay it over a model.

use payload_manager_types::{
    BlockName, Checksum, EntryIndex, EvictionPolicy, Generation, LeaseDeadline, LeaseId, PayloadId, PayloadState,
    Place, Protection, Tier, UnixMillis,
};

use crate::refusal::Refusal;

/// What a payload's directory entry shows to those who look it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Face {
    /// Whose entry.
    pub id: PayloadId,
    /// The descriptor version.
    pub version: u64,
    /// The state; one that is not readable closes the entry: no lease can be taken.
    pub state: PayloadState,
    /// The fastest copy's tier.
    pub tier: Tier,
    /// Where in it.
    pub place: Place,
    /// Bytes.
    pub length: u64,
    /// When its time is over.
    pub expires: Option<UnixMillis>,
    /// For each tier of [`Tier::ALL`], the generation of the copy there; of the current tier it names the block.
    pub generations: [Generation; 4],
    /// The generation given out last.
    pub last_generation: Generation,
    /// When the payload was allocated.
    pub created: UnixMillis,
    /// What eviction may do.
    pub policy: EvictionPolicy,
    /// Who may still write after commit.
    pub protection: Protection,
    /// What the bytes hash to, where that is known.
    pub checksum: Option<Checksum>,
}

/// Position of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordIndex(pub u32);

/// What a RAM block is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockState {
    /// Being written: by a producer if the record has a time of reclaim, else by the daemon.
    Reserved,
    /// Readable; for a payload that has no durable copy, the proof that it is committed.
    Live,
    /// No longer published; its bytes stay until no lease names it.
    Retired,
    /// As retired, and its payload is deleted.
    Deleting,
}

/// The record of a RAM block: what start-up needs to know if nothing else has been written yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRecord {
    /// Whose bytes.
    pub id: PayloadId,
    /// Where.
    pub place: Place,
    /// Bytes.
    pub size: u64,
    /// Its name in leases; none while RESERVED for a producer.
    pub block: Option<BlockName>,
    /// The descriptor version.
    pub version: u64,
    /// When the payload was allocated.
    pub created: UnixMillis,
    /// When its time is over.
    pub expires: Option<UnixMillis>,
    /// When an uncommitted allocation is taken to be abandoned; none for a block that the daemon fills.
    pub reclaim_at: Option<UnixMillis>,
    /// What eviction may do.
    pub policy: EvictionPolicy,
    /// Excluded from eviction by the producer.
    pub no_evict: bool,
    /// Who could still write after commit.
    pub protection: Protection,
    /// The tier asked for at allocation.
    pub preferred: Tier,
    /// What the bytes hash to, if it is known.
    pub checksum: Option<Checksum>,
}

/// Who names a block in a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holders {
    /// Leases with a live claim.
    pub live: u32,
    /// Leases that keep the bytes, claim or not.
    pub pinning: u32,
    /// When the last of them runs out.
    pub latest: Option<LeaseDeadline>,
}

/// A shared structure has no room left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// It holds as many as it was made for.
    Limit(u64),
    /// It could hold more, and the memory that it lives in has no room for them.
    Memory,
}

impl Full {
    /// As the refusal of whoever wanted one more; `limit` is for the first case.
    #[must_use]
    pub fn refusal(self, limit: fn(u64) -> Refusal) -> Refusal {
        match self {
            Self::Limit(n) => limit(n),
            Self::Memory => Refusal::PagesFull,
        }
    }
}

/// A lease that was found and what it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// The block it keeps.
    pub block: BlockName,
    /// Its end now.
    pub deadline: LeaseDeadline,
}

/// One lease, for lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseSlot {
    /// What it is on.
    pub block: BlockName,
    /// Its end.
    pub deadline: LeaseDeadline,
    /// Whether it was ended before its time and only keeps its bytes.
    pub revoked: bool,
    /// The session it was taken in; 0: by a call.
    pub session: u64,
}

/// The shared pages.
pub trait Board {
    /// Makes an entry for a payload; one that it has already is made to show this.
    ///
    /// # Errors
    /// [`Full`] when the directory is.
    fn insert(&mut self, face: &Face) -> Result<EntryIndex, Full>;

    /// Makes an entry for a payload at the very index it had before, for a directory that is made anew while leases
    /// live on. Whether that could be done; a board that can't makes another.
    ///
    /// # Errors
    /// [`Full`] when the directory is.
    fn insert_at(&mut self, index: EntryIndex, face: &Face) -> Result<bool, Full> {
        let _ = (index, face);
        Ok(false)
    }

    /// Makes an entry show this from now on; ends with a sequentially consistent fence, so that a look at the lease
    /// pages afterwards sees every lease that was taken on what it showed before.
    fn publish(&mut self, index: EntryIndex, face: &Face);

    /// Takes an entry away. Its generation is remembered, so that names are not given out twice in a row.
    fn remove(&mut self, index: EntryIndex);

    /// Writes the record of a block before the block is made, RESERVED.
    ///
    /// # Errors
    /// [`Full`] when the records are.
    fn reserve_record(&mut self, record: &BlockRecord) -> Result<RecordIndex, Full>;

    /// Turns a record RESERVED, LIVE or RETIRED into a LIVE one that says this.
    fn set_live(&mut self, at: RecordIndex, record: &BlockRecord);

    /// Moves a record to another state.
    fn mark(&mut self, at: RecordIndex, state: BlockState);

    /// Frees a record: its block is gone.
    fn free_record(&mut self, at: RecordIndex);

    /// Looks through all lease pages once for leases on `blocks`; answers in their order.
    fn holders(&mut self, blocks: &[BlockName]) -> Vec<Holders>;

    /// Live leases on each of `entries`, whatever block, in one look.
    fn live_leases(&mut self, entries: &[EntryIndex]) -> Vec<u32>;

    /// Ends the claim of every lease on `index`; the bytes stay until each is given back or runs out.
    fn revoke(&mut self, index: EntryIndex);

    /// Gives out a lease.
    ///
    /// # Errors
    /// [`Full`] when no slot is free.
    fn grant(&mut self, block: BlockName, deadline: LeaseDeadline) -> Result<LeaseId, Full>;

    /// Takes a lease back; `None` if there is none of that id.
    fn give_back(&mut self, lease: LeaseId) -> Option<BlockName>;

    /// Extends a lease, never shortens it; `None` if it is over.
    fn renew(&mut self, lease: LeaseId, deadline: LeaseDeadline) -> Option<Renewed>;

    /// Ends the leases whose time has come and says which blocks they were on.
    fn expire(&mut self, now: LeaseDeadline) -> Vec<BlockName>;

    /// Leases whose time is not over at `now`, on any block of `on` or of anything, in the order of their slots from
    /// position `from` on: at most `most`. Each call looks at a bounded number of slots, and says where to go on; `None`
    /// after the last. A lease keeps its position.
    fn leases(
        &mut self,
        on: Option<EntryIndex>,
        from: u64,
        most: usize,
        now: LeaseDeadline,
    ) -> (Vec<LeaseSlot>, Option<u64>);

    /// Whose entry that is.
    fn owner(&self, index: EntryIndex) -> Option<PayloadId>;

    /// Leases with a live claim.
    fn lease_count(&self) -> u64;

    /// Hands the entries that were read without a word since the last time to `read`. A board whose readers all ask has
    /// none.
    fn collect_reads(&mut self, read: &mut dyn FnMut(EntryIndex)) {
        let _ = read;
    }
}
