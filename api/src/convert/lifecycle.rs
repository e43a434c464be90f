//! Requests of a payload's life: allocate, commit, import, delete, get, list.

use std::collections::BTreeMap;

use payload_manager_types::{EvictionPolicy, PayloadId, Protection, Tier};

use super::field::{at_most, eviction_policy, payload_id, protection, required_tier, tags_at_most, tier};
use super::invalid::{About as _, Invalid};
use super::page::Page;
use super::{METADATA_LIMIT, SCHEMA_LIMIT};
use crate::reason::Reason;
use crate::runtime::v1;

/// The largest alignment that can be asked for: a huge page.
pub const ALIGNMENT_LIMIT: u32 = 2 << 20;

/// A payload to be written. Upper limits of size and time to live are the ledger's to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocate {
    /// Bytes, not 0.
    pub size: u64,
    /// Where.
    pub tier: Tier,
    /// Milliseconds from now until it expires.
    pub ttl_ms: Option<u64>,
    /// Never evict it.
    pub no_evict: bool,
    /// What eviction may do otherwise.
    pub policy: EvictionPolicy,
    /// Who could still write after commit. SEALED is for the caller's way in to refuse.
    pub protection: Protection,
    /// A power of two up to [`ALIGNMENT_LIMIT`].
    pub alignment: Option<u32>,
    /// What the archive metadata will say.
    pub labels: Labels,
}

/// What a producer says about a payload: for the archive metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// What it is part of; up to 1 KiB.
    pub dataset: String,
    /// Who made it; up to 1 KiB.
    pub producer: String,
    /// Anything else; up to 64 KiB together.
    pub tags: BTreeMap<String, String>,
}

/// A payload to be removed from everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete {
    /// Which.
    pub id: PayloadId,
    /// Under live leases too.
    pub force: bool,
}

/// An upload that is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Import {
    /// Which.
    pub id: PayloadId,
    /// Bytes, not 0.
    pub size: u64,
}

/// Payloads, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPayloads {
    /// Only those whose fastest copy is here.
    pub tier: Option<Tier>,
    /// Which page.
    pub page: Page,
}

impl TryFrom<v1::AllocatePayloadRequest> for Allocate {
    type Error = Invalid;

    fn try_from(wire: v1::AllocatePayloadRequest) -> Result<Self, Invalid> {
        Ok(Self {
            size: size(wire.size_bytes)?,
            tier: required_tier(wire.preferred_tier, "preferred_tier")?,
            ttl_ms: Some(wire.ttl_ms).filter(|ms| *ms != 0),
            no_evict: wire.no_evict,
            policy: eviction_policy(wire.eviction_policy)?,
            protection: protection(wire.protection, "protection")?,
            alignment: alignment(wire.alignment_bytes)?,
            labels: labels(wire.dataset, wire.producer, wire.tags)?,
        })
    }
}

impl TryFrom<v1::CommitPayloadRequest> for PayloadId {
    type Error = Invalid;

    fn try_from(wire: v1::CommitPayloadRequest) -> Result<Self, Invalid> {
        payload_id(wire.id, "id")
    }
}

impl TryFrom<v1::GetPayloadRequest> for PayloadId {
    type Error = Invalid;

    fn try_from(wire: v1::GetPayloadRequest) -> Result<Self, Invalid> {
        payload_id(wire.id, "id")
    }
}

impl TryFrom<v1::DeleteRequest> for Delete {
    type Error = Invalid;

    fn try_from(wire: v1::DeleteRequest) -> Result<Self, Invalid> {
        Ok(Self { id: payload_id(wire.id, "id")?, force: wire.force })
    }
}

impl TryFrom<v1::ImportPayloadRequest> for Import {
    type Error = Invalid;

    fn try_from(wire: v1::ImportPayloadRequest) -> Result<Self, Invalid> {
        let id = payload_id(wire.id, "id")?;
        Ok(Self { id, size: size(wire.size_bytes).about(id)? })
    }
}

impl TryFrom<v1::ListPayloadsRequest> for ListPayloads {
    type Error = Invalid;

    fn try_from(wire: v1::ListPayloadsRequest) -> Result<Self, Invalid> {
        let tier = tier(wire.tier_filter, "tier_filter")?;
        Ok(Self { tier, page: Page::new(wire.page_size, wire.page_token) })
    }
}

fn size(bytes: u64) -> Result<u64, Invalid> {
    if bytes == 0 {
        let message = "a payload has at least 1 byte; say how many you are going to write";
        return Err(Invalid::new(Reason::SizeZero, "size_bytes", message));
    }
    Ok(bytes)
}

fn alignment(bytes: u32) -> Result<Option<u32>, Invalid> {
    if bytes == 0 {
        return Ok(None);
    }
    if !bytes.is_power_of_two() || bytes > ALIGNMENT_LIMIT {
        let message = format!("{bytes} is no alignment; use a power of two up to {ALIGNMENT_LIMIT}, or 0");
        return Err(Invalid::new(Reason::BadAlignment, "alignment_bytes", message));
    }
    Ok(Some(bytes))
}

fn labels(
    dataset: String,
    producer: String,
    tags: std::collections::HashMap<String, String>,
) -> Result<Labels, Invalid> {
    at_most(dataset.len(), SCHEMA_LIMIT, "dataset")?;
    at_most(producer.len(), SCHEMA_LIMIT, "producer")?;
    tags_at_most(&tags, METADATA_LIMIT, "tags")?;
    Ok(Labels { dataset, producer, tags: tags.into_iter().collect() })
}
