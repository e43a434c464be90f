//! One payload as the ledger knows it: what it is, where its copies are, what is under way.

use payload_manager_types::{
    Checksum, EntryIndex, Generation, PayloadId, PayloadState, Place, Priority, Protection, Tier, TierSet, UnixMillis,
};

use crate::board::{BlockRecord, Face, RecordIndex};
use crate::facts::{Facts, Phase};
use crate::queue::Seat;

/// One copy: where it is and the name of its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// Where in its tier.
    pub place: Place,
    /// Which block of the payload's entry; never changes while the copy lives.
    pub generation: Generation,
    /// Its record, for RAM.
    pub record: Option<RecordIndex>,
}

/// Names a transfer under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId(pub u64);

/// What is under way with a payload. One thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Work {
    /// Nothing.
    #[default]
    None,
    /// Its producer's commit is being carried out.
    Sealing,
    /// Bytes are on their way to a tier.
    Transfer {
        /// Which transfer.
        id: TransferId,
        /// Where to.
        to: Tier,
        /// The faster copies go when it has succeeded.
        spill: bool,
    },
    /// A slower copy is looked at, before the faster ones are dropped.
    Check {
        /// For whom.
        id: TransferId,
    },
}

/// A payload.
#[derive(Debug, Clone)]
pub struct Payload {
    /// What is durably known, with the version shown last. `copies` is derived: see [`Self::facts`].
    pub(crate) facts: Facts,
    /// The copies, by [`Tier::index`].
    pub(crate) copies: [Option<Copy>; 4],
    /// Tiers that should hold a copy but whose bytes are gone or bad.
    pub(crate) missing: TierSet,
    /// Its directory entry, once committed.
    pub(crate) entry: Option<EntryIndex>,
    /// The generation given out last.
    pub(crate) last_generation: Generation,
    /// What is under way.
    pub(crate) work: Work,
    /// Reads since eviction last came by, as far as it counts them.
    pub(crate) reads: u8,
    /// Eviction has come by once and let it stay for a single read.
    pub(crate) spared: bool,
    /// Where it stands in the eyes of eviction.
    pub(crate) stand: Stand,
    /// From which tier it was last evicted, and the reading of that queue's clock then.
    pub(crate) went: Option<(Tier, u64)>,
}

/// Where a payload stands in the eyes of eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stand {
    /// Nowhere: not committed, lost, or never to go.
    #[default]
    Out,
    /// In the queue of a tier.
    Queued(Tier, Seat),
    /// Taken out of it until the reason may be gone.
    Kept(Tier, Seat, Why),
}

/// Why a payload can't be evicted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its policy knows no way out.
    Policy,
    /// Something is under way with it or its blocks.
    Busy,
    /// Pinned.
    Pinned,
    /// A lease names it.
    Leased,
    /// The tier it must go to has no room.
    NoRoom(Tier),
}

/// Reads beyond this many make no difference.
const READS: u8 = 3;

/// What a caller is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What is known of it.
    pub facts: Facts,
    /// The state.
    pub state: PayloadState,
    /// The fastest copy, `None` if the bytes are lost.
    pub placement: Option<(Tier, Place)>,
    /// The tiers with a good copy.
    pub copies: TierSet,
}

impl Descriptor {
    /// Whether no copy of it outlives the daemon.
    #[must_use]
    pub fn dies_with_daemon(&self) -> bool {
        // Of a copy in RAM that is not the fastest, the protection says how it was made.
        let in_ram = match self.placement {
            Some((Tier::Gpu, _)) => self.facts.protection == Protection::Sealed,
            Some((Tier::Ram, place)) => place == Place::SEALED,
            _ => return false,
        };
        (in_ram || !self.copies.contains(Tier::Ram)) && !self.copies.any_durable()
    }
}

impl Payload {
    /// A payload with no copies yet.
    pub(crate) fn new(facts: Facts) -> Self {
        Self {
            facts,
            copies: [None; 4],
            missing: TierSet::EMPTY,
            entry: None,
            last_generation: 0,
            work: Work::None,
            reads: 0,
            spared: false,
            stand: Stand::Out,
            went: None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> PayloadId {
        self.facts.id
    }

    /// The copy in a tier.
    #[must_use]
    pub fn copy(&self, tier: Tier) -> Option<&Copy> {
        self.copies.get(tier.index()).and_then(Option::as_ref)
    }

    pub(crate) fn set_copy(&mut self, tier: Tier, copy: Option<Copy>) {
        if let Some(slot) = self.copies.get_mut(tier.index()) {
            *slot = copy;
        }
    }

    /// The tiers that hold a copy.
    #[must_use]
    pub fn tiers(&self) -> TierSet {
        Tier::ALL.into_iter().filter(|t| self.copy(*t).is_some()).collect()
    }

    /// The tiers that hold a copy, or should: what the catalog says. A payload whose durable copy went bad stays
    /// DURABLE (promise: monotonic).
    pub(crate) fn held(&self) -> TierSet {
        self.missing.iter().fold(self.tiers(), TierSet::with)
    }

    /// These tiers should hold a copy and don't. Memory is owed only as long as nothing else is left: what has a slower
    /// copy has simply been dropped from it.
    pub(crate) fn miss(&mut self, missing: TierSet) {
        let kept = self.tiers() != TierSet::EMPTY;
        self.missing = missing.iter().filter(|t| self.copy(*t).is_none() && (t.is_durable() || !kept)).collect();
    }

    /// The fastest copy.
    #[must_use]
    pub fn fastest(&self) -> Option<(Tier, &Copy)> {
        Tier::ALL.into_iter().find_map(|t| self.copy(t).map(|c| (t, c)))
    }

    /// Whether it is committed and on no way out.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.facts.phase == Phase::Committed
    }

    /// The state a descriptor shows.
    #[must_use]
    pub fn state(&self) -> PayloadState {
        match (self.facts.phase, self.work) {
            (Phase::Allocated, _) => PayloadState::Allocated,
            (Phase::Deleting, _) => PayloadState::Deleting,
            (Phase::Committed, Work::Transfer { spill: true, .. }) => PayloadState::Spilling,
            (Phase::Committed, _) if self.held().any_durable() => PayloadState::Durable,
            (Phase::Committed, _) => PayloadState::Active,
        }
    }

    /// Whether a pin holds now.
    #[must_use]
    pub fn is_pinned(&self, now: UnixMillis) -> bool {
        self.facts.pin.is_some_and(|pin| pin.holds(now))
    }

    /// The class in which it is evicted.
    pub(crate) fn class(&self) -> Priority {
        if self.facts.no_evict { Priority::Never } else { self.facts.policy.priority }
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.facts.expires.is_some_and(|end| end <= now)
    }

    /// What is durably known, copies included: the row of the catalog.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts { copies: self.held(), ..self.facts.clone() }
    }

    /// What a caller is shown.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        let placement = self.fastest().map(|(tier, copy)| (tier, copy.place));
        Descriptor { facts: self.facts(), state: self.state(), placement, copies: self.tiers() }
    }

    /// The names of its copies, by [`Tier::index`].
    pub(crate) fn generations(&self) -> [Generation; 4] {
        self.copies.map(|c| c.map_or(0, |c| c.generation))
    }

    /// What its entry shows; `None` if there is nothing to show a place of.
    #[must_use]
    pub fn face(&self) -> Option<Face> {
        self.fastest().map(|(tier, copy)| self.face_at(tier, copy.place, self.state()))
    }

    /// What its entry shows once no lease can be taken any more; bytes or not.
    pub(crate) fn closed_face(&self) -> Face {
        let (tier, place) =
            self.fastest().map_or((self.facts.preferred, Place::OWN), |(tier, copy)| (tier, copy.place));
        self.face_at(tier, place, PayloadState::Deleting)
    }

    fn face_at(&self, tier: Tier, place: Place, state: PayloadState) -> Face {
        Face {
            id: self.id(),
            version: self.facts.version,
            state,
            tier,
            place,
            length: self.facts.size,
            expires: self.facts.expires,
            generations: self.generations(),
            last_generation: self.last_generation,
            created: self.facts.created,
            policy: self.facts.policy,
            protection: self.facts.protection,
            checksum: self.facts.checksum,
        }
    }

    /// The record of its RAM block at `place`.
    #[must_use]
    pub fn record(&self, place: Place, generation: Option<Generation>) -> BlockRecord {
        let facts = &self.facts;
        let block = self
            .entry
            .zip(generation)
            .map(|(index, generation)| payload_manager_types::BlockName { index, generation });
        BlockRecord {
            id: facts.id,
            place,
            size: facts.size,
            block,
            version: facts.version,
            created: facts.created,
            expires: facts.expires,
            reclaim_at: facts.reclaim_at,
            policy: facts.policy,
            no_evict: facts.no_evict,
            protection: facts.protection,
            preferred: facts.preferred,
            checksum: facts.checksum,
        }
    }

    /// Somebody has read it.
    pub(crate) fn was_read(&mut self) {
        self.reads = (self.reads + 1).min(READS);
    }

    /// Learns what the bytes hash to; the first answer stays.
    pub(crate) fn learn(&mut self, checksum: Option<Checksum>) {
        self.facts.checksum = self.facts.checksum.or(checksum);
    }
}
