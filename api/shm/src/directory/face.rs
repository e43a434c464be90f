//! What an entry shows of a payload, and its seven words.

use payload_manager_types::{Generation, PayloadId, PayloadState, Place, Tier, UnixMillis};

use crate::layout::{byte, low32};

/// What the state field of an entry can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryState {
    /// The payload is in this state.
    Shown(PayloadState),
    /// Nobody can take a lease now: it is being deleted, or was asked to be.
    Closed,
}

/// An entry of the directory, as its reader gets it: where the fastest copy of a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Face {
    /// The payload.
    pub id: PayloadId,
    /// Rises with every change that a client could see.
    pub version: u64,
    /// Where its fastest copy is.
    pub tier: Tier,
    /// Where in that tier.
    pub place: Place,
    /// Bytes of the payload.
    pub length: u64,
    /// Its state, or that it is closed.
    pub state: EntryState,
    /// When it ends by itself; `None`: never.
    pub expires: Option<UnixMillis>,
    /// By [`Tier::index`]: the generation of that tier's copy, of tiers that hold one.
    pub generations: [Generation; 4],
    /// The generation that a block of this entry got last; the next one counts on from here, past re-use of the entry.
    pub last_generation: Generation,
}

const CLOSED: u8 = 9;
const TIME_BITS: u32 = 48;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

impl Face {
    /// Whether a client may take a lease on it.
    #[must_use]
    #[inline]
    pub const fn is_readable(&self) -> bool {
        matches!(self.state, EntryState::Shown(state) if state.is_readable())
    }

    /// The generation of the copy that it shows.
    #[must_use]
    #[inline]
    pub fn generation(&self) -> Generation {
        self.generations.get(self.tier.index()).copied().unwrap_or_default()
    }

    pub(super) fn to_words(self) -> [u64; 7] {
        let (high, low) = self.id.to_words();
        let generations = u32::from_le_bytes(self.generations);
        let state = match self.state {
            EntryState::Shown(state) => state as u8,
            EntryState::Closed => CLOSED,
        };
        // Time 0 stands for "never"; what ended in 1970 has ended a millisecond later just as well.
        let expires = self.expires.map_or(0, |at| at.0.clamp(1, TIME_MASK));
        let marks = u64::from(self.tier as u8) | u64::from(state) << 4 | u64::from(self.last_generation) << 8;
        [
            high,
            low,
            self.version,
            self.place.offset,
            self.length,
            u64::from(self.place.unit) | u64::from(generations) << 32,
            expires | marks << TIME_BITS,
        ]
    }

    /// The face that these words make; `None` for a vacant entry and for words that no face makes.
    #[inline]
    pub(super) fn from_words(words: [u64; 7]) -> Option<Self> {
        let [high, low, version, offset, length, where_and_which, ends_and_marks] = words;
        let state = match byte(ends_and_marks, 6) >> 4 {
            CLOSED => EntryState::Closed,
            n => EntryState::Shown(PayloadState::try_from(n).ok()?),
        };
        let ends = ends_and_marks & TIME_MASK;
        Some(Self {
            id: id_of([high, low])?,
            version,
            tier: Tier::try_from(byte(ends_and_marks, 6) & 0xf).ok()?,
            place: Place { unit: low32(where_and_which), offset },
            length,
            state,
            expires: (ends != 0).then_some(UnixMillis(ends)),
            generations: low32(where_and_which >> 32).to_le_bytes(),
            last_generation: byte(ends_and_marks, 7),
        })
    }
}

/// The id in an entry; `None` where there is none.
#[inline]
pub(super) fn id_of([high, low]: [u64; 2]) -> Option<PayloadId> {
    (high != 0 || low != 0).then(|| PayloadId::from_words(high, low))
}

/// The words of a vacant entry: nothing but the last generation given.
pub(super) const fn vacant(last_generation: Generation) -> [u64; 7] {
    [0, 0, 0, 0, 0, 0, (last_generation as u64) << 56]
}
