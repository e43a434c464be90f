//! PayloadDataService: leases.

use payload_manager_api::convert::{AcquireReadLease, ReleaseLeases, RenewLease};
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AcquireReadLeaseResponse, AcquireReadLeasesRequest, AcquireReadLeasesResponse,
    ReleaseLeaseRequest, ReleaseLeasesRequest, ReleaseLeasesResponse, RenewLeaseRequest, RenewLeaseResponse,
    ResolveSnapshotRequest, ResolveSnapshotResponse,
};
use payload_manager_api::services::v1::payload_data_service_server::PayloadDataService;
use payload_manager_types::{LeaseId, PayloadId};
use tonic::{Request, Response, Status};

use super::leases::{acquisition, granted};
use super::status::{failed, invalid};
use super::{Service, wire};
use crate::observe::spans;

#[tonic::async_trait]
impl PayloadDataService for Service {
    async fn resolve_snapshot(
        &self,
        request: Request<ResolveSnapshotRequest>,
    ) -> Result<Response<ResolveSnapshotResponse>, Status> {
        let id = PayloadId::try_from(request.into_inner()).map_err(invalid)?;
        spans::about(id);
        let found = self.engine.descriptor(id).map_err(failed)?;
        let payload_descriptor = Some(wire::descriptor(&self.engine, &found));
        Ok(Response::new(ResolveSnapshotResponse { payload_descriptor }))
    }

    async fn acquire_read_lease(
        &self,
        request: Request<AcquireReadLeaseRequest>,
    ) -> Result<Response<AcquireReadLeaseResponse>, Status> {
        let asked = AcquireReadLease::try_from(request.into_inner()).map_err(invalid)?;
        spans::about(asked.id);
        let grant = self.engine.acquire(acquisition(&asked)).await.map_err(failed)?;
        Ok(Response::new(granted(&self.engine, &grant)))
    }

    async fn release_lease(&self, request: Request<ReleaseLeaseRequest>) -> Result<Response<()>, Status> {
        let lease = LeaseId::try_from(request.into_inner()).map_err(invalid)?;
        self.engine.release(lease);
        Ok(Response::new(()))
    }

    async fn renew_lease(&self, request: Request<RenewLeaseRequest>) -> Result<Response<RenewLeaseResponse>, Status> {
        let asked = RenewLease::try_from(request.into_inner()).map_err(invalid)?;
        let expires = self.engine.renew(asked.lease, asked.min_duration_ms.unwrap_or(0)).map_err(failed)?;
        Ok(Response::new(RenewLeaseResponse { lease_expires_at: Some(expires.into()) }))
    }

    async fn acquire_read_leases(
        &self,
        request: Request<AcquireReadLeasesRequest>,
    ) -> Result<Response<AcquireReadLeasesResponse>, Status> {
        self.acquire_many(request.into_inner()).await.map(Response::new)
    }

    async fn release_leases(
        &self,
        request: Request<ReleaseLeasesRequest>,
    ) -> Result<Response<ReleaseLeasesResponse>, Status> {
        let ReleaseLeases(leases) = ReleaseLeases::try_from(request.into_inner()).map_err(invalid)?;
        self.engine.release_many(&leases);
        Ok(Response::new(ReleaseLeasesResponse {}))
    }
}
