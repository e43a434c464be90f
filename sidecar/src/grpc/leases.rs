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
use prost::Message as _;
use tonic::Status;

use super::Service;
use super::status::{answer_full, bad_page_token, failed, invalid};
use super::wire::{self, ANSWER_LIMIT};
use crate::engine::{Engine, Error, Unclaimed};

/// What is kept free for each result that does not fit, to say so.
const REFUSAL_BYTES: usize = 512;

impl Service {
    /// Takes many leases at once.
    pub(super) async fn acquire_many(
        &self,
        request: AcquireReadLeasesRequest,
    ) -> Result<AcquireReadLeasesResponse, Status> {
        let AcquireReadLeases(asked) = AcquireReadLeases::try_from(request).map_err(invalid)?;
        let valid = asked.iter().flatten().map(|asked| (acquisition(asked), asked.wait)).collect();
        let mut taken = self.engine.acquire_many(valid).await.into_iter();
        let mut answer = Answer { engine: &self.engine, left: ANSWER_LIMIT, to_come: asked.len() };
        let results = asked.into_iter().map(|asked| answer.next(asked, &mut taken)).collect();
        Ok(AcquireReadLeasesResponse { results })
    }

    /// A page of leases.
    pub(super) fn leases(&self, request: ListLeasesRequest) -> Result<ListLeasesResponse, Status> {
        let ListLeases { id, page } = ListLeases::try_from(request).map_err(invalid)?;
        let from = position(id, &page.token).ok_or_else(bad_page_token)?;
        let found = self.engine.leases(id, page.size as usize, from);
        Ok(ListLeasesResponse {
            leases: found.rows.iter().map(info).collect(),
            next_page_token: found.next.map(|at| token(id, at)).unwrap_or_default(),
        })
    }
}

/// What the ledger is asked for.
pub(super) fn acquisition(asked: &AcquireReadLease) -> AcquireRequest {
    AcquireRequest { id: asked.id, min_tier: asked.min_tier, duration_ms: asked.min_duration_ms.unwrap_or(0) }
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
        taken: &mut impl Iterator<Item = Result<Unclaimed, Error>>,
    ) -> AcquireReadLeaseResult {
        self.to_come = self.to_come.saturating_sub(1);
        let asked = match asked {
            Ok(asked) => asked,
            Err(error) => return self.put(error_of(&invalid(error))),
        };
        match taken.next() {
            Some(Ok(unclaimed)) => self.lease(asked.id, unclaimed),
            Some(Err(error)) => self.put(error_of(&failed(error))),
            None => self.put(error_of(&failed(Error::Bug("fewer leases than were asked for".into())))),
        }
    }

    /// A lease that the answer has room for; another one is given back unseen.
    fn lease(&mut self, id: PayloadId, unclaimed: Unclaimed) -> AcquireReadLeaseResult {
        let result = unclaimed.grant().map(|grant| Outcome::Response(granted(self.engine, grant)));
        let result = AcquireReadLeaseResult { outcome: result };
        if result.encoded_len() + 8 + self.to_come * REFUSAL_BYTES > self.left {
            return self.put(error_of(&answer_full(id)));
        }
        unclaimed.claim();
        self.put(result)
    }

    fn put(&mut self, result: AcquireReadLeaseResult) -> AcquireReadLeaseResult {
        self.left = self.left.saturating_sub(result.encoded_len() + 8);
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
        session_id: 0,
    }
}

/// Where a list goes on, opaque to its reader: the position, and the payload that the list is of.
fn token(of: Option<PayloadId>, at: u64) -> String {
    format!("{at:016x}{}", of.map(|id| id.to_string().replace('-', "")).unwrap_or_default())
}

/// The inverse of [`token`]; `None` for one of another list or of nobody's making.
fn position(of: Option<PayloadId>, text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    let at = u64::from_str_radix(text.get(..16)?, 16).ok()?;
    (token(of, at) == text).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_on_with_its_own_list_and_with_no_other() {
        let (one, other) = (PayloadId::from_words(1, 2), PayloadId::from_words(1, 3));
        for of in [None, Some(one)] {
            assert_eq!(position(of, &token(of, 77)), Some(77));
            assert_eq!(position(of, ""), Some(0));
            assert_eq!(position(of, &token(Some(other), 77)), None);
        }
        assert_eq!(position(Some(one), &token(None, 77)), None);
        let long = "0".repeat(100_000);
        for garbage in ["x", "+000000000000001", "ääääääää0", "00000000000000AB", "000000000000001 ", &long] {
            assert_eq!(position(None, garbage), None, "{garbage:.20}");
        }
    }
}
