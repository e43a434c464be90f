//! Room for a second copy of a payload's bytes in one tier, for as long as a commit takes to make it.
//!
//! Not a payload's: it has no record and no row, and a crash ends it.

use payload_manager_types::Tier;

use super::Ledger;
use crate::board::Board;
use crate::refusal::Refusal;

/// The licence to hold so many bytes more of a tier. Bring it back with [`Ledger::give_back`].
#[derive(Debug)]
#[must_use]
pub struct Spare {
    tier: Tier,
    size: u64,
}

impl<B: Board> Ledger<B> {
    /// Reserves the bytes, before anything is made (promise: honest-full).
    ///
    /// # Errors
    /// [`Refusal::TierFull`] means that [`Ledger::plan_room`] may help; [`Refusal::NotConfigured`] is final.
    pub fn spare(&mut self, tier: Tier, size: u64) -> Result<Spare, Refusal> {
        self.budget(tier)?.reserve(size)?;
        Ok(Spare { tier, size })
    }

    /// There is one copy again.
    pub fn give_back(&mut self, spare: Spare) {
        self.release_budget(spare.tier, spare.size);
    }
}
