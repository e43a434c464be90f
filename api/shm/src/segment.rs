//! Segments: large objects that hold many payloads, mapped once and kept warm.
//!
//! [`Segment`] is the daemon's end: it makes the object, backs it with memory step by step, gives pages back, and hands
//! out descriptors. [`SegmentMap`] is the other end, a client's: its producer maps it for writing, everyone else for
//! reading. One producer a segment, for life (see the design of protections); nobody else ever fills it.
//!
//! Address space is given at once, for the segment's whole capacity, and memory as it is used: so a mapping never has to
//! be made anew. Bytes that are mapped and not reserved must not be touched (promise honest-full).
//!
//! Not here: which payload lies at which offset, budgets, when a segment goes.

mod map;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

pub use self::map::{SegmentMap, SegmentWriter};
use crate::error::OpenError;
use crate::layout::PAGE_BYTES;
use crate::object::{self, ObjectError};

/// The most that is reserved at a time: between two steps, look at how much memory there is.
pub const MOST_STEP: u64 = 16 << 20;

/// What the daemon has of a segment.
#[derive(Debug)]
pub struct Segment {
    name: String,
    file: File,
    read_only: File,
    capacity: u64,
    reserved: u64,
}

impl Segment {
    /// Makes a segment of `capacity` bytes (rounded up to whole pages) of address space, with no memory behind it yet.
    ///
    /// # Errors
    /// The name is taken, or the kernel says no: then nothing of it is left.
    pub fn create(name: &str, capacity: u64) -> Result<Self, ObjectError> {
        let file = object::create_empty(name, 0o600)?;
        let capacity = capacity.max(1).next_multiple_of(PAGE_BYTES as u64);
        let made = file.set_len(capacity).and_then(|()| object::open_read_only(name));
        let read_only = made.map_err(|source| {
            // Best effort: the error that counts is the one we are about to tell.
            let _ = object::unlink(name);
            ObjectError::Os { name: name.to_owned(), source }
        })?;
        Ok(Self { name: name.to_owned(), file, read_only, capacity, reserved: 0 })
    }

    /// Opens one that a daemon before this one made. Its capacity is its length; how much of it is reserved is not
    /// known, so it is 0: reserving again what is there already changes nothing.
    ///
    /// # Errors
    /// There is none, or it is not ours.
    pub fn open(name: &str) -> Result<Self, OpenError> {
        let os = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => OpenError::NotThere,
            _ => OpenError::Os { name: name.to_owned(), source },
        };
        let file = object::open(name).map_err(os)?;
        let facts = file.metadata().map_err(os)?;
        if facts.uid() != nix::unistd::geteuid().as_raw() {
            return Err(OpenError::OtherOwner { name: name.to_owned(), uid: facts.uid() });
        }
        let read_only = object::open_read_only(name).map_err(os)?;
        Ok(Self { name: name.to_owned(), file, read_only, capacity: facts.len(), reserved: 0 })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long it can be, in bytes: what everybody maps.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes from its start that were backed by memory. Those that were punched since are among them.
    #[must_use]
    pub const fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Bytes of memory that it takes at this moment, by the file system's count; its producer's stray ones included.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn used(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.blocks() * 512)
    }

    /// Whether it is as long as it was made. Its producer can make it longer as well as shorter: it is no producer to keep
    /// then, and payloads beyond a new end are lost.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn is_intact(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() == self.capacity)
    }

    /// Backs one more step with memory: towards `want` bytes from the start, [`MOST_STEP`] at the most. How many are
    /// backed now. Look at the machine's memory before each: under a cgroup too much is a kill and not an error.
    ///
    /// # Errors
    /// ENOSPC when the file system is full; nothing changed. `InvalidInput` beyond the capacity.
    pub fn grow(&mut self, want: u64) -> io::Result<u64> {
        if want > self.capacity {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let to = want.next_multiple_of(PAGE_BYTES as u64).min(self.reserved.saturating_add(MOST_STEP));
        if to > self.reserved {
            object::reserve(&self.file, self.reserved, to - self.reserved)?;
            self.reserved = to;
        }
        Ok(self.reserved)
    }

    /// Backs this range with memory again, after [`Self::punch`] or after [`Self::open`]. At most [`MOST_STEP`] a call,
    /// and how many bytes from `offset` are backed now.
    ///
    /// # Errors
    /// As [`Self::grow`].
    pub fn refill(&self, offset: u64, bytes: u64) -> io::Result<u64> {
        let end = offset.checked_add(bytes).filter(|end| *end <= self.capacity).ok_or(io::ErrorKind::InvalidInput)?;
        let step = (end - offset).min(MOST_STEP);
        object::reserve(&self.file, offset, step).map(|()| step)
    }

    /// Gives the memory behind the whole pages in this range back. How many bytes that was; they read as zero.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn punch(&self, offset: u64, bytes: u64) -> io::Result<u64> {
        let page = PAGE_BYTES as u64;
        let first = offset.checked_next_multiple_of(page).ok_or(io::ErrorKind::InvalidInput)?;
        let end = offset.saturating_add(bytes).min(self.capacity) / page * page;
        let whole = end.saturating_sub(first);
        object::punch(&self.file, first, whole).map(|()| whole)
    }

    /// The object itself, for reading and writing at offsets: there a short object is an error and not a signal.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// The descriptor for its producer, and for nobody else.
    #[must_use]
    pub fn writable(&self) -> impl AsFd + '_ {
        &self.file
    }

    /// The descriptor for everyone else. Under another uid it can't be opened anew for writing.
    #[must_use]
    pub fn read_only(&self) -> impl AsFd + '_ {
        &self.read_only
    }

    /// Removes its name. The memory goes with the last mapping and descriptor, the ones here among them.
    ///
    /// # Errors
    /// As the kernel says; that it is gone already is no error.
    pub fn unlink(&self) -> io::Result<()> {
        object::unlink(&self.name).map(drop)
    }
}
