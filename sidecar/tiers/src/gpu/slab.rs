//! A slab: one allocation on a card, opened once by each process, in which payloads lie side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use offset_allocator::{Allocation, Allocator};

use super::card::{Key, Memory};

/// What every payload begins at a multiple of, in bytes: what an allocation of its own would give it.
pub(super) const GRAIN: u64 = 256;

/// What an allocation takes is a multiple of, in bytes.
pub(super) const BLOCK: u64 = 2 << 20;

/// A slab that payloads share, in bytes, at most; and which part of its card's capacity at most.
const SHARED_BYTES: u64 = 64 << 20;
const SHARED_PART: u64 = 8;

/// A payload of more than this part of such a slab has one of its own.
const SINGLE_PART: u64 = 4;

/// How large a slab is that payloads share, on a card of which so much may be taken.
pub(super) fn shared_bytes(capacity: u64) -> u64 {
    (capacity / SHARED_PART / BLOCK * BLOCK).clamp(BLOCK, SHARED_BYTES)
}

/// So many payloads fit a slab at most, which bounds what its allocator takes.
const MOST_PARTS: u32 = 1 << 14;

/// Who fills a slab. What a session fills nobody else does: its process may write anywhere in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The daemon: copies of what lies in other tiers.
    Daemon,
    /// A session.
    Session(u32),
    /// Nobody any more.
    Over,
}

/// A slab and what is in it.
pub(super) struct Slab {
    pub(super) card: usize,
    pub(super) memory: Arc<dyn Memory>,
    pub(super) key: Key,
    pub(super) owner: Owner,
    /// None if it is for one payload.
    allocator: Option<Allocator>,
    /// By offset.
    parts: BTreeMap<u64, Part>,
}

struct Part {
    size: u64,
    allocation: Option<Allocation>,
}

impl Slab {
    /// An empty one.
    pub(super) fn new(card: usize, memory: Arc<dyn Memory>, key: Key, owner: Owner, single: bool) -> Self {
        let units = u32::try_from(memory.bytes() / GRAIN).unwrap_or(u32::MAX);
        let allocator = (!single).then(|| Allocator::with_max_allocs(units, units.clamp(1, MOST_PARTS) + 1));
        Self { card, memory, key, owner, allocator, parts: BTreeMap::new() }
    }

    /// Whether a payload may be one of several in a slab.
    pub(super) fn is_shared(size: u64, alignment: u64, capacity: u64) -> bool {
        size <= shared_bytes(capacity) / SINGLE_PART && alignment <= GRAIN
    }

    /// Finds a place for a payload.
    pub(super) fn place(&mut self, size: u64) -> Option<u64> {
        let (offset, allocation) = match &mut self.allocator {
            None if self.parts.is_empty() && size <= self.memory.bytes() => (0, None),
            None => return None,
            Some(allocator) => {
                let part = allocator.allocate(u32::try_from(size.max(1).div_ceil(GRAIN)).ok()?)?;
                (u64::from(part.offset) * GRAIN, Some(part))
            }
        };
        self.parts.insert(offset, Part { size, allocation });
        Some(offset)
    }

    /// Whether payloads share it.
    pub(super) const fn shares(&self) -> bool {
        self.allocator.is_some()
    }

    /// How long the payload there is.
    pub(super) fn size_at(&self, offset: u64) -> Option<u64> {
        self.parts.get(&offset).map(|part| part.size)
    }

    /// Takes a payload out; none there is fine.
    pub(super) fn free(&mut self, offset: u64) {
        let Some(part) = self.parts.remove(&offset) else { return };
        if let (Some(allocator), Some(allocation)) = (&mut self.allocator, part.allocation) {
            allocator.free(allocation);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}
