//! A copy whose reads and writes overlap: a thread reads and hashes, the caller writes, buffers go round between them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use payload_manager_types::Checksum;
use xxhash_rust::xxh3::Xxh3;

use super::{Chunk, Job, Watch, checksum, length};
use crate::store::Lent;
use crate::{AlignedBuffer, Sink, Source, TierError};

/// How many buffers go round.
pub(super) const BUFFERS: usize = 4;

/// How many bytes a buffer holds: few enough that they are still in the cache when they are hashed and written, and that
/// the first write begins at once.
pub(super) const CHUNK: u64 = 1 << 20;

/// A buffer on its way to the writer.
type Filled = (Chunk, Buffer);

/// A buffer that goes round.
enum Buffer {
    Own(AlignedBuffer),
    Lent(Box<dyn Lent>),
}

impl Buffer {
    fn head(&self, len: usize) -> &[u8] {
        match self {
            Self::Own(buffer) => buffer.head(len),
            Self::Lent(buffer) => buffer.bytes().get(..len).unwrap_or_default(),
        }
    }

    fn head_mut(&mut self, len: usize) -> &mut [u8] {
        match self {
            Self::Own(buffer) => buffer.head_mut(len),
            Self::Lent(buffer) => buffer.bytes_mut().get_mut(..len).unwrap_or_default(),
        }
    }
}

/// The buffers of a copy, and how many bytes each holds: those that one of its sides lends, if it can spare two, for reads
/// and writes to overlap.
fn buffers(source: &dyn Source, sink: &dyn Sink) -> (Vec<Buffer>, u64) {
    let lender = sink.buffers().or_else(|| source.buffers());
    let lent: Vec<_> = lender.into_iter().flat_map(|from| (0..BUFFERS).map_while(move |_| from.lend())).collect();
    match lent.iter().map(|buffer| buffer.bytes().len() as u64).min().filter(|bytes| lent.len() > 1 && *bytes > 0) {
        Some(bytes) => (lent.into_iter().map(Buffer::Lent).collect(), bytes),
        None => ((0..BUFFERS).map(|_| Buffer::Own(AlignedBuffer::new(length(CHUNK)))).collect(), CHUNK),
    }
}

/// Copies, or returns `None`, with nothing done, where the system gives no thread.
pub(super) fn copy(
    job: Job,
    source: &mut dyn Source,
    sink: &mut dyn Sink,
    watch: &Watch<'_>,
) -> Option<Result<Checksum, TierError>> {
    let (filled_tx, filled_rx) = sync_channel(BUFFERS);
    let (empty_tx, empty_rx) = sync_channel(BUFFERS);
    let (buffers, step) = buffers(source, sink);
    for buffer in buffers {
        empty_tx.send(buffer).ok()?;
    }
    thread::scope(|scope| {
        let reader = thread::Builder::new()
            .name("pm-copy-read".to_owned())
            .spawn_scoped(scope, move || read((job, step), source, &empty_rx, &filled_tx))
            .ok()?;
        // An error drops the channels' ends in `write`, which ends the reader at its next buffer.
        let written = write(job, sink, filled_rx, empty_tx, watch);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Some(written.and(read))
    })
}

/// Reads and hashes every piece; stops early when the writer is gone.
fn read(
    (job, step): (Job, u64),
    source: &mut dyn Source,
    empty: &Receiver<Buffer>,
    filled: &SyncSender<Filled>,
) -> Result<Checksum, TierError> {
    let mut hasher = Xxh3::new();
    for chunk in job.chunks(step) {
        let Ok(mut buffer) = empty.recv() else { break };
        let bytes = buffer.head_mut(chunk.len);
        job.read(source, chunk, bytes)?;
        hasher.update(bytes);
        if filled.send((chunk, buffer)).is_err() {
            break;
        }
    }
    Ok(checksum(&hasher))
}

/// Writes every piece that comes. The reader's failure shows as an early end here, and as its own result.
fn write(
    job: Job,
    sink: &mut dyn Sink,
    filled: Receiver<Filled>,
    empty: SyncSender<Buffer>,
    watch: &Watch<'_>,
) -> Result<(), TierError> {
    for (chunk, buffer) in filled {
        sink.write_at(chunk.offset, buffer.head(chunk.len))?;
        job.told(watch, chunk)?;
        // The reader that has read everything is gone, and wants no more buffers.
        let _ = empty.send(buffer);
    }
    Ok(())
}
