//! The way out of a block: published no more, named by no lease, freed. And the names that leases know blocks by.
//!
//! ```text
//! copy ──retire──► handed out to be freed ──freed──► its bytes can be given out again
//!   ▲  └─leased──► backlog ──let_go──┘
//!   └──────────────────┘ wanted back
//! ```

use payload_manager_types::{BlockName, PayloadId, Tier};

use super::Ledger;
use crate::backlog::{Backlog, Retired};
use crate::board::Board;
use crate::payload::{Copy, Payload};

impl<B: Board> Ledger<B> {
    /// A name for a new block of the payload, unlike those of its blocks that are still there.
    pub(super) fn next_generation(&mut self, id: PayloadId) -> u8 {
        let Some(payload) = self.payloads.get_mut(&id) else { return 0 };
        let taken = |g: u8| {
            payload.copies.iter().flatten().any(|c| c.generation == g)
                || self.backlog.of(id).any(|r| r.block.is_some_and(|b| b.generation == g))
        };
        let mut next = payload.last_generation;
        loop {
            next = next.wrapping_add(1);
            if next != 0 && !taken(next) {
                break;
            }
        }
        payload.last_generation = next;
        next
    }

    /// Blocks that nobody can find any more: those that no lease names are handed out to be freed, the others wait.
    pub(super) fn retire(&mut self, blocks: Vec<Retired>) -> Vec<Retired> {
        self.take_out(blocks, Backlog::hold)
    }

    /// As [`Self::retire`], of blocks that nobody must get back: their bytes are not what they should be.
    pub(super) fn retire_bad(&mut self, blocks: Vec<Retired>) -> Vec<Retired> {
        self.take_out(blocks, Backlog::hold_bad)
    }

    fn take_out(&mut self, blocks: Vec<Retired>, hold: fn(&mut Backlog, Retired)) -> Vec<Retired> {
        let names: Vec<BlockName> = blocks.iter().filter_map(|b| b.block).collect();
        let mut holders = self.board.holders(&names).into_iter();
        let mut free = Vec::new();
        for block in blocks {
            let pinning = block.block.and_then(|_| holders.next()).map_or(0, |h| h.pinning);
            if pinning > 0 {
                hold(&mut self.backlog, block);
            } else {
                self.backlog.free(block);
                free.push(block);
            }
        }
        free
    }

    /// The names in `names` whose last lease is gone: their blocks, to be freed.
    pub(super) fn let_go(&mut self, mut names: Vec<BlockName>) -> Vec<Retired> {
        let (backlog, rows) = (&self.backlog, &self.rows);
        names.retain(|n| backlog.held(*n).is_some_and(|block| !rows.contains(&block.id)));
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Vec::new();
        }
        let holders = self.board.holders(&names);
        let gone = names.into_iter().zip(holders).filter(|(_, h)| h.pinning == 0);
        gone.filter_map(|(name, _)| self.backlog.let_go(name)).collect()
    }

    /// A block that was handed out to be freed is about to be, and its place to be given to another payload at once: its
    /// record goes first. A start that found two records of one place would free the bytes of the payload that is there
    /// now (promise: never-the-only-copy).
    pub fn forget_record(&mut self, block: &mut Retired) {
        if let Some(record) = self.backlog.forget_record(block) {
            self.board.free_record(record);
        }
    }

    /// A block that was handed out to be freed is gone: its bytes can be given out again (promise: no-leak).
    pub fn freed(&mut self, block: &Retired) {
        if !self.backlog.freed(block) {
            return;
        }
        self.release_budget(block.tier, block.size);
        if let Some(record) = block.record {
            self.board.free_record(record);
        }
        // A copy of it may be made there again.
        self.enqueue(block.id);
        self.close_grave(block.id);
    }

    /// Takes the entry of a deleted payload away once its last block is gone: until then leases name it.
    pub(super) fn close_grave(&mut self, id: PayloadId) {
        if self.backlog.of(id).next().is_none()
            && let Some(index) = self.graves.remove(&id)
        {
            self.board.remove(index);
        }
    }

    /// Whether bytes of the payload that nobody can find any more are still in `tier`.
    pub fn is_leaving(&self, id: PayloadId, tier: Tier) -> bool {
        self.backlog.contains(id, tier)
    }

    /// Bytes of `tier` that wait for the leases on this block; 0 where none do.
    pub fn waiting(&self, block: BlockName, tier: Tier) -> u64 {
        self.backlog.held(block).filter(|block| block.tier == tier).map_or(0, |block| block.size)
    }

    /// Whether a payload that is gone still has blocks that leases keep.
    pub fn is_grave(&self, id: PayloadId) -> bool {
        self.graves.contains_key(&id)
    }
}

/// The block of a copy, on its way out.
pub(super) fn retired(payload: &Payload, tier: Tier, copy: &Copy) -> Retired {
    Retired {
        id: payload.id(),
        tier,
        place: copy.place,
        size: payload.facts.size,
        block: payload.entry.map(|index| BlockName { index, generation: copy.generation }),
        record: copy.record,
    }
}
