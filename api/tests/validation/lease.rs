//! Leases, one and many.

use payload_manager_api::convert::{AcquireReadLease, AcquireReadLeases, BATCH_LIMIT};
use payload_manager_api::reason::Reason;
use payload_manager_api::runtime::v1::{AcquireReadLeaseRequest, AcquireReadLeasesRequest};
use payload_manager_types::{DeviceUuid, Tier};

use crate::{id, refusal};

fn good() -> AcquireReadLeaseRequest {
    AcquireReadLeaseRequest { id: id(16), ..Default::default() }
}

#[test]
fn unspecified_means_wherever_it_is_waiting_and_the_default_duration() {
    let lease = AcquireReadLease::try_from(good()).unwrap();
    assert_eq!((lease.min_tier, lease.wait, lease.min_duration_ms), (None, true, None));
    assert!(!lease.accepts_segment_offset);
    let request = AcquireReadLeaseRequest {
        min_tier: 2,
        promotion_policy: 1,
        min_lease_duration_ms: 5,
        mode: 1,
        accepts_segment_offset: true,
        ..good()
    };
    let lease = AcquireReadLease::try_from(request).unwrap();
    assert_eq!((lease.min_tier, lease.wait, lease.min_duration_ms), (Some(Tier::Ram), false, Some(5)));
    assert!(lease.accepts_segment_offset && lease.devices.is_empty());
    let on =
        |uuid: &[u8]| AcquireReadLease::try_from(AcquireReadLeaseRequest { devices: vec![uuid.to_vec()], ..good() });
    assert_eq!(on(&[4; 16]).unwrap().devices, [DeviceUuid([4; 16])]);
    assert_eq!(refusal(on(&[4; 17])), (Reason::IdLength, "devices"));
}

#[test]
fn void_and_unknown_numbers_are_refused() {
    let cases = [
        (AcquireReadLeaseRequest { min_tier: 5, ..good() }, (Reason::VoidIsNoPlace, "min_tier")),
        (AcquireReadLeaseRequest { min_tier: 99, ..good() }, (Reason::UnknownEnum, "min_tier")),
        (AcquireReadLeaseRequest { promotion_policy: 3, ..good() }, (Reason::UnknownEnum, "promotion_policy")),
        (AcquireReadLeaseRequest { mode: 2, ..good() }, (Reason::UnknownEnum, "mode")),
    ];
    for (request, expected) in cases {
        assert_eq!(refusal(AcquireReadLease::try_from(request)), expected);
    }
}

#[test]
fn a_bad_request_in_a_batch_fails_alone_and_too_many_fail_together() {
    let bad = AcquireReadLeaseRequest { id: id(3), ..Default::default() };
    let batch = AcquireReadLeasesRequest { requests: vec![good(), bad, good()] };
    let fates: Vec<_> = AcquireReadLeases::try_from(batch).unwrap().0.iter().map(Result::is_ok).collect();
    assert_eq!(fates, [true, false, true]);
    let many = |n| AcquireReadLeases::try_from(AcquireReadLeasesRequest { requests: vec![good(); n] });
    assert_eq!(many(BATCH_LIMIT).unwrap().0.len(), BATCH_LIMIT);
    assert_eq!(refusal(many(BATCH_LIMIT + 1)), (Reason::BatchTooLarge, "requests"));
}
