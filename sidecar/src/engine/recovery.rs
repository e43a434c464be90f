//! Start-up: what was left behind becomes a ledger again (promises: survives-kill, never-the-only-copy, no-leak).
//!
//! ```text
//! catalog rows ──┐
//! records ───────┤                         ┌─► payloads, each with the copies that were found
//! directory ─────┼─► one view a payload ───┼─► blocks on their way out: they wait for their leases
//! lease pages ───┤                         └─► rows to be written: what a crash had left unsaid
//! disk folder ───┘
//! ```
//!
//! Nothing is deleted that a record, the list of doomed files or a `.tmp` name does not say is garbage: a file that
//! nobody knows is moved to `orphans/`.

mod files;

use std::collections::{HashMap, HashSet};

use payload_manager_catalog::{Change, DoomedFile};
use payload_manager_core::Ledger;
use payload_manager_core::backlog::Retired;
use payload_manager_core::board::{Board, RecordIndex};
use payload_manager_core::facts::{Facts, Labels, Phase};
use payload_manager_core::ledger::{Adopted, Limits, RamBlock};
use payload_manager_shm::{BlockState, EntryState, Face, FoundEntry, Record, object};
use payload_manager_tiers::{DiskTier, Found, RamTier, TierStore};
use payload_manager_types::{Checksum, EntryIndex, PayloadId, PayloadState, Place, Protection, Tier, TierSet};

use super::board::SharedPages;
use super::error::Error;
use super::write::put;
use crate::archive;

/// What a committed payload's version rises by when its entry is gone, and with it the version that was shown last (promise:
/// monotonic). It is decided payload by payload, so that a start that was killed half way is no different.
pub const LOST_PAGES_STEP: u64 = 1 << 20;

/// What start-up has to work with.
pub struct Remains {
    /// The shared pages; new ones if they were gone.
    pub pages: SharedPages,
    /// Every row of the catalog.
    pub rows: Vec<Facts>,
    /// Files that the catalog says are garbage.
    pub doomed: Vec<DoomedFile>,
    /// The RAM tier.
    pub ram: RamTier,
    /// The DISK tier.
    pub disk: DiskTier,
    /// What lies in its folder.
    pub files: Vec<Found>,
}

/// What start-up makes of it.
pub struct Recovered {
    /// The ledger.
    pub ledger: Ledger<SharedPages>,
    /// Rows to be written before serving.
    pub changes: Vec<Change>,
    /// Blocks that nobody names, to be freed.
    pub free: Vec<Retired>,
    /// How it went, for the log.
    pub report: Report,
}

/// How a start-up went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Payloads found.
    pub payloads: u64,
    /// Of these, not committed yet.
    pub allocated: u64,
    /// Of these, with no copy left.
    pub lost: u64,
    /// Blocks that wait for leases or are garbage.
    pub retired: u64,
    /// Files moved to `orphans/`.
    pub orphans: u64,
    /// Leases that live on.
    pub leases: u64,
}

/// One payload's remains.
#[derive(Default)]
struct View {
    row: Option<Facts>,
    ram: Option<(RecordIndex, Record)>,
    entry: Option<FoundEntry>,
    disk: Option<u64>,
}

struct Recovery {
    ledger: Ledger<SharedPages>,
    ram: RamTier,
    disk: DiskTier,
    changes: Vec<Change>,
    free: Vec<Retired>,
    retired: Vec<Retired>,
    /// Payloads whose records say that they are being deleted: whatever lies around of them is garbage.
    deleting: HashSet<PayloadId>,
    /// Files that are garbage.
    doomed: Vec<DoomedFile>,
    report: Report,
}

/// Makes a ledger of what was left behind.
///
/// # Errors
/// [`Error::Tier`] if the disk folder can't be read.
pub fn recover(remains: Remains, limits: Limits) -> Result<Recovered, Error> {
    let Remains { pages, rows, doomed, ram, disk, files } = remains;
    let mut views: HashMap<PayloadId, View> = HashMap::with_capacity(rows.len());
    for row in rows {
        let id = row.id;
        views.entry(id).or_default().row = Some(row);
    }
    let entries: Vec<FoundEntry> = pages.directory.entries().collect();
    let mut recovery = Recovery {
        ledger: Ledger::new(pages, limits),
        ram,
        disk,
        changes: Vec::new(),
        free: Vec::new(),
        retired: Vec::new(),
        deleting: HashSet::new(),
        doomed,
        report: Report::default(),
    };
    recovery.read_records(&mut views)?;
    for entry in &entries {
        if let Some(view) = views.get_mut(&entry.id) {
            view.entry = Some(*entry);
        }
    }
    recovery.read_disk(files, &mut views, &entries)?;
    for (id, view) in views {
        recovery.adopt(id, view);
    }
    recovery.retire(&entries);
    recovery.sweep_entries(&entries);
    if let Some(segments) = recovery.ram.segments() {
        segments.settle()?;
    }
    recovery.report.leases = recovery.ledger.stats().leases;
    let Recovery { ledger, changes, free, report, .. } = recovery;
    Ok(Recovered { ledger, changes, free, report })
}

impl Recovery {
    /// Every block of RAM: a copy, an allocation, or on its way out.
    fn read_records(&mut self, views: &mut HashMap<PayloadId, View>) -> Result<(), Error> {
        let records: Vec<_> = self.ledger.board().records.iter().collect();
        for (ix, stored) in records {
            let at = RecordIndex(ix.get());
            let stored = match stored {
                Ok(stored) => stored,
                Err(torn) => {
                    tracing::error!(record = at.0, state = torn.state, "a record contradicts itself and is left alone");
                    continue;
                }
            };
            let record = stored.record;
            // Its commit was copying its bytes, and nobody will ever finish that copy.
            if record.protection == Protection::Strict && stored.state != BlockState::Live {
                self.ram.remove_unfinished(record.id)?;
            }
            match stored.state {
                BlockState::Live => self.lives(at, record, views),
                BlockState::Reserved if record.reclaim_at.is_some() => {
                    views.entry(record.id).or_default().ram = Some((at, record));
                }
                // The daemon was filling it: its payload has the copy it was filled from.
                BlockState::Reserved => {
                    self.ram.free(record.id, record.place)?;
                    self.ledger.board_mut().free_record(at);
                }
                BlockState::Retired => self.goes(at, &record),
                BlockState::Deleting => {
                    views.remove(&record.id);
                    self.deleting.insert(record.id);
                    self.goes(at, &record);
                }
                BlockState::Free => {}
            }
        }
        Ok(())
    }

    /// A payload has two live blocks if a crash came between the new one and the end of the old one: the newer one wins.
    fn lives(&mut self, at: RecordIndex, record: Record, views: &mut HashMap<PayloadId, View>) {
        let ram = &mut views.entry(record.id).or_default().ram;
        let older = match ram {
            Some((_, other)) if other.version > record.version => Some((at, record)),
            _ => ram.replace((at, record)),
        };
        if let Some((at, record)) = older {
            self.goes(at, &record);
        }
    }

    /// A block on its way out. In a segment it is counted until it is gone.
    fn goes(&mut self, at: RecordIndex, record: &Record) {
        if let Some(segments) = self.ram.segments().filter(|_| record.place.is_part()) {
            segments.adopt(record.place, record.length);
        }
        self.retired.push(out(at, record));
    }

    fn adopt(&mut self, id: PayloadId, view: View) {
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
        let found =
            if on_disk && facts.copies.contains(Tier::Disk) { TierSet::EMPTY.with(Tier::Disk) } else { TierSet::EMPTY };
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
            None => match object::length(&self.ram.name(record.id)) {
                Ok(length) => length == record.length || facts.phase == Phase::Allocated,
                Err(_) => false,
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

    /// Blocks on their way out wait for their leases, or go.
    fn retire(&mut self, entries: &[FoundEntry]) {
        let doomed = std::mem::take(&mut self.doomed);
        // A name is worth something only while its entry is that payload's: an index is used again.
        let owners: HashMap<EntryIndex, PayloadId> = entries.iter().map(|entry| (entry.index, entry.id)).collect();
        let files = doomed.iter().filter(|d| d.tier == Tier::Disk).map(|d| Retired {
            id: d.id,
            tier: d.tier,
            place: Place::OWN,
            size: d.size,
            block: Some(d.block).filter(|b| owners.get(&b.index) == Some(&d.id)),
            record: None,
        });
        let blocks: Vec<Retired> = std::mem::take(&mut self.retired).into_iter().chain(files).collect();
        self.report.retired = blocks.len() as u64;
        for block in blocks {
            self.free.extend(self.ledger.adopt_retired(block));
        }
    }

    /// Entries of payloads that are gone, and whose blocks are gone too.
    fn sweep_entries(&mut self, entries: &[FoundEntry]) {
        for entry in entries {
            if !self.ledger.knows(entry.id) && !self.ledger.is_grave(entry.id) {
                self.ledger.board_mut().remove(entry.index);
            }
        }
    }
}

/// A block of RAM on its way out.
fn out(at: RecordIndex, record: &Record) -> Retired {
    Retired {
        id: record.id,
        tier: Tier::Ram,
        place: record.place,
        size: record.length,
        block: record.block,
        record: Some(at),
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
