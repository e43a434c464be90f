//! What a payload is in the middle of.
//!
//! ```text
//! ALLOCATED ──commit──► ACTIVE ──durable copy──► DURABLE ──┐
//!     │                   │                         │      ├─► DELETING ─► DELETED
//!     └───────────────────┴──── delete, TTL ────────┴──────┘   or EXPIRED
//! ```
//!
//! SPILLING and EVICTING are shown while that work is under way and change nothing about what can be read.

use std::fmt;

/// A number that names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownState(pub i32);

/// The state a descriptor shows; the numbers are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PayloadState {
    /// Space is reserved, its producer writes.
    Allocated = 1,
    /// Committed: nobody changes the bytes any more.
    Active = 2,
    /// Committed, and a slower copy is being written.
    Spilling = 3,
    /// Committed, and a copy survives power loss.
    Durable = 4,
    /// Committed, and a faster copy is being dropped.
    Evicting = 5,
    /// On its way out; lookups are NOT_FOUND.
    Deleting = 6,
    /// Its time is over; lookups are NOT_FOUND.
    Expired = 7,
    /// Gone.
    Deleted = 8,
}

impl PayloadState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Allocated,
        Self::Active,
        Self::Spilling,
        Self::Durable,
        Self::Evicting,
        Self::Deleting,
        Self::Expired,
        Self::Deleted,
    ];

    /// Whether a lease can be taken in this state.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::Active | Self::Spilling | Self::Durable | Self::Evicting)
    }
}

impl TryFrom<u8> for PayloadState {
    type Error = UnknownState;

    #[inline]
    fn try_from(n: u8) -> Result<Self, UnknownState> {
        // The numbers are 1 and up, in the order of `ALL`.
        let at = usize::from(n).wrapping_sub(1);
        Self::ALL.get(at).copied().ok_or(UnknownState(i32::from(n)))
    }
}

impl fmt::Display for PayloadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allocated => "ALLOCATED",
            Self::Active => "ACTIVE",
            Self::Spilling => "SPILLING",
            Self::Durable => "DURABLE",
            Self::Evicting => "EVICTING",
            Self::Deleting => "DELETING",
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_that_of_its_state() {
        for state in PayloadState::ALL {
            assert_eq!(PayloadState::try_from(state as u8), Ok(state));
        }
        for n in [0, 9, 255] {
            assert_eq!(PayloadState::try_from(n), Err(UnknownState(i32::from(n))));
        }
    }
}
