//! A board that keeps no books beyond what its callers ask for, for tests with very many payloads: no referee, constant
//! time for each call.

use std::collections::HashMap;

use payload_manager_core::Ledger;
use payload_manager_core::board::{
    BlockRecord, BlockState, Board, Face, Full, Holders, LeaseSlot, RecordIndex, Renewed,
};
use payload_manager_core::ledger::{AllocateRequest, Limits, Now};
use payload_manager_types::{BlockName, EntryIndex, LeaseDeadline, LeaseId, PayloadId, Place, UnixMillis};

/// Entries, records and leases by number.
#[derive(Debug, Default)]
pub struct PlainBoard {
    entries: u32,
    records: u32,
    leases: HashMap<LeaseId, BlockName>,
    held: HashMap<BlockName, u32>,
}

impl Board for PlainBoard {
    fn insert(&mut self, _: &Face) -> Result<EntryIndex, Full> {
        self.entries += 1;
        EntryIndex::new(self.entries).ok_or(Full::Limit(1 << 24))
    }

    fn publish(&mut self, _: EntryIndex, _: &Face) {}

    fn remove(&mut self, _: EntryIndex) {}

    fn reserve_record(&mut self, _: &BlockRecord) -> Result<RecordIndex, Full> {
        self.records += 1;
        Ok(RecordIndex(self.records))
    }

    fn set_live(&mut self, _: RecordIndex, _: &BlockRecord) {}

    fn mark(&mut self, _: RecordIndex, _: BlockState) {}

    fn free_record(&mut self, _: RecordIndex) {}

    fn holders(&mut self, blocks: &[BlockName]) -> Vec<Holders> {
        let count = |block: &BlockName| self.held.get(block).copied().unwrap_or(0);
        blocks.iter().map(|block| Holders { live: count(block), pinning: count(block), latest: None }).collect()
    }

    fn live_leases(&mut self, entries: &[EntryIndex]) -> Vec<u32> {
        vec![0; entries.len()]
    }

    fn revoke(&mut self, _: EntryIndex) {}

    fn grant(&mut self, block: BlockName, _: LeaseDeadline) -> Result<LeaseId, Full> {
        let lease = LeaseId::from_words(7, self.leases.len() as u64);
        self.leases.insert(lease, block);
        *self.held.entry(block).or_default() += 1;
        Ok(lease)
    }

    fn give_back(&mut self, lease: LeaseId) -> Option<BlockName> {
        let block = self.leases.remove(&lease)?;
        *self.held.entry(block).or_default() -= 1;
        Some(block)
    }

    fn renew(&mut self, _: LeaseId, _: LeaseDeadline) -> Option<Renewed> {
        None
    }

    fn expire(&mut self, _: LeaseDeadline) -> Vec<BlockName> {
        Vec::new()
    }

    fn leases(&mut self, _: Option<EntryIndex>, _: u64, _: usize, _: LeaseDeadline) -> (Vec<LeaseSlot>, Option<u64>) {
        (Vec::new(), None)
    }

    fn owner(&self, _: EntryIndex) -> Option<PayloadId> {
        None
    }

    fn lease_count(&self) -> u64 {
        self.leases.len() as u64
    }
}

pub const NOW: Now = Now { wall: UnixMillis(1_000_000), monotonic: 5_000 };

/// An empty ledger for very many.
pub fn ledger(limits: Limits) -> Ledger<PlainBoard> {
    Ledger::new(PlainBoard::default(), Limits { max_payloads: 1 << 24, ..limits })
}

/// A committed payload.
pub fn create(ledger: &mut Ledger<PlainBoard>, request: AllocateRequest) {
    let id = request.id;
    let allocation = ledger.allocate(request, NOW).unwrap();
    ledger.allocated(allocation, Place::OWN);
    ledger.begin_commit(id, NOW).unwrap();
    ledger.finish_commit(id, None, NOW).unwrap();
}
