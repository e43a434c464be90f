//! One line of a list of payloads, both ways.

use payload_manager_types::{PayloadId, PayloadState, Tier, UnixMillis};

use super::field::{payload_id, payload_state, required_tier};
use super::invalid::{About as _, Invalid};
use crate::core::v1 as core;
use crate::runtime::v1;

/// A payload in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub id: PayloadId,
    /// Of its fastest copy.
    pub tier: Tier,
    /// How far it has come.
    pub state: PayloadState,
    /// Bytes.
    pub size: u64,
    /// When it was allocated.
    pub created: UnixMillis,
    /// When its time is over.
    pub expires: Option<UnixMillis>,
    /// Live leases on it.
    pub active_leases: u32,
}

impl From<Summary> for v1::PayloadSummary {
    fn from(s: Summary) -> Self {
        Self {
            id: Some(s.id.into()),
            tier: core::Tier::from(s.tier) as i32,
            state: core::PayloadState::from(s.state) as i32,
            size_bytes: s.size,
            created_at_ms: s.created.0,
            expires_at_ms: s.expires.map_or(0, |t| t.0),
            active_leases: s.active_leases,
        }
    }
}

impl TryFrom<v1::PayloadSummary> for Summary {
    type Error = Invalid;

    fn try_from(wire: v1::PayloadSummary) -> Result<Self, Invalid> {
        let id = payload_id(wire.id, "id")?;
        Ok(Self {
            id,
            tier: required_tier(wire.tier, "tier").about(id)?,
            state: payload_state(wire.state, "state").about(id)?,
            size: wire.size_bytes,
            created: UnixMillis(wire.created_at_ms),
            expires: Some(wire.expires_at_ms).filter(|ms| *ms != 0).map(UnixMillis),
            active_leases: wire.active_leases,
        })
    }
}
