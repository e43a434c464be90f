//! PayloadAdminService: what the daemon holds.

use payload_manager_api::admin::v1::{
    ListLeasesRequest, ListLeasesResponse, ListSessionsRequest, ListSessionsResponse, StatsRequest, StatsResponse,
    TierUsage,
};
use payload_manager_api::convert::Page;
use payload_manager_api::core::v1::Tier as WireTier;
use payload_manager_api::services::v1::payload_admin_service_server::PayloadAdminService;
use payload_manager_types::Tier;
use tonic::{Request, Response, Status};

use super::Service;
use super::status::bad_page_token;

#[tonic::async_trait]
impl PayloadAdminService for Service {
    async fn stats(&self, _: Request<StatsRequest>) -> Result<Response<StatsResponse>, Status> {
        let stats = self.engine.stats();
        let [gpu, ram, disk, object] = stats.tiers;
        let usage = Tier::ALL.into_iter().zip(stats.budgets).filter_map(|(tier, budget)| {
            let (capacity_bytes, free_bytes) = budget?;
            Some(TierUsage { tier: WireTier::from(tier) as i32, capacity_bytes, free_bytes, unlimited: false })
        });
        Ok(Response::new(StatsResponse {
            payloads_gpu: gpu.payloads,
            payloads_ram: ram.payloads,
            payloads_disk: disk.payloads,
            payloads_object: object.payloads,
            bytes_gpu: gpu.bytes,
            bytes_ram: ram.bytes,
            bytes_disk: disk.bytes,
            bytes_object: object.bytes,
            tiers: usage.collect(),
            live_leases: stats.leases,
            sessions: 0,
            backlog_blocks: stats.backlog_blocks,
            backlog_bytes: stats.backlog_bytes,
        }))
    }

    async fn list_leases(&self, request: Request<ListLeasesRequest>) -> Result<Response<ListLeasesResponse>, Status> {
        self.leases(request.into_inner()).map(Response::new)
    }

    /// No client has a session yet, and no page has a successor.
    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let page = Page::from(request.into_inner());
        if page.token.is_empty() { Ok(Response::new(ListSessionsResponse::default())) } else { Err(bad_page_token()) }
    }
}
