//! Counting the leases on some blocks in one pass over slots, whoever's page they are on.

use payload_manager_types::{BlockName, LeaseDeadline};

use crate::slot::{SlotState, Tick, Word, block_bits};

/// What holds a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holders {
    /// Leases whose claim stands: a delete without force is refused.
    pub live: u32,
    /// Slots because of which the bytes must stay where they are: the live ones, and those that are over and still pin.
    pub pinning: u32,
    /// When the claim of the last of these ends.
    pub latest: Option<LeaseDeadline>,
}

/// Bits of the filter in front of a question: most slots are about none of the blocks.
const FILTER_BITS: u32 = 12;

/// The blocks that are asked about, ordered by name, with their position in the question.
pub(crate) struct Question {
    filter: Vec<bool>,
    names: Vec<(u32, usize)>,
    answers: Vec<Holders>,
}

impl Question {
    pub(crate) fn about(blocks: &[BlockName]) -> Self {
        let mut names: Vec<_> =
            blocks.iter().enumerate().filter_map(|(i, b)| Some((u32::try_from(block_bits(*b)).ok()?, i))).collect();
        names.sort_unstable();
        let mut filter = vec![false; 1 << FILTER_BITS];
        for bit in names.iter().map(|(name, _)| filter_bit(*name)) {
            if let Some(bit) = filter.get_mut(bit) {
                *bit = true;
            }
        }
        Self { filter, names, answers: vec![Holders::default(); blocks.len()] }
    }

    /// Counts one occupied slot.
    pub(super) fn count(&mut self, word: Word, now: Tick, until: impl FnOnce(Word) -> LeaseDeadline) {
        let name = word.name();
        if self.filter.get(filter_bit(name)) != Some(&true) {
            return;
        }
        let from = self.names.partition_point(|(other, _)| *other < name);
        let asked = self.names.get(from..).unwrap_or_default().iter().take_while(|(other, _)| *other == name);
        let mut asked = asked.peekable();
        if asked.peek().is_none() || word.deadline().is_over_at(now) {
            return;
        }
        let until = until(word);
        for (_, position) in asked {
            if let Some(holders) = self.answers.get_mut(*position) {
                holders.live += u32::from(word.state() == SlotState::Live);
                holders.pinning += 1;
                holders.latest = holders.latest.max(Some(until));
            }
        }
    }

    /// Whether a slot that says this name may be about any of them. Mostly a no at once.
    pub(crate) fn asks_about(&self, name: u32) -> bool {
        self.filter.get(filter_bit(name)) == Some(&true)
    }

    /// Counts a slot of a session: it pins its block whatever its deadline, and claims it while it is live.
    pub(crate) fn count_held(&mut self, block: BlockName, state: SlotState, deadline: LeaseDeadline) {
        let Ok(name) = u32::try_from(block_bits(block)) else { return };
        let from = self.names.partition_point(|(other, _)| *other < name);
        let asked = self.names.get(from..).unwrap_or_default().iter().take_while(|(other, _)| *other == name);
        for (_, position) in asked {
            let Some(holders) = self.answers.get_mut(*position) else { continue };
            holders.live += u32::from(state == SlotState::Live);
            holders.pinning += 1;
            holders.latest = holders.latest.max(Some(deadline));
        }
    }

    pub(crate) fn answers(self) -> Vec<Holders> {
        self.answers
    }
}

const fn filter_bit(name: u32) -> usize {
    (name.wrapping_mul(0x9e37_79b1) >> (u32::BITS - FILTER_BITS)) as usize
}
