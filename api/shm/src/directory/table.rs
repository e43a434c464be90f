//! The hash table over the entries: found by anyone, changed by the daemon alone.
//!
//! Buckets hold no ids: what a bucket points to is compared in the entry itself. Removal shifts later buckets back, so
//! that a reader at that moment may miss an id that is there. To a reader a miss means "ask the daemon", never "no".

use payload_manager_types::{EntryIndex, PayloadId};

use super::face::id_of;
use crate::layout::{DirectoryEntry, DirectoryItem, HEADER_BYTES, Kind, bucket_count, byte, entries_at, hash};
use crate::page::{Page, Plan};
use crate::sync::{AtomicU32, Ordering, fence};

const INDEX_BITS: u32 = 24;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;

/// A page laid out as a directory.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) page: Page,
    pub(super) seed: u64,
}

/// Where the parts of a directory for `max` entries are.
pub(super) fn plan(max: u32) -> Plan {
    let item_bytes = size_of::<DirectoryItem>();
    Plan { kind: Kind::Directory, items_at: entries_at(max), item_bytes, max, what: "directory entries" }
}

impl Table {
    #[inline]
    fn buckets(&self) -> &[AtomicU32] {
        self.page.many(HEADER_BYTES, bucket_count(self.page.max())).unwrap_or_default()
    }

    #[inline]
    fn bucket(&self, at: usize) -> Option<&AtomicU32> {
        self.buckets().get(at)
    }

    #[inline]
    fn mask(&self) -> usize {
        bucket_count(self.page.max()) - 1
    }

    #[expect(clippy::cast_possible_truncation, reason = "masked to the number of buckets")]
    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & self.mask()
    }

    #[inline]
    pub(super) fn entry(&self, index: EntryIndex) -> Option<&DirectoryEntry> {
        self.item(index).map(|item| &item.entry)
    }

    #[inline]
    pub(super) fn item(&self, index: EntryIndex) -> Option<&DirectoryItem> {
        self.page.item(index.get())
    }

    /// The id that an entry has at this moment.
    pub(super) fn id_at(&self, index: EntryIndex) -> Option<PayloadId> {
        let [high, low, ..] = self.entry(index)?.peek();
        id_of([high, low])
    }

    /// Looks at up to `most` buckets for one whose entry `is_it`.
    #[inline]
    pub(super) fn find<T>(
        &self,
        id: PayloadId,
        most: usize,
        is_it: impl Fn(EntryIndex) -> Option<T>,
    ) -> Option<(usize, T)> {
        let hash = hash(self.seed, id);
        let buckets = self.buckets();
        let mut at = self.home(hash);
        for _ in 0..most.min(buckets.len()) {
            let bits = buckets.get(at)?.load(Ordering::Relaxed);
            if bits == 0 {
                return None;
            }
            if bits >> INDEX_BITS == u32::from(byte(hash, 7)) {
                fence(Ordering::Acquire);
                if let Some(found) = index_in(bits).and_then(&is_it) {
                    return Some((at, found));
                }
            }
            at = (at + 1) & self.mask();
        }
        None
    }

    /// Points the first free bucket of `id` to `index`. There is one: at most half of them are in use.
    pub(super) fn link(&self, id: PayloadId, index: EntryIndex) {
        let hash = hash(self.seed, id);
        let bits = (index.get() + 1) | u32::from(byte(hash, 7)) << INDEX_BITS;
        let mut at = self.home(hash);
        for _ in 0..=self.mask() {
            match self.bucket(at) {
                Some(bucket) if bucket.load(Ordering::Relaxed) == 0 => return bucket.store(bits, Ordering::Release),
                _ => at = (at + 1) & self.mask(),
            }
        }
    }

    /// Empties the bucket of `index`, which must still have its id, and closes the gap.
    pub(super) fn unlink(&self, id: PayloadId, index: EntryIndex) {
        let same = |found: EntryIndex| (found == index).then_some(());
        let Some((mut gap, ())) = self.find(id, usize::MAX, same) else { return };
        let mut at = gap;
        for _ in 0..self.mask() {
            at = (at + 1) & self.mask();
            let Some(bits) = self.bucket(at).map(|b| b.load(Ordering::Relaxed)).filter(|bits| *bits != 0) else {
                break;
            };
            if self.may_move(bits, at, gap) {
                self.set(gap, bits);
                gap = at;
            }
        }
        self.set(gap, 0);
    }

    /// Whether what is in bucket `at` would still be found in the bucket `gap` before it.
    fn may_move(&self, bits: u32, at: usize, gap: usize) -> bool {
        let Some(id) = index_in(bits).and_then(|index| self.id_at(index)) else { return true };
        let home = self.home(hash(self.seed, id));
        let distance = |from: usize, to: usize| to.wrapping_sub(from) & self.mask();
        distance(home, at) >= distance(gap, at)
    }

    fn set(&self, at: usize, bits: u32) {
        if let Some(bucket) = self.bucket(at) {
            bucket.store(bits, Ordering::Release);
        }
    }

    /// Empties all buckets.
    pub(super) fn clear(&self) {
        self.buckets().iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
    }
}

/// The index in a bucket; `None` in an empty one.
#[inline]
fn index_in(bits: u32) -> Option<EntryIndex> {
    EntryIndex::new((bits & INDEX_MASK).checked_sub(1)?)
}
