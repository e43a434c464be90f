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
//! Of OBJECT the rows are believed: to list a store takes too long, and it need not be there.
//!
//! Nothing is deleted that a record, the list of doomed files or a `.tmp` name does not say is garbage: a file that
//! nobody knows is moved to `orphans/`.

mod adopt;
mod files;

use std::collections::HashMap;

use payload_manager_catalog::{Change, DoomedFile};
use payload_manager_core::Ledger;
use payload_manager_core::backlog::Retired;
use payload_manager_core::board::{Board, RecordIndex};
use payload_manager_core::facts::Facts;
use payload_manager_core::ledger::Limits;
use payload_manager_shm::{BlockState, FoundEntry, Record};
use payload_manager_tiers::{DiskTier, Found, RamTier, TierStore};
use payload_manager_types::{EntryIndex, PayloadId, Place, Protection, Tier, TierSet};

use super::board::SharedPages;
use super::error::Error;

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
    /// Its objects, each a payload's own, and how long they are in bytes.
    pub objects: HashMap<PayloadId, u64>,
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

/// One payload's remains. Boxed where there are many, because it is large and they are sorted.
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
    objects: HashMap<PayloadId, u64>,
    disk: DiskTier,
    changes: Vec<Change>,
    free: Vec<Retired>,
    retired: Vec<Retired>,
    /// Payloads whose records say that they are being deleted, and the tiers that their rows name: whatever lies around of
    /// them is garbage.
    deleting: HashMap<PayloadId, TierSet>,
    /// Files that are garbage.
    doomed: Vec<DoomedFile>,
    report: Report,
}

/// Makes a ledger of what was left behind.
///
/// # Errors
/// [`Error::Tier`] if the disk folder can't be read.
pub fn recover(remains: Remains, limits: Limits) -> Result<Recovered, Error> {
    let Remains { pages, rows, doomed, ram, objects, disk, files } = remains;
    let mut views: HashMap<PayloadId, Box<View>> = HashMap::with_capacity(rows.len());
    for row in rows {
        let id = row.id;
        views.entry(id).or_default().row = Some(row);
    }
    let entries: Vec<FoundEntry> = pages.directory.entries().collect();
    let mut recovery = Recovery {
        ledger: Ledger::new(pages, limits),
        ram,
        objects,
        disk,
        changes: Vec::new(),
        free: Vec::new(),
        retired: Vec::new(),
        deleting: HashMap::new(),
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
    // In the order of their ids, which is that of their creation: so the queues begin with the oldest, and what is sorted
    // is filled from one end.
    let mut views: Vec<(PayloadId, Box<View>)> = views.into_iter().collect();
    views.sort_unstable_by_key(|(id, _)| *id);
    recovery.ledger.expect(views.len());
    for (id, view) in views {
        recovery.adopt(id, *view);
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
    fn read_records(&mut self, views: &mut HashMap<PayloadId, Box<View>>) -> Result<(), Error> {
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
                    let row = views.remove(&record.id).and_then(|view| view.row);
                    self.deleting.insert(record.id, row.map_or(TierSet::EMPTY, |row| row.copies));
                    self.goes(at, &record);
                }
                BlockState::Free => {}
            }
        }
        Ok(())
    }

    /// A payload has two live blocks if a crash came between the new one and the end of the old one: the newer one wins.
    fn lives(&mut self, at: RecordIndex, record: Record, views: &mut HashMap<PayloadId, Box<View>>) {
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

    /// Blocks on their way out wait for their leases, or go.
    fn retire(&mut self, entries: &[FoundEntry]) {
        let doomed = std::mem::take(&mut self.doomed);
        // A name is worth something only while its entry is that payload's: an index is used again.
        let owners: HashMap<EntryIndex, PayloadId> = entries.iter().map(|entry| (entry.index, entry.id)).collect();
        let mut blocks = std::mem::take(&mut self.retired);
        for file in doomed {
            let DoomedFile { id, tier, .. } = file;
            // Written after it was doomed, and its row too: an upload that came through.
            if self.ledger.has_copy(id, tier) {
                self.changes.push(Change::Undoom { id, tier });
                continue;
            }
            let block = Some(file.block).filter(|b| owners.get(&b.index) == Some(&id));
            blocks.push(Retired { id, tier, place: Place::OWN, size: file.size, block, record: None });
        }
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
