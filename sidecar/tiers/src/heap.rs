//! The reference: a tier in this process's own memory. No client can open it; tests write as a producer would through
//! [`HeapTier::write`] and harm copies through [`HeapTier::tamper`].

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use payload_manager_types::{Checksum, PayloadId, Place, Tier};

use crate::{Archive, Description, Location, Packing, Sealed, Sink, Source, TierError, TierStore, Written, copy};

/// Bytes that a source may be reading while somebody changes them.
type Shared = Arc<Mutex<Vec<u8>>>;

/// One copy, and how many bytes of the capacity it takes whatever became of its length.
#[derive(Debug)]
struct Block {
    size: u64,
    bytes: Shared,
}

#[derive(Debug, Default)]
struct Held {
    copies: BTreeMap<PayloadId, Block>,
    archives: BTreeMap<PayloadId, Vec<u8>>,
    aside: Vec<PayloadId>,
    reserved: u64,
}

/// Holds copies in memory, up to a capacity.
#[derive(Debug, Clone)]
pub struct HeapTier {
    tier: Tier,
    capacity: u64,
    held: Arc<Mutex<Held>>,
}

impl HeapTier {
    /// An empty tier that says it is `tier` and holds at most `capacity` bytes.
    #[must_use]
    pub fn new(tier: Tier, capacity: u64) -> Self {
        Self { tier, capacity, held: Arc::default() }
    }

    /// Writes as a producer in place: `bytes` from the start of the copy of `id`; whatever is too long is cut off.
    pub fn write(&self, id: PayloadId, bytes: &[u8]) {
        self.tamper(id, |copy| overlay(copy, bytes));
    }

    /// Does as a bad producer or a bad disk would. A copy that is not there stays away.
    pub fn tamper(&self, id: PayloadId, harm: impl FnOnce(&mut Vec<u8>)) {
        let bytes = self.held.lock().copies.get(&id).map(|block| Arc::clone(&block.bytes));
        if let Some(bytes) = bytes {
            harm(&mut bytes.lock());
        }
    }

    /// What was stored beside the bytes of `id`.
    #[must_use]
    pub fn archive(&self, id: PayloadId) -> Option<Vec<u8>> {
        self.held.lock().archives.get(&id).cloned()
    }

    /// Whose copies were set aside, in order.
    #[must_use]
    pub fn set_aside_ids(&self) -> Vec<PayloadId> {
        self.held.lock().aside.clone()
    }

    /// How many bytes are held or reserved.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.held.lock().reserved
    }

    fn reserve(&self, size: u64) -> Result<Block, TierError> {
        let mut held = self.held.lock();
        let free = self.capacity - held.reserved;
        let full = || TierError::Full { tier: self.tier, asked: size, free, what: "the heap's capacity".to_owned() };
        let len = usize::try_from(size).ok().filter(|_| size <= free).ok_or_else(full)?;
        held.reserved += size;
        Ok(Block { size, bytes: Arc::new(Mutex::new(vec![0; len])) })
    }

    /// The bytes, as many as there must be.
    fn checked(&self, id: PayloadId, size: u64) -> Result<Shared, TierError> {
        let missing = || TierError::Missing { id, tier: self.tier, what: "nothing under this id".to_owned() };
        let bytes = self.held.lock().copies.get(&id).map(|block| Arc::clone(&block.bytes)).ok_or_else(missing)?;
        let found = bytes.lock().len() as u64;
        if found == size {
            return Ok(bytes);
        }
        Err(TierError::WrongSize { id, tier: self.tier, expected: size, found })
    }
}

impl Held {
    /// Whether there was a copy.
    fn forget(&mut self, id: PayloadId) -> bool {
        self.archives.remove(&id);
        let block = self.copies.remove(&id);
        self.reserved -= block.as_ref().map_or(0, |block| block.size);
        block.is_some()
    }
}

/// Writes `from` over the start of `to`, as far as there is room.
fn overlay(to: &mut [u8], from: &[u8]) {
    let n = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..n), from.get(..n)) {
        to.copy_from_slice(from);
    }
}

impl TierStore for HeapTier {
    fn tier(&self) -> Tier {
        self.tier
    }

    /// A name that nobody can open.
    fn location(&self, id: PayloadId, place: Place) -> Location {
        Location::SharedMemory { name: format!("/heap-{id}"), offset: place.offset, object_bytes: None }
    }

    fn allocate(&self, id: PayloadId, size: u64) -> Result<Place, TierError> {
        self.free(id, Place::OWN)?;
        let block = self.reserve(size)?;
        self.held.lock().copies.insert(id, block);
        Ok(Place::OWN)
    }

    fn seal(&self, id: PayloadId, _: Place, size: u64, archive: &Archive<'_>) -> Result<Sealed, TierError> {
        let bytes = self.checked(id, size)?;
        if !self.tier.is_durable() {
            return Ok(Sealed::default());
        }
        let job = copy::Job { id, from: self.tier, size };
        let checksum = copy::hash(job, &mut HeapSource { bytes }, &|_| true)?;
        self.held.lock().archives.insert(id, archive(Written::plain(checksum)));
        Ok(Sealed { checksum: Some(checksum) })
    }

    fn source(&self, id: PayloadId, _: Place, size: u64) -> Result<Box<dyn Source>, TierError> {
        Ok(Box::new(HeapSource { bytes: self.checked(id, size)? }))
    }

    fn sink(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        let block = self.reserve(size)?;
        Ok(Box::new(HeapSink { tier: self.clone(), id, block: Some(block) }))
    }

    fn replacement(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        self.sink(id, size)
    }

    fn describe(&self, id: PayloadId, _: u64, archive: &Description<'_>) -> Result<(), TierError> {
        if let Some(there) = self.held.lock().archives.get_mut(&id) {
            *there = archive(Packing::Plain);
        }
        Ok(())
    }

    fn free(&self, id: PayloadId, _: Place) -> Result<(), TierError> {
        self.held.lock().forget(id);
        Ok(())
    }

    fn set_aside(&self, id: PayloadId, _: Place) -> Result<(), TierError> {
        let mut held = self.held.lock();
        if held.forget(id) {
            held.aside.push(id);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct HeapSource {
    bytes: Shared,
}

impl Source for HeapSource {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError> {
        let bytes = self.bytes.lock();
        let from = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        overlay(buf, from);
        Ok(buf.len().min(from.len()))
    }
}

#[derive(Debug)]
struct HeapSink {
    tier: HeapTier,
    id: PayloadId,
    /// Taken when it becomes the copy.
    block: Option<Block>,
}

impl Sink for HeapSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TierError> {
        if let Some(block) = &self.block {
            let mut copy = block.bytes.lock();
            overlay(usize::try_from(offset).ok().and_then(|at| copy.get_mut(at..)).unwrap_or_default(), bytes);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, checksum: Checksum, archive: &Archive<'_>) -> Result<Place, TierError> {
        let block = self.block.take();
        let mut held = self.tier.held.lock();
        held.forget(self.id);
        if self.tier.tier.is_durable() {
            held.archives.insert(self.id, archive(Written::plain(checksum)));
        }
        held.copies.extend(block.map(|block| (self.id, block)));
        drop(held);
        Ok(Place::OWN)
    }
}

impl Drop for HeapSink {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.tier.held.lock().reserved -= block.size;
        }
    }
}
