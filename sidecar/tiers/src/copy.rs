//! Moves the bytes of one payload from one tier to another, and makes their checksum on the way.
//!
//! Not here: whether the checksum is the right one (the engine compares it with what the catalog has), and making the
//! copy readable ([`Sink::finish`]). Memory is bounded: one buffer of 1 MiB for a small payload, three of 4 MiB for a large
//! one, whose reads and writes overlap.

mod pipeline;
#[cfg(test)]
mod tests;

use payload_manager_types::{Checksum, PayloadId, Tier};
use xxhash_rust::xxh3::Xxh3;

use crate::buffer::ALIGNMENT;
use crate::{AlignedBuffer, Sink, Source, TierError};

/// From this size on, reading and writing overlap; in bytes.
pub const OVERLAP_MIN: u64 = 8 << 20;

/// What is read at a time when they do not, at most; in bytes.
const SMALL_CHUNK: u64 = 1 << 20;

/// What is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Whose bytes.
    pub id: PayloadId,
    /// The tier they are read from.
    pub from: Tier,
    /// How many there must be.
    pub size: u64,
}

/// Is told after every piece how many bytes are done, and says whether to go on.
pub type Watch<'a> = dyn Fn(u64) -> bool + Sync + 'a;

/// Copies all bytes of `source` to `sink` and returns their checksum (promise: verified-tiers).
///
/// # Errors
/// [`TierError::WrongSize`] if the source ends early, [`TierError::Cancelled`] if `watch` said so, and what source and
/// sink fail with. The sink is not finished then: drop it.
pub fn copy(job: Job, source: &mut dyn Source, sink: &mut dyn Sink, watch: &Watch<'_>) -> Result<Checksum, TierError> {
    if job.size >= OVERLAP_MIN
        && let Some(outcome) = pipeline::copy(job, source, sink, watch)
    {
        return outcome;
    }
    in_turn(job, source, &mut |offset, bytes| sink.write_at(offset, bytes), watch)
}

/// Reads all bytes of `source` and returns their checksum.
///
/// # Errors
/// As [`copy`].
pub fn hash(job: Job, source: &mut dyn Source, watch: &Watch<'_>) -> Result<Checksum, TierError> {
    in_turn(job, source, &mut |_, _| Ok(()), watch)
}

/// Where the pieces go.
type Write<'a> = dyn FnMut(u64, &[u8]) -> Result<(), TierError> + 'a;

/// One buffer: read, hash, write, and again.
fn in_turn(job: Job, source: &mut dyn Source, write: &mut Write<'_>, watch: &Watch<'_>) -> Result<Checksum, TierError> {
    let mut hasher = Xxh3::new();
    let mut buffer = AlignedBuffer::new(length(SMALL_CHUNK.min(job.size)).next_multiple_of(ALIGNMENT));
    for chunk in job.chunks(SMALL_CHUNK) {
        let bytes = buffer.head_mut(chunk.len);
        job.read(source, chunk, bytes)?;
        hasher.update(bytes);
        write(chunk.offset, bytes)?;
        job.told(watch, chunk)?;
    }
    Ok(checksum(&hasher))
}

/// One read and one write of a copy.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    offset: u64,
    len: usize,
}

impl Job {
    /// The pieces, in order; all but the last `step` bytes long.
    fn chunks(self, step: u64) -> impl Iterator<Item = Chunk> {
        (0..self.size.div_ceil(step)).map(move |n| {
            let offset = n * step;
            Chunk { offset, len: length(step.min(self.size - offset)) }
        })
    }

    /// Fills `into` with the piece; ending before is the error (promise: honest-full, never a SIGBUS).
    fn read(self, source: &mut dyn Source, chunk: Chunk, into: &mut [u8]) -> Result<(), TierError> {
        let got = source.read_at(chunk.offset, into)?;
        if got == into.len() {
            return Ok(());
        }
        let found = chunk.offset + got as u64;
        Err(TierError::WrongSize { id: self.id, tier: self.from, expected: self.size, found })
    }

    /// Tells the watcher that this piece is done.
    fn told(self, watch: &Watch<'_>, chunk: Chunk) -> Result<(), TierError> {
        if watch(chunk.offset + chunk.len as u64) {
            return Ok(());
        }
        Err(TierError::Cancelled { id: self.id, from: self.from })
    }
}

/// The length of a piece; pieces are a few MiB at most.
fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn checksum(hasher: &Xxh3) -> Checksum {
    Checksum(hasher.digest128().to_be_bytes())
}
