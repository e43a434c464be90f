//! What an entry says of a payload beside where it is: what those want to know who have a lease on it.
//!
//! A lookup does not read it. It is guarded by the entry's sequence number like the rest, and a lease keeps the entry its
//! payload's, so that whoever has one can read it at any time (see [`crate::LeaseTable`]).

use payload_manager_types::{Checksum, EvictionPolicy, PayloadId, Protection, UnixMillis};

use super::face::id_of;
use crate::layout::{DirectoryItem, byte, bytes_of, words_of};
use crate::sync::{AtomicU64, Ordering};

/// What does not change with a payload's place, but for a checksum that becomes known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Details {
    /// When it was allocated.
    pub created: UnixMillis,
    /// What eviction may do.
    pub policy: EvictionPolicy,
    /// Who may still write after commit.
    pub protection: Protection,
    /// What its bytes hash to, where that is known.
    pub checksum: Option<Checksum>,
}

const HASHED: u64 = 1 << 24;

impl Details {
    fn to_words(self) -> [u64; 4] {
        let [high, low] = self.checksum.map_or([0, 0], |sum| words_of(sum.0));
        let hashed = if self.checksum.is_some() { HASHED } else { 0 };
        let marks = u64::from(self.policy.to_bits()) | u64::from(self.protection as u8) << 16 | hashed;
        [self.created.0, marks, high, low]
    }

    /// `None` for words that no details make.
    fn from_words([created, marks, high, low]: [u64; 4]) -> Option<Self> {
        Some(Self {
            created: UnixMillis(created),
            policy: EvictionPolicy::from_bits(u16::from_le_bytes([byte(marks, 0), byte(marks, 1)]))?,
            protection: Protection::try_from(byte(marks, 2)).ok()?,
            checksum: (marks & HASHED != 0).then(|| Checksum(bytes_of([high, low]))),
        })
    }
}

/// Says it, if it is not said already. Who reads at that moment reads again.
pub(super) fn describe(item: &DirectoryItem, details: &Details) {
    let words = details.to_words();
    if load(&item.details) == words {
        return;
    }
    item.entry.change(|| item.details.iter().zip(words).for_each(|(place, word)| place.store(word, Ordering::Relaxed)));
}

/// What is said of this payload; `None` where the entry is another's, or was being changed for too long.
pub(super) fn details_of(item: &DirectoryItem, id: PayloadId) -> Option<Details> {
    let loads = || {
        let [high, low, ..] = item.entry.peek();
        ([high, low], load(&item.details))
    };
    let ((owner, words), _) = item.entry.read_with(loads)?;
    Details::from_words(words).filter(|_| id_of(owner) == Some(id))
}

fn load(places: &[AtomicU64; 4]) -> [u64; 4] {
    std::array::from_fn(|i| places.get(i).map_or(0, |place| place.load(Ordering::Relaxed)))
}
