//! Counts the bytes of parts that are in memory, on their way up or down, for as long as anybody has them: what the bound
//! on memory is tested against.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// What all parts of one tier hold together.
#[derive(Debug, Default)]
pub(super) struct Held {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Held {
    /// Bytes held now.
    pub(super) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The most there ever were.
    pub(super) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

/// A part being filled, or read. It never grows beyond what it was made for.
#[derive(Debug)]
pub(super) struct Part {
    bytes: Vec<u8>,
    capacity: usize,
    held: Arc<Held>,
}

impl Part {
    /// Room for `capacity` bytes.
    pub(super) fn new(held: &Arc<Held>, capacity: usize) -> Self {
        let now = held.now.fetch_add(capacity as u64, Ordering::Relaxed) + capacity as u64;
        held.peak.fetch_max(now, Ordering::Relaxed);
        Self { bytes: Vec::with_capacity(capacity), capacity, held: Arc::clone(held) }
    }

    /// Takes as much of `from` as there is room for, and says how much that was.
    pub(super) fn take(&mut self, from: &[u8]) -> usize {
        let now = from.len().min(self.capacity - self.bytes.len());
        self.bytes.extend_from_slice(from.get(..now).unwrap_or_default());
        now
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() == self.capacity
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hands it to whoever sends it; it counts until the last of them lets go.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.held.now.fetch_sub(self.capacity as u64, Ordering::Relaxed);
    }
}
