//! Calls about a payload's life, its leases, and its way between tiers.

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{EvictionPolicy, LeaseId, PromotionPolicy, Tier};
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AllocatePayloadRequest, ImportPayloadRequest, PinRequest, PrefetchRequest,
    ReleaseLeaseRequest, RenewLeaseRequest, SpillRequest, UnpinRequest,
};
use payload_manager_tests::crash::Dice;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::v1;
use payload_manager_tests::wait::eventually_async;
use tonic::{Code, Status};

use super::model::{NOT_FOUND, Payload, Refusal, Whom, World, held};

/// Payloads there are at most, so that nothing has to be evicted.
const MANY: usize = 120;
/// Bytes of the largest.
const LARGEST: u64 = 40_000;

const TIER_REFUSED: Refusal = (Code::FailedPrecondition, Reason::TierNotConfigured);

impl World {
    pub(super) async fn allocate(&mut self, dice: &mut Dice) {
        let tier = dice.pick(&[Tier::Ram, Tier::Ram, Tier::Disk, Tier::Object]).unwrap();
        let size = usize::try_from(if dice.one_in(20) { 0 } else { 1 + dice.below(LARGEST) }).unwrap();
        let (void, require_durable) = (dice.one_in(5), dice.one_in(5));
        let expected = match tier {
            _ if size == 0 => Err((Code::InvalidArgument, Reason::SizeZero)),
            Tier::Object => Err(TIER_REFUSED),
            _ => Ok(()),
        };
        if self.model.payloads.len() >= MANY {
            return;
        }
        let policy = EvictionPolicy {
            spill_target: if void { Tier::Void } else { Tier::Unspecified } as i32,
            require_durable,
            ..Default::default()
        };
        let request = AllocatePayloadRequest {
            size_bytes: size as u64,
            preferred_tier: tier as i32,
            eviction_policy: Some(policy),
            ..Default::default()
        };
        let Some(made) = held("AllocatePayload", expected, self.rpc.allocate_with(request).await) else { return };
        let (ram, disk) = (tier == Tier::Ram, tier == Tier::Disk);
        let mut payload = Payload {
            id: id_of(&made),
            seed: dice.throw(),
            size,
            committed: false,
            ram,
            disk,
            void,
            require_durable,
            pinned: false,
            leases: Vec::new(),
            version: 0,
            metadata: None,
            events: Vec::new(),
        };
        assert_eq!(made.version, 1);
        payload.shown(&made, true);
        v1::write(&made, &payload.bytes()).unwrap();
        self.model.payloads.push(payload);
    }

    pub(super) async fn commit(&mut self, dice: &mut Dice) {
        let waiting: Vec<usize> =
            (0..self.model.payloads.len()).filter(|at| !self.model.payloads[*at].committed).collect();
        let whom = match dice.pick(&waiting) {
            Some(at) if !dice.one_in(10) => Whom::There(at),
            _ => self.whom(dice),
        };
        let expected = match &whom {
            Whom::Nobody(_) => Err(NOT_FOUND),
            Whom::There(at) if self.model.payloads[*at].committed => {
                Err((Code::FailedPrecondition, Reason::AlreadyCommitted))
            }
            Whom::There(_) => Ok(()),
        };
        let answer = self.rpc.commit(self.id(&whom)).await;
        if let (Some(shown), Whom::There(at)) = (held("CommitPayload", expected, answer), whom) {
            let payload = &mut self.model.payloads[at];
            payload.committed = true;
            payload.shown(&shown, true);
        }
    }

    pub(super) async fn delete(&mut self, dice: &mut Dice) {
        let (whom, force) = (self.whom(dice), dice.one_in(2));
        let expected = match &whom {
            Whom::Nobody(_) => Err(NOT_FOUND),
            Whom::There(at) if !force && !self.model.payloads[*at].leases.is_empty() => {
                Err((Code::Aborted, Reason::Leased))
            }
            Whom::There(_) => Ok(()),
        };
        let answer = self.rpc.delete(self.id(&whom), force).await;
        if let (Some(()), Whom::There(at)) = (held("Delete", expected, answer), whom) {
            self.bury(at);
        }
    }

    pub(super) async fn lease(&mut self, dice: &mut Dice) {
        let whom = self.whom(dice);
        let (min_tier, wait) = (dice.pick(&[Tier::Unspecified, Tier::Ram, Tier::Disk]).unwrap(), dice.one_in(2));
        let policy = if wait { PromotionPolicy::Blocking } else { PromotionPolicy::BestEffort };
        let slow = |at: usize| min_tier == Tier::Ram && !self.model.payloads[at].ram;
        let found = self.committed(&whom);
        let expected = found.and_then(|at| match slow(at) && !wait {
            true => Err((Code::FailedPrecondition, Reason::MinTierNotMet)),
            false => Ok(()),
        });
        let promoted = found.is_ok_and(slow);
        let request = AcquireReadLeaseRequest {
            id: Some(self.id(&whom)),
            min_tier: min_tier as i32,
            promotion_policy: policy as i32,
            ..Default::default()
        };
        let answer = self.rpc.data.acquire_read_lease(request).await.map(tonic::Response::into_inner);
        let granted = held("AcquireReadLease", expected, answer);
        let Ok(at) = found else { return };
        self.model.payloads[at].ram |= promoted;
        if let Some(granted) = granted {
            let payload = &mut self.model.payloads[at];
            let shown = granted.payload_descriptor.unwrap();
            payload.shown(&shown, promoted);
            payload.leases.extend(granted.lease_id);
            assert!(v1::read(&shown).unwrap() == payload.bytes(), "{:?}: other bytes", payload.id);
        } else {
            self.promoted_in_the_background(at).await;
        }
    }

    /// Waits for a promotion that a call has only begun.
    async fn promoted_in_the_background(&mut self, at: usize) {
        let id = self.model.payloads[at].id.clone();
        let rpc = self.rpc.clone();
        eventually_async("a promotion in the background", || {
            let (mut rpc, id) = (rpc.clone(), id.clone());
            async move { rpc.descriptor(id).await.unwrap().tier() == Tier::Ram }
        })
        .await;
        let shown = self.rpc.descriptor(id).await.unwrap();
        self.model.payloads[at].shown(&shown, true);
    }

    /// A lease that is held, or one that is over or never was.
    fn some_lease(&self, dice: &mut Dice) -> (LeaseId, Option<(usize, usize)>) {
        let payloads = self.model.payloads.iter().enumerate();
        let held: Vec<_> = payloads.flat_map(|(at, p)| (0..p.leases.len()).map(move |n| (at, n))).collect();
        match dice.pick(&held) {
            Some((at, n)) if !dice.one_in(6) => (self.model.payloads[at].leases[n].clone(), Some((at, n))),
            _ => {
                let random = LeaseId { value: uuid::Uuid::now_v7().as_bytes().to_vec() };
                (self.model.over.last().cloned().unwrap_or(random), None)
            }
        }
    }

    pub(super) async fn release(&mut self, dice: &mut Dice) {
        let (lease, place) = self.some_lease(dice);
        let request = ReleaseLeaseRequest { lease_id: Some(lease.clone()) };
        held("ReleaseLease", Ok(()), self.rpc.data.release_lease(request).await);
        if let Some((at, n)) = place {
            self.model.payloads[at].leases.remove(n);
            self.model.over.push(lease);
        }
    }

    pub(super) async fn renew(&mut self, dice: &mut Dice) {
        let (lease, place) = self.some_lease(dice);
        let request = RenewLeaseRequest { lease_id: Some(lease), ..Default::default() };
        let expected = place.map(drop).ok_or((Code::NotFound, Reason::LeaseOver));
        held("RenewLease", expected, self.rpc.data.renew_lease(request).await);
    }

    pub(super) async fn promote(&mut self, dice: &mut Dice) {
        let whom = self.whom(dice);
        let target = dice.pick(&[Tier::Ram, Tier::Ram, Tier::Disk, Tier::Gpu]).unwrap();
        let found = self.committed(&whom);
        let expected = match (target, found) {
            (Tier::Gpu, _) => Err(TIER_REFUSED),
            (_, Err(refusal)) => Err(refusal),
            (Tier::Disk, Ok(at)) if !self.model.payloads[at].disk => {
                Err((Code::FailedPrecondition, Reason::PromoteToSlower))
            }
            (_, Ok(_)) => Ok(()),
        };
        let answer = self.rpc.promote(self.id(&whom), target).await;
        if let (Some(shown), Ok(at)) = (held("Promote", expected, answer), found) {
            let payload = &mut self.model.payloads[at];
            let changed = target == Tier::Ram && !std::mem::replace(&mut payload.ram, true);
            payload.shown(&shown, changed);
        }
    }

    pub(super) async fn spill(&mut self, dice: &mut Dice) {
        let whom = self.whom(dice);
        let target = dice.pick(&[Tier::Unspecified, Tier::Disk, Tier::Disk, Tier::Ram, Tier::Void]).unwrap();
        let request = SpillRequest { ids: vec![self.id(&whom)], target_tier: target as i32, ..Default::default() };
        let found = self.committed(&whom);
        let to = match (target, &whom) {
            (Tier::Unspecified, Whom::There(at)) if self.model.payloads[*at].void => Tier::Void,
            (Tier::Unspecified, _) => Tier::Disk,
            (said, _) => said,
        };
        let expected = found.and_then(|at| self.spill_expected(at, to));
        let answer = self.rpc.spill_all(request).await.unwrap().pop().unwrap();
        let result = match answer.error.clone() {
            Some(error) => Err(Status::from(error)),
            None => Ok(answer.payload_descriptor),
        };
        let (Some(shown), Ok(at)) = (held("Spill", expected, result), found) else { return };
        if to == Tier::Void {
            return self.bury(at);
        }
        let payload = &mut self.model.payloads[at];
        let changed = to == Tier::Disk && payload.ram;
        if changed {
            (payload.ram, payload.disk) = (false, true);
        }
        payload.shown(&shown.unwrap(), changed);
    }

    fn spill_expected(&self, at: usize, to: Tier) -> Result<(), Refusal> {
        let payload = &self.model.payloads[at];
        let wrong = |reason| Err((Code::FailedPrecondition, reason));
        match to {
            Tier::Void if payload.pinned => wrong(Reason::Pinned),
            Tier::Void if payload.require_durable => wrong(Reason::RequireDurable),
            Tier::Void if !payload.leases.is_empty() => Err((Code::Aborted, Reason::Leased)),
            Tier::Ram if !payload.ram => wrong(Reason::SpillToFaster),
            Tier::Disk if payload.ram && payload.pinned => wrong(Reason::Pinned),
            _ => Ok(()),
        }
    }

    pub(super) async fn pin(&mut self, dice: &mut Dice) {
        let (whom, pin) = (self.whom(dice), dice.one_in(2));
        let id = Some(self.id(&whom));
        if !pin {
            held("Unpin", Ok(()), self.rpc.catalog.unpin(UnpinRequest { id }).await);
            if let Whom::There(at) = whom {
                self.model.payloads[at].pinned = false;
            }
            return;
        }
        let found = self.committed(&whom);
        let duration_ms = if dice.one_in(2) { 0 } else { 3_600_000 };
        let answer = self.rpc.catalog.pin(PinRequest { id, duration_ms }).await;
        if let (Some(_), Ok(at)) = (held("Pin", found.map(drop), answer), found) {
            self.model.payloads[at].pinned = true;
        }
    }

    pub(super) async fn prefetch_or_import(&mut self, dice: &mut Dice) {
        let whom = self.whom(dice);
        let (id, found) = (Some(self.id(&whom)), self.committed(&whom));
        if dice.one_in(3) {
            let expected = match whom {
                Whom::Nobody(_) => Err(NOT_FOUND),
                Whom::There(_) => Err((Code::FailedPrecondition, Reason::ImportMismatch)),
            };
            let request = ImportPayloadRequest { id, size_bytes: 5 };
            held("ImportPayload", expected, self.rpc.catalog.import_payload(request).await);
            return;
        }
        let request = PrefetchRequest { id, target_tier: Tier::Ram as i32, ..Default::default() };
        held("Prefetch", found.map(drop), self.rpc.catalog.prefetch(request).await);
        if let Ok(at) = found
            && !std::mem::replace(&mut self.model.payloads[at].ram, true)
        {
            self.promoted_in_the_background(at).await;
        }
    }
}
