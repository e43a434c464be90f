//! Rows: keep a copy where it is, have one made some time, take in what was uploaded.

use payload_manager_api::Reason;
use payload_manager_api::core::v1::Tier;
use payload_manager_api::runtime::v1::{ImportPayloadRequest, PinRequest, PrefetchRequest, UnpinRequest};
use prost::Message as _;
use tonic::Code;

use super::malformed::Good;
use super::row::{Row, good, item_refused, refused};
use super::spill;
use super::world::{Given, World};

const WRONG_STATE: Code = Code::FailedPrecondition;
const UNKNOWN: (Code, Reason) = (Code::NotFound, Reason::PayloadNotFound);

fn pin(duration_ms: u64) -> impl Fn(&World) -> PinRequest + Copy {
    move |world| PinRequest { id: Some(world.subject.clone()), duration_ms }
}

fn unpin(world: &World) -> UnpinRequest {
    UnpinRequest { id: Some(world.subject.clone()) }
}

fn prefetch(tier: Tier) -> impl Fn(&World) -> PrefetchRequest + Copy {
    move |world| PrefetchRequest { id: Some(world.subject.clone()), target_tier: tier as i32, ..Default::default() }
}

fn import(size_bytes: u64) -> impl Fn(&World) -> ImportPayloadRequest + Copy {
    move |world| ImportPayloadRequest { id: Some(world.subject.clone()), size_bytes }
}

/// A request that would go well, or would if there were an OBJECT tier.
pub(super) fn good_one(call: &str) -> (Given, Good) {
    match call {
        "Pin" => (Given::Active, |w| pin(1000)(w).encode_to_vec()),
        "Unpin" => (Given::Pinned, |w| unpin(w).encode_to_vec()),
        "Prefetch" => (Given::Durable, |w| prefetch(Tier::Ram)(w).encode_to_vec()),
        _ => (Given::Active, |w| import(1)(w).encode_to_vec()),
    }
}

pub(super) fn rows() -> Vec<Row> {
    [pins(), unpins(), prefetches(), imports()].into_iter().flatten().collect()
}

fn pins() -> Vec<Row> {
    let done = |_: &World, (): ()| {};
    let uncommitted = (WRONG_STATE, Reason::NotCommitted);
    let late = (Code::InvalidArgument, Reason::TimeTooLate);
    vec![
        good("Pin", "for ever", Given::Active, pin(0), done),
        good("Pin", "for a while", Given::Active, pin(60_000), done),
        good("Pin", "for a millisecond", Given::Active, pin(1), done),
        good("Pin", "on DISK only", Given::Durable, pin(0), done),
        good("Pin", "again", Given::Pinned, pin(5), done),
        good("Pin", "while leased", Given::Leased, pin(0), done),
        good("Pin", "lost", Given::Lost, pin(0), done),
        refused("Pin", "unknown", Given::Nothing, pin(0), UNKNOWN).saying(&["09090909-0909"]),
        refused("Pin", "expired", Given::Expired, pin(0), UNKNOWN),
        refused("Pin", "deleted", Given::Deleted, pin(0), UNKNOWN),
        refused("Pin", "not committed", Given::Allocated(Tier::Ram), pin(0), uncommitted),
        refused("Pin", "beyond the year 9999", Given::Active, pin(1 << 63), late).saying(&["9223372036854775808"]),
        refused("Pin", "as long as can be said", Given::Pinned, pin(u64::MAX), late),
        item_refused("Spill", "pinned", Given::Pinned, spill::to(Tier::Disk), (WRONG_STATE, Reason::Pinned)),
        item_refused("Spill", "pinned, to VOID", Given::Pinned, spill::to(Tier::Void), (WRONG_STATE, Reason::Pinned)),
    ]
}

fn unpins() -> Vec<Row> {
    let done = |_: &World, (): ()| {};
    [Given::Pinned, Given::Active, Given::Nothing, Given::Deleted, Given::Expired, Given::Allocated(Tier::Ram)]
        .map(|given| good("Unpin", "fine", given, unpin, done))
        .into()
}

fn prefetches() -> Vec<Row> {
    let done = |_: &World, (): ()| {};
    let unready = (WRONG_STATE, Reason::TierNotConfigured);
    let lost = (Code::DataLoss, Reason::BytesLost);
    let invalid = Code::InvalidArgument;
    vec![
        good("Prefetch", "to RAM", Given::Durable, prefetch(Tier::Ram), done),
        good("Prefetch", "to where it is", Given::Active, prefetch(Tier::Ram), done),
        good("Prefetch", "to where a copy is", Given::Both, prefetch(Tier::Disk), done),
        good("Prefetch", "no room, which nobody waits for", Given::RamFull, prefetch(Tier::Ram), done),
        refused("Prefetch", "nowhere", Given::Active, prefetch(Tier::Unspecified), (invalid, Reason::TierRequired)),
        refused("Prefetch", "to VOID", Given::Active, prefetch(Tier::Void), (invalid, Reason::VoidIsNoPlace)),
        refused("Prefetch", "unknown", Given::Nothing, prefetch(Tier::Ram), UNKNOWN),
        refused("Prefetch", "expired", Given::Expired, prefetch(Tier::Ram), UNKNOWN),
        refused(
            "Prefetch",
            "not committed",
            Given::Allocated(Tier::Disk),
            prefetch(Tier::Ram),
            (WRONG_STATE, Reason::NotCommitted),
        ),
        refused("Prefetch", "to GPU", Given::Active, prefetch(Tier::Gpu), unready),
        refused("Prefetch", "downwards", Given::Active, prefetch(Tier::Disk), (WRONG_STATE, Reason::PromoteToSlower)),
        refused("Prefetch", "lost", Given::Lost, prefetch(Tier::Ram), lost),
    ]
}

fn imports() -> Vec<Row> {
    let nothing = (WRONG_STATE, Reason::ImportMismatch);
    vec![
        refused("ImportPayload", "unknown", Given::Nothing, import(5000), UNKNOWN),
        refused("ImportPayload", "deleted", Given::Deleted, import(5000), UNKNOWN),
        refused("ImportPayload", "expired", Given::Expired, import(5000), UNKNOWN),
        refused("ImportPayload", "an allocation in RAM", Given::Allocated(Tier::Ram), import(5000), nothing)
            .saying(&["RAM", "CommitPayload"]),
        refused("ImportPayload", "committed", Given::Durable, import(5000), nothing).saying(&["DISK"]),
        refused("ImportPayload", "no size", Given::Active, import(0), (Code::InvalidArgument, Reason::SizeZero)),
    ]
}
