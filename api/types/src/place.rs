//! Where in a tier a copy lies, and the name its block has in a lease.

use std::fmt;

/// Position of a payload's entry in the directory: 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryIndex(u32);

impl EntryIndex {
    /// One more than the highest index.
    pub const LIMIT: u32 = 1 << 24;

    /// The last index, which no directory gives out: for blocks that no lease can name.
    pub const NOBODY: Self = Self(Self::LIMIT - 1);

    /// The index, or `None` at [`Self::LIMIT`] and above.
    #[must_use]
    pub const fn new(index: u32) -> Option<Self> {
        if index < Self::LIMIT { Some(Self(index)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Tells the blocks of one entry apart; wraps at 256, skipping those in use.
pub type Generation = u8;

/// The name of a block as a lease slot holds it: which entry, which of its blocks.
///
/// A block is one copy's bytes in one tier. It keeps its name as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockName {
    /// The entry.
    pub index: EntryIndex,
    /// Which block of that entry.
    pub generation: Generation,
}

/// Where in its tier a block lies.
///
/// `unit` 0 is an object or file of its own, found by the payload's id; the highest is memory without a name, found in the
/// same way; any other is a segment or slab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Place {
    /// Segment or slab; 0: an object or file of the payload's own.
    pub unit: u32,
    /// Bytes from the start of the unit.
    pub offset: u64,
}

impl Place {
    /// An object or file of the payload's own.
    pub const OWN: Self = Self { unit: 0, offset: 0 };

    /// Memory of the payload's own that has no name and dies with the daemon: what SEALED payloads have. No segment is
    /// ever numbered so.
    pub const SEALED: Self = Self { unit: u32::MAX, offset: 0 };

    /// Whether it is a part of something that holds other payloads too.
    #[must_use]
    pub const fn is_part(self) -> bool {
        self.unit != Self::OWN.unit && self.unit != Self::SEALED.unit
    }
}

/// XXH3-128 of a payload's bytes (seed 0), in canonical big-endian form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(pub [u8; 16]);

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({self})")
    }
}

/// When a lease ends: milliseconds of `CLOCK_MONOTONIC`, absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseDeadline(pub u64);
