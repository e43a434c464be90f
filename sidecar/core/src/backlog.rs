//! Blocks that nobody can find any more but somebody may still read.
//!
//! A retired block waits here until no lease names it; then it is handed out to be freed, and forgotten once it has
//! been. Nobody waits for anybody: the mover goes on, the reader goes on, the budget stays taken (promise:
//! stable-lease).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use payload_manager_types::{BlockName, PayloadId, Place, Tier};

use crate::board::RecordIndex;
use crate::budget::Grain;

/// A block on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// Whose bytes.
    pub id: PayloadId,
    /// In which tier.
    pub tier: Tier,
    /// Where.
    pub place: Place,
    /// Bytes.
    pub size: u64,
    /// Its name in leases; none if no lease can have been taken on it.
    pub block: Option<BlockName>,
    /// Its record, for RAM.
    pub record: Option<RecordIndex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Leases name it.
    Held,
    /// Leases name it, and its bytes are not what they should be: nobody wants it back.
    Bad,
    /// Its payload was deleted while its producer's commit was being carried out.
    Sealing,
    /// Handed out to be freed.
    Freeing,
}

/// What tells blocks apart: a payload can have two in a tier, a part of something and an object of its own.
type Key = (PayloadId, Tier, Place);

const fn key(block: &Retired) -> Key {
    (block.id, block.tier, block.place)
}

/// All keys of a payload in these tiers.
const fn keys(id: PayloadId, first: Tier, last: Tier) -> RangeInclusive<Key> {
    RangeInclusive::new((id, first, Place::OWN), (id, last, Place { unit: u32::MAX, offset: u64::MAX }))
}

/// The blocks on their way out.
#[derive(Debug)]
pub struct Backlog {
    blocks: BTreeMap<Key, (Retired, Stage)>,
    by_name: HashMap<BlockName, Key>,
    held_bytes: u64,
    /// Blocks that leases name, by when they were first seen to wait.
    waiting: BTreeSet<(u64, BlockName)>,
    since: HashMap<BlockName, u64>,
    /// Those that nobody has looked at the clock for.
    new: Vec<BlockName>,
    /// As the budgets count them.
    freeing: [u64; 4],
    /// What each tier gives bytes out in.
    grains: [Grain; 4],
}

impl Backlog {
    /// Nothing waits. By [`Tier::index`], bytes are given out in multiples of `grains`.
    pub(crate) fn new(grains: [Grain; 4]) -> Self {
        Self {
            blocks: BTreeMap::new(),
            by_name: HashMap::new(),
            held_bytes: 0,
            waiting: BTreeSet::new(),
            since: HashMap::new(),
            new: Vec::new(),
            freeing: [0; 4],
            grains,
        }
    }

    /// What the block takes of its tier.
    fn charge(&self, block: &Retired) -> u64 {
        self.grains.get(block.tier.index()).map_or(block.size, |grain| grain.charge(block.size))
    }

    /// A block that leases still name; its bytes are good.
    pub(crate) fn hold(&mut self, block: Retired) {
        self.keep(block, Stage::Held);
    }

    /// A block that leases still name; its bytes are not.
    pub(crate) fn hold_bad(&mut self, block: Retired) {
        self.keep(block, Stage::Bad);
    }

    /// A block that a tier is busy sealing: it stays until [`Self::sealed`].
    pub(crate) fn hold_sealing(&mut self, block: Retired) {
        self.keep(block, Stage::Sealing);
    }

    fn keep(&mut self, block: Retired, stage: Stage) {
        if let Some(name) = block.block {
            self.by_name.insert(name, key(&block));
            self.new.push(name);
        }
        self.held_bytes += block.size;
        self.put(block, stage);
    }

    /// A block that nobody names: it is being freed now.
    pub(crate) fn free(&mut self, block: Retired) {
        let charge = self.charge(&block);
        if let Some(bytes) = self.freeing.get_mut(block.tier.index()) {
            *bytes += charge;
        }
        self.put(block, Stage::Freeing);
    }

    fn put(&mut self, block: Retired, stage: Stage) {
        let before = self.blocks.insert(key(&block), (block, stage));
        debug_assert!(before.is_none(), "{block:?} went out while {before:?} was on its way");
    }

    /// Bytes of a tier that nobody names and that will be free in a moment.
    #[must_use]
    pub fn freeing_bytes(&self, tier: Tier) -> u64 {
        self.freeing.get(tier.index()).copied().unwrap_or(0)
    }

    /// The held block of that name.
    #[must_use]
    pub fn held(&self, name: BlockName) -> Option<Retired> {
        self.blocks.get(self.by_name.get(&name)?).map(|(block, _)| *block)
    }

    /// What has begun to wait since this was last called does so from now on, by the monotonic clock in milliseconds.
    pub(crate) fn seen(&mut self, now_ms: u64) {
        for name in std::mem::take(&mut self.new) {
            if self.by_name.contains_key(&name) && self.since.insert(name, now_ms).is_none() {
                self.waiting.insert((now_ms, name));
            }
        }
    }

    /// Whether anything has begun to wait since [`Self::seen`].
    pub(crate) fn has_new(&self) -> bool {
        !self.new.is_empty()
    }

    /// Since when the block waits that waits longest.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.waiting.first().map(|(since, _)| *since)
    }

    /// The last lease on a held block is gone: it is being freed from here on.
    pub(crate) fn let_go(&mut self, name: BlockName) -> Option<Retired> {
        let block = self.held(name)?;
        self.unhold(&block);
        self.free(block);
        Some(block)
    }

    /// A commit of a deleted payload has come to an end: its blocks are being freed from here on.
    pub(crate) fn sealed(&mut self, id: PayloadId) -> Vec<Retired> {
        let of = self.blocks.range(keys(id, Tier::Gpu, Tier::Object));
        let blocks: Vec<Retired> =
            of.filter(|(_, (_, stage))| *stage == Stage::Sealing).map(|(_, (block, _))| *block).collect();
        for block in &blocks {
            self.unhold(block);
            self.free(*block);
        }
        blocks
    }

    fn unhold(&mut self, block: &Retired) {
        self.blocks.remove(&key(block));
        if let Some(name) = block.block {
            self.by_name.remove(&name);
            if let Some(since) = self.since.remove(&name) {
                self.waiting.remove(&(since, name));
            }
        }
        self.held_bytes -= block.size;
    }

    /// The payload wants its copy in that tier back, and the bytes are still there. Of two, the one of its own.
    pub(crate) fn take_back(&mut self, id: PayloadId, tier: Tier) -> Option<Retired> {
        let mut blocks = self.blocks.range(keys(id, tier, tier)).map(|(_, block)| *block);
        let (block, _) = blocks.find(|(_, stage)| *stage == Stage::Held)?;
        self.unhold(&block);
        Some(block)
    }

    /// The block that was handed out to be freed has no record any more. Which it had.
    pub(crate) fn forget_record(&mut self, block: &mut Retired) -> Option<RecordIndex> {
        let (ours, stage) = self.blocks.get_mut(&key(block))?;
        if ours != block || *stage != Stage::Freeing {
            return None;
        }
        block.record = None;
        ours.record.take()
    }

    /// The block is gone. Whether it was this one that was handed out: nothing is given back twice.
    pub(crate) fn freed(&mut self, block: &Retired) -> bool {
        if self.blocks.get(&key(block)) != Some(&(*block, Stage::Freeing)) {
            return false;
        }
        self.blocks.remove(&key(block));
        let charge = self.charge(block);
        if let Some(bytes) = self.freeing.get_mut(block.tier.index()) {
            *bytes -= charge;
        }
        true
    }

    /// Whether the payload's block in that tier is on its way out.
    #[must_use]
    pub fn contains(&self, id: PayloadId, tier: Tier) -> bool {
        self.blocks.range(keys(id, tier, tier)).next().is_some()
    }

    /// Whether the payload's block at that place is.
    #[must_use]
    pub fn holds(&self, id: PayloadId, tier: Tier, place: Place) -> bool {
        self.blocks.contains_key(&(id, tier, place))
    }

    /// The payload's blocks on their way out.
    pub fn of(&self, id: PayloadId) -> impl Iterator<Item = &Retired> {
        self.blocks.range(keys(id, Tier::Gpu, Tier::Object)).map(|(_, (block, _))| block)
    }

    /// Every name that leases still keep.
    #[must_use]
    pub fn held_names(&self) -> Vec<BlockName> {
        self.by_name.keys().copied().collect()
    }

    /// Bytes that wait for leases to end.
    #[must_use]
    pub const fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Blocks that wait for leases to end or are being freed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}
