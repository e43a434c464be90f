//! Requests that move copies between tiers, or keep them.

use payload_manager_types::{DeviceUuid, PayloadId, SpillTarget, Tier};

use super::field::{devices, known, payload_id, required_tier, spill_target};
use super::invalid::{About as _, Invalid};
use crate::core::v1::{PromotionPolicy, SpillPolicy};
use crate::reason::Reason;
use crate::runtime::v1;

/// Payloads that one Spill may name, so that there is room in one answer for what became of each.
pub const SPILL_LIMIT: usize = 10_000;

/// A faster copy to be made. Prefetch is one that does not wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promote {
    /// Of which payload.
    pub id: PayloadId,
    /// Where.
    pub target: Tier,
    /// Whether to answer when it is there.
    pub wait: bool,
    /// The GPUs that it may be on, the first the most wanted; none: any.
    pub devices: Vec<DeviceUuid>,
}

/// Slower copies to be made, and the faster ones dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spill {
    /// Which payloads, in the order of the request; an invalid id fails its own result only.
    pub ids: Vec<Result<PayloadId, Invalid>>,
    /// Where; `None` for each payload's own target.
    pub target: Option<SpillTarget>,
    /// Whether to answer when they are there.
    pub wait: bool,
    /// Whether to answer only when the faster copies' memory is free.
    pub wait_for_leases: bool,
    /// Whether to answer only when the slower copies survive power loss.
    pub fsync: bool,
}

/// A copy to be kept where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Of which payload.
    pub id: PayloadId,
    /// Milliseconds from now; `None` until Unpin.
    pub duration_ms: Option<u64>,
}

impl TryFrom<v1::PromoteRequest> for Promote {
    type Error = Invalid;

    fn try_from(wire: v1::PromoteRequest) -> Result<Self, Invalid> {
        let id = payload_id(wire.id, "id")?;
        let target = required_tier(wire.target_tier, "target_tier").about(id)?;
        let wait = waits_for_promotion(wire.policy, "policy").about(id)?;
        Ok(Self { id, target, wait, devices: devices(&wire.devices).about(id)? })
    }
}

impl TryFrom<v1::PrefetchRequest> for Promote {
    type Error = Invalid;

    fn try_from(wire: v1::PrefetchRequest) -> Result<Self, Invalid> {
        let id = payload_id(wire.id, "id")?;
        let target = required_tier(wire.target_tier, "target_tier").about(id)?;
        Ok(Self { id, target, wait: false, devices: devices(&wire.devices).about(id)? })
    }
}

impl TryFrom<v1::SpillRequest> for Spill {
    type Error = Invalid;

    fn try_from(wire: v1::SpillRequest) -> Result<Self, Invalid> {
        if wire.ids.len() > SPILL_LIMIT {
            let message = format!("{} payloads, at most {SPILL_LIMIT} fit one call; split them", wire.ids.len());
            return Err(Invalid::new(Reason::BatchTooLarge, "ids", message));
        }
        Ok(Self {
            target: spill_target(wire.target_tier, "target_tier")?,
            wait: match known(wire.policy, "policy")? {
                SpillPolicy::Unspecified | SpillPolicy::Blocking => true,
                SpillPolicy::BestEffort => false,
            },
            wait_for_leases: wire.wait_for_leases,
            fsync: wire.fsync,
            ids: wire.ids.into_iter().map(|id| payload_id(Some(id), "ids")).collect(),
        })
    }
}

impl TryFrom<v1::PinRequest> for Pin {
    type Error = Invalid;

    fn try_from(wire: v1::PinRequest) -> Result<Self, Invalid> {
        Ok(Self { id: payload_id(wire.id, "id")?, duration_ms: Some(wire.duration_ms).filter(|ms| *ms != 0) })
    }
}

impl TryFrom<v1::UnpinRequest> for PayloadId {
    type Error = Invalid;

    fn try_from(wire: v1::UnpinRequest) -> Result<Self, Invalid> {
        payload_id(wire.id, "id")
    }
}

/// Whether a call waits for the copy it asks for: unless it says BEST_EFFORT.
pub(super) fn waits_for_promotion(number: i32, field: &'static str) -> Result<bool, Invalid> {
    Ok(match known(number, field)? {
        PromotionPolicy::Unspecified | PromotionPolicy::Blocking => true,
        PromotionPolicy::BestEffort => false,
    })
}
