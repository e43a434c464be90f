//! Leases by the dozen and lists of them: batches of PayloadDataService, ListLeases of PayloadAdminService.

use payload_manager_api::admin::v1::{LeaseInfo, ListLeasesRequest, ListLeasesResponse};
use payload_manager_api::convert::{AcquireReadLease, AcquireReadLeases, Invalid, ListLeases};
use payload_manager_api::core::v1::Tier as WireTier;
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseResponse, AcquireReadLeaseResult, AcquireReadLeasesRequest, AcquireReadLeasesResponse,
    acquire_read_lease_result::Outcome,
};
use payload_manager_core::ledger::{AcquireRequest, Grant, LeaseRow};
use payload_manager_types::PayloadId;
use tonic::Status;

use super::Service;
use super::status::{answer_full, failed, invalid};
use super::token;
use super::wire::{self, ANSWER_LIMIT, taken};
use crate::engine::{Engine, Error, Reading, Unclaimed};

/// What is kept free for each result that does not fit, to say so.
const REFUSAL_BYTES: usize = 512;

impl Service {
    /// Takes many leases at once.
    pub(super) async fn acquire_many(
        &self,
        request: AcquireReadLeasesRequest,
    ) -> Result<AcquireReadLeasesResponse, Status> {
        let AcquireReadLeases(asked) = AcquireReadLeases::try_from(request).map_err(invalid)?;
        let valid = asked.iter().flatten().map(acquisition).collect();
        let mut leases = self.engine.acquire_many(valid).await.into_iter();
        let mut answer = Answer { engine: &self.engine, left: ANSWER_LIMIT, to_come: asked.len() };
        let results = asked.into_iter().map(|asked| answer.next(asked, &mut leases)).collect();
        Ok(AcquireReadLeasesResponse { results })
    }

    /// A page of leases.
    pub(super) fn leases(&self, request: ListLeasesRequest) -> Result<ListLeasesResponse, Status> {
        let ListLeases { id, page } = ListLeases::try_from(request).map_err(invalid)?;
        let from = token::number(id, &page.token)?.unwrap_or(0);
        let found = self.engine.leases(id, page.size as usize, from);
        Ok(ListLeasesResponse {
            leases: found.rows.iter().map(info).collect(),
            next_page_token: found.next.map(|at| token::at_number(id, at)).unwrap_or_default(),
        })
    }
}

/// What the engine is asked for.
pub(super) fn acquisition(asked: &AcquireReadLease) -> Reading {
    let request = AcquireRequest {
        id: asked.id,
        min_tier: asked.min_tier,
        duration_ms: asked.min_duration_ms.unwrap_or(0),
        takes_part: asked.accepts_segment_offset,
    };
    Reading { request, wait: asked.wait, devices: asked.devices.as_slice().into() }
}

/// A lease as its holder is told of it.
pub(super) fn granted(engine: &Engine, grant: &Grant) -> AcquireReadLeaseResponse {
    AcquireReadLeaseResponse {
        payload_descriptor: Some(wire::descriptor(engine, &grant.descriptor)),
        lease_id: Some(grant.lease.into()),
        lease_expires_at: Some(grant.expires.into()),
    }
}

/// An answer that is being filled.
struct Answer<'a> {
    engine: &'a Engine,
    left: usize,
    to_come: usize,
}

impl Answer<'_> {
    fn next(
        &mut self,
        asked: Result<AcquireReadLease, Invalid>,
        leases: &mut impl Iterator<Item = Result<Unclaimed, Error>>,
    ) -> AcquireReadLeaseResult {
        self.to_come = self.to_come.saturating_sub(1);
        let asked = match asked {
            Ok(asked) => asked,
            Err(error) => return self.put(error_of(&invalid(error))),
        };
        match leases.next() {
            Some(Ok(unclaimed)) => self.lease(asked.id, unclaimed),
            Some(Err(error)) => self.put(error_of(&failed(error))),
            None => self.put(error_of(&failed(Error::Bug("fewer leases than were asked for".into())))),
        }
    }

    /// A lease that the answer has room for; another one is given back unseen.
    fn lease(&mut self, id: PayloadId, unclaimed: Unclaimed) -> AcquireReadLeaseResult {
        let result = unclaimed.grant().map(|grant| Outcome::Response(granted(self.engine, grant)));
        let result = AcquireReadLeaseResult { outcome: result };
        if taken(&result) + self.to_come * REFUSAL_BYTES > self.left {
            return self.put(error_of(&answer_full(id)));
        }
        unclaimed.claim();
        self.put(result)
    }

    fn put(&mut self, result: AcquireReadLeaseResult) -> AcquireReadLeaseResult {
        self.left = self.left.saturating_sub(taken(&result));
        result
    }
}

fn error_of(status: &Status) -> AcquireReadLeaseResult {
    AcquireReadLeaseResult { outcome: Some(Outcome::Error(status.into())) }
}

fn info(row: &LeaseRow) -> LeaseInfo {
    LeaseInfo {
        payload_id: Some(row.payload.into()),
        tier: WireTier::from(row.tier) as i32,
        length_bytes: row.size,
        lease_expires_at: Some(row.expires.into()),
        revoked: row.revoked,
        session_id: row.session,
    }
}
