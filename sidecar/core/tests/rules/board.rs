//! A board over plain memory, with a referee.

use std::cell::Cell;

use payload_manager_core::board::{
    BlockRecord, BlockState, Board, Face, Full, Holders, LeaseSlot, RecordIndex, Renewed,
};
use payload_manager_types::{BlockName, EntryIndex, LeaseDeadline, LeaseId, PayloadId, PayloadState};

use crate::pages::{Pages, Slot};

/// How much there is room for.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub entries: u32,
    pub records: u32,
    pub leases: usize,
}

/// The model of the shared pages.
#[derive(Debug)]
pub struct ModelBoard {
    pub pages: Pages,
    pub room: Room,
    /// Nobody is served yet, so nobody can be misled.
    pub starting: bool,
    /// How often the lease pages were looked through.
    pub scans: Cell<u32>,
}

impl ModelBoard {
    pub fn new(pages: Pages, room: Room) -> Self {
        Self { pages, room, starting: false, scans: Cell::new(0) }
    }

    fn vacant(&self) -> Option<EntryIndex> {
        (0..self.room.entries).filter_map(EntryIndex::new).find(|index| !self.pages.entries.contains_key(index))
    }

    fn write(&mut self, index: EntryIndex, face: &Face) {
        self.pages.check_face(index, face, self.starting);
        if let Some(before) = self.pages.entries.get(&index) {
            Pages::check_change(before, face);
        }
        self.pages.last.insert(index, face.last_generation);
        self.pages.entries.insert(index, *face);
    }

    /// A client takes a lease without asking anybody.
    pub fn take(&mut self, index: EntryIndex, deadline: LeaseDeadline) -> Option<LeaseId> {
        let (block, tier) = self.pages.shown(index)?;
        let face = self.pages.entries[&index];
        let on = (face.id, tier, face.place);
        Some(self.pages.hold(Slot { block, deadline, live: true, client: true, on }))
    }
}

impl Pages {
    fn hold(&mut self, slot: Slot) -> LeaseId {
        self.next_lease += 1;
        let id = LeaseId::from_words(7, self.next_lease);
        self.slots.insert(id, slot);
        id
    }
}

impl Board for ModelBoard {
    fn insert(&mut self, face: &Face) -> Result<EntryIndex, Full> {
        let there = self.pages.entry_of(face.id);
        let index = there.or_else(|| self.vacant()).ok_or(Full::Limit(self.room.entries.into()))?;
        self.write(index, face);
        Ok(index)
    }

    fn insert_at(&mut self, index: EntryIndex, face: &Face) -> Result<bool, Full> {
        if self.pages.entries.contains_key(&index) || self.pages.entry_of(face.id).is_some() {
            return Ok(false);
        }
        self.write(index, face);
        Ok(true)
    }

    fn publish(&mut self, index: EntryIndex, face: &Face) {
        assert!(self.pages.entries.contains_key(&index), "published where there is no entry: {face:?}");
        self.write(index, face);
    }

    fn remove(&mut self, index: EntryIndex) {
        let face = self.pages.entries.remove(&index).expect("an entry is taken away once");
        assert!(!face.state.is_readable() || self.starting, "taken away while it is shown: {face:?}");
        let named = self.pages.slots.values().find(|slot| slot.block.index == index);
        assert!(named.is_none(), "taken away while a lease names it: {face:?} {named:?}");
    }

    fn reserve_record(&mut self, record: &BlockRecord) -> Result<RecordIndex, Full> {
        assert_eq!(record.block, None, "named before it is made");
        let full = Full::Limit(self.room.records.into());
        let free = |at: &RecordIndex| !self.pages.records.contains_key(at);
        let at = (0..self.room.records).map(RecordIndex).find(free).ok_or(full)?;
        self.pages.records.insert(at, (BlockState::Reserved, *record));
        Ok(at)
    }

    fn set_live(&mut self, at: RecordIndex, record: &BlockRecord) {
        let (state, before) = self.pages.records.get_mut(&at).expect("a record that is in use");
        assert_ne!(*state, BlockState::Deleting, "a deleted payload came back: {record:?}");
        assert!(before.version <= record.version, "the version went back: {before:?} {record:?}");
        assert_eq!((before.id, before.size), (record.id, record.size), "a record changed hands");
        assert!(record.block.is_some() && record.reclaim_at.is_none(), "live and not committed: {record:?}");
        (*state, *before) = (BlockState::Live, *record);
    }

    fn mark(&mut self, at: RecordIndex, state: BlockState) {
        self.pages.check_mark(at, state);
        self.pages.records.get_mut(&at).expect("a record that is in use").0 = state;
    }

    fn free_record(&mut self, at: RecordIndex) {
        let (state, record) = self.pages.records.remove(&at).expect("a record is freed once");
        assert!(state != BlockState::Live || self.starting, "freed while it is live: {record:?}");
        assert!(record.block.is_none_or(|block| self.pages.pins(block) == 0), "freed under a lease: {record:?}");
    }

    fn holders(&mut self, blocks: &[BlockName]) -> Vec<Holders> {
        self.scans.set(self.scans.get() + 1);
        let of = |block: &BlockName| {
            let slots: Vec<&Slot> = self.pages.slots.values().filter(|slot| slot.block == *block).collect();
            let count = |n: usize| u32::try_from(n).unwrap();
            Holders {
                live: count(slots.iter().filter(|slot| slot.live).count()),
                pinning: count(slots.len()),
                latest: slots.iter().map(|slot| slot.deadline).max(),
            }
        };
        blocks.iter().map(of).collect()
    }

    fn live_leases(&mut self, entries: &[EntryIndex]) -> Vec<u32> {
        let of = |index: &EntryIndex| {
            let live = self.pages.slots.values().filter(|slot| slot.live && slot.block.index == *index);
            u32::try_from(live.count()).unwrap()
        };
        entries.iter().map(of).collect()
    }

    fn revoke(&mut self, index: EntryIndex) {
        let shown = self.pages.entries.get(&index).map(|face| face.state);
        assert_eq!(shown, Some(PayloadState::Deleting), "revoked while new leases can be taken");
        self.pages.slots.values_mut().filter(|slot| slot.block.index == index).for_each(|slot| slot.live = false);
    }

    fn grant(&mut self, block: BlockName, deadline: LeaseDeadline) -> Result<LeaseId, Full> {
        if self.pages.slots.len() >= self.room.leases {
            return Err(Full::Limit(self.room.leases as u64));
        }
        let (shown, tier) = self.pages.shown(block.index).expect("an entry that is open");
        assert_eq!(shown, block, "a lease on what is not shown");
        let face = self.pages.entries[&block.index];
        let on = (face.id, tier, face.place);
        Ok(self.pages.hold(Slot { block, deadline, live: true, client: false, on }))
    }

    fn give_back(&mut self, lease: LeaseId) -> Option<BlockName> {
        self.pages.slots.remove(&lease).map(|slot| slot.block)
    }

    fn renew(&mut self, lease: LeaseId, deadline: LeaseDeadline) -> Option<Renewed> {
        let slot = self.pages.slots.get_mut(&lease).filter(|slot| slot.live)?;
        slot.deadline = slot.deadline.max(deadline);
        Some(Renewed { block: slot.block, deadline: slot.deadline })
    }

    fn expire(&mut self, now: LeaseDeadline) -> Vec<BlockName> {
        let due: Vec<LeaseId> = self.pages.slots.iter().filter(|(_, s)| s.deadline <= now).map(|(id, _)| *id).collect();
        let mut ended = Vec::new();
        for id in due {
            let slot = self.pages.slots[&id];
            if slot.client {
                self.pages.slots.insert(id, Slot { live: false, ..slot });
            } else {
                self.pages.slots.remove(&id);
                ended.push(slot.block);
            }
        }
        ended
    }

    fn leases(
        &mut self,
        on: Option<EntryIndex>,
        from: u64,
        most: usize,
        now: LeaseDeadline,
    ) -> (Vec<LeaseSlot>, Option<u64>) {
        // Of each slot its number; two are looked at in a call.
        let mut after = self.pages.slots.iter().filter(|(id, _)| id.to_words().1 >= from).take(3);
        let wanted = |slot: &Slot| on.is_none_or(|index| slot.block.index == index) && slot.deadline > now;
        let looked: Vec<&Slot> = after.by_ref().take(most.min(2)).map(|(_, slot)| slot).collect();
        let found = looked.into_iter().filter(|slot| wanted(slot));
        let rows =
            found.map(|s| LeaseSlot { block: s.block, deadline: s.deadline, revoked: !s.live, session: 0 }).collect();
        (rows, after.next().map(|(id, _)| id.to_words().1))
    }

    fn owner(&self, index: EntryIndex) -> Option<PayloadId> {
        self.pages.entries.get(&index).map(|face| face.id)
    }

    fn lease_count(&self) -> u64 {
        self.pages.slots.values().filter(|slot| slot.live).count() as u64
    }
}
