//! Requests about metadata and lineage.

use payload_manager_types::PayloadId;

use super::ITEM_LIMIT;
use super::field::{at_most, known, payload_id};
use super::invalid::{About as _, Invalid};
use super::page::Page;
use crate::catalog::v1;
use crate::core::v1::{MetadataUpdateMode, PayloadId as WireId};
use crate::reason::Reason;

/// Bytes of metadata that a payload, or an event in its history, may have.
pub const METADATA_LIMIT: usize = 64 << 10;

/// Bytes of a schema's name, and of every other short text: actor, reason, source, version, operation, role.
pub const SCHEMA_LIMIT: usize = 1 << 10;

/// What users say about a payload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Opaque; up to [`METADATA_LIMIT`].
    pub data: Vec<u8>,
    /// What `data` is; up to [`SCHEMA_LIMIT`].
    pub schema: String,
}

/// Metadata to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateMetadata {
    /// Of which payload.
    pub id: PayloadId,
    /// Whether what comes empty becomes empty, instead of keeping its stored value.
    pub replace: bool,
    /// The new one.
    pub metadata: Metadata,
    /// Who changes it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// An entry for a payload's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendMetadataEvent {
    /// Of which payload.
    pub id: PayloadId,
    /// What.
    pub metadata: Metadata,
    /// Who says so.
    pub source: String,
    /// Of the source's own choosing.
    pub version: String,
}

/// A payload's history, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListMetadataEvents {
    /// Of which payload.
    pub id: PayloadId,
    /// Which page.
    pub page: Page,
}

/// One step of a payload's origin, seen from the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// What it was made from; not itself.
    pub parent: PayloadId,
    /// What was done.
    pub operation: String,
    /// What the parent was to it.
    pub role: String,
    /// Opaque; up to [`ITEM_LIMIT`].
    pub parameters: Vec<u8>,
}

/// Edges to be remembered: all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddLineage {
    /// What was made.
    pub child: PayloadId,
    /// From what; possibly nothing.
    pub parents: Vec<Edge>,
}

/// A question after ancestors or descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetLineage {
    /// Of which payload.
    pub id: PayloadId,
    /// Ancestors, instead of descendants.
    pub upstream: bool,
    /// Steps; `None` for no limit.
    pub max_depth: Option<u32>,
}

impl TryFrom<v1::UpdatePayloadMetadataRequest> for UpdateMetadata {
    type Error = Invalid;

    fn try_from(wire: v1::UpdatePayloadMetadataRequest) -> Result<Self, Invalid> {
        let id = payload_id(wire.id.clone(), "id")?;
        update(id, wire).about(id)
    }
}

fn update(id: PayloadId, wire: v1::UpdatePayloadMetadataRequest) -> Result<UpdateMetadata, Invalid> {
    let replace = match known(wire.mode, "mode")? {
        MetadataUpdateMode::Unspecified | MetadataUpdateMode::Merge => false,
        MetadataUpdateMode::Replace => true,
    };
    at_most(wire.actor.len(), SCHEMA_LIMIT, "actor")?;
    at_most(wire.reason.len(), SCHEMA_LIMIT, "reason")?;
    let metadata = metadata(id, wire.metadata)?;
    Ok(UpdateMetadata { id, replace, metadata, actor: wire.actor, reason: wire.reason })
}

impl TryFrom<v1::AppendPayloadMetadataEventRequest> for AppendMetadataEvent {
    type Error = Invalid;

    fn try_from(wire: v1::AppendPayloadMetadataEventRequest) -> Result<Self, Invalid> {
        let id = payload_id(wire.id, "id")?;
        at_most(wire.source.len(), SCHEMA_LIMIT, "source").about(id)?;
        at_most(wire.version.len(), SCHEMA_LIMIT, "version").about(id)?;
        let metadata = metadata(id, wire.metadata).about(id)?;
        Ok(Self { id, metadata, source: wire.source, version: wire.version })
    }
}

impl TryFrom<v1::GetPayloadMetadataRequest> for PayloadId {
    type Error = Invalid;

    fn try_from(wire: v1::GetPayloadMetadataRequest) -> Result<Self, Invalid> {
        payload_id(wire.id, "id")
    }
}

impl TryFrom<v1::ListPayloadMetadataEventsRequest> for ListMetadataEvents {
    type Error = Invalid;

    fn try_from(wire: v1::ListPayloadMetadataEventsRequest) -> Result<Self, Invalid> {
        Ok(Self { id: payload_id(wire.id, "id")?, page: Page::new(wire.page_size, wire.page_token) })
    }
}

impl TryFrom<v1::AddLineageRequest> for AddLineage {
    type Error = Invalid;

    fn try_from(wire: v1::AddLineageRequest) -> Result<Self, Invalid> {
        let child = payload_id(wire.child, "child")?;
        let parents = wire.parents.into_iter().map(|e| edge(child, e)).collect::<Result<_, _>>().about(child)?;
        Ok(Self { child, parents })
    }
}

impl TryFrom<v1::GetLineageRequest> for GetLineage {
    type Error = Invalid;

    fn try_from(wire: v1::GetLineageRequest) -> Result<Self, Invalid> {
        let max_depth = Some(wire.max_depth).filter(|n| *n != 0);
        Ok(Self { id: payload_id(wire.id, "id")?, upstream: wire.upstream, max_depth })
    }
}

fn edge(child: PayloadId, wire: v1::LineageEdge) -> Result<Edge, Invalid> {
    let parent = payload_id(wire.parent, "parents.parent")?;
    same_id(child, wire.child, "parents.child")?;
    if parent == child {
        let message = "a payload is no parent of itself; leave this edge out";
        return Err(Invalid::new(Reason::SelfParent, "parents.parent", message));
    }
    at_most(wire.operation.len(), SCHEMA_LIMIT, "parents.operation")?;
    at_most(wire.role.len(), SCHEMA_LIMIT, "parents.role")?;
    at_most(wire.parameters.len(), ITEM_LIMIT, "parents.parameters")?;
    Ok(Edge { parent, operation: wire.operation, role: wire.role, parameters: wire.parameters })
}

fn metadata(id: PayloadId, wire: Option<v1::PayloadMetadata>) -> Result<Metadata, Invalid> {
    let wire = wire.unwrap_or_default();
    same_id(id, wire.id, "metadata.id")?;
    at_most(wire.data.len(), METADATA_LIMIT, "metadata.data")?;
    at_most(wire.schema.len(), SCHEMA_LIMIT, "metadata.schema")?;
    Ok(Metadata { data: wire.data, schema: wire.schema })
}

/// An id inside a message that, where it is set, must be the request's.
fn same_id(id: PayloadId, wire: Option<WireId>, field: &'static str) -> Result<(), Invalid> {
    let Some(inner) = wire.map(|w| payload_id(Some(w), field)).transpose()? else { return Ok(()) };
    if inner == id {
        return Ok(());
    }
    Err(Invalid::new(Reason::IdMismatch, field, format!("{inner} is not the request's id; leave it out")))
}
