//! The memory that outlives a crash: directory, records and lease slots, as plain maps, and the rules of their writes.

use std::collections::BTreeMap;

use payload_manager_core::board::{BlockRecord, BlockState, Face, RecordIndex};
use payload_manager_types::{BlockName, EntryIndex, Generation, LeaseDeadline, LeaseId, PayloadId, Tier};

use crate::world::Spot;

/// A lease slot. One whose claim has ended goes on keeping its block.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    pub block: BlockName,
    pub deadline: LeaseDeadline,
    /// Whether it still has a claim.
    pub live: bool,
    /// Whether a client wrote it by itself: then it ends only when the client says so.
    pub client: bool,
    /// What it was taken on; a name must not come to mean anything else.
    pub on: Spot,
}

/// What shared memory holds.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    pub entries: BTreeMap<EntryIndex, Face>,
    /// The generation given out last in an entry, vacant or not.
    pub last: BTreeMap<EntryIndex, Generation>,
    pub records: BTreeMap<RecordIndex, (BlockState, BlockRecord)>,
    pub slots: BTreeMap<LeaseId, Slot>,
    pub next_lease: u64,
}

impl Pages {
    pub fn entry_of(&self, id: PayloadId) -> Option<EntryIndex> {
        self.entries.iter().find(|(_, face)| face.id == id).map(|(index, _)| *index)
    }

    pub fn face_of(&self, id: PayloadId) -> Option<&Face> {
        self.entries.values().find(|face| face.id == id)
    }

    pub fn pins(&self, block: BlockName) -> usize {
        self.slots.values().filter(|slot| slot.block == block).count()
    }

    /// What the entry shows to somebody who may take a lease.
    pub fn shown(&self, index: EntryIndex) -> Option<(BlockName, Tier)> {
        let face = self.entries.get(&index).filter(|face| face.state.is_readable())?;
        let generation = *face.generations.get(face.tier.index())?;
        Some((BlockName { index, generation }, face.tier))
    }

    /// Fails the test if showing this could mislead anybody.
    pub fn check_face(&self, index: EntryIndex, face: &Face, starting: bool) {
        let names: Vec<Generation> = face.generations.into_iter().filter(|g| *g != 0).collect();
        let mut distinct = names.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(names.len(), distinct.len(), "two copies have one name: {face:?}");
        for tier in Tier::ALL {
            let generation = face.generations[tier.index()];
            let block = BlockName { index, generation };
            for slot in self.slots.values().filter(|slot| slot.block == block) {
                let (id, of, place) = slot.on;
                let same_place = tier != face.tier || place == face.place;
                assert!((id, of) == (face.id, tier) && same_place, "a name means another block: {slot:?}, {face:?}");
            }
        }
        if !face.state.is_readable() {
            return;
        }
        assert_ne!(face.generations[face.tier.index()], 0, "readable and without a name: {face:?}");
        if face.tier == Tier::Ram && !starting {
            let block = Some(BlockName { index, generation: face.generations[Tier::Ram.index()] });
            let live = |(state, record): &(BlockState, BlockRecord)| {
                *state == BlockState::Live && record.id == face.id && record.block == block
            };
            assert!(self.records.values().any(live), "shown before its record is live: {face:?}");
        }
    }

    /// Fails the test if what an entry shows changes in a way that a reader could not tell, or goes back.
    pub fn check_change(before: &Face, after: &Face) {
        assert_eq!(before.id, after.id, "an entry changed hands");
        assert!(before.version <= after.version, "the version went back: {before:?} {after:?}");
        let visible = |face: &Face| (face.tier, face.place, face.generations[face.tier.index()], face.state);
        if before.state.is_readable() && after.state.is_readable() && visible(before) != visible(after) {
            assert!(
                before.version < after.version,
                "another placement or state, the same version: {before:?} {after:?}"
            );
        }
    }

    /// Fails the test unless a record may make this move.
    pub fn check_mark(&self, at: RecordIndex, to: BlockState) {
        let (state, record) = &self.records[&at];
        let legal = match to {
            BlockState::Retired => *state != BlockState::Deleting,
            BlockState::Deleting => true,
            BlockState::Reserved | BlockState::Live => false,
        };
        assert!(legal, "{record:?} went from {state:?} to {to:?}");
        if let Some(block) = record.block {
            let shown = self.shown(block.index).map(|(name, _)| name);
            assert_ne!(shown, Some(block), "retired while it is shown: {record:?}");
        }
    }
}
