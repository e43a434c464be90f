//! PayloadCatalogService: a payload's life and its way between tiers.

use payload_manager_api::catalog::v1::{
    AddLineageRequest, AppendPayloadMetadataEventRequest, AppendPayloadMetadataEventResponse, GetLineageRequest,
    GetLineageResponse, GetPayloadMetadataRequest, GetPayloadMetadataResponse, ListPayloadMetadataEventsRequest,
    ListPayloadMetadataEventsResponse, UpdatePayloadMetadataRequest, UpdatePayloadMetadataResponse,
};
use payload_manager_api::convert::{self, Allocate, ListPayloads, Promote, Spill};
use payload_manager_api::runtime::v1::{
    AllocatePayloadRequest, AllocatePayloadResponse, CommitPayloadRequest, CommitPayloadResponse, DeleteRequest,
    GetPayloadRequest, GetPayloadResponse, ImportPayloadRequest, ImportPayloadResponse, ListPayloadsRequest,
    ListPayloadsResponse, PinRequest, PrefetchRequest, PromoteRequest, PromoteResponse, SpillRequest, SpillResponse,
    UnpinRequest, WatchPayloadsRequest, spill_response,
};
use payload_manager_api::services::v1::payload_catalog_service_server::PayloadCatalogService;
use payload_manager_core::facts::{Labels, Pin};
use payload_manager_types::{PayloadId, SpillTarget};
use tonic::{Request, Response, Status};

use super::status::{failed, invalid};
use super::{Service, lineage, metadata, token, wire};
use crate::engine::{NewPayload, Spilled, Wait};
use crate::observe::spans;

#[tonic::async_trait]
impl PayloadCatalogService for Service {
    async fn allocate_payload(
        &self,
        request: Request<AllocatePayloadRequest>,
    ) -> Result<Response<AllocatePayloadResponse>, Status> {
        let asked = Allocate::try_from(request.into_inner()).map_err(invalid)?;
        let made = self.engine.allocate(new_payload(asked)).await.map_err(failed)?;
        spans::about(made.facts.id);
        let payload_descriptor = Some(wire::descriptor(&self.engine, &made));
        let object_upload_path = wire::upload_path(&self.engine, &made);
        Ok(Response::new(AllocatePayloadResponse { payload_descriptor, object_upload_path }))
    }

    async fn commit_payload(
        &self,
        request: Request<CommitPayloadRequest>,
    ) -> Result<Response<CommitPayloadResponse>, Status> {
        let id = PayloadId::try_from(request.into_inner()).map_err(invalid)?;
        spans::about(id);
        let committed = self.engine.commit(id).await.map_err(failed)?;
        let payload_descriptor = Some(wire::descriptor(&self.engine, &committed));
        Ok(Response::new(CommitPayloadResponse { payload_descriptor }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<()>, Status> {
        let asked = convert::Delete::try_from(request.into_inner()).map_err(invalid)?;
        spans::about(asked.id);
        self.engine.delete(asked.id, asked.force).await.map_err(failed)?;
        Ok(Response::new(()))
    }

    async fn get_payload(&self, request: Request<GetPayloadRequest>) -> Result<Response<GetPayloadResponse>, Status> {
        let id = PayloadId::try_from(request.into_inner()).map_err(invalid)?;
        spans::about(id);
        let found = self.engine.summary(id).map_err(failed)?;
        let facts = &found.descriptor.facts;
        Ok(Response::new(GetPayloadResponse {
            payload_descriptor: Some(wire::descriptor(&self.engine, &found.descriptor)),
            no_evict: facts.no_evict,
            active_leases: found.leases,
            pinned: facts.pin.is_some(),
            pinned_until: match facts.pin {
                Some(Pin::Until(at)) => Some(at.into()),
                Some(Pin::UntilUnpinned) | None => None,
            },
            dataset: facts.labels.dataset.clone(),
            producer: facts.labels.producer.clone(),
            tags: facts.labels.tags.clone().into_iter().collect(),
        }))
    }

    async fn list_payloads(
        &self,
        request: Request<ListPayloadsRequest>,
    ) -> Result<Response<ListPayloadsResponse>, Status> {
        let asked = ListPayloads::try_from(request.into_inner()).map_err(invalid)?;
        let after = token::row(&asked.page.token)?;
        let page = self.engine.page(asked.tier, asked.page.size as usize, after);
        Ok(Response::new(ListPayloadsResponse {
            payloads: page.rows.iter().map(wire::summary).collect(),
            next_page_token: token::after_row(page.next),
            total_count: i32::try_from(page.total).unwrap_or(i32::MAX),
        }))
    }

    async fn promote(&self, request: Request<PromoteRequest>) -> Result<Response<PromoteResponse>, Status> {
        let asked = Promote::try_from(request.into_inner()).map_err(invalid)?;
        spans::about(asked.id);
        let checked = self.engine.check_promote(asked.id, asked.target).map_err(failed)?;
        let descriptor = if asked.wait {
            self.engine.promote(asked.id, asked.target, asked.devices.into()).await.map_err(failed)?
        } else {
            self.engine.promote_later(asked.id, asked.target, asked.devices.into());
            checked
        };
        let payload_descriptor = Some(wire::descriptor(&self.engine, &descriptor));
        Ok(Response::new(PromoteResponse { payload_descriptor }))
    }

    async fn spill(&self, request: Request<SpillRequest>) -> Result<Response<SpillResponse>, Status> {
        let request = request.into_inner();
        let echo = request.ids.clone();
        let asked = Spill::try_from(request).map_err(invalid)?;
        let wait = match asked.wait {
            _ if asked.wait_for_leases => Wait::Freed,
            true => Wait::Moved,
            false if asked.fsync => Wait::Moved,
            false => Wait::No,
        };
        // All at once; the engine bounds how many copies run.
        let spills = asked.ids.into_iter().map(|id| self.spill_one(id, asked.target, wait));
        let results = futures_util::future::join_all(spills).await;
        let echoed =
            results.into_iter().zip(echo).map(|(result, id)| spill_response::Result { id: Some(id), ..result });
        Ok(Response::new(SpillResponse { results: wire::within_limit(echoed.collect()) }))
    }

    async fn prefetch(&self, request: Request<PrefetchRequest>) -> Result<Response<()>, Status> {
        let asked = Promote::try_from(request.into_inner()).map_err(invalid)?;
        spans::about(asked.id);
        self.engine.check_promote(asked.id, asked.target).map_err(failed)?;
        self.engine.promote_later(asked.id, asked.target, asked.devices.into());
        Ok(Response::new(()))
    }

    async fn pin(&self, request: Request<PinRequest>) -> Result<Response<()>, Status> {
        let asked = convert::Pin::try_from(request.into_inner()).map_err(invalid)?;
        spans::about(asked.id);
        self.engine.pin(asked.id, asked.duration_ms).await.map_err(failed)?;
        Ok(Response::new(()))
    }

    async fn unpin(&self, request: Request<UnpinRequest>) -> Result<Response<()>, Status> {
        let id = PayloadId::try_from(request.into_inner()).map_err(invalid)?;
        spans::about(id);
        self.engine.unpin(id).await.map_err(failed)?;
        Ok(Response::new(()))
    }

    async fn import_payload(
        &self,
        request: Request<ImportPayloadRequest>,
    ) -> Result<Response<ImportPayloadResponse>, Status> {
        let asked = convert::Import::try_from(request.into_inner()).map_err(invalid)?;
        spans::about(asked.id);
        self.engine.import(asked.id, asked.size).await.map_err(failed)?;
        Ok(Response::new(ImportPayloadResponse {}))
    }

    async fn add_lineage(&self, request: Request<AddLineageRequest>) -> Result<Response<()>, Status> {
        lineage::add(&self.engine, request.into_inner()).await.map(Response::new)
    }

    async fn get_lineage(&self, request: Request<GetLineageRequest>) -> Result<Response<GetLineageResponse>, Status> {
        lineage::get(&self.engine, request.into_inner()).await.map(Response::new)
    }

    async fn update_payload_metadata(
        &self,
        request: Request<UpdatePayloadMetadataRequest>,
    ) -> Result<Response<UpdatePayloadMetadataResponse>, Status> {
        metadata::update(&self.engine, request.into_inner()).await.map(Response::new)
    }

    async fn append_payload_metadata_event(
        &self,
        request: Request<AppendPayloadMetadataEventRequest>,
    ) -> Result<Response<AppendPayloadMetadataEventResponse>, Status> {
        metadata::append_event(&self.engine, request.into_inner()).await.map(Response::new)
    }

    async fn get_payload_metadata(
        &self,
        request: Request<GetPayloadMetadataRequest>,
    ) -> Result<Response<GetPayloadMetadataResponse>, Status> {
        metadata::get(&self.engine, request.into_inner()).await.map(Response::new)
    }

    async fn list_payload_metadata_events(
        &self,
        request: Request<ListPayloadMetadataEventsRequest>,
    ) -> Result<Response<ListPayloadMetadataEventsResponse>, Status> {
        metadata::events(&self.engine, request.into_inner()).await.map(Response::new)
    }

    type WatchPayloadsStream = super::watch::Events;

    async fn watch_payloads(
        &self,
        request: Request<WatchPayloadsRequest>,
    ) -> Result<Response<Self::WatchPayloadsStream>, Status> {
        self.watch(request.into_inner()).map(Response::new)
    }
}

impl Service {
    async fn spill_one(
        &self,
        id: Result<PayloadId, convert::Invalid>,
        target: Option<SpillTarget>,
        wait: Wait,
    ) -> spill_response::Result {
        let spilled = match id {
            Ok(id) => {
                spans::about(id);
                self.engine.spill(id, target, wait).await.map_err(failed)
            }
            Err(error) => Err(invalid(error)),
        };
        let mut result = spill_response::Result { ok: spilled.is_ok(), ..spill_response::Result::default() };
        match spilled {
            Ok(Spilled::Kept(d)) => result.payload_descriptor = Some(wire::descriptor(&self.engine, &d)),
            Ok(Spilled::Deleted) => {}
            Err(status) => {
                result.error_message = wire::item_error(&status);
                result.error = Some((&status).into());
            }
        }
        result
    }
}

pub(crate) fn new_payload(asked: Allocate) -> NewPayload {
    let convert::Labels { dataset, producer, tags } = asked.labels;
    NewPayload {
        size: asked.size,
        tier: asked.tier,
        ttl_ms: asked.ttl_ms.unwrap_or(0),
        no_evict: asked.no_evict,
        policy: asked.policy,
        protection: asked.protection,
        labels: Labels { dataset, producer, tags },
        alignment: asked.alignment.unwrap_or(1),
        session: None,
        devices: Vec::new(),
    }
}
