//! What is said about payloads, as messages: the same for answers and for archives.

use payload_manager_api::catalog::v1::{LineageEdge as WireEdge, PayloadMetadata, PayloadMetadataEvent};
use payload_manager_catalog::{Edge, LineageEdge, Metadata, MetadataEvent, NewMetadataEvent};
use payload_manager_types::PayloadId;

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
