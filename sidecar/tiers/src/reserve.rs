//! Reserves the bytes of a new object or file, so that no later store can fail (promise: honest-full).
//!
//! `ftruncate` alone would end in a SIGBUS of whoever stores, so everything is sized with `fallocate`, after a look at
//! what is free: a request that can't be met must not first fill the disk or the memory of everybody else.

use std::fs::File;
use std::io;
use std::ops::Range;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate, posix_fallocate};
use nix::sys::statvfs::fstatvfs;
use parking_lot::Mutex;
use payload_manager_shm::object;
use payload_manager_types::Tier;

use crate::{MemoryGauge, TierError, fail};

/// How much memory is taken at once, in bytes. With [`CREDIT`] it makes the 16 MiB that may be taken between two looks.
const STEP: u64 = 12 << 20;

/// How much may be taken after a look without another one, in bytes: a look costs more than a small object does.
const CREDIT: u64 = 4 << 20;

/// What is left of the last look at the gauge, in bytes. Held for a step, so that two do not both take what it showed once.
pub(crate) type Turn = Mutex<u64>;

/// What is reserved where, for the errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) tier: Tier,
    pub(crate) size: u64,
    /// Where the bytes go, in words: the file system that may be full.
    pub(crate) on: &'a str,
}

impl Request<'_> {
    /// Sizes `file` on a disk.
    pub(crate) fn on_disk(self, file: &File) -> Result<(), TierError> {
        self.fits(file)?;
        let size = self.offset(self.size)?;
        match uninterrupted(|| fallocate(file, FallocateFlags::empty(), 0, size)) {
            // Not every file system can: there the library writes each block once.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => uninterrupted(|| posix_fallocate(file, 0, size)),
            other => other,
        }
        .map_err(|errno| self.refused(file, errno.into()))
    }

    /// Sizes `file` in memory, in steps small enough that the gauge is never far off.
    pub(crate) fn in_memory(self, file: &File, gauge: &dyn MemoryGauge, turn: &Turn) -> Result<(), TierError> {
        self.look(file, gauge)?;
        self.grow(file, gauge, turn, 0, self.size).map(drop)
    }

    /// Refuses what certainly has no room in memory, and takes nothing.
    pub(crate) fn look(self, file: &File, gauge: &dyn MemoryGauge) -> Result<(), TierError> {
        self.fits(file)?;
        if self.size > STEP {
            self.gauged(gauge, self.size)?;
        }
        Ok(())
    }

    /// Grows `file` in memory, which is `offset` long, by whole steps until it is at least `end` long, or as long as it
    /// is to be; returns how long it is.
    pub(crate) fn grow(
        self,
        file: &File,
        gauge: &dyn MemoryGauge,
        turn: &Turn,
        mut offset: u64,
        end: u64,
    ) -> Result<u64, TierError> {
        while offset < end.min(self.size) {
            let step = STEP.min(self.size - offset);
            self.step(file, gauge, turn, step, || object::reserve(file, offset, step))?;
            offset += step;
        }
        Ok(offset)
    }

    /// Puts memory behind these bytes of `file`, by the same steps, and leaves its length alone.
    pub(crate) fn back(
        self,
        file: &File,
        gauge: &dyn MemoryGauge,
        turn: &Turn,
        bytes: Range<u64>,
    ) -> Result<(), TierError> {
        let mut offset = bytes.start;
        while offset < bytes.end {
            let step = STEP.min(bytes.end - offset);
            self.step(file, gauge, turn, step, || object::back(file, offset, step))?;
            offset += step;
        }
        Ok(())
    }

    /// Takes memory for `file` if the gauge leaves it.
    fn step(
        self,
        file: &File,
        gauge: &dyn MemoryGauge,
        turn: &Turn,
        bytes: u64,
        take: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), TierError> {
        let mut credit = turn.lock();
        *credit = match credit.checked_sub(bytes) {
            Some(rest) => rest,
            None => CREDIT.min(self.gauged(gauge, bytes)? / 8),
        };
        take().map_err(|e| self.refused(file, e))
    }

    /// Refuses what the file system certainly has no room for, before anything is taken.
    fn fits(self, file: &File) -> Result<(), TierError> {
        match free_bytes(file) {
            Some(free) if free < self.size => Err(self.full(free)),
            _ => Ok(()),
        }
    }

    /// What the gauge leaves after these bytes.
    fn gauged(self, gauge: &dyn MemoryGauge, bytes: u64) -> Result<u64, TierError> {
        let room = gauge.room(bytes);
        let short = || TierError::Full { tier: self.tier, asked: self.size, free: room.free, what: room.bound_by };
        room.free.checked_sub(bytes).ok_or_else(short)
    }

    fn refused(self, file: &File, error: io::Error) -> TierError {
        if fail::is_full(&error) {
            return self.full(free_bytes(file).unwrap_or(0));
        }
        fail::io(self.tier, format!("reserving {} bytes on {}", self.size, self.on), error)
    }

    fn full(self, free: u64) -> TierError {
        TierError::Full { tier: self.tier, asked: self.size, free, what: format!("{} is full", self.on) }
    }

    fn offset(self, bytes: u64) -> Result<i64, TierError> {
        i64::try_from(bytes).map_err(|_| self.full(i64::MAX.unsigned_abs()))
    }
}

/// A signal is no answer.
fn uninterrupted(mut call: impl FnMut() -> nix::Result<()>) -> nix::Result<()> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// What the file system of `file` has left for us, unless it can't say or has no bound.
pub(crate) fn free_bytes(file: &File) -> Option<u64> {
    let stat = fstatvfs(file).ok().filter(|stat| stat.blocks() > 0)?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}
