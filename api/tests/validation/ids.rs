//! An id is exactly 16 bytes, wherever one stands.

use payload_manager_api::catalog::v1 as catalog;
use payload_manager_api::convert::*;
use payload_manager_api::core::v1 as core;
use payload_manager_api::reason::Reason;
use payload_manager_api::runtime::v1 as runtime;
use payload_manager_types::{LeaseId, PayloadId};
use prost::Message;

use crate::id;

/// What the conversion of request `M` says about an id, which every request has as its field 1.
fn asked<M, T>(id: Option<core::PayloadId>, field_2: Option<u64>) -> Result<(), Reason>
where
    M: Message + Default,
    T: TryFrom<M, Error = Invalid>,
{
    let size_bytes = field_2.unwrap_or_default();
    let bytes = runtime::ImportPayloadRequest { id, size_bytes }.encode_to_vec();
    T::try_from(M::decode(bytes.as_slice()).unwrap()).map(drop).map_err(|e| e.reason)
}

/// Every request that names one payload; some need a number in field 2 besides, a tier or a size.
fn all_requests(id: &Option<core::PayloadId>) -> [Result<(), Reason>; 16] {
    let id = || id.clone();
    [
        asked::<runtime::CommitPayloadRequest, PayloadId>(id(), None),
        asked::<runtime::DeleteRequest, Delete>(id(), None),
        asked::<runtime::ImportPayloadRequest, Import>(id(), Some(2)),
        asked::<runtime::GetPayloadRequest, PayloadId>(id(), None),
        asked::<runtime::ResolveSnapshotRequest, PayloadId>(id(), None),
        asked::<runtime::AcquireReadLeaseRequest, AcquireReadLease>(id(), None),
        asked::<runtime::PromoteRequest, Promote>(id(), Some(2)),
        asked::<runtime::PrefetchRequest, Promote>(id(), Some(2)),
        asked::<runtime::PinRequest, Pin>(id(), None),
        asked::<runtime::UnpinRequest, PayloadId>(id(), None),
        asked::<catalog::UpdatePayloadMetadataRequest, UpdateMetadata>(id(), None),
        asked::<catalog::AppendPayloadMetadataEventRequest, AppendMetadataEvent>(id(), None),
        asked::<catalog::GetPayloadMetadataRequest, PayloadId>(id(), None),
        asked::<catalog::ListPayloadMetadataEventsRequest, ListMetadataEvents>(id(), None),
        asked::<catalog::AddLineageRequest, AddLineage>(id(), None),
        asked::<catalog::GetLineageRequest, GetLineage>(id(), None),
    ]
}

#[test]
fn sixteen_bytes_are_an_id_and_nothing_else_is() {
    assert_eq!(all_requests(&id(16)), [Ok(()); 16]);
    for bad in [None, id(0), id(15), id(17)] {
        assert_eq!(all_requests(&bad), [Err(Reason::IdLength); 16]);
    }
}

#[test]
fn a_lease_id_is_sixteen_bytes_too() {
    for bytes in [0, 15, 16, 17] {
        let id = core::LeaseId { value: vec![1; bytes] };
        let lease_id = Some(id.clone());
        let expected = if bytes == 16 { Ok(()) } else { Err(Reason::IdLength) };
        let release = runtime::ReleaseLeaseRequest { lease_id: lease_id.clone() };
        assert_eq!(LeaseId::try_from(release).map(drop).map_err(|e| e.reason), expected);
        let renew = runtime::RenewLeaseRequest { lease_id, min_lease_duration_ms: 0 };
        assert_eq!(RenewLease::try_from(renew).map(drop).map_err(|e| e.reason), expected);
        let good = core::LeaseId { value: vec![1; 16] };
        let many = runtime::ReleaseLeasesRequest { lease_ids: vec![good, id] };
        assert_eq!(ReleaseLeases::try_from(many).map(drop).map_err(|e| e.reason), expected);
    }
}
