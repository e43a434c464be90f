//! What time does to payloads: TTLs run out, allocations are abandoned. What it does to leases is in `lease`.

use payload_manager_types::{PayloadId, UnixMillis};

use super::{Deletion, Ledger, Now};
use crate::board::Board;
use crate::changes::Kind;
use crate::facts::Phase;
use crate::payload::{Payload, Work};

impl<B: Board> Ledger<B> {
    /// When the ledger next wants [`Self::end_due`] to be called, if it does.
    pub fn next_timer(&self) -> Option<UnixMillis> {
        let first = [self.timers.first().copied(), self.kept.next_pin()];
        first.into_iter().flatten().map(|(at, _)| at).min()
    }

    /// Ends the payloads whose time has come: TTL, or an allocation that was abandoned. Leases run to their end. Pins
    /// whose time is over no longer keep anybody from being evicted.
    pub fn end_due(&mut self, now: Now) -> Vec<Deletion> {
        while let Some(pin) = self.kept.next_pin().filter(|(at, _)| *at <= now.wall) {
            self.pin_ended(pin);
        }
        let mut ended = Vec::new();
        while let Some(&(at, id)) = self.timers.first().filter(|(at, _)| *at <= now.wall) {
            self.timers.remove(&(at, id));
            if self.payloads.get(&id).is_some_and(|p| is_due(p, now.wall)) {
                self.close(id);
                ended.extend(self.bury(id, Kind::Expired));
            }
        }
        ended
    }

    pub(super) fn set_timer(&mut self, id: PayloadId) {
        let Some(payload) = self.payloads.get(&id) else { return };
        for at in times(payload) {
            self.timers.insert((at, id));
        }
    }

    pub(super) fn clear_timers(&mut self, payload: &Payload) {
        for at in times(payload) {
            self.timers.remove(&(at, payload.id()));
        }
    }

    /// Forgets the time of reclaim, unless the payload also expires at that very moment.
    pub(super) fn drop_timer(&mut self, id: PayloadId, at: UnixMillis) {
        if self.payloads.get(&id).is_some_and(|p| p.facts.expires != Some(at)) {
            self.timers.remove(&(at, id));
        }
    }
}

fn times(payload: &Payload) -> impl Iterator<Item = UnixMillis> + use<> {
    [payload.facts.expires, payload.facts.reclaim_at].into_iter().flatten()
}

/// An allocation whose producer is just committing is not abandoned; should the commit fail, its timer is set again.
fn is_due(payload: &Payload, now: UnixMillis) -> bool {
    let reclaimed = payload.facts.reclaim_at.is_some_and(|at| at <= now);
    let abandoned = payload.facts.phase == Phase::Allocated && reclaimed && payload.work == Work::None;
    payload.is_expired(now) || abandoned
}
