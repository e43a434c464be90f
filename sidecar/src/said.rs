//! What is said about payloads, as messages: the same for answers and for archives.

use payload_manager_api::Timestamp;
use payload_manager_api::catalog::v1::{LineageEdge as WireEdge, PayloadMetadata, PayloadMetadataEvent};
use payload_manager_catalog::{Edge, LineageEdge, Metadata, MetadataEvent, NewMetadataEvent};
use payload_manager_types::{PayloadId, UnixMillis};

/// Metadata.
pub(crate) fn metadata(id: PayloadId, metadata: Metadata) -> PayloadMetadata {
    PayloadMetadata { id: Some(id.into()), data: metadata.data, schema: metadata.schema }
}

/// One event of a payload's history.
pub(crate) fn event(id: PayloadId, event: MetadataEvent) -> PayloadMetadataEvent {
    let NewMetadataEvent { metadata: Metadata { data, schema }, source, version } = event.what;
    PayloadMetadataEvent { id: Some(id.into()), ts: Some(event.at.into()), data, source, version, schema }
}

/// One step of a payload's origin.
pub(crate) fn edge(found: LineageEdge) -> WireEdge {
    let Edge { parent, operation, role, parameters } = found.edge;
    WireEdge { parent: Some(parent.into()), operation, role, parameters, child: Some(found.child.into()) }
}

/// A time of our own making.
pub(crate) fn time(wire: Timestamp) -> UnixMillis {
    UnixMillis::try_from(wire).unwrap_or_default()
}

/// Metadata that [`metadata`] wrote.
pub(crate) fn read_metadata(wire: PayloadMetadata) -> Metadata {
    Metadata { data: wire.data, schema: wire.schema }
}

/// An event that [`event`] wrote, in its place.
pub(crate) fn read_event(number: u64, wire: PayloadMetadataEvent) -> MetadataEvent {
    let PayloadMetadataEvent { ts, data, schema, source, version, .. } = wire;
    let what = NewMetadataEvent { metadata: Metadata { data, schema }, source, version };
    MetadataEvent { number, at: ts.map_or(UnixMillis(0), time), what }
}

/// An edge that [`edge`] wrote; none if it names no parent.
pub(crate) fn read_edge(child: PayloadId, wire: WireEdge) -> Option<LineageEdge> {
    let WireEdge { parent, operation, role, parameters, .. } = wire;
    let parent = PayloadId::try_from(parent?).ok()?;
    Some(LineageEdge { child, edge: Edge { parent, operation, role, parameters } })
}
