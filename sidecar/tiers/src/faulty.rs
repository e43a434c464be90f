//! A tier that goes wrong when a test wants it to. Wraps any other tier; the test's hook sees every call before it is
//! made, and says what becomes of it.
//!
//! Latency needs no verdict: a hook that waits, for a channel say, makes the call slow for exactly as long as the test
//! wants.

use std::fmt;
use std::io;
use std::sync::Arc;

use payload_manager_types::{Checksum, PayloadId, Place, Tier};

use crate::{Archive, Description, Location, Sealed, Sink, Source, TierError, TierStore};

/// Which call is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// [`TierStore::allocate`].
    Allocate,
    /// [`TierStore::seal`].
    Seal,
    /// [`TierStore::source`].
    Source,
    /// [`TierStore::sink`], [`TierStore::replacement`].
    Sink,
    /// [`TierStore::describe`].
    Describe,
    /// [`TierStore::free`].
    Free,
    /// [`TierStore::set_aside`].
    SetAside,
    /// [`Source::read_at`], at this offset.
    Read(u64),
    /// [`Sink::write_at`], at this offset.
    Write(u64),
    /// [`Sink::finish`].
    Finish,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Pass,
    /// It fails as if the tier were full.
    Full,
    /// It fails as if the copy were gone.
    Missing,
    /// It fails with this error of the system (an `errno`).
    Os(i32),
    /// A read ends after so many bytes; any other call passes.
    Short(usize),
    /// A read or a write has the lowest bit of its first byte flipped; any other call passes.
    Flip,
}

/// What a test decides with.
pub type Hook = dyn Fn(PayloadId, Op) -> Verdict + Send + Sync;

/// Wraps a tier. Cloning shares tier and hook.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn TierStore>,
    hook: Arc<Hook>,
}

impl Faulty {
    /// `inner`, as `hook` lets it be.
    pub fn new(inner: Arc<dyn TierStore>, hook: impl Fn(PayloadId, Op) -> Verdict + Send + Sync + 'static) -> Self {
        Self { inner, hook: Arc::new(hook) }
    }

    /// Asks the hook: an error, or the verdict that a read or a write carries out itself.
    fn ask(&self, id: PayloadId, op: Op, size: u64) -> Result<Verdict, TierError> {
        let tier = self.inner.tier();
        let what = format!("injected at {op:?}");
        match (self.hook)(id, op) {
            Verdict::Full => Err(TierError::Full { tier, asked: size, free: 0, what }),
            Verdict::Missing => Err(TierError::Missing { id, tier, what }),
            Verdict::Os(errno) => Err(TierError::Io { tier, doing: what, source: io::Error::from_raw_os_error(errno) }),
            other => Ok(other),
        }
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner.tier())
    }
}

impl TierStore for Faulty {
    fn tier(&self) -> Tier {
        self.inner.tier()
    }

    fn location(&self, id: PayloadId, place: Place) -> Location {
        self.inner.location(id, place)
    }

    fn allocate(&self, id: PayloadId, size: u64) -> Result<Place, TierError> {
        self.ask(id, Op::Allocate, size)?;
        self.inner.allocate(id, size)
    }

    fn seal(&self, id: PayloadId, place: Place, size: u64, archive: &Archive<'_>) -> Result<Sealed, TierError> {
        self.ask(id, Op::Seal, size)?;
        self.inner.seal(id, place, size, archive)
    }

    fn source(&self, id: PayloadId, place: Place, size: u64) -> Result<Box<dyn Source>, TierError> {
        self.ask(id, Op::Source, size)?;
        let inner = self.inner.source(id, place, size)?;
        Ok(Box::new(FaultySource { tier: self.clone(), id, inner }))
    }

    fn sink(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        self.ask(id, Op::Sink, size)?;
        let inner = self.inner.sink(id, size)?;
        Ok(Box::new(FaultySink { tier: self.clone(), id, inner }))
    }

    fn replacement(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        self.ask(id, Op::Sink, size)?;
        let inner = self.inner.replacement(id, size)?;
        Ok(Box::new(FaultySink { tier: self.clone(), id, inner }))
    }

    fn describe(&self, id: PayloadId, size: u64, archive: &Description<'_>) -> Result<(), TierError> {
        self.ask(id, Op::Describe, size)?;
        self.inner.describe(id, size, archive)
    }

    fn free(&self, id: PayloadId, place: Place) -> Result<(), TierError> {
        self.ask(id, Op::Free, 0)?;
        self.inner.free(id, place)
    }

    fn set_aside(&self, id: PayloadId, place: Place) -> Result<(), TierError> {
        self.ask(id, Op::SetAside, 0)?;
        self.inner.set_aside(id, place)
    }
}

struct FaultySource {
    tier: Faulty,
    id: PayloadId,
    inner: Box<dyn Source>,
}

impl Source for FaultySource {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError> {
        let verdict = self.tier.ask(self.id, Op::Read(offset), buf.len() as u64)?;
        let got = self.inner.read_at(offset, buf)?;
        if verdict == Verdict::Flip
            && let Some(byte) = buf.first_mut()
        {
            *byte ^= 1;
        }
        Ok(if let Verdict::Short(n) = verdict { got.min(n) } else { got })
    }
}

struct FaultySink {
    tier: Faulty,
    id: PayloadId,
    inner: Box<dyn Sink>,
}

impl Sink for FaultySink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TierError> {
        match self.tier.ask(self.id, Op::Write(offset), bytes.len() as u64)? {
            Verdict::Flip => {
                // Loses the alignment, which a back end must put up with anyway.
                let mut flipped = bytes.to_vec();
                flipped.iter_mut().take(1).for_each(|byte| *byte ^= 1);
                self.inner.write_at(offset, &flipped)
            }
            _ => self.inner.write_at(offset, bytes),
        }
    }

    fn finish(self: Box<Self>, checksum: Checksum, archive: &Archive<'_>) -> Result<Place, TierError> {
        self.tier.ask(self.id, Op::Finish, 0)?;
        self.inner.finish(checksum, archive)
    }
}

#[cfg(test)]
mod tests;
