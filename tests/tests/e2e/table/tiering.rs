//! Rows: promote, and look up where a payload is.

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadState, PromotionPolicy, Tier};
use payload_manager_api::runtime::v1::{
    PromoteRequest, PromoteResponse, ResolveSnapshotRequest, ResolveSnapshotResponse,
};
use payload_manager_tests::v1;
use tonic::Code;

use super::row::{Row, good, refused};
use super::world::{Given, World};

const WRONG_STATE: Code = Code::FailedPrecondition;

fn to(tier: Tier) -> impl Fn(&World) -> PromoteRequest + Copy {
    move |world| PromoteRequest { id: Some(world.subject.clone()), target_tier: tier as i32, ..Default::default() }
}

fn soon(tier: Tier) -> impl Fn(&World) -> PromoteRequest + Copy {
    move |world| PromoteRequest { policy: PromotionPolicy::BestEffort as i32, ..to(tier)(world) }
}

pub(super) fn rows() -> Vec<Row> {
    [promotions(), refused_promotions(), snapshots()].into_iter().flatten().collect()
}

fn promotions() -> Vec<Row> {
    let same = |world: &World, answer: PromoteResponse| {
        assert_eq!(answer.payload_descriptor.as_ref(), Some(&world.before), "already there: nothing changes");
    };
    vec![
        good("Promote", "to RAM", Given::Durable, to(Tier::Ram), |world, answer: PromoteResponse| {
            let now = answer.payload_descriptor.unwrap();
            assert_eq!((now.tier(), now.state()), (Tier::Ram, PayloadState::Durable));
            assert_eq!(now.copies, [Tier::Ram as i32, Tier::Disk as i32]);
            assert!(now.version > world.before.version);
            assert_eq!(v1::read(&now).unwrap(), v1::pattern(1, 5000));
        }),
        good(
            "Promote",
            "while the old copy is leased",
            Given::LeasedBehind,
            to(Tier::Ram),
            |_, answer: PromoteResponse| {
                let now = answer.payload_descriptor.unwrap();
                assert_eq!(now.tier(), Tier::Ram);
                assert_eq!(v1::read(&now).unwrap(), v1::pattern(1, 5000));
            },
        ),
        good("Promote", "to where it is", Given::Active, to(Tier::Ram), same),
        good("Promote", "to where a copy is", Given::Both, to(Tier::Disk), same),
        good("Promote", "while leased", Given::Leased, to(Tier::Ram), same),
        good("Promote", "some time", Given::Durable, soon(Tier::Ram), same),
    ]
}

fn refused_promotions() -> Vec<Row> {
    let unready = (WRONG_STATE, Reason::TierNotConfigured);
    let full = (Code::ResourceExhausted, Reason::TierFull);
    let unknown = (Code::NotFound, Reason::PayloadNotFound);
    let uncommitted = (WRONG_STATE, Reason::NotCommitted);
    let both = |case: &str, given: Given, tier: Tier, why: (Code, Reason)| {
        [
            refused("Promote", case, given, to(tier), why),
            refused("Promote", &format!("{case}, some time"), given, soon(tier), why),
        ]
    };
    let mut rows = Vec::new();
    rows.extend(both("unknown", Given::Nothing, Tier::Ram, unknown));
    rows.extend(both("expired", Given::Expired, Tier::Ram, unknown));
    rows.extend(both("not committed", Given::Allocated(Tier::Disk), Tier::Ram, uncommitted));
    rows.extend(both("to GPU", Given::Active, Tier::Gpu, unready));
    rows.extend(both("to OBJECT", Given::Active, Tier::Object, unready));
    rows.extend(both("downwards", Given::Active, Tier::Disk, (WRONG_STATE, Reason::PromoteToSlower)));
    rows.extend(both("lost", Given::Lost, Tier::Ram, (Code::DataLoss, Reason::BytesLost)));
    rows.push(refused("Promote", "no room", Given::RamFull, to(Tier::Ram), full).saying(&["RAM", "5000", "0 of"]));
    let corrupt = (Code::DataLoss, Reason::ChecksumMismatch);
    rows.push(refused("Promote", "corrupt", Given::Flipped, to(Tier::Ram), corrupt).with_effects().saying(&["DISK"]));
    rows
}

fn snapshots() -> Vec<Row> {
    let ask = |world: &World| ResolveSnapshotRequest { id: Some(world.subject.clone()) };
    let unknown = (Code::NotFound, Reason::PayloadNotFound);
    let is = |tier: Tier, state: PayloadState| {
        move |_: &World, answer: ResolveSnapshotResponse| {
            let now = answer.payload_descriptor.unwrap();
            assert_eq!((now.tier(), now.state()), (tier, state));
        }
    };
    let allocated = is(Tier::Ram, PayloadState::Allocated);
    vec![
        good("ResolveSnapshot", "allocated", Given::Allocated(Tier::Ram), ask, allocated),
        good("ResolveSnapshot", "in RAM", Given::Active, ask, is(Tier::Ram, PayloadState::Active)),
        good("ResolveSnapshot", "in DISK", Given::Durable, ask, is(Tier::Disk, PayloadState::Durable)),
        good("ResolveSnapshot", "in both", Given::Both, ask, is(Tier::Ram, PayloadState::Durable)),
        refused("ResolveSnapshot", "unknown", Given::Nothing, ask, unknown).saying(&["09090909-0909"]),
        refused("ResolveSnapshot", "deleted", Given::Deleted, ask, unknown),
        refused("ResolveSnapshot", "expired", Given::Expired, ask, unknown),
    ]
}
