//! What a start makes of one payload: which of its copies are there, and what its row has to say from now on.

use payload_manager_catalog::Change;
use payload_manager_core::board::{Board, RecordIndex};
use payload_manager_core::facts::{Facts, Labels, Phase};
use payload_manager_core::ledger::{Adopted, RamBlock};
use payload_manager_shm::{EntryState, Face, Record};
use payload_manager_tiers::TierStore;
use payload_manager_types::{Checksum, EntryIndex, PayloadId, PayloadState, Place, Tier, TierSet};

use super::{LOST_PAGES_STEP, Recovery, View};
use crate::archive;
use crate::engine::write::put;

impl Recovery {
    /// Takes a payload into the ledger, with what was found of it, or forgets it.
    pub(super) fn adopt(&mut self, id: PayloadId, view: View) {
        let View { row, ram, entry, disk } = view;
        let committed_row = row.as_ref().is_some_and(|row| row.phase == Phase::Committed);
        let Some(mut facts) = row.or_else(|| ram.as_ref().map(|(_, record)| facts_of(record))) else {
            return;
        };
        // A record that is live is the proof of a commit, whatever the row still says.
        if let Some((_, record)) = &ram
            && record.reclaim_at.is_none()
        {
            facts.phase = Phase::Committed;
            facts.reclaim_at = None;
            facts.checksum = facts.checksum.or(record.checksum);
            facts.version = facts.version.max(record.version);
        }
        let face = entry.and_then(|e| e.face);
        let raised = facts.phase == Phase::Committed && entry.is_none();
        facts.version = facts.version.max(face.map_or(0, |f| f.version)) + if raised { LOST_PAGES_STEP } else { 0 };
        // What was shown in the middle of something is shown as something else now (promise: monotonic).
        let settled = |f: Face| matches!(f.state, EntryState::Shown(PayloadState::Active | PayloadState::Durable));
        let unsettled = facts.phase == Phase::Committed && face.is_some_and(|f| !settled(f));
        facts.version += u64::from(unsettled);
        let recorded = ram.is_some();
        let ram = ram.and_then(|(at, record)| self.usable_ram(at, &record, &facts));
        let unsaid = self.unsaid_copy(&mut facts, disk, ram.is_some());
        let on_disk = disk == Some(facts.size) || (facts.phase == Phase::Allocated && disk.is_some());
        let there = |tier: &Tier| *tier == Tier::Object || (*tier == Tier::Disk && on_disk);
        let found: TierSet = facts.copies.iter().filter(there).collect();
        if (raised || recorded) && ram.is_none() && found != TierSet::EMPTY {
            self.drop_cache(id);
        }
        if facts.phase == Phase::Allocated && ram.is_none() && found == TierSet::EMPTY {
            // Its space was never made, so nobody was told of it.
            self.changes.push(Change::Delete { id, doomed: Vec::new() });
            return;
        }
        // From here on the row remembers how high the version is.
        if unsaid || raised || (facts.phase == Phase::Committed && !committed_row) {
            self.changes.push(put(facts.clone()));
        }
        self.admit(facts, ram, found, entry.map(|e| (e.index, face)));
    }

    /// A RAM copy whose object is there; of one that is not, the record goes.
    fn usable_ram(&mut self, at: RecordIndex, record: &Record, facts: &Facts) -> Option<RamBlock> {
        if record.place == Place::SEALED {
            tracing::warn!(payload = %record.id, "its sealed memory went with the daemon that kept it");
            self.ledger.board_mut().free_record(at);
            return None;
        }
        let usable = match self.ram.segments().filter(|_| record.place.is_part()) {
            Some(segments) => segments.adopt(record.place, record.length),
            None => match self.objects.get(&record.id) {
                Some(length) => *length == record.length || facts.phase == Phase::Allocated,
                None => false,
            },
        };
        if usable {
            return Some(RamBlock { record: at, place: record.place, block: record.block });
        }
        if facts.phase == Phase::Allocated {
            // Its memory was not made yet, or not any more: nobody was told of it, or it was given up.
            tracing::debug!(payload = %record.id, "an allocation has no memory: it is forgotten");
        } else {
            let location = self.ram.location(record.id, record.place);
            tracing::error!(payload = %record.id, ?location, "its shared-memory object is gone or was resized");
        }
        self.ledger.board_mut().free_record(at);
        None
    }

    /// A copy in memory whose record is lost, or that was resized, serves nobody and is not counted. With a file behind
    /// it, it goes; without, it may be all there is, and stays until its payload is deleted (promises: no-leak,
    /// never-the-only-copy).
    fn drop_cache(&self, id: PayloadId) {
        if let Err(error) = self.ram.free(id, Place::OWN) {
            tracing::error!(payload = %id, %error, "a copy in memory that is of no use could not be removed");
        }
    }

    /// A whole file that the row does not know of: the crash came between the file and the row. It is a copy like any
    /// other, and its archive metadata has its checksum.
    fn unsaid_copy(&mut self, facts: &mut Facts, disk: Option<u64>, has_ram: bool) -> bool {
        if facts.copies.contains(Tier::Disk) || disk.is_none() {
            return false;
        }
        let checksum = self.archived_checksum(facts.id).filter(|_| disk == Some(facts.size));
        match checksum {
            Some(sum) if facts.phase == Phase::Committed && facts.checksum.is_none_or(|known| known == sum) => {
                facts.checksum = Some(sum);
                facts.copies = facts.copies.with(Tier::Disk);
                facts.version += 1;
                if !has_ram {
                    facts.copies = facts.copies.without(Tier::Ram);
                }
                true
            }
            _ => {
                self.orphan(facts.id);
                false
            }
        }
    }

    fn archived_checksum(&self, id: PayloadId) -> Option<Checksum> {
        archive::checksum(&self.disk.archive(id).ok()??)
    }

    fn admit(
        &mut self,
        facts: Facts,
        ram: Option<RamBlock>,
        found: TierSet,
        entry: Option<(EntryIndex, Option<Face>)>,
    ) {
        self.report.payloads += 1;
        self.report.allocated += u64::from(facts.phase == Phase::Allocated);
        let lost = ram.is_none() && found == TierSet::EMPTY;
        self.report.lost += u64::from(lost);
        if lost {
            tracing::error!(payload = %facts.id, "no copy of it is left; it stays listed until it is deleted");
        }
        let id = facts.id;
        let entry = entry.map(|(index, face)| {
            let (generations, last) = face.map_or(([0; 4], 0), |f| (f.generations, f.last_generation));
            (index, generations, last.max(self.ledger.board().directory.last_generation(index)))
        });
        if let Err(full) = self.ledger.adopt(Adopted { facts, ram, found, entry }) {
            tracing::error!(payload = %id, ?full, "the directory has no room for it: raise max-payloads, or give shared memory more; until then it can't be leased");
        }
    }
}

/// What a record says of a payload whose row was never written.
fn facts_of(record: &Record) -> Facts {
    Facts {
        id: record.id,
        size: record.length,
        phase: if record.reclaim_at.is_some() { Phase::Allocated } else { Phase::Committed },
        version: record.version.max(1),
        preferred: record.preferred,
        copies: TierSet::EMPTY.with(Tier::Ram),
        created: record.created,
        expires: record.expires,
        reclaim_at: record.reclaim_at,
        policy: record.policy,
        no_evict: record.no_evict,
        protection: record.protection,
        checksum: record.checksum,
        pin: None,
        labels: Labels::default(),
    }
}
