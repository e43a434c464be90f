//! Reserves the bytes of a new object or file, so that no later store can fail (promise: honest-full).
//!
//! `ftruncate` alone would end in a SIGBUS of whoever stores, so everything is sized with `fallocate`, after a look at
//! what is free: a request that can't be met must not first fill the disk or the memory of everybody else.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate, posix_fallocate};
use nix::sys::statvfs::fstatvfs;
use parking_lot::Mutex;
use payload_manager_types::Tier;

use crate::{MemoryGauge, TierError, fail};

/// How much memory is taken between two looks at the gauge, in bytes.
const STEP: u64 = 16 << 20;

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
        match fallocate(file, FallocateFlags::empty(), 0, size) {
            // Not every file system can: there the library writes each block once.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => posix_fallocate(file, 0, size),
            other => other,
        }
        .map_err(|errno| self.refused(file, errno))
    }

    /// Sizes `file` in memory, in steps small enough that the gauge is never far off. One at a time holds `turn`, so
    /// that two do not both take what the gauge showed once.
    pub(crate) fn in_memory(self, file: &File, gauge: &dyn MemoryGauge, turn: &Mutex<()>) -> Result<(), TierError> {
        self.fits(file)?;
        self.gauged(gauge, self.size)?;
        let mut offset = 0;
        while offset < self.size {
            let step = STEP.min(self.size - offset);
            let _turn = turn.lock();
            self.gauged(gauge, step)?;
            fallocate(file, FallocateFlags::empty(), self.offset(offset)?, self.offset(step)?)
                .map_err(|errno| self.refused(file, errno))?;
            offset += step;
        }
        Ok(())
    }

    /// Refuses what the file system certainly has no room for, before anything is taken.
    fn fits(self, file: &File) -> Result<(), TierError> {
        match free_bytes(file) {
            Some(free) if free < self.size => Err(self.full(free)),
            _ => Ok(()),
        }
    }

    fn gauged(self, gauge: &dyn MemoryGauge, bytes: u64) -> Result<(), TierError> {
        let room = gauge.room();
        if bytes <= room.free {
            return Ok(());
        }
        Err(TierError::Full { tier: self.tier, asked: self.size, free: room.free, what: room.bound_by })
    }

    fn refused(self, file: &File, errno: Errno) -> TierError {
        let error = io::Error::from(errno);
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

/// What the file system of `file` has left for us, unless it can't say or has no bound.
pub(crate) fn free_bytes(file: &File) -> Option<u64> {
    let stat = fstatvfs(file).ok().filter(|stat| stat.blocks() > 0)?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}
