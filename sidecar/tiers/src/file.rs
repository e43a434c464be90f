//! Reads and writes of one copy's file or object, by offset; never through a mapping, because what a producer truncates
//! under a mapping is a SIGBUS and under `pread` a short read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use payload_manager_types::{PayloadId, Tier};

use crate::buffer::ALIGNMENT;
use crate::{Source, TierError, fail};

/// An open file of a copy, with or without the page cache.
#[derive(Debug)]
pub(crate) struct CopyFile {
    pub(crate) tier: Tier,
    /// Path or name, for errors.
    pub(crate) name: String,
    pub(crate) file: File,
    /// Whether reads and writes pass the page cache by.
    pub(crate) direct: bool,
}

impl CopyFile {
    /// A file or object that goes through the page cache, or is it.
    pub(crate) fn buffered(tier: Tier, name: impl Into<String>, file: File) -> Self {
        Self { tier, name: name.into(), file, direct: false }
    }

    /// How long it is, if that is what it must be.
    pub(crate) fn check_size(&self, id: PayloadId, expected: u64) -> Result<(), TierError> {
        let tier = self.tier;
        let meta = self.file.metadata().map_err(|e| self.failed("looking at", e))?;
        if !meta.is_file() {
            return Err(TierError::Missing { id, tier, what: format!("{} is no file", self.name) });
        }
        if meta.len() != expected {
            return Err(TierError::WrongSize { id, tier, expected, found: meta.len() });
        }
        Ok(())
    }

    /// Reads until `buf` is full or the file ends.
    pub(crate) fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let now = self.suit(offset + done as u64, rest.len())?;
            let rest = rest.get_mut(..now).unwrap_or_default();
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if self.is_misfit(&e) => self.go_buffered()?,
                Err(e) => return Err(self.failed("reading", e)),
            }
        }
        Ok(done)
    }

    /// Writes all of `bytes`.
    pub(crate) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TierError> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let now = self.suit(offset + done as u64, rest.len())?;
            match self.file.write_at(rest.get(..now).unwrap_or_default(), offset + done as u64) {
                Ok(0) => return Err(self.failed("writing", io::ErrorKind::WriteZero.into())),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if self.is_misfit(&e) => self.go_buffered()?,
                Err(e) => return Err(fail::write(self.tier, format!("writing {}", self.name), bytes.len(), e)),
            }
        }
        Ok(())
    }

    pub(crate) fn failed(&self, doing: &str, error: io::Error) -> TierError {
        fail::io(self.tier, format!("{doing} {}", self.name), error)
    }

    /// How much of `len` bytes to move at once. Direct I/O does whole blocks; what is left after them is the tail of the
    /// file, and goes through the page cache.
    fn suit(&mut self, offset: u64, len: usize) -> Result<usize, TierError> {
        if !self.direct {
            return Ok(len);
        }
        if offset.is_multiple_of(ALIGNMENT as u64) && len >= ALIGNMENT {
            return Ok(len - len % ALIGNMENT);
        }
        self.go_buffered()?;
        Ok(len)
    }

    /// Whether the file system took the flag at open and refuses it in use.
    fn is_misfit(&self, error: &io::Error) -> bool {
        self.direct && error.raw_os_error() == Some(Errno::EINVAL as i32)
    }

    fn go_buffered(&mut self) -> Result<(), TierError> {
        let flags = fcntl(&self.file, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        flags
            .and_then(|flags| fcntl(&self.file, FcntlArg::F_SETFL(flags - OFlag::O_DIRECT)))
            .map_err(|errno| self.failed("leaving direct I/O on", errno.into()))?;
        self.direct = false;
        Ok(())
    }
}

impl Source for CopyFile {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError> {
        Self::read_at(self, offset, buf)
    }
}

/// Opens with `O_DIRECT` if that is wanted and the file system takes it, and says whether it did. Follows no link.
pub(crate) fn open(path: &Path, options: &OpenOptions, direct: bool) -> io::Result<(File, bool)> {
    let flags = |more: OFlag| (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | more).bits();
    if direct {
        match options.clone().custom_flags(flags(OFlag::O_DIRECT)).open(path) {
            Err(e) if e.raw_os_error() == Some(Errno::EINVAL as i32) => {}
            other => return other.map(|file| (file, true)),
        }
    }
    options.clone().custom_flags(flags(OFlag::empty())).open(path).map(|file| (file, false))
}
