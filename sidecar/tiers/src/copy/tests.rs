//! That copies are whole, checked, in aligned pieces, and end when they are told to.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use payload_manager_types::{PayloadId, Place, Tier};

use super::{Job, OVERLAP_MIN, copy, hash, pipeline};
use crate::buffer::ALIGNMENT;
use crate::conformance::bytes::{checksum_of, new_id, pattern};
use crate::faulty::{Op, Verdict};
use crate::{Faulty, HeapTier, Sink, Source, TierError, TierStore};

/// A source and a sink that hold their callers to what the port promises them.
struct Strict {
    size: u64,
    bytes: Vec<u8>,
}

impl Strict {
    fn check(&self, offset: u64, buf: &[u8]) {
        assert_eq!(buf.as_ptr().align_offset(ALIGNMENT), 0, "the buffer is aligned");
        assert_eq!(offset % ALIGNMENT as u64, 0, "the offset is aligned");
        let end = offset + buf.len() as u64;
        assert!(end == self.size || buf.len().is_multiple_of(ALIGNMENT), "so is every length but the last");
        assert!(buf.len() as u64 <= pipeline::CHUNK, "a bounded piece");
    }

    fn new(bytes: Vec<u8>) -> Self {
        Self { size: bytes.len() as u64, bytes }
    }
}

impl Source for Strict {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError> {
        self.check(offset, buf);
        let from = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&self.bytes[from..from + buf.len()]);
        Ok(buf.len())
    }
}

impl Sink for Strict {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TierError> {
        self.check(offset, bytes);
        assert_eq!(self.bytes.len() as u64, offset, "in order, without gaps");
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>, _: payload_manager_types::Checksum, _: &crate::Archive<'_>) -> Result<Place, TierError> {
        Ok(Place::OWN)
    }
}

fn job(size: u64) -> Job {
    Job { id: new_id(), from: Tier::Ram, size }
}

/// A tier with one copy of `size` bytes, harmed by `hook`.
fn harmed(size: u64, hook: impl Fn(PayloadId, Op) -> Verdict + Send + Sync + 'static) -> (Faulty, Job) {
    let (heap, job) = (HeapTier::new(Tier::Ram, 1 << 30), job(size));
    heap.allocate(job.id, size).unwrap();
    (Faulty::new(std::sync::Arc::new(heap), hook), job)
}

/// Both ways to copy.
const BOTH: [u64; 2] = [3 << 20, OVERLAP_MIN + (5 << 20)];

#[test]
fn every_byte_arrives_in_aligned_pieces() {
    for size in [1, 4095, 4096, 4097, 1 << 20, OVERLAP_MIN - 1, OVERLAP_MIN, OVERLAP_MIN + 1, 3 * OVERLAP_MIN + 5] {
        let bytes = pattern(usize::try_from(size).unwrap());
        let (mut source, mut sink) = (Strict::new(bytes.clone()), Strict { size, bytes: Vec::new() });
        let sum = copy(job(size), &mut source, &mut sink, &|_| true).unwrap();
        assert!(sum == checksum_of(&bytes) && sink.bytes == bytes, "{size} bytes");
        assert_eq!(hash(job(size), &mut source, &|_| true).unwrap(), sum);
    }
}

#[test]
fn the_watcher_sees_every_byte_go_by_and_can_stop() {
    for size in BOTH {
        let mut source = Strict::new(vec![1; usize::try_from(size).unwrap()]);
        let seen = AtomicU64::new(0);
        let mut sink = Strict { size, bytes: Vec::new() };
        let grows = |done| seen.swap(done, Ordering::SeqCst) < done;
        copy(job(size), &mut source, &mut sink, &grows).unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), size);

        let mut sink = Strict { size, bytes: Vec::new() };
        let error = copy(job(size), &mut source, &mut sink, &|_| false).unwrap_err();
        assert!(matches!(error, TierError::Cancelled { .. }), "{error}");
        assert!((sink.bytes.len() as u64) < size, "nothing is written after a stop");
    }
}

#[test]
fn a_source_that_ends_early_is_the_wrong_size_wherever_it_ends() {
    for size in BOTH {
        for stop in [0, size - 1] {
            let at = stop / pipeline::CHUNK * pipeline::CHUNK;
            let (tier, job) = harmed(size, move |_, op| match op {
                Op::Read(offset) if offset == at => Verdict::Short(100),
                _ => Verdict::Pass,
            });
            let mut sink = Strict { size, bytes: Vec::new() };
            let mut source = tier.source(job.id, Place::OWN, size).unwrap();
            let error = copy(job, &mut *source, &mut sink, &|_| true).unwrap_err();
            let TierError::WrongSize { expected, found, .. } = error else { panic!("{error}") };
            assert_eq!((expected, found), (size, at + 100));
        }
    }
}

#[test]
fn a_failing_read_or_write_is_what_the_copy_fails_with() {
    for size in BOTH {
        let (bad, job) = harmed(size, |_, op| match op {
            Op::Read(_) | Op::Write(_) => Verdict::Os(Errno::EIO as i32),
            _ => Verdict::Pass,
        });
        let mut sink = Strict { size, bytes: Vec::new() };
        let mut source = bad.source(job.id, Place::OWN, size).unwrap();
        let read = copy(job, &mut *source, &mut sink, &|_| true).unwrap_err();
        assert!(read.to_string().contains("Read(0)"), "{read}");

        let (mut source, mut sink) =
            (Strict::new(vec![1; usize::try_from(size).unwrap()]), bad.sink(job.id, size).unwrap());
        let write = copy(job, &mut source, &mut *sink, &|_| true).unwrap_err();
        assert!(write.to_string().contains("Write(0)"), "{write}");
    }
}
