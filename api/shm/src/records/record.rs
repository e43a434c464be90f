//! What a record says, and its words.

use payload_manager_types::{
    BlockName, Checksum, EntryIndex, EvictionPolicy, PayloadId, Place, Protection, TierSet, UnixMillis,
};

use crate::layout::{byte, bytes_of, low32, mix, words_of};

/// Where a block is in its life. The order of events: FREE, RESERVED, LIVE, RETIRED or DELETING, FREE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BlockState {
    /// Nobody's: the record says nothing.
    Free = 0,
    /// Bytes are set aside and being filled; not committed.
    Reserved = 1,
    /// A committed copy.
    Live = 2,
    /// A newer record took over; the bytes stay until no lease names them.
    Retired = 3,
    /// Its payload is being deleted; a start that finds it finishes that.
    Deleting = 4,
}

impl BlockState {
    pub(super) fn from_word(word: u64) -> Option<Self> {
        [Self::Free, Self::Reserved, Self::Live, Self::Retired, Self::Deleting]
            .into_iter()
            .find(|state| *state as u64 == word)
    }
}

/// What is known when a block is set aside. Never changes while the record lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Whose bytes.
    pub id: PayloadId,
    /// Where.
    pub place: Place,
    /// How many.
    pub length: u64,
    /// When the payload was allocated.
    pub created: UnixMillis,
    /// Its time to live in milliseconds; 0: it has none.
    pub ttl_ms: u64,
    /// When the allocation runs out. `None`: not an allocation, a copy that the daemon makes of what is committed.
    pub allocation_deadline: Option<UnixMillis>,
    /// What eviction may do.
    pub policy: EvictionPolicy,
    /// Eviction may do nothing.
    pub no_evict: bool,
    /// Who may still write.
    pub protection: Protection,
}

/// What is known when a block is committed. Of it, `version` and `tiers` may move on while the record is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// The block's name in leases.
    pub block: BlockName,
    /// When the payload ends by itself.
    pub expires: Option<UnixMillis>,
    /// Of the bytes, where it was made.
    pub checksum: Option<Checksum>,
    /// The payload's version.
    pub version: u64,
    /// All tiers that hold a copy, this block's included.
    pub tiers: TierSet,
}

const NO_EVICT: u8 = 1;
const CHECKSUM_KNOWN: u64 = 1 << 32;
/// Seeds of the two checks: a record of nothing but zeros must not pass.
const FIXED_SEED: u64 = 0x7061_796c_6f61_6431;
const LIVE_SEED: u64 = 0x7061_796c_6f61_6432;

impl Record {
    pub(super) fn to_words(self) -> [u64; 8] {
        let (high, low) = self.id.to_words();
        let flags = if self.no_evict { NO_EVICT } else { 0 };
        let marks = u64::from(self.policy.to_bits()) | u64::from(self.protection as u8) << 16 | u64::from(flags) << 24;
        [
            high,
            low,
            u64::from(self.place.unit) | marks << 32,
            self.place.offset,
            self.length,
            self.created.0,
            self.ttl_ms,
            time_word(self.allocation_deadline),
        ]
    }

    pub(super) fn from_words(words: [u64; 8]) -> Option<Self> {
        let [high, low, unit_and_marks, offset, length, created, ttl_ms, deadline] = words;
        let flags = byte(unit_and_marks, 7);
        if flags & !NO_EVICT != 0 || (high, low) == (0, 0) {
            return None;
        }
        Some(Self {
            id: PayloadId::from_words(high, low),
            place: Place { unit: low32(unit_and_marks), offset },
            length,
            created: UnixMillis(created),
            ttl_ms,
            allocation_deadline: time_of(deadline),
            policy: EvictionPolicy::from_bits(u16::from_le_bytes([byte(unit_and_marks, 4), byte(unit_and_marks, 5)]))?,
            no_evict: flags & NO_EVICT != 0,
            protection: Protection::try_from(byte(unit_and_marks, 6)).ok()?,
        })
    }
}

pub(super) fn fixed_check(words: &[u64; 8]) -> u64 {
    mix(FIXED_SEED, words)
}

impl Live {
    pub(super) fn to_words(self) -> [u64; 4] {
        let [high, low] = self.checksum.map_or([0, 0], |sum| words_of(sum.0));
        let known = if self.checksum.is_some() { CHECKSUM_KNOWN } else { 0 };
        let name = u64::from(self.block.index.get()) | u64::from(self.block.generation) << 24;
        [name | known, time_word(self.expires), high, low]
    }

    pub(super) fn from_words(words: [u64; 4], version: u64, tiers: u64) -> Option<Self> {
        let [name, expires, high, low] = words;
        if low32(tiers >> 32) != live_check(&words) || name >> 33 != 0 {
            return None;
        }
        let index = EntryIndex::new(low32(name) & (EntryIndex::LIMIT - 1))?;
        Some(Self {
            block: BlockName { index, generation: byte(name, 3) },
            expires: time_of(expires),
            checksum: (name & CHECKSUM_KNOWN != 0).then(|| Checksum(bytes_of([high, low]))),
            version,
            tiers: TierSet::from_bits(byte(tiers, 0)),
        })
    }
}

/// The word of the tiers, with the check of the words that don't change.
pub(super) fn tiers_word(tiers: TierSet, words: &[u64; 4]) -> u64 {
    u64::from(tiers.bits()) | u64::from(live_check(words)) << 32
}

fn live_check(words: &[u64; 4]) -> u32 {
    low32(mix(LIVE_SEED, words))
}

/// 0 stands for none; what is due in 1970 is due a millisecond later just as well.
fn time_word(at: Option<UnixMillis>) -> u64 {
    at.map_or(0, |at| at.0.max(1))
}

fn time_of(word: u64) -> Option<UnixMillis> {
    (word != 0).then_some(UnixMillis(word))
}
