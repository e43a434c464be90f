//! Listing leases a page at a time, in the order of their slots. A lease never moves, so none is missed or seen twice.

use payload_manager_types::EntryIndex;

use super::page::{At, SLOTS, id_of};
use super::{LeaseView, RpcLeases};
use crate::slot;
use crate::sync::Ordering;

/// Which leases to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// Only those on a block of this entry.
    pub on: Option<EntryIndex>,
    /// The position of the first slot to look at; 0 at first.
    pub from: u64,
    /// How many leases, at most.
    pub most: usize,
    /// How many slots to look at, at most, so that a listing of few among many takes no longer than one of many.
    pub look: usize,
    /// Leases whose time is over by now are left out, in milliseconds of `CLOCK_MONOTONIC`.
    pub now_ms: u64,
}

impl RpcLeases {
    /// Leases, whatever their state, and the position to go on from; `None` when all slots have been looked at.
    #[must_use]
    pub fn page(&self, listing: Listing) -> (Vec<LeaseView>, Option<u64>) {
        let end = self.pages.len() as u64 * u64::from(SLOTS);
        let (mut found, mut at, mut looks) = (Vec::new(), listing.from, 0);
        while at < end && looks < listing.look && found.len() < listing.most {
            looks += 1;
            let place = At { page: part(at / u64::from(SLOTS)), slot: part(at % u64::from(SLOTS)) };
            let empty = self.pages.get(place.page as usize).is_none_or(|page| page.occupied == 0);
            at += if empty { u64::from(SLOTS - place.slot) } else { 1 };
            found.extend(self.view(place, listing.now_ms).filter(|view| {
                listing.on.is_none_or(|index| view.block.index == index) && view.deadline.0 > listing.now_ms
            }));
        }
        (found, (at < end).then_some(at))
    }

    /// The lease in a slot.
    fn view(&self, at: At, now_ms: u64) -> Option<LeaseView> {
        let page = self.pages.get(at.page as usize).filter(|page| page.occupied > 0)?;
        let word = slot::look(page.slot(at.slot)?)?;
        let nonce = page.nonce(at.slot)?.load(Ordering::Relaxed);
        let deadline = word.deadline().to_deadline(page.epoch_ms(), now_ms);
        Some(LeaseView { id: id_of(at, nonce), block: word.block(), state: word.state(), deadline })
    }
}

/// A part of a position that is within bounds.
fn part(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
