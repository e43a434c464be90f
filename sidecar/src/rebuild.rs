//! `rebuild`: makes a catalog again from what lies beside the bytes, in the DISK tier's folder, a prefix of an object store, or
//! both.
//!
//! ```text
//!  shelves ──► which ids have bytes and an archive ──► archives read, many at once ──► rows ──► catalog
//!  (DISK, OBJECT)                                      └─► what is not whole: said, and left
//! ```
//!
//! The bytes are not read: a copy that is bad is found when it is promoted. The catalog is made under another name and renamed
//! when it is whole, so that no daemon takes half of one for all there is (promise: never-the-only-copy).

mod streams;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use payload_manager_catalog::{Change, MetadataMode, MetadataRecord, MetadataUpdate, Sqlite, Store, StoreError};
use payload_manager_tiers::TierError;
use payload_manager_tiers::disk::{read_marker, write_marker};
use payload_manager_types::{PayloadId, Place, Tier, TierSet};

use crate::app::{StartError, take_folders};
use crate::archive::{self, Archived};
use crate::cli::{Exit, RebuildArgs};
use crate::clock::{Clock, SystemClock};
use crate::config::Given;
use crate::instance::CATALOG_FILE;
use crate::shelf::{self, Pieces, Shelf, ShelfError};

/// Why there is no catalog afterwards. The bytes, and what lies beside them, are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is one.
    #[error("{} is there: move it away first, if it is really of no use", .0.display())]
    CatalogThere(PathBuf),
    /// The places can't be used.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// A folder or its lock.
    #[error(transparent)]
    Folder(#[from] Box<StartError>),
    /// A shelf can't be read.
    #[error(transparent)]
    Tier(#[from] TierError),
    /// The catalog can't be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the catalog.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// Payloads in the catalog.
    pub payloads: u64,
    /// Events of their histories.
    pub events: u64,
    /// Edges to what they were made from.
    pub edges: u64,
    /// Streams.
    pub streams: u64,
    /// Entries of them.
    pub entries: u64,
    /// What was not whole and is left as it is: one line each.
    pub left: Vec<String>,
}

/// Runs the command.
#[must_use]
pub fn run(args: &RebuildArgs) -> Exit {
    match everything(&args.from, &args.flags.given) {
        Ok(rebuilt) => {
            rebuilt.left.iter().for_each(|line| println!("left: {line}"));
            let Rebuilt { payloads, events, edges, streams, entries, left } = rebuilt;
            println!("{payloads} payloads, {events} metadata events, {edges} lineage edges");
            println!("{streams} streams, {entries} entries");
            println!("{} left as they are", left.len());
            println!("Not in it: pins, and payloads that only RAM has; a start finds those if their memory is there.");
            Exit::Success
        }
        Err(error) => {
            eprintln!("payload-manager: {error}");
            Exit::Refused
        }
    }
}

/// Makes the catalog of the daemon that `given` tells of from these places.
///
/// # Errors
/// [`RebuildError`].
pub fn everything(from: &[String], given: &Given) -> Result<Rebuilt, RebuildError> {
    let config = shelf::configured(from, given)?;
    let _locks = take_folders(&config).map_err(Box::new)?;
    let path = config.data_dir.path.join(CATALOG_FILE);
    if path.exists() {
        return Err(RebuildError::CatalogThere(path));
    }
    let shelves = shelf::open(from, &config)?;
    let instance = shelf::owner(&shelves)?;
    let unfinished = config.data_dir.path.join(format!("{CATALOG_FILE}.rebuilding"));
    remove(&unfinished)?;
    let (store, _) = Sqlite::open_or_create(&unfinished, instance)?;
    let rebuilt = fill(Box::new(store), &shelves)?;
    // Who has no mark takes what it finds there for somebody else's.
    if read_marker(&config.disk_root.path)?.is_none() {
        write_marker(&config.disk_root.path, instance)?;
    }
    rename(&unfinished, &path)?;
    Ok(rebuilt)
}

/// Archives that are read at once: a store answers one in milliseconds, and many at once as fast.
const READERS: usize = 32;
/// Payloads that are written in one transaction.
const BATCH: usize = 1000;

/// Reads every archive and writes what it says.
fn fill(mut store: Box<dyn Store>, shelves: &[Shelf]) -> Result<Rebuilt, RebuildError> {
    let stock = shelf::take_stock(shelves)?;
    let mut rebuilt = Rebuilt::default();
    let all: Vec<(PayloadId, Pieces)> = stock.into_iter().collect();
    let share = all.len().div_ceil(READERS).max(1);
    let progress = crate::shelf::progress(all.len() as u64);
    let (sender, read) = mpsc::sync_channel::<(PayloadId, Result<Archived, String>)>(READERS * 4);
    std::thread::scope(|scope| -> Result<(), RebuildError> {
        for part in all.chunks(share) {
            let sender = sender.clone();
            scope.spawn(move || {
                for (id, pieces) in part {
                    // Whoever listened has failed: nobody wants the rest.
                    if sender.send((*id, gather(*id, pieces, shelves))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut changes = Vec::new();
        for (id, found) in read {
            match found {
                Ok(archived) => {
                    rebuilt.count(&archived);
                    changes.extend(restore(archived));
                }
                Err(why) => rebuilt.left.push(format!("{id}: {why}")),
            }
            if changes.len() >= BATCH {
                store.apply(&std::mem::take(&mut changes), false)?;
            }
            progress.inc(1);
        }
        streams::restore(&mut *store, shelves, &mut rebuilt)?;
        // Seconds: more than a daemon has starts. What was numbered by the starts of the lost catalog means nothing now.
        changes.push(Change::CountStartsFrom(SystemClock::default().wall().0 / 1000));
        store.apply(&changes, true)?;
        Ok(())
    })?;
    progress.finish_and_clear();
    rebuilt.left.sort();
    Ok(rebuilt)
}

impl Rebuilt {
    fn count(&mut self, archived: &Archived) {
        self.payloads += 1;
        self.events += archived.said.events.len() as u64;
        self.edges += archived.said.lineage.len() as u64;
    }
}

/// What the newest archive says, with the tiers whose bytes are as many as it says.
fn gather(id: PayloadId, pieces: &Pieces, shelves: &[Shelf]) -> Result<Archived, String> {
    let (mut newest, mut wrong): (Option<Archived>, Option<String>) = (None, None);
    for shelf in shelves {
        let Some((Some(_), true)) = pieces.0.get(&shelf.tier()) else { continue };
        match shelf.archive(id).and_then(|text| archive::read(&text)) {
            Ok(archived) if archived.facts.id != id => wrong = Some("its archive is another payload's".into()),
            Ok(archived) if newest.as_ref().is_some_and(|newest| newest.at >= archived.at) => {}
            Ok(archived) => newest = Some(archived),
            Err(why) => wrong = Some(format!("its archive in {} can't be read: {why}", shelf.tier())),
        }
    }
    let mut archived = newest.ok_or_else(|| wrong.unwrap_or_else(|| pieces.what_is_missing()))?;
    let size = archived.facts.size;
    let is_whole = |shelf: &&Shelf| match pieces.0.get(&shelf.tier()) {
        // Of another length than the payload it may be compressed.
        Some((Some(bytes), true)) => *bytes == size || shelf.store().source(id, Place::OWN, size).is_ok(),
        _ => false,
    };
    let copies: TierSet = shelves.iter().filter(is_whole).map(Shelf::tier).collect();
    if copies == TierSet::EMPTY {
        return Err(format!("it should have {size} bytes, and no copy has"));
    }
    archived.facts.copies = copies;
    archived.facts.preferred = copies.iter().next().unwrap_or(Tier::Disk);
    Ok(archived)
}

/// The changes that make a catalog know the payload. What they say lies beside the bytes already.
fn restore(archived: Archived) -> Vec<Change> {
    let Archived { facts, said, at } = archived;
    let id = facts.id;
    let mut changes = vec![Change::Put { facts: Box::new(facts), doomed: None }];
    changes.extend(said.metadata.map(|MetadataRecord { metadata, actor, reason, .. }| {
        let update = MetadataUpdate { metadata, mode: MetadataMode::Replace, actor, reason };
        Change::SetMetadata { id, update: Box::new(update), at }
    }));
    let event = |event: payload_manager_catalog::MetadataEvent| Change::AppendMetadataEvent {
        id,
        event: Box::new(event.what),
        at: event.at,
    };
    changes.extend(said.events.into_iter().map(event));
    if !said.lineage.is_empty() {
        let edges = said.lineage.into_iter().map(|found| found.edge).collect();
        changes.push(Change::AddLineage { child: id, edges });
    }
    // Each of them has marked the archive as behind, one number a change.
    let number = changes.len() as u64 - 1;
    changes.extend((number > 0).then_some(Change::Archived { id, number }));
    changes
}

/// Removes what an earlier try left.
fn remove(path: &Path) -> Result<(), RebuildError> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(RebuildError::File { path: name.into(), source: error });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The catalog is whole, and closed: from here on it is the daemon's.
fn rename(from: &Path, to: &Path) -> Result<(), RebuildError> {
    let failed = |source| RebuildError::File { path: to.to_owned(), source };
    fs::File::open(from).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(from, to).map_err(failed)?;
    let folder = to.parent().unwrap_or(to);
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
