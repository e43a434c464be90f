//! `verify`: reads every durable copy, compares it with what its archive says, and says what is bad, half or nobody's.
//!
//! It needs no daemon and is in the way of none: what is deleted while it looks is passed over. What it writes, if it is asked to,
//! are the same bytes anew, put in place at once; and what it removes, no row and no list of the catalog names (promise:
//! never-the-only-copy).

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use payload_manager_catalog::{Reader, Sqlite, StoreError};
use payload_manager_core::facts::Facts;
use payload_manager_tiers::TierError;
use payload_manager_tiers::copy::{self, Job};
use payload_manager_types::{Checksum, InstanceId, PayloadId, Place, Tier};

use crate::archive;
use crate::cli::{Exit, VerifyArgs};
use crate::config::Config;
use crate::config::units::size_for_people;
use crate::instance::CATALOG_FILE;
use crate::shelf::{self, Pieces, Shelf, ShelfError};

/// Why nothing could be looked at, or not all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The places can't be used.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// A place can't be read.
    #[error(transparent)]
    Tier(#[from] TierError),
    /// The catalog can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Without the catalog nobody knows what is an orphan.
    #[error("{0}: there is no catalog, so nothing is known to be an orphan; name the daemon's --data-dir")]
    NoCatalog(String),
    /// Somebody else's.
    #[error("the catalog is instance {ours}'s, and what was named is {theirs}'s: nothing of it is an orphan")]
    Foreign {
        /// The catalog's.
        ours: InstanceId,
        /// The places'.
        theirs: InstanceId,
    },
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    good: u64,
    bytes: u64,
    bad: u64,
    repaired: u64,
    halves: u64,
    orphans: u64,
    deleted: u64,
    lines: Vec<String>,
}

/// Runs the command.
#[must_use]
pub fn run(args: &VerifyArgs) -> Exit {
    let found = match everything(args) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("payload-manager: {error}");
            return Exit::Refused;
        }
    };
    found.lines.iter().for_each(|line| println!("{line}"));
    let Found { good, bytes, bad, repaired, halves, orphans, deleted, .. } = found;
    let bytes = size_for_people(bytes);
    println!(
        "{good} copies are right ({bytes}), {bad} are bad ({repaired} written anew), {halves} are halves, {orphans} are nobody's ({deleted} removed)"
    );
    if bad > repaired { Exit::Failure } else { Exit::Success }
}

/// How many copies are read at once.
const READERS: usize = 4;

fn everything(args: &VerifyArgs) -> Result<Found, VerifyError> {
    let config = shelf::configured(&args.from, &args.flags.given)?;
    let shelves = shelf::open(&args.from, &config)?;
    let owner = shelf::owner(&shelves)?;
    if args.delete_orphans {
        own_catalog(&config, owner)?;
    }
    // In this order: what is there by now and the catalog does not know by then is either gone or nobody's, for nothing is
    // uploaded before the catalog knows of it.
    let stock: Vec<(PayloadId, Pieces)> = shelf::take_stock(&shelves)?.into_iter().collect();
    let known = known(&config)?;
    let look = Look { args, shelves: &shelves, pace: Pace::of(args.rate), found: Mutex::default() };
    let progress = shelf::progress(stock.len() as u64);
    let share = stock.len().div_ceil(READERS).max(1);
    std::thread::scope(|scope| {
        for part in stock.chunks(share) {
            let (look, known, progress) = (&look, known.as_ref(), &progress);
            scope.spawn(move || {
                for (id, pieces) in part {
                    match known.filter(|known| !known.contains(id)) {
                        Some(_) => look.orphan(*id, pieces),
                        None => look.payload(*id, pieces),
                    }
                    progress.inc(1);
                }
            });
        }
    });
    progress.finish_and_clear();
    let mut found = look.found.into_inner();
    found.lines.sort();
    Ok(found)
}

/// That there is a catalog, and that it is of that instance.
fn own_catalog(config: &Config, theirs: InstanceId) -> Result<(), VerifyError> {
    let path = config.data_dir.path.join(CATALOG_FILE);
    match Sqlite::look(&path)? {
        Some((ours, _)) if ours == theirs => Ok(()),
        Some((ours, _)) => Err(VerifyError::Foreign { ours, theirs }),
        None => Err(VerifyError::NoCatalog(path.display().to_string())),
    }
}

/// Every payload that the catalog has a row of, or whose file it remembers to be removed; `None` without a catalog.
fn known(config: &Config) -> Result<Option<HashSet<PayloadId>>, VerifyError> {
    let Some((_, mut reader)) = Sqlite::look(&config.data_dir.path.join(CATALOG_FILE))? else { return Ok(None) };
    let mut known = HashSet::new();
    read(&mut *reader, &mut known)?;
    Ok(Some(known))
}

/// What is doomed first: what is uploaded is taken off that list once it has a row.
fn read(reader: &mut dyn Reader, known: &mut HashSet<PayloadId>) -> Result<(), StoreError> {
    known.extend(reader.doomed()?.into_iter().map(|file| file.id));
    reader.payloads(&mut |row| known.extend([row.id]))
}

/// A look at everything.
struct Look<'a> {
    args: &'a VerifyArgs,
    shelves: &'a [Shelf],
    pace: Pace,
    found: Mutex<Found>,
}

/// What a copy turned out to be.
enum Verdict {
    /// So many bytes of a payload.
    Right(u64),
    /// Gone while it was looked at.
    Gone,
    Bad(String),
}

impl Look<'_> {
    fn note(&self, note: impl FnOnce(&mut Found)) {
        note(&mut self.found.lock());
    }

    /// Looks at all copies of a payload.
    fn payload(&self, id: PayloadId, pieces: &Pieces) {
        let mut verdicts = Vec::new();
        for shelf in self.shelves {
            let tier = shelf.tier();
            let Some((bytes, meta)) = pieces.0.get(&tier) else { continue };
            if !*meta || bytes.is_none() {
                let what = if bytes.is_some() { "bytes without an archive" } else { "an archive without bytes" };
                self.note(|found| {
                    found.halves += 1;
                    found.lines.push(format!("half: {id} in {tier}: {what}"));
                });
                continue;
            }
            verdicts.push((shelf, self.verdict(shelf, id)));
        }
        let good = verdicts.iter().find_map(|(shelf, verdict)| match verdict {
            Verdict::Right(size) => Some((*shelf, *size)),
            _ => None,
        });
        for (shelf, verdict) in &verdicts {
            match verdict {
                Verdict::Gone => {}
                Verdict::Right(size) => self.note(|found| {
                    found.good += 1;
                    found.bytes += size;
                }),
                Verdict::Bad(why) => self.bad(id, shelf, why, good),
            }
        }
    }

    fn verdict(&self, shelf: &Shelf, id: PayloadId) -> Verdict {
        let facts = match shelf.archive(id).and_then(|text| archive::read(&text)) {
            Ok(archived) => archived.facts,
            Err(why) => return Verdict::Bad(format!("its archive: {why}")),
        };
        match (self.hash(shelf, &facts), facts.checksum) {
            (Err(TierError::Missing { .. }), _) => Verdict::Gone,
            (Err(error), _) => Verdict::Bad(error.to_string()),
            (Ok(_), None) => Verdict::Right(facts.size),
            (Ok(found), Some(expected)) if found == expected => Verdict::Right(facts.size),
            (Ok(found), Some(expected)) => Verdict::Bad(format!("its bytes have {found} instead of {expected}")),
        }
    }

    fn hash(&self, shelf: &Shelf, facts: &Facts) -> Result<Checksum, TierError> {
        let mut source = shelf.store().source(facts.id, Place::OWN, facts.size)?;
        let job = Job { id: facts.id, from: shelf.tier(), size: facts.size };
        let before = AtomicU64::new(0);
        copy::hash(job, &mut *source, &|done| {
            self.pace.took(done.saturating_sub(before.swap(done, Ordering::Relaxed)));
            true
        })
    }

    fn bad(&self, id: PayloadId, shelf: &Shelf, why: &str, good: Option<(&Shelf, u64)>) {
        let tier = shelf.tier();
        let mended = good.filter(|_| self.args.repair).map(|(from, size)| repair(id, size, from, shelf));
        let (repaired, end) = match mended {
            None => (0, String::new()),
            Some(Ok(())) => (1, "; written anew".to_owned()),
            Some(Err(error)) => (0, format!("; it could not be written anew: {error}")),
        };
        self.note(|found| {
            found.bad += 1;
            found.repaired += repaired;
            found.lines.push(format!("bad: {id} in {tier}: {why}{end}"));
        });
    }

    /// What nobody knows: reported, and removed from a store if that was asked for. The DISK folder's the daemon moves
    /// aside when it starts.
    fn orphan(&self, id: PayloadId, pieces: &Pieces) {
        for shelf in self.shelves.iter().filter(|shelf| pieces.0.contains_key(&shelf.tier())) {
            let tier = shelf.tier();
            let remove = self.args.delete_orphans && tier == Tier::Object;
            let removed = remove.then(|| shelf.store().free(id, Place::OWN));
            let (deleted, end) = match removed {
                None => (0, String::new()),
                Some(Ok(())) => (1, "; removed".to_owned()),
                Some(Err(error)) => (0, format!("; it could not be removed: {error}")),
            };
            self.note(|found| {
                found.orphans += 1;
                found.deleted += deleted;
                found.lines.push(format!("nobody's: {id} in {tier}{end}"));
            });
        }
    }
}

/// Writes a bad copy anew from a good one. Who reads the bad one keeps it.
fn repair(id: PayloadId, size: u64, from: &Shelf, to: &Shelf) -> Result<(), TierError> {
    let (good, bad) = (from.store(), to.store());
    let mut source = good.source(id, Place::OWN, size)?;
    let mut sink = bad.replacement(id, size)?;
    let sum = copy::copy(Job { id, from: from.tier(), size }, &mut *source, &mut *sink, &|_| true)?;
    let text = from.archive(id).unwrap_or_default();
    sink.finish(sum, &|written| archive::of_copy(&text, written.packing))?;
    // Deleted meanwhile: what was written is nobody's.
    match good.source(id, Place::OWN, size) {
        Err(error @ TierError::Missing { .. }) => bad.free(id, Place::OWN).and(Err(error)),
        _ => Ok(()),
    }
}

/// So many bytes a second and no more, by all threads together.
struct Pace {
    rate: Option<u64>,
    begun: Instant,
    bytes: AtomicU64,
}

impl Pace {
    fn of(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), begun: Instant::now(), bytes: AtomicU64::new(0) }
    }

    fn took(&self, bytes: u64) {
        let Some(rate) = self.rate else { return };
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        #[expect(clippy::cast_precision_loss, reason = "a pace")]
        let due = Duration::from_secs_f64(total as f64 / rate as f64);
        std::thread::sleep(due.saturating_sub(self.begun.elapsed()));
    }
}
