//! What the daemon must know by now, and how an answer is held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{LeaseId, PayloadDescriptor, PayloadId, PayloadState, Tier};
use payload_manager_api::reason::detail;
use payload_manager_tests::crash::Dice;
use payload_manager_tests::{Daemon, Rpc, Setup, v1};
use tonic::{Code, Status};

/// A payload, from its allocation to its deletion.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    pub(super) id: PayloadId,
    pub(super) seed: u64,
    pub(super) size: usize,
    pub(super) committed: bool,
    pub(super) ram: bool,
    pub(super) disk: bool,
    pub(super) void: bool,
    pub(super) require_durable: bool,
    pub(super) pinned: bool,
    pub(super) leases: Vec<LeaseId>,
    pub(super) version: u64,
    pub(super) metadata: Option<(Vec<u8>, String)>,
    pub(super) events: Vec<(Vec<u8>, String)>,
}

impl Payload {
    pub(super) fn bytes(&self) -> Vec<u8> {
        v1::pattern(self.seed, self.size)
    }

    pub(super) fn tier(&self) -> Tier {
        if self.ram { Tier::Ram } else { Tier::Disk }
    }

    pub(super) fn state(&self) -> PayloadState {
        match (self.committed, self.disk) {
            (false, _) => PayloadState::Allocated,
            (true, true) => PayloadState::Durable,
            (true, false) => PayloadState::Active,
        }
    }

    /// Checks a descriptor. `changed`: its placement or state has just changed; else its version must be what it was.
    pub(super) fn shown(&mut self, descriptor: &PayloadDescriptor, changed: bool) {
        let id = &self.id;
        assert_eq!(descriptor.payload_id.as_ref(), Some(id));
        assert_eq!((descriptor.tier(), descriptor.state()), (self.tier(), self.state()), "{id:?}");
        assert_eq!(descriptor.size_bytes, self.size as u64, "{id:?}");
        let copies: BTreeSet<Tier> = descriptor.copies().collect();
        let expected = [(Tier::Ram, self.ram), (Tier::Disk, self.disk)].into_iter().filter(|(_, there)| *there);
        assert_eq!(copies, expected.map(|(tier, _)| tier).collect(), "{id:?}");
        if changed {
            assert!(descriptor.version > self.version, "{id:?}: {} after {}", descriptor.version, self.version);
        } else {
            assert_eq!(descriptor.version, self.version, "{id:?}: the version changed and nothing else");
        }
        self.version = descriptor.version;
    }
}

/// A stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    /// Entries to keep; 0: all.
    pub(super) keep: u64,
    /// The oldest kept offset.
    pub(super) first: u64,
    /// What was appended, from offset 0 on.
    pub(super) entries: Vec<PayloadId>,
    pub(super) groups: BTreeMap<String, u64>,
}

impl Stream {
    pub(super) fn next(&self) -> u64 {
        self.entries.len() as u64
    }
}

/// An edge: child, parent, operation.
pub(super) type Edge = (Vec<u8>, Vec<u8>, String);

/// What the daemon must know.
#[derive(Default)]
pub(super) struct Model {
    /// In the order of their allocation.
    pub(super) payloads: Vec<Payload>,
    /// Ids that were deleted.
    pub(super) gone: Vec<PayloadId>,
    /// Leases that are over.
    pub(super) over: Vec<LeaseId>,
    pub(super) edges: BTreeSet<Edge>,
    pub(super) streams: BTreeMap<String, Stream>,
}

/// Why a call must fail.
pub(super) type Refusal = (Code, Reason);

pub(super) const NOT_FOUND: Refusal = (Code::NotFound, Reason::PayloadNotFound);
pub(super) const NOT_COMMITTED: Refusal = (Code::FailedPrecondition, Reason::NotCommitted);

/// The daemon, and what is known of it.
pub(super) struct World {
    pub(super) daemon: Daemon,
    pub(super) rpc: Rpc,
    pub(super) model: Model,
}

/// Whom a call is about.
#[derive(Debug, Clone)]
pub(super) enum Whom {
    /// The payload at this place in the model.
    There(usize),
    /// One that is deleted, or never was.
    Nobody(PayloadId),
}

impl World {
    pub(super) async fn start() -> Self {
        // No lease runs out under the model, and nothing has to be evicted.
        let setup = Setup::new().flag("lease-max", "1h").flag("lease-default", "1h");
        let daemon = setup.flag("allocation-timeout", "1h").start();
        let rpc = daemon.rpc().await;
        Self { daemon, rpc, model: Model::default() }
    }

    /// Mostly a payload that is there.
    pub(super) fn whom(&self, dice: &mut Dice) -> Whom {
        let places: Vec<usize> = (0..self.model.payloads.len()).collect();
        match dice.pick(&places) {
            Some(at) if !dice.one_in(12) => Whom::There(at),
            _ if dice.one_in(2) && !self.model.gone.is_empty() => {
                let at = usize::try_from(dice.below(self.model.gone.len() as u64)).unwrap();
                Whom::Nobody(self.model.gone[at].clone())
            }
            _ => Whom::Nobody(PayloadId { value: uuid::Uuid::now_v7().as_bytes().to_vec() }),
        }
    }

    pub(super) fn id(&self, whom: &Whom) -> PayloadId {
        match whom {
            Whom::There(at) => self.model.payloads[*at].id.clone(),
            Whom::Nobody(id) => id.clone(),
        }
    }

    /// The place of one that is there and committed, or how a call about another must fail.
    pub(super) fn committed(&self, whom: &Whom) -> Result<usize, Refusal> {
        match whom {
            Whom::There(at) if self.model.payloads[*at].committed => Ok(*at),
            Whom::There(_) => Err(NOT_COMMITTED),
            Whom::Nobody(_) => Err(NOT_FOUND),
        }
    }

    /// Takes a payload out of the model: it is deleted, its leases are over, and what it came from goes with it; that
    /// others came from it stays.
    pub(super) fn bury(&mut self, at: usize) {
        let payload = self.model.payloads.remove(at);
        self.model.edges.retain(|(child, ..)| *child != payload.id.value);
        self.model.over.extend(payload.leases);
        self.model.gone.push(payload.id);
    }
}

/// The answer, if the call was to go well; if it was to fail, that it failed as it was to.
pub(super) fn held<T: Debug>(what: &str, expected: Result<(), Refusal>, answer: Result<T, Status>) -> Option<T> {
    match (expected, answer) {
        (Ok(()), Ok(answer)) => Some(answer),
        (Err((code, reason)), Err(status)) => {
            let found = detail(&status).and_then(|detail| detail.known());
            assert_eq!((status.code(), found), (code, Some(reason)), "{what}: {}", status.message());
            None
        }
        (expected, answer) => panic!("{what}: expected {expected:?}, answered {answer:?}"),
    }
}
