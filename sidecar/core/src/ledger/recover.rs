//! Start-up: the ledger is told what was found, before it serves.

use payload_manager_types::{BlockName, EntryIndex, Generation, PayloadId, Place, Tier, TierSet};

use super::{Deletion, Ledger, Now};
use crate::backlog::Retired;
use crate::board::{Board, Full, RecordIndex};
use crate::changes::Kind;
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
    /// Makes room for so many payloads at once.
    pub fn expect(&mut self, payloads: usize) {
        self.payloads.reserve(payloads);
        self.owned.reserve(payloads);
    }

    /// Takes a payload in. Its entry, if it had one, is kept: leases name it (promise: survives-kill). All payloads come
    /// before the first [`Self::adopt_retired`].
    ///
    /// # Errors
    /// [`Full`] if the directory has no room for it: it is there, and no lease can be taken on it.
    pub fn adopt(&mut self, adopted: Adopted) -> Result<(), Full> {
        let (id, size) = (adopted.facts.id, adopted.facts.size);
        let (entry, named) = (adopted.entry, adopted.ram.and_then(|ram| ram.block));
        let payload = gather(adopted);
        for tier in payload.tiers().iter() {
            if let Ok(budget) = self.budget(tier) {
                budget.adopt(size);
            }
        }
        let committed = payload.is_committed();
        self.list(super::shown(&payload), (payload.facts.created, id), size);
        self.payloads.insert(id, Box::new(payload));
        self.set_timer(id);
        let done = if committed { self.appear(id, entry.map(|(_, shown, _)| shown), named) } else { Ok(()) };
        self.owned.extend(self.payloads.get(&id).and_then(|p| p.entry));
        done
    }

    /// Gives an adopted payload its names and shows it.
    fn appear(&mut self, id: PayloadId, shown: Option<[Generation; 4]>, named: Option<BlockName>) -> Result<(), Full> {
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
        // A crash came between a change and its showing, or took a copy: who looked before sees another version now
        // (promise: monotonic).
        self.update(id, |p| p.facts.version += u64::from(shown.is_some_and(|shown| shown != p.generations())));
        self.enter_again(id, named)?;
        self.relive(id);
        self.enqueue(id);
        Ok(())
    }

    /// The entry it had; or one where its block's name says it was, because leases may still name that; or any.
    fn enter_again(&mut self, id: PayloadId, named: Option<BlockName>) -> Result<(), Full> {
        let Some(payload) = self.payloads.get(&id) else { return Ok(()) };
        let Some(face) = payload.face() else {
            self.close(id);
            return Ok(());
        };
        if let Some(index) = payload.entry {
            self.board.publish(index, &face);
            return Ok(());
        }
        let index = match named.map(|name| name.index) {
            Some(index) if self.board.insert_at(index, &face)? => index,
            _ => self.board.insert(&face)?,
        };
        self.update(id, |p| p.entry = Some(index));
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
    ///
    /// What a payload still has is no garbage, whoever says so: then only the record goes (promise:
    /// never-the-only-copy).
    pub fn adopt_retired(&mut self, block: Retired) -> Vec<Retired> {
        let payload = self.payloads.get(&block.id);
        if let Some(copy) = payload.and_then(|p| p.copy(block.tier)).filter(|c| c.place == block.place) {
            if let Some(record) = block.record.filter(|r| copy.record != Some(*r)) {
                self.board.free_record(record);
            }
            return Vec::new();
        }
        // An index that is another payload's by now says nothing about this one.
        if payload.is_none()
            && let Some(index) = block.block.map(|name| name.index)
            && self.owned.insert(index)
        {
            self.graves.insert(block.id, index);
        }
        if let Ok(budget) = self.budget(block.tier) {
            budget.adopt(block.size);
        }
        self.retire(vec![block])
    }

    /// Deletes, as a start-up does, what was being deleted or had run out while nobody was there.
    pub fn adopt_ended(&mut self, now: Now) -> Vec<Deletion> {
        let deleting = self.payloads.values().filter(|p| p.facts.phase == Phase::Deleting);
        let ids: Vec<PayloadId> = deleting.map(|p| p.id()).collect();
        let mut ended = Vec::new();
        for id in ids {
            self.close(id);
            ended.extend(self.bury(id, Kind::Deleted));
        }
        ended.extend(self.end_due(now));
        ended
    }

    /// Whether a payload has a copy in a tier.
    pub fn has_copy(&self, id: PayloadId, tier: Tier) -> bool {
        self.payloads.get(&id).is_some_and(|payload| payload.copy(tier).is_some())
    }

    /// Whether a payload is known.
    pub fn knows(&self, id: PayloadId) -> bool {
        self.payloads.contains_key(&id)
    }
}

/// The payload that these remains make, its copies named as far as they had names.
fn gather(adopted: Adopted) -> Payload {
    let Adopted { facts, ram, found, entry } = adopted;
    let held = facts.copies;
    let reclaim_at = facts.reclaim_at.filter(|_| facts.phase == Phase::Allocated);
    let mut payload = Payload::new(Facts { reclaim_at, ..facts });
    payload.entry = entry.map(|(index, ..)| index);
    payload.last_generation = entry.map_or(0, |(_, _, last)| last);
    for tier in found.iter() {
        let generation = entry.and_then(|(_, shown, _)| shown.get(tier.index()).copied()).unwrap_or(0);
        payload.set_copy(tier, Some(Copy { place: Place::OWN, generation, record: None }));
    }
    if let Some(ram) = ram {
        let generation = ram.block.map_or(0, |b| b.generation);
        payload.set_copy(Tier::Ram, Some(Copy { place: ram.place, generation, record: Some(ram.record) }));
    }
    payload.miss(held);
    payload
}
