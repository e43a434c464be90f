//! Blocks that are mapped, shared by the views of a block that live at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use payload_manager_shm::ReadMap;
use payload_manager_types::BlockName;

use super::life::Core;
use crate::descriptor::{Descriptor, PayloadId};
use crate::device::DevicePart;

const SHARDS: usize = 16;

/// One block's bytes. Who has it has a lease on it: so the name means the same bytes for as long as it lives.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) map: Opened,
    /// Of what is on a GPU, the count of the daemon whose memory it is.
    pub(super) daemon: Option<u32>,
    /// As the daemon showed it when it was opened.
    pub(super) descriptor: Descriptor,
    pub(super) name: BlockName,
    pub(super) core: Weak<Core>,
}

/// A block's bytes, as they are opened.
#[derive(Debug)]
pub(super) enum Opened {
    /// In an object or a file.
    Mapped(ReadMap),
    /// On a GPU.
    Device(DevicePart),
}

impl Opened {
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Device(_) => &[],
        }
    }

    pub(super) fn device(&self) -> Option<&DevicePart> {
        match self {
            Self::Mapped(_) => None,
            Self::Device(part) => Some(part),
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // In a child the lock may be held by a thread that is not there.
        if let Some(core) = self.core.upgrade().filter(|core| core.mark.is_ours()) {
            core.views.forget(self.name);
        }
    }
}

/// The blocks of one session by name.
#[derive(Debug, Default)]
pub(super) struct Views {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(Mutex<HashMap<BlockName, Weak<Block>>>);

impl Views {
    #[inline]
    fn shard(&self, name: BlockName) -> &Mutex<HashMap<BlockName, Weak<Block>>> {
        let [first, ..] = &self.shards;
        &self.shards.get(name.index.get() as usize % SHARDS).unwrap_or(first).0
    }

    /// The block, if a view has it mapped.
    #[inline]
    pub(super) fn get(&self, name: BlockName, id: PayloadId) -> Option<Arc<Block>> {
        let block = self.shard(name).lock().get(&name)?.upgrade();
        block.filter(|block| block.descriptor.id == id)
    }

    /// Shares a block that was just mapped. Where somebody was quicker, theirs is taken.
    pub(super) fn share(&self, block: Block) -> Arc<Block> {
        let mut shard = self.shard(block.name).lock();
        if let Some(there) = shard.get(&block.name).and_then(Weak::upgrade) {
            // Not under the lock, which the drop of either takes.
            drop(shard);
            return if there.descriptor.id == block.descriptor.id { there } else { Arc::new(block) };
        }
        let block = Arc::new(block);
        shard.insert(block.name, Arc::downgrade(&block));
        block
    }

    fn forget(&self, name: BlockName) {
        let mut shard = self.shard(name).lock();
        if shard.get(&name).is_some_and(|block| block.strong_count() == 0) {
            shard.remove(&name);
        }
    }
}
