//! Requests about leases, one and many.

use payload_manager_types::{DeviceUuid, LeaseId, PayloadId, Tier};

use super::field::{devices, known, lease_id, payload_id, tier};
use super::invalid::{About as _, Invalid};
use super::tiering::waits_for_promotion;
use crate::reason::Reason;
use crate::runtime::v1;

/// The most leases that one call may ask for: each answer carries a descriptor or an error, and an answer fits 3 MiB.
pub const BATCH_LIMIT: usize = 1000;

/// A lease to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcquireReadLease {
    /// On which payload.
    pub id: PayloadId,
    /// The slowest tier that will do.
    pub min_tier: Option<Tier>,
    /// Where no copy is fast enough: whether to wait for one.
    pub wait: bool,
    /// Milliseconds; `None` for the daemon's default.
    pub min_duration_ms: Option<u64>,
    /// Whether a shared segment and an offset will do.
    pub accepts_segment_offset: bool,
    /// The GPUs that a copy made for it may be on, the first the most wanted; none: any.
    pub devices: Vec<DeviceUuid>,
}

/// A lease to be made longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewLease {
    /// Which.
    pub lease: LeaseId,
    /// Milliseconds from now; `None` for the daemon's default.
    pub min_duration_ms: Option<u64>,
}

/// Many leases; each request is valid or not for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcquireReadLeases(pub Vec<Result<AcquireReadLease, Invalid>>);

/// Many leases to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseLeases(pub Vec<LeaseId>);

impl TryFrom<v1::AcquireReadLeaseRequest> for AcquireReadLease {
    type Error = Invalid;

    fn try_from(wire: v1::AcquireReadLeaseRequest) -> Result<Self, Invalid> {
        let id = payload_id(wire.id.clone(), "id")?;
        acquire(id, &wire).about(id)
    }
}

fn acquire(id: PayloadId, wire: &v1::AcquireReadLeaseRequest) -> Result<AcquireReadLease, Invalid> {
    let _read: v1::LeaseMode = known(wire.mode, "mode")?;
    Ok(AcquireReadLease {
        id,
        min_tier: tier(wire.min_tier, "min_tier")?,
        wait: waits_for_promotion(wire.promotion_policy, "promotion_policy")?,
        min_duration_ms: duration(wire.min_lease_duration_ms),
        accepts_segment_offset: wire.accepts_segment_offset,
        devices: devices(&wire.devices)?,
    })
}

impl TryFrom<v1::ReleaseLeaseRequest> for LeaseId {
    type Error = Invalid;

    fn try_from(wire: v1::ReleaseLeaseRequest) -> Result<Self, Invalid> {
        lease_id(wire.lease_id, "lease_id")
    }
}

impl TryFrom<v1::RenewLeaseRequest> for RenewLease {
    type Error = Invalid;

    fn try_from(wire: v1::RenewLeaseRequest) -> Result<Self, Invalid> {
        let lease = lease_id(wire.lease_id, "lease_id")?;
        Ok(Self { lease, min_duration_ms: duration(wire.min_lease_duration_ms) })
    }
}

impl TryFrom<v1::ResolveSnapshotRequest> for PayloadId {
    type Error = Invalid;

    fn try_from(wire: v1::ResolveSnapshotRequest) -> Result<Self, Invalid> {
        payload_id(wire.id, "id")
    }
}

impl TryFrom<v1::AcquireReadLeasesRequest> for AcquireReadLeases {
    type Error = Invalid;

    fn try_from(wire: v1::AcquireReadLeasesRequest) -> Result<Self, Invalid> {
        if wire.requests.len() > BATCH_LIMIT {
            let message = format!("{} requests, at most {BATCH_LIMIT} fit one call; split them", wire.requests.len());
            return Err(Invalid::new(Reason::BatchTooLarge, "requests", message));
        }
        Ok(Self(wire.requests.into_iter().map(AcquireReadLease::try_from).collect()))
    }
}

impl TryFrom<v1::ReleaseLeasesRequest> for ReleaseLeases {
    type Error = Invalid;

    fn try_from(wire: v1::ReleaseLeasesRequest) -> Result<Self, Invalid> {
        wire.lease_ids.into_iter().map(|id| lease_id(Some(id), "lease_ids")).collect::<Result<_, _>>().map(Self)
    }
}

fn duration(ms: u64) -> Option<u64> {
    Some(ms).filter(|ms| *ms != 0)
}
