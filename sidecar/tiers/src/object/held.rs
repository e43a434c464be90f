//! Counts the bytes of parts that are in memory, on their way up or down, for as long as anybody has them: what the bound
//! on memory is tested against. Memory goes from part to part while any is under way, because an allocator that is asked for
//! megabytes by many threads keeps more of them than are used.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

/// What all parts of one tier hold together.
#[derive(Debug, Default)]
pub(super) struct Held {
    now: AtomicU64,
    peak: AtomicU64,
    /// Memory that no part has at the moment; none when there is no part.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Spare memory that is kept for the next part, in pieces.
const SPARE: usize = 4;

impl Held {
    /// Bytes held now.
    pub(super) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The most there ever were.
    pub(super) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// At least so many bytes.
    fn memory(&self, capacity: usize) -> Vec<u8> {
        let mut spare = self.spare.lock();
        let fits = spare.iter().position(|memory| memory.len() >= capacity);
        let memory = fits.map(|at| spare.swap_remove(at));
        drop(spare);
        memory.unwrap_or_else(|| vec![0; capacity])
    }

    /// A part of so many bytes is gone.
    fn give_back(&self, capacity: usize, memory: Vec<u8>) {
        let mut spare = self.spare.lock();
        let others = self.now.fetch_sub(capacity as u64, Ordering::Relaxed) - capacity as u64;
        if others == 0 {
            spare.clear();
        } else if spare.len() < SPARE {
            spare.push(memory);
        }
    }
}

/// A part being filled, or read. It never grows beyond what it was made for.
#[derive(Debug)]
pub(super) struct Part {
    /// At least as long as the part may be.
    memory: Vec<u8>,
    filled: usize,
    capacity: usize,
    held: Arc<Held>,
}

impl Part {
    /// Room for `capacity` bytes.
    pub(super) fn new(held: &Arc<Held>, capacity: usize) -> Self {
        let now = held.now.fetch_add(capacity as u64, Ordering::Relaxed) + capacity as u64;
        held.peak.fetch_max(now, Ordering::Relaxed);
        Self { memory: held.memory(capacity), filled: 0, capacity, held: Arc::clone(held) }
    }

    /// Takes as much of `from` as there is room for, and says how much that was.
    pub(super) fn take(&mut self, from: &[u8]) -> usize {
        let room = self.memory.get_mut(self.filled..self.capacity).unwrap_or_default();
        let now = from.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..now), from.get(..now)) {
            to.copy_from_slice(from);
        }
        self.filled += now;
        now
    }

    /// Fills it from a file; it stays short where that ends.
    pub(super) fn read_from(mut self, file: &File, mut at: u64) -> io::Result<Self> {
        while let Some(room) = self.memory.get_mut(self.filled..self.capacity).filter(|room| !room.is_empty()) {
            match file.read_at(room, at) {
                Ok(0) => break,
                Ok(read) => {
                    self.filled += read;
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self)
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.capacity
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.get(..self.filled).unwrap_or_default()
    }

    /// Hands it to whoever sends it; it counts until the last of them lets go.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.held.give_back(self.capacity, std::mem::take(&mut self.memory));
    }
}
