//! Segments: large shared-memory objects that one session's payloads lie in, so that memory is warm when it is used again.
//!
//! ```text
//!   segment   [ payload ][ warm ][ payload ][ payload ][ warm        ][ address space, no memory behind it …
//! ```
//!
//! A session fills its own segments and nobody else's; once it is over they are only emptied, because its process may
//! still have them mapped for writing (promise: immutable). Numbers are never given out twice.
//!
//! Memory that a payload leaves behind stays, for the next one of the same session: it is **warm**, and belongs to nobody.
//! The caller sees to it that there is never more of it than the tier's budget has free ([`Segments::cool_to`]); so what
//! the objects take never exceeds the capacity (promise: honest-full). What lies where is known here alone and in the
//! records; budgets, leases and states are the ledger's.

mod adopt;
mod backing;
mod space;
#[cfg(test)]
mod tests;
mod warmth;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use payload_manager_shm::Segment;
use payload_manager_types::{PayloadId, Place, Tier};

use self::backing::PAGE;
use self::space::{Kind, Space};
use super::object::not_made;
use super::{RamTier, request};
use crate::file::CopyFile;
use crate::numbers::{Numbered, Numbers};
use crate::reserve::Turn;
use crate::{Location, MemoryGauge, Source, TierError, fail};

/// Segments at once. Each takes two descriptors; beyond, payloads get objects of their own.
const MOST: usize = 4096;

/// Memory that is given back or taken at a time, in bytes: others wait that long for the lock.
const STEP: u64 = 4 << 20;

/// Every segment of a daemon. Clones speak of the same ones.
#[derive(Clone)]
pub struct Segments(Arc<Shared>);

struct Shared {
    /// What their names begin with.
    base: String,
    gauge: Arc<dyn MemoryGauge>,
    turn: Arc<Turn>,
    set: Mutex<Set>,
    numbers: Numbers,
    warm: AtomicU64,
}

#[derive(Default)]
struct Set {
    spaces: HashMap<u32, Space>,
    /// Of each session that may put something into segments, its own, the newest last.
    owners: HashMap<u32, Vec<u32>>,
}

/// What a client maps.
#[derive(Debug)]
pub struct Mapped {
    /// For `shm_open`, with one leading slash.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Open for reading, and for writing if `writable`.
    pub file: File,
    /// Whether the session is its producer.
    pub writable: bool,
}

impl Segments {
    /// None yet; their names will be `base`, `-segment-` and the number, and they take memory by the same looks at the
    /// gauge as the objects of `tier`.
    #[must_use]
    pub fn of(tier: &RamTier, base: &str) -> Self {
        Self(Arc::new(Shared {
            base: format!("{base}-segment-"),
            gauge: Arc::clone(&tier.gauge),
            turn: Arc::clone(&tier.turn),
            set: Mutex::default(),
            numbers: Numbers::of(Numbered::Segment),
            warm: AtomicU64::new(0),
        }))
    }

    /// From here on segments are made, numbered after the `start` that this is of the daemon.
    pub fn number_from(&self, start: u64) {
        self.0.numbers.begin(start);
    }

    /// The name of a segment.
    #[must_use]
    pub fn name(&self, unit: u32) -> String {
        format!("{}{unit}", self.0.base)
    }

    /// Where a block lies.
    #[must_use]
    pub fn location(&self, place: Place) -> Location {
        let found = |space: &Space| (space.segment.name().to_owned(), Some(space.segment.capacity()));
        let found = self.0.set.lock().spaces.get(&place.unit).map(found);
        let (name, object_bytes) = found.unwrap_or_else(|| (self.name(place.unit), None));
        Location::SharedMemory { name, offset: place.offset, object_bytes }
    }

    /// Memory that nobody pays for, in bytes.
    #[must_use]
    pub fn warm(&self) -> u64 {
        self.0.warm.load(Ordering::Relaxed)
    }

    /// Memory behind the segments that a session fills, in bytes.
    #[must_use]
    pub fn bytes_of(&self, session: u32) -> u64 {
        let set = self.0.set.lock();
        let own = set.owners.get(&session).into_iter().flatten().filter_map(|unit| set.spaces.get(unit));
        own.map(Space::backed).sum()
    }

    /// A session begins: it may fill segments.
    pub fn begin(&self, session: u32) {
        self.0.set.lock().owners.insert(session, Vec::new());
    }

    /// A session is over: nothing new is put into its segments. Which they are, to be given to [`Self::empty_out`] one by
    /// one.
    #[must_use = "what they keep warm is of use to nobody"]
    pub fn end(&self, session: u32) -> Vec<u32> {
        let own = self.0.set.lock().owners.remove(&session).unwrap_or_default();
        for unit in &own {
            self.change(*unit, Space::close);
        }
        own
    }

    /// A place with memory behind it, without a system call and without waiting; `None` if there is none at hand.
    #[must_use]
    pub fn place_at_once(&self, session: u32, size: u64) -> Option<Place> {
        let mut set = self.0.set.try_lock()?;
        let Set { spaces, owners } = &mut *set;
        for unit in owners.get(&session)?.iter().rev() {
            let Some(space) = spaces.get_mut(unit) else { continue };
            let before = space.warm();
            let Some(offset) = space.place(size) else { continue };
            if space.is_backed(offset) {
                self.count(before, space.warm());
                return Some(Place { unit: *unit, offset });
            }
            space.free(offset);
        }
        None
    }

    /// A place, without memory behind it: see [`Self::back`]. `None` if the session has no segments, or there are as
    /// many as can be.
    ///
    /// # Errors
    /// As the system says, of a new segment.
    pub fn place(&self, session: u32, size: u64) -> Result<Option<Place>, TierError> {
        if let Some(place) = self.place_in_own(session, size) {
            return Ok(Some(place));
        }
        let Some(unit) = self.next_number(session) else { return Ok(None) };
        let (name, kind) = (self.name(unit), Kind::of(size));
        let segment = Segment::create(&name, kind.capacity(size)).map_err(|error| not_made(&name, error))?;
        let mut set = self.0.set.lock();
        let Some(own) = set.owners.get_mut(&session) else {
            drop(set);
            // Over meanwhile.
            return unlink(&segment).map(|()| None);
        };
        own.push(unit);
        set.spaces.insert(unit, Space::new(segment, session, kind));
        drop(set);
        Ok(self.place_in_own(session, size))
    }

    fn place_in_own(&self, session: u32, size: u64) -> Option<Place> {
        let mut set = self.0.set.lock();
        let Set { spaces, owners } = &mut *set;
        let own = owners.get(&session)?.iter().rev();
        own.copied().find_map(|unit| {
            let space = spaces.get_mut(&unit)?;
            let before = space.warm();
            let offset = space.place(size)?;
            self.count(before, space.warm());
            Some(Place { unit, offset })
        })
    }

    fn next_number(&self, session: u32) -> Option<u32> {
        let set = self.0.set.lock();
        if set.spaces.len() >= MOST || !set.owners.contains_key(&session) {
            return None;
        }
        self.0.numbers.next(|unit| set.spaces.contains_key(&unit))
    }

    /// Puts memory behind a block, in steps that the gauge has a look at.
    ///
    /// # Errors
    /// [`TierError::Full`]; the block keeps its place, and may lack memory: free it.
    pub fn back(&self, place: Place, size: u64) -> Result<(), TierError> {
        let lacking = |space: &mut Space| (Arc::clone(&space.segment), space.unbacked(place.offset));
        let Some((segment, lacking)) = self.change(place.unit, lacking) else { return Ok(()) };
        for pages in lacking {
            self.take(&segment, place.unit, pages, size)?;
        }
        Ok(())
    }

    fn take(&self, segment: &Segment, unit: u32, pages: Range<u64>, asked: u64) -> Result<(), TierError> {
        let bytes = pages.start * PAGE..pages.end * PAGE;
        request(asked).back(segment.file(), &*self.0.gauge, &self.0.turn, bytes)?;
        self.change(unit, |space| space.back(pages));
        Ok(())
    }

    /// What a client needs to map a segment; `None` if there is none of that number.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn share(&self, unit: u32, session: u32) -> io::Result<Option<Mapped>> {
        let found = self.change(unit, |space| (Arc::clone(&space.segment), space.owner() == Some(session)));
        let Some((segment, writable)) = found else { return Ok(None) };
        let file = if writable {
            segment.writable().as_fd().try_clone_to_owned()?
        } else {
            segment.read_only().as_fd().try_clone_to_owned()?
        };
        let (name, bytes) = (segment.name().to_owned(), segment.capacity());
        Ok(Some(Mapped { name, bytes, file: file.into(), writable }))
    }

    /// At commit: whether the bytes are still there as far as it can be told without looking at each.
    ///
    /// # Errors
    /// [`TierError::Missing`], [`TierError::WrongSize`] if its producer changed its length.
    pub(super) fn check(&self, id: PayloadId, place: Place) -> Result<(), TierError> {
        let segment = self.segment(id, place)?;
        let failed = |e| fail::io(Tier::Ram, format!("looking at {}", segment.name()), e);
        let found = segment.length().map_err(failed)?;
        let expected = segment.capacity();
        if found == expected { Ok(()) } else { Err(TierError::WrongSize { id, tier: Tier::Ram, expected, found }) }
    }

    /// Reads a block.
    ///
    /// # Errors
    /// [`TierError::Missing`].
    pub(super) fn source(&self, id: PayloadId, place: Place, size: u64) -> Result<Box<dyn Source>, TierError> {
        Ok(Box::new(Part { object: self.object(id, place)?, offset: place.offset, size }))
    }

    /// The object that a block is in, for reading at offsets.
    fn object(&self, id: PayloadId, place: Place) -> Result<CopyFile, TierError> {
        let (segment, name) = (self.segment(id, place)?, self.name(place.unit));
        let file = segment.read_only().as_fd().try_clone_to_owned();
        let file = file.map_err(|e| fail::io(Tier::Ram, format!("opening {name}"), e))?;
        Ok(CopyFile::buffered(Tier::Ram, name.clone(), file.into()))
    }

    fn segment(&self, id: PayloadId, place: Place) -> Result<Arc<Segment>, TierError> {
        let what = || format!("{} is not there", self.name(place.unit));
        let missing = || TierError::Missing { id, tier: Tier::Ram, what: what() };
        self.change(place.unit, |space| Arc::clone(&space.segment)).ok_or_else(missing)
    }

    /// Does something with a segment under the lock, and counts what is warm after.
    fn change<T>(&self, unit: u32, work: impl FnOnce(&mut Space) -> T) -> Option<T> {
        let mut set = self.0.set.lock();
        let space = set.spaces.get_mut(&unit)?;
        let before = space.warm();
        let done = work(space);
        self.count(before, space.warm());
        Some(done)
    }

    fn count(&self, before: u64, after: u64) {
        // Under the lock, so that the sum is exact; read without it.
        let warm = &self.0.warm;
        warm.store(warm.load(Ordering::Relaxed).saturating_add(after).saturating_sub(before), Ordering::Relaxed);
    }
}

fn unlink(segment: &Segment) -> Result<(), TierError> {
    segment.unlink().map_err(|e| fail::io(Tier::Ram, format!("unlinking {}", segment.name()), e))
}

/// Reads one block of a segment; what its producer truncated is short.
struct Part {
    object: CopyFile,
    offset: u64,
    size: u64,
}

impl Source for Part {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError> {
        let rest = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let end = rest.min(buf.len());
        self.object.read_at(self.offset + offset, buf.get_mut(..end).unwrap_or_default())
    }
}
