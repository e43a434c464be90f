//! The guard against SIGBUS: for mappings of objects that somebody else can cut short (promise honest-full).
//!
//! A client with a writable descriptor can truncate the object or punch holes into a full file system; the daemon's next
//! load from there is a SIGBUS. A range that is [watched](Watch) does not kill: the handler puts a page of zeros where
//! the load failed and marks the range condemned. Whoever works with such a mapping looks at [`Watch::is_condemned`]
//! *after* it has read, and throws away what it read if so.
//!
//! For the daemon, in which the first watch installs the handler. A client library has no business with the signals of
//! its program, and does not use this. Faults outside the watched ranges go on to whoever handled the signal before.

#![allow(unsafe_code, reason = "a signal handler, and what it maps")]

mod ranges;
mod signal;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::sync::atomic::{Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};
use thiserror::Error;

use self::ranges::Range;
use crate::map::long_enough;

/// A mapped range that is watched, until this is dropped. Drop it before the range is unmapped.
#[derive(Debug)]
pub(crate) struct Watch {
    range: &'static Range,
}

impl Watch {
    /// Watches `len` bytes of a mapping, from `start`, which is that of a page.
    pub(crate) fn over((start, len): (usize, usize)) -> io::Result<Self> {
        signal::install()?;
        Ok(Self { range: ranges::claim(start, len) })
    }

    /// Whether a load or store in the range has failed: nothing that was read from it counts.
    pub(crate) fn is_condemned(&self) -> bool {
        fence(Ordering::SeqCst);
        self.range.condemned.load(Ordering::SeqCst)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.range.give_up();
    }
}

/// The object was cut short, or had holes that could not be filled, while its bytes were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the object was cut short by somebody who can write it")]
pub struct Condemned;

/// Bytes of an object that somebody else can write and cut short, mapped for copying out of.
///
/// There are no references to them, only copies, and a copy that met the damage fails.
#[derive(Debug)]
pub struct GuardedMap {
    watch: Watch,
    raw: MmapRaw,
}

impl GuardedMap {
    /// Maps the first `len` bytes for reading.
    ///
    /// # Errors
    /// `UnexpectedEof` when the object is shorter than that; else as the kernel says.
    pub fn of_file(file: &File, len: usize) -> io::Result<Self> {
        long_enough(file, len)?;
        let raw = MmapOptions::new().len(len.max(1)).map_raw_read_only(file)?;
        let watch = Watch::over((raw.as_ptr().addr(), raw.len()))?;
        Ok(Self { watch, raw })
    }

    /// Copies the bytes from `offset` into `to`. They are what somebody wrote there, at one time or another.
    ///
    /// # Errors
    /// The object was cut short, now or before, or is not that long: then `to` holds nothing of worth.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) -> Result<(), Condemned> {
        let end = offset.checked_add(to.len()).filter(|end| *end <= self.raw.len());
        end.ok_or(Condemned)?;
        // SAFETY: `offset` is within the mapping, as just checked.
        let from = unsafe { self.raw.as_ptr().add(offset) };
        // SAFETY: `from` is valid for that many bytes: they are mapped as long as `self` lives, and where the object
        // ends before them the guard puts zeros. `to` is ours alone. Bytes that change meanwhile are some bytes or other.
        unsafe { std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
        if self.watch.is_condemned() { Err(Condemned) } else { Ok(()) }
    }

    /// Whether it was ever found cut short.
    #[must_use]
    pub fn is_condemned(&self) -> bool {
        self.watch.is_condemned()
    }
}
