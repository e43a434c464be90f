//! Start-up: the ledger is told what was found, before it serves.

use payload_manager_types::{BlockName, EntryIndex, Generation, PayloadId, Place, Tier, TierSet};

use super::{Ledger, Now};
use crate::backlog::Retired;
use crate::board::{Board, Full, RecordIndex};
use crate::facts::{Facts, Phase};
use crate::payload::{Copy, Payload};

/// A RAM block whose record says it is readable, or being written by a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RamBlock {
    /// Its record.
    pub record: RecordIndex,
    /// Where.
    pub place: Place,
    /// Its name in leases, once committed.
    pub block: Option<BlockName>,
}

/// A payload as start-up has put it together from catalog, records, directory and disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// What is known of it; `version` is the highest that any source has.
    pub facts: Facts,
    /// Its RAM copy.
    pub ram: Option<RamBlock>,
    /// Slower tiers whose copy was found.
    pub found: TierSet,
    /// Its entry and the generations the entry names its copies by.
    pub entry: Option<(EntryIndex, [Generation; 4], Generation)>,
}

impl<B: Board> Ledger<B> {
    /// Takes a payload in. Its entry, if it had one, is kept: leases name it (promise: survives-kill).
    ///
    /// # Errors
    /// [`Full`] if the directory has no room for it.
    pub fn adopt(&mut self, adopted: Adopted) -> Result<(), Full> {
        let Adopted { facts, ram, found, entry } = adopted;
        let (id, size, committed) = (facts.id, facts.size, facts.phase == Phase::Committed);
        let held = facts.copies;
        let mut payload = Payload::new(facts);
        let generations = match entry {
            Some((index, generations, last)) => {
                payload.entry = Some(index);
                payload.last_generation = last;
                generations
            }
            None => [0; 4],
        };
        for tier in found.iter() {
            let generation = generations.get(tier.index()).copied().unwrap_or(0);
            payload.set_copy(tier, Some(Copy { place: Place::OWN, generation, record: None }));
        }
        if let Some(ram) = ram {
            let generation = ram.block.map_or(0, |b| b.generation);
            payload.entry = payload.entry.or(ram.block.map(|b| b.index));
            payload.set_copy(Tier::Ram, Some(Copy { place: ram.place, generation, record: Some(ram.record) }));
        }
        let tiers = payload.tiers();
        payload.missing = held.iter().filter(|t| !tiers.contains(*t)).collect();
        // RAM is never owed: what has a slower copy has simply been dropped from it.
        if !tiers.iter().all(|t| t == Tier::Ram) {
            payload.missing = payload.missing.without(Tier::Ram);
        }
        for tier in tiers.iter() {
            if let Ok(budget) = self.budget(tier) {
                budget.adopt(size);
            }
        }
        self.list(super::shown(&payload), (payload.facts.created, id), size);
        self.payloads.insert(id, payload);
        self.set_timer(id);
        if committed { self.appear(id) } else { Ok(()) }
    }

    /// Gives an adopted payload its names and shows it.
    fn appear(&mut self, id: PayloadId) -> Result<(), Full> {
        for tier in Tier::ALL {
            let unnamed = self.payloads.get(&id).and_then(|p| p.copy(tier)).is_some_and(|c| c.generation == 0);
            if unnamed {
                let generation = self.next_generation(id);
                self.update(id, |p| {
                    let copy = p.copy(tier).map(|c| Copy { generation, ..*c });
                    p.set_copy(tier, copy);
                });
            }
        }
        let Some(payload) = self.payloads.get(&id) else { return Ok(()) };
        match (payload.entry, payload.face()) {
            (Some(index), Some(face)) => self.board.publish(index, &face),
            (Some(_), None) => self.close(id),
            (None, Some(face)) => {
                let index = self.board.insert(&face)?;
                self.update(id, |p| p.entry = Some(index));
            }
            (None, None) => {}
        }
        self.relive(id);
        self.enqueue(id);
        Ok(())
    }

    /// A RAM record that has no name yet, or an old version, says what the entry says.
    fn relive(&mut self, id: PayloadId) {
        let Some(payload) = self.payloads.get(&id) else { return };
        if let Some(copy) = payload.copy(Tier::Ram)
            && let Some(at) = copy.record
        {
            let record = payload.record(copy.place, Some(copy.generation));
            self.board.set_live(at, &record);
        }
    }

    /// A block found on its way out: it waits for its leases, or is handed out to be freed. Its entry, if no payload
    /// has it, goes with the last of them.
    pub fn adopt_retired(&mut self, block: Retired) -> Vec<Retired> {
        if let Ok(budget) = self.budget(block.tier) {
            budget.adopt(block.size);
        }
        if let Some(name) = block.block
            && !self.payloads.contains_key(&block.id)
        {
            self.graves.insert(block.id, name.index);
        }
        self.retire(vec![block])
    }

    /// Deletes, as a start-up does, what was being deleted or had run out while nobody was there.
    pub fn adopt_ended(&mut self, now: Now) -> Vec<super::Deletion> {
        self.end_due(now)
    }

    /// Whether a payload is known.
    pub fn knows(&self, id: PayloadId) -> bool {
        self.payloads.contains_key(&id)
    }
}
