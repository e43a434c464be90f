//! Rows: leases.

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{LeaseId, PromotionPolicy, Tier};
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AcquireReadLeaseResponse, LeaseMode, ReleaseLeaseRequest, RenewLeaseRequest,
    RenewLeaseResponse,
};
use payload_manager_tests::v1;
use tonic::Code;

use super::row::{Row, good, refused};
use super::world::{Given, World};

const WRONG_STATE: Code = Code::FailedPrecondition;

fn at_least(tier: Tier, policy: PromotionPolicy) -> impl Fn(&World) -> AcquireReadLeaseRequest + Copy {
    move |world| AcquireReadLeaseRequest {
        id: Some(world.subject.clone()),
        min_tier: tier as i32,
        promotion_policy: policy as i32,
        ..Default::default()
    }
}

fn any(world: &World) -> AcquireReadLeaseRequest {
    at_least(Tier::Unspecified, PromotionPolicy::Unspecified)(world)
}

pub(super) fn rows() -> Vec<Row> {
    [taken(), refused_ones(), given_back(), renewed()].into_iter().flatten().collect()
}

fn is_in(tier: Tier) -> impl Fn(&World, AcquireReadLeaseResponse) {
    move |_, answer| {
        let now = answer.payload_descriptor.unwrap();
        assert_eq!(now.tier(), tier);
        assert_eq!(v1::read(&now).unwrap(), v1::pattern(1, 5000), "its name opens and its bytes are right");
        assert_eq!(answer.lease_id.unwrap().value.len(), 16);
    }
}

/// Milliseconds from now until the lease runs out.
fn left_ms(expires: Option<payload_manager_api::Timestamp>) -> i64 {
    let expires = expires.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    expires.seconds * 1000 + i64::from(expires.nanos) / 1_000_000 - i64::try_from(now.as_millis()).unwrap()
}

fn lasts(min_lease_duration_ms: u64, at_most_ms: i64, case: &str) -> Row {
    let ask = move |world: &World| AcquireReadLeaseRequest {
        min_lease_duration_ms,
        mode: LeaseMode::Read as i32,
        ..any(world)
    };
    good("AcquireReadLease", case, Given::Active, ask, move |_, answer: AcquireReadLeaseResponse| {
        let left = left_ms(answer.lease_expires_at);
        assert!(left <= at_most_ms && left > at_most_ms - 15_000, "{left} of {at_most_ms} ms");
    })
}

fn taken() -> Vec<Row> {
    let call = "AcquireReadLease";
    let (unspecified, patient) = (PromotionPolicy::Unspecified, PromotionPolicy::Blocking);
    let hasty = PromotionPolicy::BestEffort;
    vec![
        good(call, "in RAM", Given::Active, any, is_in(Tier::Ram)),
        good(call, "in DISK", Given::Durable, any, is_in(Tier::Disk)),
        good(call, "in both", Given::Both, any, is_in(Tier::Ram)),
        good(call, "promoting first", Given::Durable, at_least(Tier::Ram, unspecified), is_in(Tier::Ram)),
        good(call, "promoting first, as said", Given::Durable, at_least(Tier::Ram, patient), is_in(Tier::Ram)),
        good(call, "fast enough", Given::Active, at_least(Tier::Disk, hasty), is_in(Tier::Ram)),
        good(call, "faster than OBJECT", Given::Durable, at_least(Tier::Object, hasty), is_in(Tier::Disk)),
        good(call, "a second one", Given::Leased, any, is_in(Tier::Ram)),
        lasts(0, 20_000, "for the default"),
        lasts(60_000, 60_000, "for a minute"),
        lasts(u64::MAX, 120_000, "for ever, capped"),
    ]
}

fn refused_ones() -> Vec<Row> {
    let call = "AcquireReadLease";
    let unknown = (Code::NotFound, Reason::PayloadNotFound);
    let no_tier = (WRONG_STATE, Reason::TierNotConfigured);
    let lost = (Code::DataLoss, Reason::BytesLost);
    let (unspecified, hasty) = (PromotionPolicy::Unspecified, PromotionPolicy::BestEffort);
    let slow = (WRONG_STATE, Reason::MinTierNotMet);
    let full = (Code::ResourceExhausted, Reason::TierFull);
    let corrupt = (Code::DataLoss, Reason::ChecksumMismatch);
    vec![
        refused(call, "unknown", Given::Nothing, any, unknown),
        refused(call, "deleted", Given::Deleted, any, unknown),
        refused(call, "expired", Given::Expired, any, unknown),
        refused(call, "not committed", Given::Allocated(Tier::Ram), any, (WRONG_STATE, Reason::NotCommitted)),
        refused(call, "too slow", Given::Durable, at_least(Tier::Ram, hasty), slow).with_effects().saying(&["DISK"]),
        refused(call, "in GPU", Given::Active, at_least(Tier::Gpu, unspecified), no_tier),
        refused(call, "in GPU, at once", Given::Active, at_least(Tier::Gpu, hasty), no_tier),
        refused(call, "lost", Given::Lost, any, lost),
        refused(call, "no room", Given::RamFull, at_least(Tier::Ram, unspecified), full),
        refused(call, "corrupt", Given::Flipped, at_least(Tier::Ram, unspecified), corrupt).with_effects(),
        refused(call, "one too many", Given::NoMoreLeases, any, (Code::ResourceExhausted, Reason::LeaseLimit))
            .saying(&["max-leases"]),
    ]
}

fn given_back() -> Vec<Row> {
    let call = "ReleaseLease";
    let ask = |world: &World| ReleaseLeaseRequest { lease_id: Some(world.lease.clone()) };
    let zero = |_: &World| ReleaseLeaseRequest { lease_id: Some(LeaseId { value: vec![0; 16] }) };
    let high = |_: &World| ReleaseLeaseRequest { lease_id: Some(LeaseId { value: vec![255; 16] }) };
    vec![
        good(call, "a live one", Given::Leased, ask, |_, (): ()| {}),
        good(call, "one of a payload that moved", Given::LeasedBehind, ask, |_, (): ()| {}),
        good(call, "an unknown one", Given::Active, ask, |_, (): ()| {}),
        good(call, "all zeros", Given::Leased, zero, |_, (): ()| {}),
        good(call, "all ones", Given::Leased, high, |_, (): ()| {}),
    ]
}

fn renewed() -> Vec<Row> {
    let call = "RenewLease";
    let ask = |ms: u64| {
        move |world: &World| RenewLeaseRequest { lease_id: Some(world.lease.clone()), min_lease_duration_ms: ms }
    };
    let over = (Code::NotFound, Reason::LeaseOver);
    let in_ms = |ms: i64| {
        move |_: &World, answer: RenewLeaseResponse| {
            let left = left_ms(answer.lease_expires_at);
            assert!(left <= ms && left > ms - 15_000, "{left} of {ms} ms");
        }
    };
    vec![
        good(call, "for a minute", Given::Leased, ask(60_000), in_ms(60_000)),
        good(call, "for ever, capped", Given::Leased, ask(u64::MAX), in_ms(120_000)),
        good(call, "of a payload that moved", Given::LeasedBehind, ask(90_000), in_ms(90_000)),
        refused(call, "unknown", Given::Active, ask(0), over),
    ]
}
