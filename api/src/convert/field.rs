//! Single fields: ids, enum numbers, tiers, times, texts. What every request is put together from.

use std::collections::HashMap;

use payload_manager_types::{
    BadId, DeviceUuid, EvictionPolicy, LeaseId, PayloadId, PayloadState, Priority, Protection, SpillTarget, Tier,
    TierSet,
};

use super::invalid::Invalid;
use crate::Timestamp;
use crate::core::v1;
use crate::reason::Reason;
use crate::timestamp::BadTimestamp;

/// A payload id. A missing message is one of 0 bytes.
pub(super) fn payload_id(wire: Option<v1::PayloadId>, field: &'static str) -> Result<PayloadId, Invalid> {
    let bytes = wire.unwrap_or_default().value;
    PayloadId::try_from(bytes.as_slice())
        .map_err(|e| bad_id(&e, field, "send the 16 bytes that AllocatePayload answered"))
}

/// A lease id. A missing message is one of 0 bytes.
pub(super) fn lease_id(wire: Option<v1::LeaseId>, field: &'static str) -> Result<LeaseId, Invalid> {
    let bytes = wire.unwrap_or_default().value;
    LeaseId::try_from(bytes.as_slice())
        .map_err(|e| bad_id(&e, field, "send the 16 bytes that AcquireReadLease answered"))
}

fn bad_id(error: &BadId, field: &'static str, advice: &str) -> Invalid {
    Invalid::new(Reason::IdLength, field, format!("{error}; {advice}"))
}

/// An enum of the contract; a number it does not name is refused.
pub(super) fn known<E: TryFrom<i32>>(number: i32, field: &'static str) -> Result<E, Invalid> {
    E::try_from(number).map_err(|_| {
        let message = format!("{number} is no value that this daemon knows; use one that the .proto file names");
        Invalid::new(Reason::UnknownEnum, field, message)
    })
}

/// A tier, or `None` where it is unspecified.
///
/// # Errors
/// [`Reason::UnknownEnum`]; [`Reason::VoidIsNoPlace`] for VOID.
pub fn tier(number: i32, field: &'static str) -> Result<Option<Tier>, Invalid> {
    Ok(match known(number, field)? {
        v1::Tier::Unspecified => None,
        v1::Tier::Gpu => Some(Tier::Gpu),
        v1::Tier::Ram => Some(Tier::Ram),
        v1::Tier::Disk => Some(Tier::Disk),
        v1::Tier::Object => Some(Tier::Object),
        v1::Tier::Void => {
            let message = "VOID is no place; use GPU, RAM, DISK or OBJECT, or Delete the payload";
            return Err(Invalid::new(Reason::VoidIsNoPlace, field, message));
        }
    })
}

/// A tier where one is needed.
pub(super) fn required_tier(number: i32, field: &'static str) -> Result<Tier, Invalid> {
    let missing = || Invalid::new(Reason::TierRequired, field, "a tier is needed: GPU, RAM, DISK or OBJECT");
    tier(number, field)?.ok_or_else(missing)
}

/// Where a spill goes: the one use of VOID.
pub(super) fn spill_target(number: i32, field: &'static str) -> Result<Option<SpillTarget>, Invalid> {
    if known::<v1::Tier>(number, field)? == v1::Tier::Void {
        return Ok(Some(SpillTarget::Void));
    }
    Ok(tier(number, field)?.map(SpillTarget::Tier))
}

/// A set of tiers, as a descriptor lists its copies.
///
/// # Errors
/// As [`tier`], and [`Reason::TierRequired`] for an unspecified one.
pub fn tiers(numbers: &[i32], field: &'static str) -> Result<TierSet, Invalid> {
    numbers.iter().map(|n| required_tier(*n, field)).collect()
}

/// The number of a tier on the wire; 0 for none.
#[must_use]
pub fn tier_number(tier: Option<Tier>) -> i32 {
    tier.map_or(0, |t| v1::Tier::from(t) as i32)
}

/// A state that is not unspecified.
///
/// # Errors
/// [`Reason::UnknownEnum`].
pub fn payload_state(number: i32, field: &'static str) -> Result<PayloadState, Invalid> {
    let known: v1::PayloadState = known(number, field)?;
    u8::try_from(known as i32)
        .ok()
        .and_then(|n| PayloadState::try_from(n).ok())
        .ok_or_else(|| Invalid::new(Reason::UnknownEnum, field, "a state is needed"))
}

/// A protection; unspecified is the default.
pub(super) fn protection(number: i32, field: &'static str) -> Result<Protection, Invalid> {
    Ok(match known(number, field)? {
        v1::Protection::Default => Protection::default(),
        v1::Protection::Shared => Protection::Shared,
        v1::Protection::Strict => Protection::Strict,
        v1::Protection::Sealed => Protection::Sealed,
    })
}

/// A policy; what is unset, or a missing message, has the defaults.
pub(super) fn eviction_policy(wire: Option<v1::EvictionPolicy>) -> Result<EvictionPolicy, Invalid> {
    let wire = wire.unwrap_or_default();
    Ok(EvictionPolicy {
        priority: match known(wire.priority, "eviction_policy.priority")? {
            v1::EvictionPriority::Unspecified => Priority::default(),
            v1::EvictionPriority::Low => Priority::Low,
            v1::EvictionPriority::Normal => Priority::Normal,
            v1::EvictionPriority::High => Priority::High,
            v1::EvictionPriority::Never => Priority::Never,
        },
        require_durable: wire.require_durable,
        spill_target: spill_target(wire.spill_target, "eviction_policy.spill_target")?,
        min_residency: tier(wire.min_residency_tier, "eviction_policy.min_residency_tier")?,
    })
}

/// A time of the vocabulary, where the message has one.
pub(super) fn time<T>(wire: Option<Timestamp>, field: &'static str) -> Result<Option<T>, Invalid>
where
    T: TryFrom<Timestamp, Error = BadTimestamp>,
{
    wire.map(T::try_from).transpose().map_err(|e| {
        let reason = if e == BadTimestamp::TooLate { Reason::TimeTooLate } else { Reason::BadTime };
        Invalid::new(reason, field, format!("{e}; send one from the year 1 to the year 9999"))
    })
}

/// GPUs that one request may name.
const DEVICE_LIMIT: usize = 64;

/// GPUs by their UUIDs.
pub(super) fn devices(named: &[Vec<u8>]) -> Result<Vec<DeviceUuid>, Invalid> {
    if named.len() > DEVICE_LIMIT {
        let message = format!("{} GPUs, at most {DEVICE_LIMIT} may be named", named.len());
        return Err(Invalid::new(Reason::BatchTooLarge, "devices", message));
    }
    let uuid = |bytes: &Vec<u8>| {
        DeviceUuid::try_from(bytes.as_slice()).map_err(|_| {
            let message = format!("{} bytes are no UUID of a GPU; send the 16 that the driver tells", bytes.len());
            Invalid::new(Reason::IdLength, "devices", message)
        })
    };
    named.iter().map(uuid).collect()
}

/// Something of at most `limit` bytes.
pub(super) fn at_most(length: usize, limit: usize, field: &'static str) -> Result<(), Invalid> {
    if length <= limit {
        return Ok(());
    }
    let message = format!("{length} bytes, at most {limit} are kept; keep the rest in a payload of its own");
    Err(Invalid::new(Reason::MetadataTooLarge, field, message))
}

/// Tags of at most `limit` bytes, keys and values together.
pub(super) fn tags_at_most(tags: &HashMap<String, String>, limit: usize, field: &'static str) -> Result<(), Invalid> {
    at_most(tags.iter().map(|(k, v)| k.len() + v.len()).sum(), limit, field)
}

impl From<Tier> for v1::Tier {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::Gpu => Self::Gpu,
            Tier::Ram => Self::Ram,
            Tier::Disk => Self::Disk,
            Tier::Object => Self::Object,
        }
    }
}

impl From<SpillTarget> for v1::Tier {
    fn from(target: SpillTarget) -> Self {
        match target {
            SpillTarget::Tier(tier) => tier.into(),
            SpillTarget::Void => Self::Void,
        }
    }
}

impl From<PayloadState> for v1::PayloadState {
    fn from(state: PayloadState) -> Self {
        match state {
            PayloadState::Allocated => Self::Allocated,
            PayloadState::Active => Self::Active,
            PayloadState::Spilling => Self::Spilling,
            PayloadState::Durable => Self::Durable,
            PayloadState::Evicting => Self::Evicting,
            PayloadState::Deleting => Self::Deleting,
            PayloadState::Expired => Self::Expired,
            PayloadState::Deleted => Self::Deleted,
        }
    }
}

impl From<Priority> for v1::EvictionPriority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
            Priority::Never => Self::Never,
        }
    }
}

impl From<Protection> for v1::Protection {
    fn from(protection: Protection) -> Self {
        match protection {
            Protection::Shared => Self::Shared,
            Protection::Strict => Self::Strict,
            Protection::Sealed => Self::Sealed,
        }
    }
}

impl From<EvictionPolicy> for v1::EvictionPolicy {
    fn from(policy: EvictionPolicy) -> Self {
        Self {
            priority: v1::EvictionPriority::from(policy.priority) as i32,
            require_durable: policy.require_durable,
            spill_target: policy.spill_target.map_or(0, |t| v1::Tier::from(t) as i32),
            min_residency_tier: tier_number(policy.min_residency),
        }
    }
}

impl From<PayloadId> for v1::PayloadId {
    fn from(id: PayloadId) -> Self {
        Self { value: id.as_bytes().to_vec() }
    }
}

impl From<LeaseId> for v1::LeaseId {
    fn from(id: LeaseId) -> Self {
        Self { value: id.as_bytes().to_vec() }
    }
}

impl TryFrom<v1::PayloadId> for PayloadId {
    type Error = Invalid;

    fn try_from(wire: v1::PayloadId) -> Result<Self, Invalid> {
        payload_id(Some(wire), "payload_id")
    }
}

impl TryFrom<v1::LeaseId> for LeaseId {
    type Error = Invalid;

    fn try_from(wire: v1::LeaseId) -> Result<Self, Invalid> {
        lease_id(Some(wire), "lease_id")
    }
}
