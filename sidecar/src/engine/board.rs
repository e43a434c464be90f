//! The ledger's port laid over shared memory: directory, records and lease pages of one instance.
//!
//! Translation only. What is written in which order is the ledger's; what an order of writes means to a reader is
//! `payload-manager-shm`'s.

use payload_manager_core::board::{
    BlockRecord, BlockState, Board, Face, Full, Holders, LeaseSlot, RecordIndex, Renewed,
};
use payload_manager_shm::boot::monotonic_ms;
use payload_manager_shm::{self as shm, Directory, EntryState, Listing, Record, RecordIx, Records, RpcLeases};
use payload_manager_types::{BlockName, EntryIndex, LeaseDeadline, LeaseId, PayloadId};

/// Slots that one look at a list of leases sees at most: a fraction of a millisecond.
const LOOK: usize = 1 << 16;

/// The shared pages of this daemon.
#[derive(Debug)]
pub struct SharedPages {
    /// What clients look up.
    pub directory: Directory,
    /// One record a RAM block.
    pub records: Records,
    /// Leases of RPC callers.
    pub leases: RpcLeases,
}

impl SharedPages {
    /// The pages, open.
    pub fn new(directory: Directory, records: Records, leases: RpcLeases) -> Self {
        Self { directory, records, leases }
    }
}

fn number(at: RecordIndex) -> RecordIx {
    RecordIx::new(at.0)
}

impl Board for SharedPages {
    fn insert(&mut self, face: &Face) -> Result<EntryIndex, Full> {
        self.directory.insert(&shown(face)).map_err(|e| full(&e))
    }

    fn insert_at(&mut self, index: EntryIndex, face: &Face) -> Result<bool, Full> {
        self.directory.insert_at(index, &shown(face)).map_err(|e| full(&e))
    }

    fn publish(&mut self, index: EntryIndex, face: &Face) {
        self.directory.publish(index, &shown(face));
    }

    fn remove(&mut self, index: EntryIndex) {
        self.directory.remove(index);
    }

    fn reserve_record(&mut self, record: &BlockRecord) -> Result<RecordIndex, Full> {
        let ix = self.records.reserve(&recorded(record)).map_err(|e| full(&e))?;
        Ok(RecordIndex(ix.get()))
    }

    fn set_live(&mut self, at: RecordIndex, record: &BlockRecord) {
        let legal = self.records.set_live(number(at), &recorded(record));
        debug_assert!(legal, "record {at:?} can't say {record:?}");
    }

    fn mark(&mut self, at: RecordIndex, state: BlockState) {
        let state = match state {
            BlockState::Reserved => shm::BlockState::Reserved,
            BlockState::Live => shm::BlockState::Live,
            BlockState::Retired => shm::BlockState::Retired,
            BlockState::Deleting => shm::BlockState::Deleting,
        };
        self.records.mark(number(at), state);
    }

    fn free_record(&mut self, at: RecordIndex) {
        self.records.free(number(at));
    }

    fn holders(&mut self, blocks: &[BlockName]) -> Vec<Holders> {
        let found = if blocks.is_empty() { Vec::new() } else { self.leases.holders(blocks, monotonic_ms()) };
        found.into_iter().map(|h| Holders { live: h.live, pinning: h.pinning, latest: h.latest }).collect()
    }

    fn live_leases(&mut self, entries: &[EntryIndex]) -> Vec<u32> {
        if entries.is_empty() { Vec::new() } else { self.leases.count_by_entry(entries, monotonic_ms()) }
    }

    fn revoke(&mut self, index: EntryIndex) {
        self.leases.revoke(index);
    }

    fn grant(&mut self, block: BlockName, deadline: LeaseDeadline) -> Result<LeaseId, Full> {
        self.leases.grant(block, deadline).map_err(|e| full(&e))
    }

    fn give_back(&mut self, lease: LeaseId) -> Option<BlockName> {
        self.leases.release(lease)
    }

    fn renew(&mut self, lease: LeaseId, deadline: LeaseDeadline) -> Option<Renewed> {
        let (block, deadline) = self.leases.renew(lease, deadline, monotonic_ms())?;
        Some(Renewed { block, deadline })
    }

    fn expire(&mut self, now: LeaseDeadline) -> Vec<BlockName> {
        self.leases.expire_due(now.0)
    }

    fn leases(
        &mut self,
        on: Option<EntryIndex>,
        from: u64,
        most: usize,
        now: LeaseDeadline,
    ) -> (Vec<LeaseSlot>, Option<u64>) {
        let (found, next) = self.leases.page(Listing { on, from, most, look: LOOK, now_ms: now.0 });
        let slot = |view: shm::LeaseView| LeaseSlot {
            block: view.block,
            deadline: view.deadline,
            revoked: view.state == shm::slot::SlotState::Revoked,
        };
        (found.into_iter().map(slot).collect(), next)
    }

    fn owner(&self, index: EntryIndex) -> Option<PayloadId> {
        self.directory.read(index).map(|(face, _)| face.id)
    }

    fn lease_count(&self) -> u64 {
        u64::from(self.leases.live_count())
    }
}

fn shown(face: &Face) -> shm::Face {
    shm::Face {
        id: face.id,
        version: face.version,
        tier: face.tier,
        place: face.place,
        length: face.length,
        state: if face.state.is_readable() { EntryState::Shown(face.state) } else { EntryState::Closed },
        expires: face.expires,
        generations: face.generations,
        last_generation: face.last_generation,
    }
}

fn recorded(record: &BlockRecord) -> Record {
    Record {
        id: record.id,
        length: record.size,
        created: record.created,
        expires: record.expires,
        policy: record.policy,
        no_evict: record.no_evict,
        protection: record.protection,
        preferred: record.preferred,
        place: record.place,
        block: record.block,
        checksum: record.checksum,
        version: record.version,
        reclaim_at: record.reclaim_at,
    }
}

/// What ran out. Of memory the log says for which page, and what the system said.
fn full(error: &shm::Full) -> Full {
    match error {
        shm::Full::Limit { max, .. } => Full::Limit((*max).into()),
        shm::Full::Memory { .. } => {
            tracing::error!(%error, "a shared page can't grow; give the shared-memory file system or the cgroup more");
            Full::Memory
        }
    }
}
