//! PayloadAdminService: what the daemon holds.

use payload_manager_api::admin::v1::{
    ListLeasesRequest, ListLeasesResponse, ListSessionsRequest, ListSessionsResponse, SessionInfo, StatsRequest,
    StatsResponse, TierUsage,
};
use payload_manager_api::convert::Page;
use payload_manager_api::core::v1::Tier as WireTier;
use payload_manager_api::services::v1::payload_admin_service_server::PayloadAdminService;
use payload_manager_core::ledger::UNLIMITED;
use payload_manager_types::Tier;
use tonic::{Request, Response, Status};

use super::Service;
use super::status::bad_page_token;
use crate::engine::sessions::SessionRow;

#[tonic::async_trait]
impl PayloadAdminService for Service {
    async fn stats(&self, _: Request<StatsRequest>) -> Result<Response<StatsResponse>, Status> {
        let stats = self.engine.stats();
        let [gpu, ram, disk, object] = stats.tiers;
        let usage = Tier::ALL.into_iter().zip(stats.budgets).filter_map(|(tier, budget)| {
            let (capacity_bytes, free_bytes) = budget?;
            let unlimited = capacity_bytes == UNLIMITED;
            Some(TierUsage { tier: WireTier::from(tier) as i32, capacity_bytes, free_bytes, unlimited })
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
            sessions: self.engine.members().lock().len() as u64,
            backlog_blocks: stats.backlog_blocks,
            backlog_bytes: stats.backlog_bytes,
        }))
    }

    async fn list_leases(&self, request: Request<ListLeasesRequest>) -> Result<Response<ListLeasesResponse>, Status> {
        self.leases(request.into_inner()).map(Response::new)
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let page = Page::from(request.into_inner());
        let from = if page.token.is_empty() { 0 } else { number(&page.token).ok_or_else(bad_page_token)? };
        let (rows, next) = self.engine.session_rows(page.size as usize, from);
        Ok(Response::new(ListSessionsResponse {
            sessions: rows.into_iter().map(info).collect(),
            next_page_token: next.map(token).unwrap_or_default(),
        }))
    }
}

fn info(row: SessionRow) -> SessionInfo {
    SessionInfo {
        session_id: row.id,
        pid: row.member.pid.unwrap_or(0),
        uid: row.member.uid,
        gid: row.member.gid,
        connected_at: Some(row.member.since.into()),
        live_leases: row.leases,
        leased_bytes: row.bytes,
        segment_bytes: row.segment_bytes,
    }
}

/// Where a list of sessions goes on, opaque to its reader.
fn token(number: u32) -> String {
    format!("s{number:08x}")
}

/// The inverse of [`token`].
fn number(text: &str) -> Option<u32> {
    let number = u32::from_str_radix(text.strip_prefix('s')?, 16).ok()?;
    (token(number) == text).then_some(number)
}
