//! What has changed, in the order in which it did: a bounded memory of the newest changes, for those who watch.
//!
//! ```text
//! position:   0 … forgotten … │ oldest kept … settled │ of the command at hand │ next
//! ```
//!
//! Every version of a payload is one change. A command may touch a payload more than once on the way to a version; until
//! it is over (`Changes::settle`) the change is open, and says in the end what the payload has become. Nothing is
//! noted before somebody watches for the first time, and then at most [`KEPT`] changes are.

use std::collections::VecDeque;

use payload_manager_types::{
    Checksum, EvictionPolicy, PayloadId, PayloadState, Place, Protection, Tier, TierSet, UnixMillis,
};

use crate::facts::{Facts, Labels, Phase};
use crate::payload::{Descriptor, Payload};

/// Changes that are remembered: a watcher that is further behind has been overtaken.
pub const KEPT: usize = 32_768;

/// Bytes that a remembered change takes, at most.
const BYTES: usize = 160;
const _: () = assert!(size_of::<(Kind, Shown)>() <= BYTES, "what is remembered takes more than 5 MiB");

/// What happened to a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It can be found, ALLOCATED.
    Allocated,
    /// Its bytes can be read.
    Committed,
    /// Placement, copies or state have changed.
    Changed,
    /// Somebody deleted it, or eviction did.
    Deleted,
    /// Its time was over, or its producer's time to commit it.
    Expired,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How many there were before it.
    pub position: u64,
    /// What happened.
    pub kind: Kind,
    /// The payload right after it, without labels and pin.
    pub descriptor: Descriptor,
}

/// A payload as it is shown, small: without what its producer said about it, which never changes, and its pin, which is
/// neither placement nor state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    id: PayloadId,
    size: u64,
    version: u64,
    created: UnixMillis,
    expires: Option<UnixMillis>,
    placement: Option<(Tier, Place)>,
    checksum: Option<Checksum>,
    policy: EvictionPolicy,
    preferred: Tier,
    held: TierSet,
    copies: TierSet,
    state: PayloadState,
    protection: Protection,
    phase: Phase,
    no_evict: bool,
}

impl Shown {
    pub(crate) fn of(payload: &Payload) -> Self {
        let facts = &payload.facts;
        Self {
            id: facts.id,
            size: facts.size,
            version: facts.version,
            created: facts.created,
            expires: facts.expires,
            placement: payload.fastest().map(|(tier, copy)| (tier, copy.place)),
            checksum: facts.checksum,
            policy: facts.policy,
            preferred: facts.preferred,
            held: payload.held(),
            copies: payload.tiers(),
            state: payload.state(),
            protection: facts.protection,
            phase: facts.phase,
            no_evict: facts.no_evict,
        }
    }

    /// A payload that is gone: one version on, nowhere, and last seen in its fastest tier.
    fn gone(payload: &Payload, state: PayloadState) -> Self {
        let last = payload.fastest().map_or(payload.facts.preferred, |(tier, _)| tier);
        Self {
            version: payload.facts.version + 1,
            placement: None,
            held: TierSet::EMPTY.with(last),
            copies: TierSet::EMPTY,
            state,
            phase: Phase::Deleting,
            ..Self::of(payload)
        }
    }

    /// Where it stands in a listing.
    pub(crate) fn age(&self) -> (UnixMillis, PayloadId) {
        (self.created, self.id)
    }

    pub(crate) fn descriptor(&self) -> Descriptor {
        let facts = Facts {
            id: self.id,
            size: self.size,
            phase: self.phase,
            version: self.version,
            preferred: self.preferred,
            copies: self.held,
            created: self.created,
            expires: self.expires,
            reclaim_at: None,
            policy: self.policy,
            no_evict: self.no_evict,
            protection: self.protection,
            checksum: self.checksum,
            pin: None,
            labels: Labels::default(),
        };
        Descriptor { facts, state: self.state, placement: self.placement, copies: self.copies }
    }
}

/// The newest changes.
#[derive(Debug)]
pub(crate) struct Changes {
    ring: VecDeque<(Kind, Shown)>,
    /// The position of the next change.
    next: u64,
    /// Changes before this one are closed.
    settled: u64,
    /// How many are kept.
    kept: usize,
    /// Whether anybody ever watched.
    on: bool,
}

impl Default for Changes {
    fn default() -> Self {
        Self { ring: VecDeque::new(), next: 0, settled: 0, kept: KEPT, on: false }
    }
}

impl Changes {
    /// Somebody watches: from here on changes are noted. The position of the next one.
    pub(crate) fn watched(&mut self) -> u64 {
        self.on = true;
        self.next
    }

    /// The position of the next change.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The oldest that is kept, or the next.
    pub(crate) fn oldest(&self) -> u64 {
        self.next - self.ring.len() as u64
    }

    /// The command is over. Whether it has changed anything.
    pub(crate) fn settle(&mut self) -> bool {
        std::mem::replace(&mut self.settled, self.next) != self.next
    }

    /// A payload that can be found from now on.
    pub(crate) fn born(&mut self, payload: &Payload) {
        if self.on {
            self.push(Kind::Allocated, Shown::of(payload));
        }
    }

    /// A payload that can be found no more.
    pub(crate) fn gone(&mut self, payload: &Payload, kind: Kind) {
        if self.on {
            let state = if kind == Kind::Expired { PayloadState::Expired } else { PayloadState::Deleted };
            self.push(kind, Shown::gone(payload, state));
        }
    }

    /// A payload was touched: whether it `was` of this version and committed before.
    pub(crate) fn touched(&mut self, payload: &Payload, (version, committed): (u64, bool)) {
        if !self.on {
            return;
        }
        let now = payload.facts.version;
        if now > version {
            let kind = if payload.is_committed() && !committed { Kind::Committed } else { Kind::Changed };
            return self.push(kind, Shown::of(payload));
        }
        let open = self.next > self.settled;
        let Some((_, last)) = self.ring.back_mut().filter(|(_, last)| open && last.id == payload.id()) else { return };
        if now == version {
            *last = Shown::of(payload);
        } else {
            // Undone by the very command that did it.
            self.ring.pop_back();
            self.next -= 1;
        }
    }

    fn push(&mut self, kind: Kind, shown: Shown) {
        if self.ring.len() >= self.kept {
            self.ring.pop_front();
        }
        self.ring.push_back((kind, shown));
        self.next += 1;
    }

    /// The changes from `at` on, at most `most`; `None` if the first is forgotten.
    pub(crate) fn since(&self, at: u64, most: usize) -> Option<impl Iterator<Item = (u64, Kind, &Shown)>> {
        let skip = usize::try_from(at.checked_sub(self.oldest())?).ok()?;
        let wanted = self.ring.iter().skip(skip).take(most);
        Some((at..).zip(wanted).map(|(position, (kind, shown))| (position, *kind, shown)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(n: u64) -> Payload {
        Payload::new(Facts {
            id: PayloadId::from_words(0, n),
            size: 1,
            phase: Phase::Allocated,
            version: 1,
            preferred: Tier::Ram,
            copies: TierSet::EMPTY,
            created: UnixMillis(n),
            expires: None,
            reclaim_at: None,
            policy: EvictionPolicy::default(),
            no_evict: false,
            protection: Protection::Shared,
            checksum: None,
            pin: None,
            labels: Labels::default(),
        })
    }

    fn told(changes: &Changes, at: u64) -> Option<Vec<(u64, Kind, u64)>> {
        let since = changes.since(at, usize::MAX)?;
        Some(since.map(|(position, kind, shown)| (position, kind, shown.version)).collect())
    }

    #[test]
    fn nothing_is_remembered_before_somebody_watches() {
        let mut changes = Changes::default();
        changes.born(&payload(1));
        assert_eq!((changes.watched(), changes.ring.capacity()), (0, 0));
        changes.born(&payload(2));
        assert_eq!(told(&changes, 0), Some(vec![(0, Kind::Allocated, 1)]));
    }

    #[test]
    fn the_oldest_changes_are_forgotten_and_their_positions_stay() {
        let mut changes = Changes { kept: 3, ..Changes::default() };
        changes.watched();
        (1..=5).for_each(|n| changes.born(&payload(n)));
        assert_eq!((changes.oldest(), changes.next()), (2, 5));
        assert_eq!(told(&changes, 1), None);
        assert_eq!(told(&changes, 2).map(|t| t.len()), Some(3));
        assert_eq!(told(&changes, 5), Some(Vec::new()));
    }

    #[test]
    fn a_version_that_a_command_reaches_in_steps_is_one_change_and_one_that_it_takes_back_is_none() {
        let mut changes = Changes::default();
        changes.watched();
        let mut one = payload(1);
        one.facts.version = 2;
        changes.touched(&one, (1, false));
        one.facts.size = 7;
        changes.touched(&one, (2, false));
        assert!(changes.settle() && !changes.settle());
        let last = changes.ring.back().map(|(_, shown)| shown.size);
        assert_eq!((changes.next(), last), (1, Some(7)));
        one.facts.version = 3;
        changes.touched(&one, (2, false));
        one.facts.version = 2;
        changes.touched(&one, (3, false));
        assert_eq!(told(&changes, 0), Some(vec![(0, Kind::Changed, 2)]));
    }
}
