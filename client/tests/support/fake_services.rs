//! The fake daemon on the wire: every call that it does not know is UNIMPLEMENTED.

use payload_manager_api::catalog::v1 as catalog;
use payload_manager_api::runtime::v1;
use payload_manager_api::services::v1::payload_catalog_service_server::PayloadCatalogService;
use payload_manager_api::services::v1::payload_data_service_server::PayloadDataService;
use tonic::{Request, Response, Status};

use super::fake::Service;

type Answer<A> = Result<Response<A>, Status>;

macro_rules! not_here {
    ($($name:ident($request:ty) -> $answer:ty,)+) => {
        $(
            fn $name<'a, 'b>(
                &'a self,
                _: Request<$request>,
            ) -> std::pin::Pin<Box<dyn std::future::Future<Output = Answer<$answer>> + Send + 'b>>
            where
                'a: 'b,
                Self: 'b,
            {
                Box::pin(async { Err(Status::unimplemented(stringify!($name))) })
            }
        )+
    };
}

fn id(id: Option<payload_manager_api::core::v1::PayloadId>) -> Vec<u8> {
    id.unwrap_or_default().value
}

#[tonic::async_trait]
impl PayloadCatalogService for Service {
    type WatchPayloadsStream = tokio_stream::Empty<Result<v1::WatchPayloadsResponse, Status>>;

    async fn allocate_payload(
        &self,
        request: Request<v1::AllocatePayloadRequest>,
    ) -> Answer<v1::AllocatePayloadResponse> {
        self.allocate(request.get_ref().size_bytes).map(Response::new)
    }

    async fn commit_payload(&self, request: Request<v1::CommitPayloadRequest>) -> Answer<v1::CommitPayloadResponse> {
        match self.commit(id(request.into_inner().id)) {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Answer<()> {
        let v1::DeleteRequest { id: payload, force } = request.into_inner();
        Service::delete(self, &id(payload), force).map(Response::new)
    }

    not_here! {
        promote(v1::PromoteRequest) -> v1::PromoteResponse,
        spill(v1::SpillRequest) -> v1::SpillResponse,
        prefetch(v1::PrefetchRequest) -> (),
        pin(v1::PinRequest) -> (),
        unpin(v1::UnpinRequest) -> (),
        add_lineage(catalog::AddLineageRequest) -> (),
        get_lineage(catalog::GetLineageRequest) -> catalog::GetLineageResponse,
        update_payload_metadata(catalog::UpdatePayloadMetadataRequest) -> catalog::UpdatePayloadMetadataResponse,
        append_payload_metadata_event(catalog::AppendPayloadMetadataEventRequest)
            -> catalog::AppendPayloadMetadataEventResponse,
        list_payloads(v1::ListPayloadsRequest) -> v1::ListPayloadsResponse,
        import_payload(v1::ImportPayloadRequest) -> v1::ImportPayloadResponse,
        get_payload(v1::GetPayloadRequest) -> v1::GetPayloadResponse,
        watch_payloads(v1::WatchPayloadsRequest) -> Self::WatchPayloadsStream,
        get_payload_metadata(catalog::GetPayloadMetadataRequest) -> catalog::GetPayloadMetadataResponse,
        list_payload_metadata_events(catalog::ListPayloadMetadataEventsRequest)
            -> catalog::ListPayloadMetadataEventsResponse,
    }
}

#[tonic::async_trait]
impl PayloadDataService for Service {
    async fn resolve_snapshot(
        &self,
        request: Request<v1::ResolveSnapshotRequest>,
    ) -> Answer<v1::ResolveSnapshotResponse> {
        self.resolve(&id(request.into_inner().id)).map(Response::new)
    }

    async fn acquire_read_lease(
        &self,
        request: Request<v1::AcquireReadLeaseRequest>,
    ) -> Answer<v1::AcquireReadLeaseResponse> {
        self.acquire(id(request.into_inner().id)).map(Response::new)
    }

    async fn release_lease(&self, request: Request<v1::ReleaseLeaseRequest>) -> Answer<()> {
        self.release(&request.into_inner().lease_id.unwrap_or_default().value);
        Ok(Response::new(()))
    }

    async fn renew_lease(&self, request: Request<v1::RenewLeaseRequest>) -> Answer<v1::RenewLeaseResponse> {
        match self.renew(&request.into_inner().lease_id.unwrap_or_default().value) {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }

    not_here! {
        acquire_read_leases(v1::AcquireReadLeasesRequest) -> v1::AcquireReadLeasesResponse,
        release_leases(v1::ReleaseLeasesRequest) -> v1::ReleaseLeasesResponse,
    }
}
