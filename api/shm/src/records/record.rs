//! What a record says, and its words.

use payload_manager_types::{
    BlockName, Checksum, EntryIndex, EvictionPolicy, PayloadId, Place, Protection, Tier, UnixMillis,
};

use crate::layout::{RecordWords, byte, bytes_of, low32, mix, words_of};
use crate::sync::{AtomicU64, Ordering};

/// Where a block is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BlockState {
    /// Nobody's: the record says nothing.
    Free = 0,
    /// Bytes are set aside and being filled; not committed.
    Reserved = 1,
    /// A committed copy.
    Live = 2,
    /// No longer published; the bytes stay until no lease names them.
    Retired = 3,
    /// As retired, and its payload is being deleted; a start that finds it finishes that.
    Deleting = 4,
}

impl BlockState {
    pub(super) fn from_word(word: u64) -> Option<Self> {
        [Self::Free, Self::Reserved, Self::Live, Self::Retired, Self::Deleting]
            .into_iter()
            .find(|state| *state as u64 == word)
    }
}

/// A block of RAM: whose it is, where, and what a start needs to know if nothing else was written yet.
///
/// `id`, `length`, `created`, `expires`, `policy`, `no_evict`, `protection` and `preferred` are fixed when it is
/// reserved; the rest is said anew at [`super::Records::set_live`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Whose bytes.
    pub id: PayloadId,
    /// How many.
    pub length: u64,
    /// When the payload was allocated.
    pub created: UnixMillis,
    /// When its time is over; `None`: never.
    pub expires: Option<UnixMillis>,
    /// What eviction may do.
    pub policy: EvictionPolicy,
    /// Eviction may do nothing.
    pub no_evict: bool,
    /// Who may still write after commit.
    pub protection: Protection,
    /// The tier asked for at allocation.
    pub preferred: Tier,
    /// Where the bytes are.
    pub place: Place,
    /// The block's name in leases; `None` while it has none.
    pub block: Option<BlockName>,
    /// What the bytes hash to, where that is known.
    pub checksum: Option<Checksum>,
    /// The payload's version.
    pub version: u64,
    /// When an uncommitted allocation is taken to be abandoned. `None`: committed, or filled by the daemon itself.
    pub reclaim_at: Option<UnixMillis>,
}

const NO_EVICT: u8 = 1;
const NAMED: u64 = 1 << 32;
const HASHED: u64 = 1 << 33;
/// A record of nothing but zeros must not pass.
const SEED: u64 = 0x7061_796c_6f61_6431;

/// What is fixed when a record is reserved, as words.
pub(super) fn fixed_words(record: &Record) -> [u64; 6] {
    let (high, low) = record.id.to_words();
    let flags = if record.no_evict { NO_EVICT } else { 0 };
    let marks = u64::from(record.policy.to_bits())
        | u64::from(record.protection as u8) << 16
        | u64::from(flags) << 24
        | u64::from(record.preferred as u8) << 32;
    [high, low, record.length, record.created.0, time_word(record.expires), marks]
}

/// The check over [`fixed_words`].
pub(super) fn check(fixed: &[u64; 6]) -> u64 {
    mix(SEED, fixed)
}

/// Says the rest, each word on its own: a kill between any two leaves a record of which every word is one that was
/// said, and no checksum that is half of one and half of another.
pub(super) fn say_rest(words: &RecordWords, record: &Record) {
    let name = record.block.map_or(0, |b| NAMED | u64::from(b.index.get()) | u64::from(b.generation) << 24);
    let hash = record.checksum.map_or([0, 0], |sum| words_of(sum.0));
    let hashed = if record.checksum.is_some() { HASHED } else { 0 };
    if load(&words.hash) != hash {
        set(&words.name, words.name.load(Ordering::Relaxed) & !HASHED);
        words.hash.iter().zip(hash).for_each(|(place, word)| set(place, word));
    }
    set(&words.name, name | hashed);
    set(&words.unit, u64::from(record.place.unit));
    set(&words.offset, record.place.offset);
    set(&words.reclaim_at, time_word(record.reclaim_at));
    set(&words.version, record.version);
}

/// What these words say; `None` if they contradict themselves.
pub(super) fn read(words: &RecordWords) -> Option<Record> {
    let fixed = load(&words.fixed);
    let [high, low, length, created, expires, marks] = fixed;
    let flags = byte(marks, 3);
    let name = words.name.load(Ordering::Relaxed);
    let unit = words.unit.load(Ordering::Relaxed);
    let sound = words.check.load(Ordering::Relaxed) == check(&fixed) && flags & !NO_EVICT == 0 && name >> 34 == 0;
    if !sound {
        return None;
    }
    let index = EntryIndex::new(low32(name) & (EntryIndex::LIMIT - 1))?;
    Some(Record {
        id: PayloadId::from_words(high, low),
        length,
        created: UnixMillis(created),
        expires: time_of(expires),
        policy: EvictionPolicy::from_bits(u16::from_le_bytes([byte(marks, 0), byte(marks, 1)]))?,
        no_evict: flags & NO_EVICT != 0,
        protection: Protection::try_from(byte(marks, 2)).ok()?,
        preferred: Tier::try_from(byte(marks, 4)).ok()?,
        place: Place { unit: u32::try_from(unit).ok()?, offset: words.offset.load(Ordering::Relaxed) },
        block: (name & NAMED != 0).then(|| BlockName { index, generation: byte(name, 3) }),
        checksum: (name & HASHED != 0).then(|| Checksum(bytes_of(load(&words.hash)))),
        version: words.version.load(Ordering::Relaxed),
        reclaim_at: time_of(words.reclaim_at.load(Ordering::Relaxed)),
    })
}

fn set(place: &AtomicU64, word: u64) {
    place.store(word, Ordering::Release);
}

fn load<const N: usize>(places: &[AtomicU64; N]) -> [u64; N] {
    std::array::from_fn(|i| places.get(i).map_or(0, |place| place.load(Ordering::Relaxed)))
}

/// 0 stands for none; what is due in 1970 is due a millisecond later just as well.
fn time_word(at: Option<UnixMillis>) -> u64 {
    at.map_or(0, |at| at.0.max(1))
}

fn time_of(word: u64) -> Option<UnixMillis> {
    (word != 0).then_some(UnixMillis(word))
}
