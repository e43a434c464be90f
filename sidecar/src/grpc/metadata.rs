//! What users say about payloads, as messages: metadata, and the pages of its history.

use payload_manager_api::catalog::v1::{
    AppendPayloadMetadataEventRequest, AppendPayloadMetadataEventResponse, GetPayloadMetadataRequest,
    GetPayloadMetadataResponse, ListPayloadMetadataEventsRequest, ListPayloadMetadataEventsResponse,
    UpdatePayloadMetadataRequest, UpdatePayloadMetadataResponse,
};
use payload_manager_api::convert::{self, AppendMetadataEvent, ListMetadataEvents, UpdateMetadata};
use payload_manager_catalog::{Limit, Metadata, MetadataMode, MetadataUpdate, NewMetadataEvent};
use payload_manager_types::PayloadId;
use tonic::Status;

use super::status::{failed, invalid};
use super::token;
use super::wire::ANSWER_LIMIT;
use crate::engine::Engine;
use crate::observe::spans;
use crate::said;

pub(super) async fn update(
    engine: &Engine,
    request: UpdatePayloadMetadataRequest,
) -> Result<UpdatePayloadMetadataResponse, Status> {
    let UpdateMetadata { id, replace, metadata, actor, reason } = request.try_into().map_err(invalid)?;
    let mode = if replace { MetadataMode::Replace } else { MetadataMode::Merge };
    let update = MetadataUpdate { metadata: sent(metadata), mode, actor, reason };
    spans::about(id);
    let stored = engine.set_metadata(id, update).await.map_err(failed)?;
    Ok(UpdatePayloadMetadataResponse {
        id: Some(id.into()),
        metadata: Some(said::metadata(id, stored.metadata)),
        updated_at: Some(stored.updated.into()),
    })
}

pub(super) async fn append_event(
    engine: &Engine,
    request: AppendPayloadMetadataEventRequest,
) -> Result<AppendPayloadMetadataEventResponse, Status> {
    let AppendMetadataEvent { id, metadata, source, version } = request.try_into().map_err(invalid)?;
    let event = NewMetadataEvent { metadata: sent(metadata), source, version };
    spans::about(id);
    let at = engine.append_metadata_event(id, event).await.map_err(failed)?;
    Ok(AppendPayloadMetadataEventResponse { id: Some(id.into()), event_time: Some(at.into()) })
}

pub(super) async fn get(
    engine: &Engine,
    request: GetPayloadMetadataRequest,
) -> Result<GetPayloadMetadataResponse, Status> {
    let id = PayloadId::try_from(request).map_err(invalid)?;
    spans::about(id);
    let (metadata, updated_at) = match engine.metadata(id).await.map_err(failed)? {
        Some(stored) => (Some(said::metadata(id, stored.metadata)), Some(stored.updated.into())),
        None => (None, None),
    };
    Ok(GetPayloadMetadataResponse { id: Some(id.into()), metadata, updated_at })
}

pub(super) async fn events(
    engine: &Engine,
    request: ListPayloadMetadataEventsRequest,
) -> Result<ListPayloadMetadataEventsResponse, Status> {
    let ListMetadataEvents { id, page } = request.try_into().map_err(invalid)?;
    let limit = Limit { items: page.size as usize, bytes: ANSWER_LIMIT };
    let found = engine.metadata_events(id, token::number(Some(id), &page.token)?, limit).await.map_err(failed)?;
    let next = found.items.last().filter(|_| found.more).map(|last| token::at_number(Some(id), last.number));
    Ok(ListPayloadMetadataEventsResponse {
        events: found.items.into_iter().map(|event| said::event(id, event)).collect(),
        next_page_token: next.unwrap_or_default(),
    })
}

fn sent(metadata: convert::Metadata) -> Metadata {
    let convert::Metadata { data, schema } = metadata;
    Metadata { data, schema }
}
