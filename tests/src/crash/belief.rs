//! What one client knows of one payload, from answers alone.

use std::path::PathBuf;
use std::time::Instant;

use payload_manager_api::core::v1::{LeaseId, PayloadDescriptor, PayloadId, PayloadState, Tier};
use payload_manager_shm::ReadMap;

use crate::v1;

/// How far it has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Allocated and written.
    Allocated,
    /// Committed: never to be lost.
    Committed,
    /// Deleted: never to come back.
    Gone,
}

/// A call that was sent and not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// CommitPayload.
    Commit,
    /// Promote or Spill.
    Move,
    /// Delete, by force or not.
    Delete {
        /// Whether leases are revoked by it.
        force: bool,
    },
}

/// A lease that was granted and not given back.
#[derive(Debug)]
pub struct Claim {
    /// Its name.
    pub lease: LeaseId,
    /// The tier of the copy it is on.
    pub tier: Tier,
    /// Where that copy opens.
    pub path: PathBuf,
    /// Its bytes, mapped when the lease was granted.
    pub map: ReadMap,
    /// It lives until then at the least: counted from before it was asked for.
    pub until: Instant,
    /// A forced delete was answered, or may have happened.
    pub revoked: bool,
}

impl Claim {
    /// Whether its holder may count on it now.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.revoked && Instant::now() < self.until
    }
}

/// One payload.
#[derive(Debug)]
pub struct Known {
    /// Its name.
    pub id: PayloadId,
    /// What its bytes are made from.
    pub seed: u64,
    /// How many there are.
    pub size: usize,
    /// Whether it was allocated with labels.
    pub labelled: bool,
    /// Whether eviction may delete it.
    pub fleeting: bool,
    /// Committed by a copy.
    pub strict: bool,
    /// How far it has got.
    pub stage: Stage,
    /// What was sent and not answered.
    pub doubt: Option<Doubt>,
    /// The highest version that was shown.
    pub version: u64,
    /// The furthest state that was shown.
    pub state: PayloadState,
    /// Its leases.
    pub claims: Vec<Claim>,
    /// A lease that nobody knows of, or was given back without an answer, may live until then.
    pub haunted: Option<Instant>,
}

impl Known {
    /// The bytes it must have.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        v1::pattern(self.seed, self.size)
    }

    /// Takes in what an answer shows of it, and checks that nothing has gone back (promise: monotonic).
    ///
    /// # Panics
    /// If something has.
    pub fn shown(&mut self, descriptor: &PayloadDescriptor) {
        let id = self.name();
        assert_eq!(descriptor.size_bytes, self.size as u64, "{id} has another size");
        assert!(descriptor.version >= self.version, "{id}: version {} after {}", descriptor.version, self.version);
        self.version = descriptor.version;
        let state = descriptor.state();
        if matches!(state, PayloadState::Allocated | PayloadState::Active | PayloadState::Durable) {
            assert!(state >= self.state, "{id}: {state:?} after {:?}", self.state);
            self.state = state;
        }
    }

    /// A lease that nobody can name may live until `end`.
    pub fn haunt(&mut self, end: Instant) {
        self.haunted = self.haunted.max(Some(end));
    }

    /// Whether blocks of it may be kept by leases that nobody can count on.
    #[must_use]
    pub fn is_haunted(&self) -> bool {
        let unsure = |claim: &Claim| !claim.is_live();
        self.haunted.is_some_and(|end| Instant::now() < end) || self.claims.iter().any(unsure)
    }

    /// Its id as people write it.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(&self.id)
    }
}

/// An id as people write it.
#[must_use]
pub fn name_of(id: &PayloadId) -> String {
    uuid::Uuid::from_slice(&id.value).map_or_else(|_| format!("{:?}", id.value), |id| id.to_string())
}
