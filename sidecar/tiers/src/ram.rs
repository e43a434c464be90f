//! RAM: a POSIX shared-memory object of its own for each payload, named `/<prefix>-<uuid>`; or a part of one of a
//! session's [`segments`], or [`sealed`] memory without a name, where its place says so.
//!
//! Clients map the objects; the daemon never does, it reads and writes them by offset, so that a producer who truncates
//! its object under the daemon's feet makes a short read, not a SIGBUS. An object is exactly as long as its payload,
//! writable (0600) while it is allocated and read-only (0400) once sealed. Not here: directory, records.

mod object;
pub mod sealed;
pub mod segments;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use payload_manager_shm::object::{FOLDER, list};
use payload_manager_types::{Checksum, PayloadId, Place, Tier};

use self::object::Unfinished;
pub use self::sealed::Memfds;
pub use self::segments::Segments;
use crate::file::CopyFile;
use crate::reserve::{Request, Turn};
use crate::{Archive, Description, Location, MemoryGauge, Sealed, Sink, Source, TierError, TierStore, fail};

/// Holds copies in shared-memory objects. Owns no object: they outlive it, and the daemon.
#[derive(Clone)]
pub struct RamTier {
    prefix: String,
    gauge: Arc<dyn MemoryGauge>,
    turn: Arc<Turn>,
    segments: Option<Segments>,
    memfds: Memfds,
}

impl RamTier {
    /// Objects are named after `prefix` (no slash), and grow only into what `gauge` says is free.
    #[must_use]
    pub fn new(prefix: impl Into<String>, gauge: Arc<dyn MemoryGauge>) -> Self {
        let turn = Arc::default();
        let memfds = Memfds::new(Arc::clone(&gauge), Arc::clone(&turn), sealed::most());
        Self { prefix: prefix.into(), gauge, turn, segments: None, memfds }
    }

    /// With these segments, which share its view of the memory there is: see [`Segments::of`].
    #[must_use]
    pub fn with_segments(self, segments: Segments) -> Self {
        Self { segments: Some(segments), ..self }
    }

    /// Its segments, if it has any.
    #[must_use]
    pub fn segments(&self) -> Option<&Segments> {
        self.segments.as_ref()
    }

    /// What SEALED payloads lie in.
    #[must_use]
    pub fn memfds(&self) -> &Memfds {
        &self.memfds
    }

    /// The segments that a place is in; `None` if it is in none.
    fn segments_of(&self, id: PayloadId, place: Place) -> Result<Option<&Segments>, TierError> {
        let none = || TierError::Missing { id, tier: Tier::Ram, what: format!("there is no segment {}", place.unit) };
        if !place.is_part() { Ok(None) } else { self.segments.as_ref().map(Some).ok_or_else(none) }
    }

    /// The name of the object of `id`, with one leading slash.
    #[must_use]
    pub fn name(&self, id: PayloadId) -> String {
        format!("/{}-{id}", self.prefix)
    }

    /// Every object of a payload's own, and how long it is in bytes: for a start, which would ask for one after the other.
    ///
    /// # Errors
    /// [`TierError::Io`].
    pub fn survey(&self) -> Result<HashMap<PayloadId, u64>, TierError> {
        let start = format!("/{}-", self.prefix);
        let listed = list(&start).map_err(|e| fail::io(Tier::Ram, format!("surveying {start}*"), e))?;
        let whose = |name: &str| name.strip_prefix(&start)?.parse().ok();
        Ok(listed.into_iter().filter_map(|found| Some((whose(&found.name)?, found.bytes))).collect())
    }

    /// The name under which its replacement is made.
    fn unfinished_name(&self, id: PayloadId) -> String {
        format!("{}.tmp", self.name(id))
    }

    /// Removes what a crash has left of a replacement for the object of `id`. None is fine.
    ///
    /// # Errors
    /// [`TierError::Io`].
    pub fn remove_unfinished(&self, id: PayloadId) -> Result<(), TierError> {
        object::unlink(&self.unfinished_name(id))
    }

    fn fill(&self, file: &CopyFile, size: u64) -> Result<(), TierError> {
        request(size).in_memory(&file.file, &*self.gauge, &self.turn)
    }
}

/// The mode of an object that a producer writes, or that nobody is told of yet.
const WRITABLE: u32 = 0o600;

/// The mode of one that no client ever gets for writing: the daemon writes through the descriptor it was made with.
const READ_ONLY: u32 = 0o400;

fn request(size: u64) -> Request<'static> {
    Request { tier: Tier::Ram, size, on: FOLDER }
}

impl TierStore for RamTier {
    fn tier(&self) -> Tier {
        Tier::Ram
    }

    fn location(&self, id: PayloadId, place: Place) -> Location {
        match self.segments_of(id, place) {
            _ if place == Place::SEALED => Location::Passed,
            Ok(Some(segments)) => segments.location(place),
            Ok(None) | Err(_) => Location::SharedMemory { name: self.name(id), offset: 0, object_bytes: None },
        }
    }

    fn allocate(&self, id: PayloadId, size: u64) -> Result<Place, TierError> {
        let made = Unfinished::create(self.name(id), WRITABLE)?;
        self.fill(&made.file, size)?;
        made.keep();
        Ok(Place::OWN)
    }

    fn seal(&self, id: PayloadId, place: Place, size: u64, _: &Archive<'_>) -> Result<Sealed, TierError> {
        if let Some(segments) = self.segments_of(id, place)? {
            return segments.check(id, place).map(|()| Sealed::default());
        }
        if place == Place::SEALED {
            return self.memfds.seal(id, size).map(|()| Sealed::default());
        }
        let object = object::open_writable(id, self.name(id))?;
        object.check_size(id, size)?;
        // Truncated and extended again, or punched: a reader's first touch would have to find the memory then.
        let meta = object.file.metadata().map_err(|e| object.failed("looking at", e))?;
        if meta.blocks().saturating_mul(512) < size {
            self.fill(&object, size)?;
        }
        object::make_read_only(&object)?;
        Ok(Sealed::default())
    }

    fn source(&self, id: PayloadId, place: Place, size: u64) -> Result<Box<dyn Source>, TierError> {
        if let Some(segments) = self.segments_of(id, place)? {
            return segments.source(id, place, size);
        }
        if place == Place::SEALED {
            return self.memfds.source(id, size);
        }
        let object = object::open(id, self.name(id))?;
        object.check_size(id, size)?;
        Ok(Box::new(object))
    }

    fn sink(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        let made = Unfinished::create(self.name(id), WRITABLE)?;
        request(size).look(&made.file.file, &*self.gauge)?;
        Ok(Box::new(RamSink { made, tier: self.clone(), size, there: 0, over: None }))
    }

    fn replacement(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        let made = Unfinished::create(self.unfinished_name(id), READ_ONLY)?;
        request(size).look(&made.file.file, &*self.gauge)?;
        Ok(Box::new(RamSink { made, tier: self.clone(), size, there: 0, over: Some(self.name(id)) }))
    }

    fn free(&self, id: PayloadId, place: Place) -> Result<(), TierError> {
        match self.segments_of(id, place)? {
            Some(segments) => segments.free(place),
            None if place == Place::SEALED => {
                self.memfds.free(id);
                Ok(())
            }
            None => object::unlink(&self.name(id)),
        }
    }

    /// Nothing lies beside memory.
    fn describe(&self, _: PayloadId, _: u64, _: &Description<'_>) -> Result<(), TierError> {
        Ok(())
    }

    /// There is nowhere to set it aside: it is freed.
    fn set_aside(&self, id: PayloadId, place: Place) -> Result<(), TierError> {
        self.free(id, place)
    }
}

/// Writes a new object. Until it is finished nobody is told its name.
///
/// Its memory is taken a step ahead of the bytes rather than all at first: zeroing it costs a fifth of what reading the
/// bytes from a disk does, and meanwhile the next of them are read. Nobody maps it before it is whole.
struct RamSink {
    made: Unfinished,
    tier: RamTier,
    size: u64,
    /// How many bytes it has memory for.
    there: u64,
    /// The name that it takes from another object when it is whole; its own if there is none.
    over: Option<String>,
}

impl RamSink {
    fn grow(&mut self, end: u64) -> Result<(), TierError> {
        let (file, tier) = (&self.made.file.file, &self.tier);
        self.there = request(self.size).grow(file, &*tier.gauge, &tier.turn, self.there, end)?;
        Ok(())
    }
}

impl Sink for RamSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TierError> {
        self.grow(offset.saturating_add(bytes.len() as u64))?;
        self.made.file.write_at(offset, bytes)
    }

    fn finish(mut self: Box<Self>, _: Checksum, _: &Archive<'_>) -> Result<Place, TierError> {
        self.grow(self.size)?;
        object::make_read_only(&self.made.file)?;
        match &self.over {
            Some(name) => self.made.keep_as(name)?,
            None => self.made.keep(),
        }
        Ok(Place::OWN)
    }
}
