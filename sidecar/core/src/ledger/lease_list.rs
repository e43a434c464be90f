//! Listing leases: who holds what. By the slots that there are, never by payloads.

use payload_manager_types::{BlockName, LeaseDeadline, PayloadId, Place, Tier, UnixMillis};

use super::{Ledger, Now};
use crate::backlog::Retired;
use crate::board::{Board, LeaseSlot};

/// A lease, without its id: whoever has that can give it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRow {
    /// Whose bytes.
    pub payload: PayloadId,
    /// In which tier the copy is that it keeps.
    pub tier: Tier,
    /// Bytes.
    pub size: u64,
    /// When it ends, on the wall clock.
    pub expires: UnixMillis,
    /// Whether a forced delete ended it before; its bytes are still there.
    pub revoked: bool,
    /// The session it was taken in; 0: by a call.
    pub session: u64,
}

/// A page of leases; it may be short or empty though more follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeasePage {
    /// In the order of their slots.
    pub rows: Vec<LeaseRow>,
    /// Where to go on, if there is more to look at.
    pub next: Option<u64>,
}

/// What a block's name in a lease stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Whose block.
    pub id: PayloadId,
    /// In which tier.
    pub tier: Tier,
    /// And where in it.
    pub place: Place,
    /// Bytes.
    pub size: u64,
}

impl<B: Board> Ledger<B> {
    /// At most `size` leases, on one payload, deleted or not, or on all. Work is bounded, however many there are.
    pub fn leases(&mut self, of: Option<PayloadId>, size: usize, from: u64, now: Now) -> LeasePage {
        let on = match of {
            None => None,
            Some(id) => match self.entry_of(id) {
                Some(index) => Some(index),
                None => return LeasePage::default(),
            },
        };
        let (slots, next) = self.board.leases(on, from, size, LeaseDeadline(now.monotonic));
        LeasePage { rows: slots.iter().filter_map(|slot| self.row(slot, now)).collect(), next }
    }

    fn row(&self, slot: &LeaseSlot, now: Now) -> Option<LeaseRow> {
        let Named { id: payload, tier, size, .. } = self.named(slot.block)?;
        let left = slot.deadline.0.saturating_sub(now.monotonic);
        let expires = UnixMillis(now.wall.0.saturating_add(left));
        Some(LeaseRow { payload, tier, size, expires, revoked: slot.revoked, session: slot.session })
    }

    /// Whose block has that name, in which tier and where in it, and how many bytes it has.
    pub fn named(&self, name: BlockName) -> Option<Named> {
        if let Some(Retired { id, tier, place, size, .. }) = self.backlog.held(name) {
            return Some(Named { id, tier, place, size });
        }
        let payload = self.payloads.get(&self.board.owner(name.index)?)?;
        Tier::ALL.into_iter().find_map(|tier| {
            let copy = payload.copy(tier).filter(|copy| copy.generation == name.generation)?;
            Some(Named { id: payload.id(), tier, place: copy.place, size: payload.facts.size })
        })
    }
}
