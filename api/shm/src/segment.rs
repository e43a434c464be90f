//! Segments: large objects that hold many payloads, mapped once and kept warm.
//!
//! [`Segment`] is the daemon's end: it makes the object, gives pages back, and hands out descriptors. [`SegmentMap`] is the other end, a client's: its producer maps it for writing, everyone else for
//! reading. One producer a segment, for life (see the design of protections); nobody else ever fills it.
//!
//! Address space is given at once, for the segment's whole capacity, and memory as it is used: so a mapping never has to
//! be made anew. Bytes that are mapped and have no memory behind them must not be touched (promise honest-full).
//!
//! Not here: which payload lies at which offset, when memory is taken, budgets, when a segment goes.

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

/// What the daemon has of a segment.
#[derive(Debug)]
pub struct Segment {
    name: String,
    file: File,
    read_only: File,
    capacity: u64,
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
        Ok(Self { name: name.to_owned(), file, read_only, capacity })
    }

    /// Opens one that a daemon before this one made. Its capacity is its length.
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
        Ok(Self { name: name.to_owned(), file, read_only, capacity: facts.len() })
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

    /// How long it is. Its producer can make it longer and shorter than it was made: it is no producer to keep then, and
    /// payloads beyond a new end are lost.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
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
