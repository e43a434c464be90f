//! Where payloads stand in the eyes of eviction: in their tier's queue, or taken out of it for a reason, until that
//! reason may be gone.
//!
//! What can't go is looked at once, not at every hunt. Each reason has the events that may end it, and each such event
//! costs a look at the payloads that it is about, never at all that are kept:
//!
//! | kept because | back in the queue when |
//! | --- | --- |
//! | its policy knows no way out | its copies change |
//! | something is under way with it | that ends, or a block of its on its way out is gone |
//! | pinned | the pin is changed or its time is over |
//! | leased | a lease on it ends; where nobody is told, a few are looked at again now and then |
//! | no room where it must go | bytes of that tier were given back, for as many as fit |

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use payload_manager_types::{BlockName, EntryIndex, PayloadId, Tier};

use super::super::{Age, Ledger};
use crate::board::Board;
use crate::facts::Pin;
use crate::payload::{Payload, Stand, Why};
use crate::queue::{End, Place, Seat};

/// How many leased ones are looked at again when nothing else is left: leases that clients give back by themselves
/// make no event.
const AGAIN: usize = 64;

/// Who waits for room, smallest first within its tier and class.
type Waiting = (Tier, u8, u64, PayloadId);

/// Those that were taken out of the queues, by what may bring them back.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Kept {
    leased: BTreeMap<EntryIndex, PayloadId>,
    /// Up to where the leased ones were looked at again.
    looked: Option<EntryIndex>,
    pins: BTreeSet<Age>,
    /// By the tier that has no room.
    waiting: [BTreeSet<Waiting>; 4],
    /// Bytes given back in each tier since those who wait for it were last let try.
    freed: [u64; 4],
}

impl Kept {
    /// When the first pin of those that were kept by one runs out.
    pub(in crate::ledger) fn next_pin(&self) -> Option<Age> {
        self.pins.first().copied()
    }

    /// Whether those who wait for room in a tier may try again.
    pub(super) fn has_given_back(&self, tier: Tier) -> bool {
        self.freed.get(tier.index()).is_some_and(|freed| *freed > 0)
    }

    /// Room was given back in a tier.
    pub(in crate::ledger) fn gave_back(&mut self, tier: Tier, bytes: u64) {
        if let Some(freed) = self.freed.get_mut(tier.index()) {
            *freed = freed.saturating_add(bytes);
        }
    }
}

impl<B: Board> Ledger<B> {
    /// Sees to it that the payload stands in the eviction queue of its fastest tier. Where it does, it keeps its place;
    /// one that was kept is looked at again, for its copies or what was under way with it have changed.
    pub(in crate::ledger) fn enqueue(&mut self, id: PayloadId) {
        let Some(payload) = self.payloads.get(&id) else { return };
        let tier = payload.fastest().map(|(tier, _)| tier).filter(|_| payload.is_committed());
        match payload.stand {
            Stand::Queued(at, _) if Some(at) == tier => return,
            Stand::Kept(at, _, why) if Some(at) == tier => {
                if !matches!(why, Why::Pinned | Why::Leased) {
                    self.call_back(id, End::Back);
                }
                return;
            }
            Stand::Out | Stand::Queued(..) | Stand::Kept(..) => {}
        }
        self.leave_queue(id);
        if let Some(tier) = tier {
            self.join(id, tier);
        }
    }

    fn join(&mut self, id: PayloadId, tier: Tier) {
        let bytes = self.charge_of(id, tier);
        let window = self.limits.capacity.get(tier.index()).copied().flatten().unwrap_or(0);
        let (Some(payload), Some(queue)) = (self.payloads.get_mut(&id), self.queues.get_mut(tier.index())) else {
            return;
        };
        let known = payload.went.is_some_and(|(from, at)| from == tier && queue.gone().saturating_sub(at) <= window);
        payload.went = payload.went.filter(|(from, _)| *from != tier);
        (payload.reads, payload.spared) = (0, false);
        payload.stand =
            queue.join(id, payload.class(), bytes, known).map_or(Stand::Out, |seat| Stand::Queued(tier, seat));
    }

    /// Takes the payload out of eviction's sight.
    pub(in crate::ledger) fn leave_queue(&mut self, id: PayloadId) {
        let Some(payload) = self.payloads.get_mut(&id) else { return };
        match std::mem::take(&mut payload.stand) {
            Stand::Out => {}
            Stand::Kept(tier, seat, why) => self.unindex(id, tier, seat, why),
            Stand::Queued(tier, seat) => {
                let bytes = self.charge_of(id, tier);
                let payloads = &self.payloads;
                if let Some(queue) = self.queues.get_mut(tier.index()) {
                    queue.leave(Place { id, seat, bytes }, |place| {
                        is_seated(payloads.get(&place.id).map(Box::as_ref), tier, place)
                    });
                }
            }
        }
    }

    /// A hunt leaves it where it is.
    pub(super) fn pass_over(&mut self, id: PayloadId, tier: Tier, seat: Seat, why: Why) {
        self.evictions.count_passed_over(tier, why);
        self.keep(id, tier, seat, why);
    }

    /// It can't go now, and is not looked at again before that may have changed.
    pub(super) fn keep(&mut self, id: PayloadId, tier: Tier, seat: Seat, why: Why) {
        let Some(payload) = self.payloads.get_mut(&id) else { return };
        payload.stand = Stand::Kept(tier, seat, why);
        match why {
            Why::Policy | Why::Busy => {}
            Why::Pinned => {
                if let Some(Pin::Until(end)) = payload.facts.pin {
                    self.kept.pins.insert((end, id));
                }
            }
            Why::Leased => {
                if let Some(index) = payload.entry {
                    self.kept.leased.insert(index, id);
                }
            }
            Why::NoRoom(to) => {
                if let Some(waiting) = self.kept.waiting.get_mut(to.index()) {
                    waiting.insert((tier, seat.class(), payload.facts.size, id));
                }
            }
        }
    }

    /// Undoes the notes of [`Self::keep`].
    fn unindex(&mut self, id: PayloadId, tier: Tier, seat: Seat, why: Why) {
        let Some(payload) = self.payloads.get(&id) else { return };
        match why {
            Why::Policy | Why::Busy => {}
            Why::Pinned => {
                if let Some(Pin::Until(end)) = payload.facts.pin {
                    self.kept.pins.remove(&(end, id));
                }
            }
            Why::Leased => {
                if let Some(index) = payload.entry {
                    self.kept.leased.remove(&index);
                }
            }
            Why::NoRoom(to) => {
                if let Some(waiting) = self.kept.waiting.get_mut(to.index()) {
                    waiting.remove(&(tier, seat.class(), payload.facts.size, id));
                }
            }
        }
    }

    /// What kept it may be over: it is in the queue again.
    pub(in crate::ledger) fn call_back(&mut self, id: PayloadId, end: End) {
        let Some(Stand::Kept(tier, seat, why)) = self.payloads.get(&id).map(|p| p.stand) else { return };
        self.unindex(id, tier, seat, why);
        self.seat(id, tier, seat, end);
    }

    /// Gives a payload that has no place its seat again.
    pub(super) fn seat(&mut self, id: PayloadId, tier: Tier, seat: Seat, end: End) {
        let bytes = self.charge_of(id, tier);
        let (Some(payload), Some(queue)) = (self.payloads.get_mut(&id), self.queues.get_mut(tier.index())) else {
            return;
        };
        payload.stand = Stand::Queued(tier, seat);
        queue.sit(Place { id, seat, bytes }, end);
    }

    /// Leases on these blocks have ended: whom they kept is looked at again.
    pub(in crate::ledger) fn leases_ended(&mut self, blocks: &[BlockName]) {
        for block in blocks {
            if let Some(&id) = self.kept.leased.get(&block.index) {
                self.call_back(id, End::Back);
            }
        }
    }

    /// The pin of a payload is about to change: if it was kept by it, it is looked at again.
    pub(in crate::ledger) fn unpinned(&mut self, id: PayloadId) {
        if matches!(self.payloads.get(&id).map(|p| p.stand), Some(Stand::Kept(_, _, Why::Pinned))) {
            self.call_back(id, End::Back);
        }
    }

    /// The pin of one that was kept by it is over.
    pub(in crate::ledger) fn pin_ended(&mut self, pin: Age) {
        self.kept.pins.remove(&pin);
        self.call_back(pin.1, End::Back);
    }

    /// Looks again at some of those that leases keep, in turn: clients give leases back without a word. Whether any of
    /// them is free.
    pub(in crate::ledger) fn look_again(&mut self) -> bool {
        let from = self.kept.looked.map_or(Bound::Unbounded, Bound::Excluded);
        let some: Vec<PayloadId> =
            self.kept.leased.range((from, Bound::Unbounded)).take(AGAIN).map(|(_, id)| *id).collect();
        self.kept.looked = some.last().and_then(|id| self.payloads.get(id)).and_then(|p| p.entry);
        let names: Vec<BlockName> = some.iter().filter_map(|id| self.kept_block(*id)).collect();
        let holders = if names.is_empty() { Vec::new() } else { self.board.holders(&names) };
        let free: Vec<BlockName> =
            names.into_iter().zip(holders).filter(|(_, h)| h.pinning == 0).map(|(name, _)| name).collect();
        self.leases_ended(&free);
        !free.is_empty()
    }

    fn kept_block(&self, id: PayloadId) -> Option<BlockName> {
        match self.payloads.get(&id)?.stand {
            Stand::Kept(tier, ..) => self.block_name(id, tier),
            Stand::Out | Stand::Queued(..) => None,
        }
    }

    /// Lets those of `tier` that wait for room elsewhere try again, as many as were given room since.
    pub(super) fn let_try(&mut self, tier: Tier) {
        for to in Tier::ALL.into_iter().filter(|to| *to > tier) {
            while let Some(id) = self.first_waiting(tier, to) {
                let size = self.payloads.get(&id).map_or(0, |p| p.facts.size);
                if let Some(freed) = self.kept.freed.get_mut(to.index()) {
                    *freed = freed.saturating_sub(size.max(1));
                }
                self.call_back(id, End::Front);
            }
        }
    }

    /// Who of `tier` may try again to go to `to`: the smallest of the lowest class that fits.
    pub(super) fn first_waiting(&self, tier: Tier, to: Tier) -> Option<PayloadId> {
        if !self.kept.has_given_back(to) {
            return None;
        }
        let waiting = self.kept.waiting.get(to.index()).filter(|waiting| !waiting.is_empty())?;
        let first = |class: u8| waiting.range((tier, class, 0, PayloadId::from_words(0, 0))..).next();
        let fits = |w: &&Waiting| w.0 == tier && self.fits(to, w.2);
        (0..3).filter_map(|class| first(class).filter(|w| w.1 == class)).find(fits).map(|w| w.3)
    }
}

/// Whether a place is somebody's.
pub(super) fn is_seated(payload: Option<&Payload>, tier: Tier, place: Place) -> bool {
    payload.is_some_and(|p| p.stand == Stand::Queued(tier, place.seat))
}
