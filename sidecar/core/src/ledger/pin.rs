//! Pins: an operator's word that the fastest copy stays, leases or not.

use payload_manager_types::PayloadId;

use super::{Ledger, Now};
use crate::board::Board;
use crate::facts::{Facts, Pin};
use crate::refusal::Refusal;

impl<B: Board> Ledger<B> {
    /// Pins a payload, or with `None` unpins it; the last call counts. From here on neither eviction nor a spill takes
    /// the fastest copy, promotions go on, and so does a spill that has begun. Answers the row to write; placement and
    /// state are what they were, so the version is, too (promise: monotonic).
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::NotCommitted`].
    pub fn pin(&mut self, id: PayloadId, pin: Option<Pin>, now: Now) -> Result<Facts, Refusal> {
        self.committed(id, now)?;
        // Looked at again under the new pin, if by then there is a need.
        self.unpinned(id);
        let facts = self.update(id, |p| {
            p.facts.pin = pin;
            p.facts()
        });
        facts.ok_or(Refusal::NotFound { id })
    }
}
