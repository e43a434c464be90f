//! One segment: which payloads lie where in it, and how much memory is behind that.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use offset_allocator::{Allocation, Allocator};
use payload_manager_shm::Segment;

use super::backing::{Backing, PAGE, touched, whole};

/// What a segment is for: payloads of like size, so that the gaps they leave fit the next ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Payloads smaller than a page, each on cache lines of its own.
    Small,
    /// Payloads from a page on, each on pages of its own.
    Paged,
    /// One large payload at a time.
    Single,
}

/// A payload from here on gets a segment of its own, in bytes.
const SINGLE_FROM: u64 = 16 << 20;

/// Address space of a segment that many payloads share, in bytes; memory comes as it is used.
pub(super) const SHARED_BYTES: u64 = 64 << 20;

impl Kind {
    pub(super) const fn of(size: u64) -> Self {
        match size {
            ..PAGE => Self::Small,
            PAGE..SINGLE_FROM => Self::Paged,
            SINGLE_FROM.. => Self::Single,
        }
    }

    /// What offsets are multiples of, in bytes.
    const fn grain(self) -> u64 {
        match self {
            Self::Small => 64,
            Self::Paged | Self::Single => PAGE,
        }
    }

    /// How long a segment for a payload of this size is.
    pub(super) const fn capacity(self, size: u64) -> u64 {
        match self {
            Self::Small | Self::Paged => SHARED_BYTES,
            // The allocator looks for gaps by their magnitude: one that is a little larger is found for sure.
            Self::Single => size.saturating_add(size / 8),
        }
    }
}

/// A segment is sparse when no more than one part in so many is used.
const SPARSE: u64 = 8;

/// A segment and what is in it.
pub(super) struct Space {
    pub(super) segment: Arc<Segment>,
    /// The session that fills it; none once that is over, or after a restart: then nothing new is put into it.
    owner: Option<(u32, Allocator)>,
    kind: Kind,
    blocks: BTreeMap<u64, Block>,
    backing: Backing,
    /// What the blocks take of the budget: whole pages each.
    charged: u64,
}

/// A payload's part.
struct Block {
    size: u64,
    /// What the allocator calls it; none in a segment that is only emptied.
    part: Option<Allocation>,
}

/// So many blocks fit a segment at most, which bounds what its allocator takes.
const MOST_BLOCKS: u32 = 1 << 14;

impl Space {
    /// A new one that this session fills.
    pub(super) fn new(segment: Segment, owner: u32, kind: Kind) -> Self {
        let units = u32::try_from(segment.capacity() / kind.grain()).unwrap_or(u32::MAX);
        let allocator = Allocator::with_max_allocs(units, units.clamp(1, MOST_BLOCKS) + 1);
        let backing = Backing::none(segment.capacity());
        let blocks = BTreeMap::new();
        Self { segment: Arc::new(segment), owner: Some((owner, allocator)), kind, blocks, backing, charged: 0 }
    }

    /// One of the last run: what lies in it stays until it is freed, and nothing new comes.
    pub(super) fn adopted(segment: Segment) -> Self {
        let mut backing = Backing::none(segment.capacity());
        // Behind which there is memory nobody remembers; giving back what is not there does no harm.
        backing.set(whole(0, segment.capacity()), true);
        let blocks = BTreeMap::new();
        Self { segment: Arc::new(segment), owner: None, kind: Kind::Paged, blocks, backing, charged: 0 }
    }

    pub(super) fn owner(&self) -> Option<u32> {
        self.owner.as_ref().map(|(session, _)| *session)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether nothing new comes into it, and what is left is so little that it is better off elsewhere.
    pub(super) fn is_sparse(&self) -> bool {
        let left = self.charged.saturating_mul(SPARSE);
        self.owner.is_none() && !self.is_empty() && left <= self.segment.capacity()
    }

    /// Bytes of memory behind it.
    pub(super) fn backed(&self) -> u64 {
        self.backing.bytes()
    }

    /// Bytes of memory that no payload pays for: kept for the next ones.
    pub(super) fn warm(&self) -> u64 {
        self.backing.bytes().saturating_sub(self.charged)
    }

    /// Finds a place; `None` if there is none of that size. Nothing is said about the memory behind it.
    pub(super) fn place(&mut self, size: u64) -> Option<u64> {
        if !self.suits(size) {
            return None;
        }
        let grain = self.kind.grain();
        let (_, allocator) = self.owner.as_mut()?;
        let units = u32::try_from(size.max(1).div_ceil(grain)).ok()?;
        let part = allocator.allocate(units)?;
        let offset = u64::from(part.offset) * grain;
        self.charged += charge(size);
        self.blocks.insert(offset, Block { size, part: Some(part) });
        Some(offset)
    }

    /// Whether a payload of this size belongs here, and could lie here if there is a gap for it.
    fn suits(&self, size: u64) -> bool {
        let capacity = self.segment.capacity();
        let fits = Kind::of(size) == self.kind && size <= capacity;
        fits && (self.kind != Kind::Single || (self.blocks.is_empty() && capacity / 2 <= size))
    }

    /// Counts a payload that is there already. Whether it lies inside.
    pub(super) fn adopt(&mut self, offset: u64, size: u64) -> bool {
        let inside = offset.checked_add(size).is_some_and(|end| end <= self.segment.capacity());
        if inside && self.blocks.insert(offset, Block { size, part: None }).is_none() {
            self.charged += charge(size);
        }
        inside
    }

    /// Whether there is memory behind all of a block.
    pub(super) fn is_backed(&self, offset: u64) -> bool {
        self.blocks.get(&offset).is_some_and(|block| self.backing.is_whole(touched(offset, block.size)))
    }

    /// Where a block lacks memory.
    pub(super) fn unbacked(&self, offset: u64) -> Vec<Range<u64>> {
        let Some(block) = self.blocks.get(&offset) else { return Vec::new() };
        self.backing.runs(touched(offset, block.size), false, u64::MAX)
    }

    /// The next pages without memory that nobody has, up to `bytes`, in one piece.
    pub(super) fn ahead(&self, bytes: u64) -> Option<Range<u64>> {
        let gaps = self.gaps(0, self.segment.capacity());
        let mut cold = gaps.into_iter().flat_map(|gap| self.backing.runs(gap, false, bytes / PAGE));
        cold.next().filter(|_| bytes >= PAGE)
    }

    pub(super) fn back(&mut self, pages: Range<u64>) {
        self.backing.set(pages, true);
    }

    /// Takes a block out. Whether it was there.
    pub(super) fn free(&mut self, offset: u64) -> bool {
        let Some(block) = self.blocks.remove(&offset) else { return false };
        self.charged -= charge(block.size);
        if let (Some((_, allocator)), Some(part)) = (&mut self.owner, block.part) {
            allocator.free(part);
        }
        true
    }

    /// Nothing new comes from here on.
    pub(super) fn close(&mut self) {
        self.owner = None;
    }

    /// Pages with memory that no block touches, around this offset, between the blocks beside it.
    pub(super) fn idle_around(&self, offset: u64, most: u64) -> Vec<Range<u64>> {
        let end = |(at, block): (&u64, &Block)| at + block.size;
        let from = self.blocks.range(..=offset).next_back().map_or(0, end);
        let to = self.blocks.range(offset..).next().map_or(self.segment.capacity(), |(at, _)| *at);
        self.backing.runs(whole(from, to), true, most / PAGE)
    }

    /// Which of these pages have memory and no block touches.
    pub(super) fn idle_in(&self, pages: &Range<u64>) -> Vec<Range<u64>> {
        let gaps = self.gaps(pages.start * PAGE, pages.end * PAGE);
        gaps.into_iter().flat_map(|gap| self.backing.runs(gap, true, u64::MAX)).collect()
    }

    /// All pages with memory that no block touches.
    pub(super) fn idle(&self, most: u64) -> Vec<Range<u64>> {
        let gaps = self.gaps(0, self.segment.capacity());
        gaps.into_iter().flat_map(|gap| self.backing.runs(gap, true, most / PAGE)).collect()
    }

    /// Whole pages in this range of bytes that no block touches.
    fn gaps(&self, from: u64, to: u64) -> Vec<Range<u64>> {
        let before = self.blocks.range(..from).next_back();
        // A block may reach beyond the end of what is looked at.
        let mut from = before.map_or(from, |(offset, block)| from.max(offset + block.size)).min(to);
        let mut gaps = Vec::new();
        for (offset, block) in self.blocks.range(from..to) {
            gaps.push(whole(from, *offset));
            from = offset + block.size;
        }
        gaps.push(whole(from, to));
        gaps
    }

    /// Gives the memory behind these pages back. Under the lock, so that nobody is given them meanwhile.
    pub(super) fn cool(&mut self, pages: Range<u64>) -> std::io::Result<()> {
        self.segment.punch(pages.start * PAGE, (pages.end - pages.start) * PAGE)?;
        self.backing.set(pages, false);
        Ok(())
    }
}

/// What a payload of this size pays for.
const fn charge(size: u64) -> u64 {
    size.div_ceil(PAGE) * PAGE
}
