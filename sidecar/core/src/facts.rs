//! What is durably known of a payload: the row of the catalog, and what the ledger starts from.
//!
//! Not here: leases, budgets, transfers under way, entry indexes. Those live in memory and in the shared pages.

use std::collections::BTreeMap;

use payload_manager_types::{Checksum, EvictionPolicy, PayloadId, Protection, Tier, TierSet, UnixMillis};

/// How far a payload has come, as far as it must survive a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Space is reserved; reclaimed at the time given in [`Facts::reclaim_at`].
    Allocated = 1,
    /// Committed; [`Facts::copies`] says where the bytes are.
    Committed = 2,
    /// Being deleted; start-up finishes it.
    Deleting = 3,
}

impl TryFrom<u8> for Phase {
    type Error = u8;

    fn try_from(n: u8) -> Result<Self, u8> {
        [Self::Allocated, Self::Committed, Self::Deleting].into_iter().find(|p| *p as u8 == n).ok_or(n)
    }
}

/// How long a pin holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pin {
    /// Until somebody unpins.
    UntilUnpinned,
    /// Until this time.
    Until(UnixMillis),
}

impl Pin {
    /// Whether it has not run out.
    #[must_use]
    pub fn holds(self, now: UnixMillis) -> bool {
        match self {
            Self::UntilUnpinned => true,
            Self::Until(end) => now < end,
        }
    }
}

/// What a producer says about a payload for those who find it later; it reaches the archive metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// The data set it belongs to.
    pub dataset: String,
    /// Who made it.
    pub producer: String,
    /// Free-form tags.
    pub tags: BTreeMap<String, String>,
}

impl Labels {
    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dataset.is_empty() && self.producer.is_empty() && self.tags.is_empty()
    }
}

/// Everything durably known of one payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub id: PayloadId,
    /// Its length in bytes.
    pub size: u64,
    /// How far it has come.
    pub phase: Phase,
    /// The descriptor version last shown with this phase and these copies.
    pub version: u64,
    /// The tier that was asked for at allocation.
    pub preferred: Tier,
    /// The tiers that hold its bytes, or should. While ALLOCATED: where the producer writes.
    pub copies: TierSet,
    /// When it was allocated.
    pub created: UnixMillis,
    /// When its time is over (TTL).
    pub expires: Option<UnixMillis>,
    /// While ALLOCATED: when it is taken to be abandoned.
    pub reclaim_at: Option<UnixMillis>,
    /// What eviction may do.
    pub policy: EvictionPolicy,
    /// Excluded from eviction by the producer.
    pub no_evict: bool,
    /// Who could still write after commit.
    pub protection: Protection,
    /// What the bytes hash to, once somebody has read them all.
    pub checksum: Option<Checksum>,
    /// A pin.
    pub pin: Option<Pin>,
    /// What its producer said about it.
    pub labels: Labels,
}
