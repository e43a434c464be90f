//! Rows about who follows and who holds what: WatchPayloads, leases by the dozen, lists of leases and sessions.

use payload_manager_api::Reason;
use payload_manager_api::admin::v1::{
    ListLeasesRequest, ListLeasesResponse, ListSessionsRequest, ListSessionsResponse,
};
use payload_manager_api::core::v1::{LeaseId, PayloadId, PromotionPolicy, Tier};
use payload_manager_api::runtime::v1::acquire_read_lease_result::Outcome;
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AcquireReadLeasesRequest, AcquireReadLeasesResponse, PayloadEventKind,
    ReleaseLeasesRequest, ReleaseLeasesResponse, WatchPayloadsRequest, WatchPayloadsResponse,
};
use tonic::Code;

use super::row::{Row, good, item_refused, refused};
use super::world::{Given, SIZE, World};

const INVALID: Code = Code::InvalidArgument;
const WRONG_STATE: Code = Code::FailedPrecondition;

pub(super) fn rows() -> Vec<Row> {
    [watched(), taken(), not_taken(), given_back(), listed()].into_iter().flatten().collect()
}

fn from(resume_token: impl Into<String>) -> impl Fn(&World) -> WatchPayloadsRequest {
    let resume_token = resume_token.into();
    move |_| WatchPayloadsRequest { resume_token: resume_token.clone(), include_current: true }
}

fn watched() -> Vec<Row> {
    let call = "WatchPayloads";
    let bad = (INVALID, Reason::BadResumeToken);
    let old = (Code::OutOfRange, Reason::ResumeTokenTooOld);
    vec![
        good(call, "what there is", Given::Active, from(""), |world, told: WatchPayloadsResponse| {
            assert_eq!((told.kind(), told.token.as_str()), (PayloadEventKind::Current, ""));
            assert_eq!(told.payload_descriptor.as_ref(), Some(&world.before));
        }),
        good(call, "nothing", Given::Nothing, from(""), |_, told: WatchPayloadsResponse| {
            assert_eq!((told.kind(), told.payload_descriptor), (PayloadEventKind::SnapshotEnd, None));
            assert_eq!(told.token.len(), 64);
        }),
        refused(call, "garbage", Given::Active, from("x"), bad).saying(&["resume_token"]),
        refused(call, "a huge token", Given::Active, from("0".repeat(1 << 20)), bad),
        refused(call, "a token with NUL", Given::Active, from("\0".repeat(64)), bad),
        refused(call, "a token in capitals", Given::Active, from("A".repeat(64)), bad),
        refused(call, "of another daemon", Given::Active, from("0".repeat(64)), old).saying(&["include_current"]),
    ]
}

fn ask(world: &World) -> AcquireReadLeaseRequest {
    AcquireReadLeaseRequest { id: Some(world.subject.clone()), ..Default::default() }
}

fn many(times: usize) -> impl Fn(&World) -> AcquireReadLeasesRequest {
    move |world| AcquireReadLeasesRequest { requests: vec![ask(world); times] }
}

fn fast(policy: PromotionPolicy) -> impl Fn(&World) -> AcquireReadLeasesRequest {
    move |world| {
        let request =
            AcquireReadLeaseRequest { min_tier: Tier::Ram as i32, promotion_policy: policy as i32, ..ask(world) };
        AcquireReadLeasesRequest { requests: vec![request] }
    }
}

fn taken() -> Vec<Row> {
    let call = "AcquireReadLeases";
    let mixed = |world: &World| {
        let bad = AcquireReadLeaseRequest { id: Some(PayloadId { value: vec![1] }), ..Default::default() };
        let unknown = AcquireReadLeaseRequest { id: Some(PayloadId { value: vec![8; 16] }), ..Default::default() };
        AcquireReadLeasesRequest { requests: vec![bad, ask(world), unknown, ask(world)] }
    };
    vec![
        good(call, "none", Given::Active, many(0), |_, answer: AcquireReadLeasesResponse| {
            assert!(answer.results.is_empty());
        }),
        good(call, "in order, each for itself", Given::Active, mixed, |world, answer: AcquireReadLeasesResponse| {
            let code = |at: usize| match answer.results[at].outcome.clone().unwrap() {
                Outcome::Response(lease) => {
                    assert_eq!(lease.payload_descriptor.as_ref(), Some(&world.before));
                    assert!(lease.lease_id.unwrap().value.len() == 16 && lease.lease_expires_at.is_some());
                    Code::Ok
                }
                Outcome::Error(error) => Code::from_i32(error.code),
            };
            let codes: Vec<Code> = (0..answer.results.len()).map(code).collect();
            assert_eq!(codes, [INVALID, Code::Ok, Code::NotFound, Code::Ok]);
        }),
        good(call, "promoting", Given::Durable, fast(PromotionPolicy::Blocking), |_, answer| {
            let AcquireReadLeasesResponse { results } = answer;
            let Some(Outcome::Response(lease)) = &results[0].outcome else { panic!("{results:?}") };
            assert_eq!(lease.payload_descriptor.as_ref().unwrap().tier(), Tier::Ram);
        }),
        refused(call, "one too many", Given::Active, many(1001), (INVALID, Reason::BatchTooLarge)).saying(&["1000"]),
    ]
}

fn not_taken() -> Vec<Row> {
    let call = "AcquireReadLeases";
    let gone = (Code::NotFound, Reason::PayloadNotFound);
    let bad = |_: &World| AcquireReadLeasesRequest { requests: vec![AcquireReadLeaseRequest::default()] };
    let (patient, hasty) = (PromotionPolicy::Blocking, PromotionPolicy::BestEffort);
    let uncommitted = Given::Allocated(Tier::Ram);
    let full = Code::ResourceExhausted;
    let corrupt = (Code::DataLoss, Reason::ChecksumMismatch);
    vec![
        item_refused(call, "no id", Given::Active, bad, (INVALID, Reason::IdLength)),
        item_refused(call, "unknown", Given::Nothing, many(1), gone),
        item_refused(call, "deleted", Given::Deleted, many(1), gone),
        item_refused(call, "not committed", uncommitted, many(1), (WRONG_STATE, Reason::NotCommitted)),
        item_refused(call, "too slow", Given::Durable, fast(hasty), (WRONG_STATE, Reason::MinTierNotMet))
            .with_effects(),
        item_refused(call, "lost", Given::Lost, many(1), (Code::DataLoss, Reason::BytesLost)),
        item_refused(call, "corrupt", Given::Flipped, fast(patient), corrupt).with_effects(),
        item_refused(call, "no room", Given::RamFull, fast(patient), (full, Reason::TierFull)),
        item_refused(call, "no slot", Given::NoMoreLeases, many(1), (full, Reason::LeaseLimit)),
    ]
}

fn given_back() -> Vec<Row> {
    let call = "ReleaseLeases";
    let of = |more: Vec<LeaseId>| {
        move |world: &World| ReleaseLeasesRequest {
            lease_ids: [world.lease.clone()].into_iter().chain(more.clone()).collect(),
        }
    };
    let zeros = LeaseId { value: vec![0; 16] };
    let malformed = |length: usize| vec![LeaseId { value: vec![1; length] }];
    let bad = (INVALID, Reason::IdLength);
    vec![
        good(
            call,
            "none",
            Given::Leased,
            |_: &World| ReleaseLeasesRequest::default(),
            |_, ReleaseLeasesResponse {}| {},
        ),
        good(
            call,
            "live and unknown ones",
            Given::Leased,
            of(vec![zeros.clone(); 3]),
            |_, ReleaseLeasesResponse {}| {},
        ),
        good(call, "of a payload that moved", Given::LeasedBehind, of(Vec::new()), |_, ReleaseLeasesResponse {}| {}),
        good(call, "unknown ones", Given::Active, of(vec![zeros; 2000]), |_, ReleaseLeasesResponse {}| {}),
        refused(call, "15 bytes among good ones", Given::Leased, of(malformed(15)), bad).saying(&["lease_ids"]),
        refused(call, "17 bytes among good ones", Given::Leased, of(malformed(17)), bad),
        refused(call, "an empty one among good ones", Given::Leased, of(malformed(0)), bad),
    ]
}

fn listed() -> Vec<Row> {
    let (leases, sessions) = ("ListLeases", "ListSessions");
    let all = |_: &World| ListLeasesRequest::default();
    let own = |world: &World| ListLeasesRequest { id: Some(world.subject.clone()), ..Default::default() };
    let other = |_: &World| ListLeasesRequest { id: Some(PayloadId { value: vec![8; 16] }), ..Default::default() };
    let token =
        |token: &'static str| move |_: &World| ListLeasesRequest { page_token: token.to_owned(), ..Default::default() };
    let of_all = move |world: &World| ListLeasesRequest { page_token: "0".repeat(16), ..own(world) };
    let sessions_from =
        |token: &'static str| move |_: &World| ListSessionsRequest { page_size: -1, page_token: token.to_owned() };
    let bad = (INVALID, Reason::BadPageToken);
    vec![
        good(leases, "all", Given::Leased, all, is_in_ram),
        good(leases, "of one", Given::Leased, own, is_in_ram),
        good(leases, "of a copy that is dropped", Given::LeasedBehind, own, is_in_ram),
        good(leases, "of another", Given::Leased, other, is_empty),
        good(leases, "none", Given::Active, all, is_empty),
        refused(leases, "garbage", Given::Leased, token("x"), bad),
        refused(leases, "signs", Given::Leased, token("+000000000000000"), bad),
        refused(leases, "a page of another list", Given::Leased, of_all, bad),
        good(sessions, "none", Given::Leased, sessions_from(""), |_, answer: ListSessionsResponse| {
            assert_eq!(answer, ListSessionsResponse::default());
        }),
        refused(sessions, "garbage", Given::Nothing, sessions_from("x"), bad),
    ]
}

fn is_in_ram(world: &World, answer: ListLeasesResponse) {
    let [lease] = answer.leases.as_slice() else { panic!("{answer:?}") };
    assert_eq!(lease.payload_id.as_ref(), Some(&world.subject));
    assert_eq!((lease.tier(), lease.length_bytes), (Tier::Ram, SIZE));
    assert_eq!((lease.revoked, lease.session_id, answer.next_page_token.as_str()), (false, 0, ""));
    assert!(lease.lease_expires_at.is_some());
}

fn is_empty(_: &World, answer: ListLeasesResponse) {
    assert_eq!(answer, ListLeasesResponse::default());
}
