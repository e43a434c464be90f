//! One client: makes calls, and remembers what was answered. A call that died on the way is remembered as a doubt.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use payload_manager_api::core::v1::{EvictionPolicy, PayloadState, Protection, Tier};
use payload_manager_api::reason::detail;
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AllocatePayloadRequest, ReleaseLeaseRequest, RenewLeaseRequest,
};
use tokio::sync::Notify;
use tonic::{Code, Status};

use super::belief::{Claim, Doubt, Known, Stage};
use crate::rpc::id_of;
use crate::wait::within;
use crate::{Rpc, v1};

/// The daemon died under a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead;

/// How long the leases of these tests live: long enough to outlast a restart or two, short enough to be waited out.
pub const LEASE: Duration = Duration::from_secs(12);

/// Counts answers, so that a kill can come at the n-th of them.
#[derive(Debug, Default)]
pub struct Meter {
    answers: AtomicU64,
    rung: Notify,
}

impl Meter {
    fn tick(&self) {
        self.answers.fetch_add(1, Ordering::SeqCst);
        self.rung.notify_waiters();
    }

    /// Answers so far.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::SeqCst)
    }

    /// Waits for the `n`-th answer.
    pub async fn reach(&self, n: u64) {
        loop {
            let rung = self.rung.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            if self.answers() >= n {
                return;
            }
            rung.await;
        }
    }
}

/// What to allocate.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Where.
    pub tier: Tier,
    /// How many bytes.
    pub size: usize,
    /// With labels, which no record of a RAM block holds.
    pub labelled: bool,
    /// Eviction may delete it.
    pub fleeting: bool,
    /// Committed by a copy.
    pub strict: bool,
}

/// A client and its memory.
#[derive(Debug)]
pub struct Witness {
    /// The name of its stream.
    pub stream: String,
    /// What it allocated, those that are gone included.
    pub payloads: Vec<Known>,
    /// Allocations that were sent and not answered.
    pub lost_allocations: u64,
    /// What was appended to its stream; `None` until the stream is made.
    pub appended: Option<Vec<usize>>,
    /// What was sent to be appended and not answered.
    pub append_doubt: Vec<usize>,
    /// Whether its stream may have been made.
    pub stream_doubt: bool,
    rpc: Option<Rpc>,
    meter: Arc<Meter>,
    seed: u64,
}

impl Witness {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(name: &str, seed: u64, meter: Arc<Meter>) -> Self {
        Self {
            stream: name.to_owned(),
            payloads: Vec::new(),
            lost_allocations: 0,
            appended: None,
            append_doubt: Vec::new(),
            stream_doubt: false,
            rpc: None,
            meter,
            seed,
        }
    }

    /// Speaks to the daemon over this connection from now on.
    pub fn meet(&mut self, rpc: Rpc) {
        self.rpc = Some(rpc);
    }

    fn rpc(&self) -> Rpc {
        self.rpc.clone().expect("a witness that has met no daemon")
    }

    /// The answer, good or bad; [`Dead`] if there was none.
    async fn told<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<Result<T, Status>, Dead> {
        let answer = within(what, call).await;
        match answer {
            // Every error of the daemon's own says why; one that the transport made does not.
            Err(status) if detail(&status).is_none() => Err(Dead),
            answer => {
                self.meter.tick();
                Ok(answer)
            }
        }
    }

    /// Allocates and writes. A full tier is fine: then nothing happens.
    ///
    /// # Errors
    /// [`Dead`].
    ///
    /// # Panics
    /// On any other answer; so with all of these.
    pub async fn allocate(&mut self, wish: Wish) -> Result<Option<usize>, Dead> {
        let (mut rpc, number) = (self.rpc(), self.payloads.len());
        let request = request(wish);
        self.lost_allocations += 1;
        let told = self.told("AllocatePayload", rpc.allocate_with(request)).await?;
        self.lost_allocations -= 1;
        let descriptor = match told {
            Ok(descriptor) => descriptor,
            Err(status) if status.code() == Code::ResourceExhausted => return Ok(None),
            Err(status) => panic!("allocate: {status:?}"),
        };
        let seed = self.seed.wrapping_add(number as u64);
        let mut known = Known {
            id: id_of(&descriptor),
            seed,
            size: wish.size,
            labelled: wish.labelled,
            fleeting: wish.fleeting,
            strict: wish.strict,
            stage: Stage::Allocated,
            doubt: None,
            version: 0,
            state: PayloadState::Allocated,
            claims: Vec::new(),
            haunted: None,
        };
        known.shown(&descriptor);
        v1::write(&descriptor, &known.bytes()).unwrap();
        self.payloads.push(known);
        Ok(Some(number))
    }

    /// Commits what is allocated. No room for a second copy is fine: then nothing happens.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn commit(&mut self, at: usize) -> Result<(), Dead> {
        let mut rpc = self.rpc();
        let id = self.doubt(at, Doubt::Commit);
        let told = self.told("CommitPayload", rpc.commit(id)).await?;
        let known = self.sure(at);
        let descriptor = match told {
            Ok(descriptor) => descriptor,
            Err(status) if known.strict && status.code() == Code::ResourceExhausted => return Ok(()),
            Err(status) => panic!("commit: {status:?}"),
        };
        known.stage = Stage::Committed;
        known.shown(&descriptor);
        assert_ne!(descriptor.state(), PayloadState::Allocated);
        Ok(())
    }

    /// Takes a lease and maps the bytes.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn lease(&mut self, at: usize) -> Result<(), Dead> {
        let mut rpc = self.rpc();
        let request = AcquireReadLeaseRequest {
            id: Some(self.payloads[at].id.clone()),
            min_lease_duration_ms: u64::try_from(LEASE.as_millis()).unwrap(),
            ..Default::default()
        };
        let until = Instant::now() + LEASE;
        let told = self.told("AcquireReadLease", rpc.data.acquire_read_lease(request)).await;
        let known = &mut self.payloads[at];
        let lease = match told {
            Err(Dead) => {
                known.haunt(Instant::now() + LEASE);
                return Err(Dead);
            }
            Ok(Err(status)) if known.fleeting && status.code() == Code::NotFound => {
                known.stage = Stage::Gone;
                return Ok(());
            }
            Ok(answer) => answer.unwrap().into_inner(),
        };
        let descriptor = lease.payload_descriptor.unwrap();
        known.shown(&descriptor);
        let (path, ..) = v1::place(&descriptor);
        let map = v1::map(&descriptor).unwrap();
        assert!(*map == *known.bytes(), "{}: other bytes than were committed", known.name());
        let (lease, tier) = (lease.lease_id.unwrap(), descriptor.tier());
        known.claims.push(Claim { lease, tier, path, map, until, revoked: false });
        Ok(())
    }

    /// Gives its last lease back.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn release(&mut self, at: usize) -> Result<(), Dead> {
        let mut rpc = self.rpc();
        let Some(claim) = self.payloads[at].claims.pop() else { return Ok(()) };
        self.payloads[at].haunt(Instant::now() + LEASE);
        let request = ReleaseLeaseRequest { lease_id: Some(claim.lease) };
        self.told("ReleaseLease", rpc.data.release_lease(request)).await?.unwrap();
        Ok(())
    }

    /// Renews its last lease.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn renew(&mut self, at: usize) -> Result<(), Dead> {
        let mut rpc = self.rpc();
        let Some(claim) = self.payloads[at].claims.last() else { return Ok(()) };
        let ms = u64::try_from(LEASE.as_millis()).unwrap();
        let request = RenewLeaseRequest { lease_id: Some(claim.lease.clone()), min_lease_duration_ms: ms };
        let until = Instant::now() + LEASE;
        let told = self.told("RenewLease", rpc.data.renew_lease(request)).await;
        let known = &mut self.payloads[at];
        known.haunt(Instant::now() + LEASE);
        let claim = known.claims.last_mut().unwrap();
        match told? {
            Ok(_) => {
                assert!(!claim.revoked, "a lease that a forced delete has ended was renewed");
                claim.until = until;
            }
            Err(status) => {
                assert_eq!(status.code(), Code::NotFound, "{status:?}");
                assert!(!claim.is_live(), "a live lease is over");
                known.claims.pop();
            }
        }
        Ok(())
    }

    /// Spills to DISK.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn spill(&mut self, at: usize) -> Result<(), Dead> {
        self.spill_to(at, Tier::Disk).await
    }

    /// Spills to any tier.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn spill_to(&mut self, at: usize, tier: Tier) -> Result<(), Dead> {
        let mut rpc = self.rpc();
        let id = self.doubt(at, Doubt::Move);
        let told = self.told("Spill", rpc.spill_to(id, tier)).await?;
        self.moved(at, told);
        Ok(())
    }

    /// Promotes to RAM.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn promote(&mut self, at: usize) -> Result<(), Dead> {
        let mut rpc = self.rpc();
        let id = self.doubt(at, Doubt::Move);
        let told = self.told("Promote", rpc.promote(id, Tier::Ram)).await?;
        self.moved(at, told);
        Ok(())
    }

    fn moved(&mut self, at: usize, told: Result<payload_manager_api::core::v1::PayloadDescriptor, Status>) {
        let known = self.sure(at);
        match told {
            Ok(descriptor) => known.shown(&descriptor),
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}"),
        }
    }

    /// Deletes.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn delete(&mut self, at: usize, force: bool) -> Result<(), Dead> {
        let mut rpc = self.rpc();
        let id = self.doubt(at, Doubt::Delete { force });
        let told = self.told("Delete", rpc.delete(id, force)).await?;
        let known = self.sure(at);
        match told {
            Ok(()) => {
                assert!(force || !known.claims.iter().any(Claim::is_live), "deleted under a live lease");
                known.stage = Stage::Gone;
                known.claims.iter_mut().for_each(|claim| claim.revoked |= force);
            }
            Err(status) if status.code() == Code::NotFound && known.fleeting => known.stage = Stage::Gone,
            Err(status) => {
                assert_eq!(status.code(), Code::Aborted, "{status:?}");
                assert!(!force && (known.is_haunted() || !known.claims.is_empty()), "{status:?}");
            }
        }
        Ok(())
    }

    /// Appends to its stream, which it makes first if need be.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn append(&mut self, which: &[usize]) -> Result<(), Dead> {
        let mut rpc = self.rpc();
        if self.appended.is_none() {
            self.stream_doubt = true;
            self.told("CreateStream", rpc.create_stream(&self.stream)).await?.unwrap();
            (self.appended, self.stream_doubt) = (Some(Vec::new()), false);
        }
        which.clone_into(&mut self.append_doubt);
        let ids: Vec<_> = which.iter().map(|at| self.payloads[*at].id.clone()).collect();
        let (first, last) = self.told("Append", rpc.append(&self.stream, &ids)).await?.unwrap();
        let log = self.appended.get_or_insert_default();
        assert_eq!((first, last), (log.len() as u64, (log.len() + which.len()) as u64 - 1), "offsets in order");
        log.append(&mut self.append_doubt);
        Ok(())
    }

    /// Looks at it.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn look(&mut self, at: usize) -> Result<(), Dead> {
        let mut rpc = self.rpc();
        let id = self.payloads[at].id.clone();
        let descriptor = self.told("ResolveSnapshot", rpc.descriptor(id)).await?.unwrap();
        self.payloads[at].shown(&descriptor);
        Ok(())
    }

    fn doubt(&mut self, at: usize, doubt: Doubt) -> payload_manager_api::core::v1::PayloadId {
        self.payloads[at].doubt = Some(doubt);
        self.payloads[at].id.clone()
    }

    /// It was answered.
    fn sure(&mut self, at: usize) -> &mut Known {
        self.payloads[at].doubt = None;
        &mut self.payloads[at]
    }
}

fn request(wish: Wish) -> AllocatePayloadRequest {
    let mut request =
        AllocatePayloadRequest { size_bytes: wish.size as u64, preferred_tier: wish.tier as i32, ..Default::default() };
    if wish.labelled {
        "kept".clone_into(&mut request.dataset);
        request.tags.insert("key".into(), "value".into());
    }
    if wish.fleeting {
        request.eviction_policy = Some(EvictionPolicy { spill_target: Tier::Void as i32, ..Default::default() });
    }
    if wish.strict {
        request.protection = Protection::Strict as i32;
    }
    request
}
