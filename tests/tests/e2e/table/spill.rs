//! Rows: spill. The call is OK; what is wrong with an id is that id's result.

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadId, PayloadState, SpillPolicy, Tier};
use payload_manager_api::runtime::v1::{SpillRequest, SpillResponse};
use payload_manager_tests::v1;
use tonic::Code;

use super::row::{Row, good, item_refused, refused};
use super::world::{Given, World};

const CALL: &str = "Spill";
const WRONG_STATE: Code = Code::FailedPrecondition;

pub(super) fn to(tier: Tier) -> impl Fn(&World) -> SpillRequest + Copy {
    move |world| SpillRequest { ids: vec![world.subject.clone()], target_tier: tier as i32, ..Default::default() }
}

fn soon(tier: Tier) -> impl Fn(&World) -> SpillRequest + Copy {
    move |world| SpillRequest { policy: SpillPolicy::BestEffort as i32, ..to(tier)(world) }
}

fn until_free(world: &World) -> SpillRequest {
    SpillRequest { wait_for_leases: true, ..to(Tier::Disk)(world) }
}

pub(super) fn rows() -> Vec<Row> {
    spills().into_iter().chain(refused_spills()).chain(waits()).collect()
}

fn is_in_disk(_: &World, answer: SpillResponse) {
    let result = &answer.results[0];
    assert!(result.ok && result.error.is_none() && result.error_message.is_empty(), "{result:?}");
    let now = result.payload_descriptor.as_ref().unwrap();
    assert_eq!((now.tier(), now.state()), (Tier::Disk, PayloadState::Durable));
    assert_eq!(now.copies, [Tier::Disk as i32]);
    assert_eq!(v1::read(now).unwrap(), v1::pattern(1, 5000));
}

fn spills() -> Vec<Row> {
    let nobody = PayloadId { value: vec![1; 16] };
    vec![
        good(CALL, "to DISK", Given::Active, to(Tier::Disk), is_in_disk),
        good(CALL, "to its own target", Given::Active, to(Tier::Unspecified), is_in_disk),
        good(CALL, "what has the copy", Given::Both, to(Tier::Disk), is_in_disk),
        good(CALL, "to where it is", Given::Durable, to(Tier::Disk), is_in_disk),
        good(CALL, "while leased", Given::Leased, to(Tier::Disk), is_in_disk),
        good(CALL, "some time", Given::Active, soon(Tier::Disk), |_, answer: SpillResponse| {
            assert!(answer.results[0].ok)
        }),
        good(CALL, "to VOID", Given::Active, to(Tier::Void), |_, answer: SpillResponse| {
            assert!(answer.results[0].ok && answer.results[0].payload_descriptor.is_none(), "{answer:?}");
        }),
        good(
            CALL,
            "of nothing",
            Given::Nothing,
            |_| SpillRequest::default(),
            |_, answer: SpillResponse| {
                assert_eq!(answer, SpillResponse::default());
            },
        ),
        good(
            CALL,
            "good and bad ids in order",
            Given::Active,
            move |world| {
                let short = PayloadId { value: vec![1; 15] };
                SpillRequest { ids: vec![nobody.clone(), world.subject.clone(), short], ..Default::default() }
            },
            |world, answer: SpillResponse| {
                let ok: Vec<bool> = answer.results.iter().map(|result| result.ok).collect();
                assert_eq!(ok, [false, true, false], "a bad id fails its own result only");
                assert_eq!(answer.results[1].id.as_ref(), Some(&world.subject));
                let ids: Vec<usize> = answer.results.iter().map(|r| r.id.as_ref().unwrap().value.len()).collect();
                assert_eq!(ids, [16, 16, 15], "each result names its id as it came");
                assert!(answer.results[0].error_message.starts_with("NOT_FOUND: "), "{answer:?}");
                assert!(answer.results[2].error_message.starts_with("INVALID_ARGUMENT: "), "{answer:?}");
            },
        ),
        good(CALL, "and wait, without a lease", Given::Active, until_free, is_in_disk),
    ]
}

fn refused_spills() -> Vec<Row> {
    let unknown = (Code::NotFound, Reason::PayloadNotFound);
    let uncommitted = (WRONG_STATE, Reason::NotCommitted);
    let no_tier = (WRONG_STATE, Reason::TierNotConfigured);
    let floor = (WRONG_STATE, Reason::MinResidency);
    let item = |case: &str, given: Given, ask: fn(&World) -> SpillRequest, why: (Code, Reason)| {
        item_refused(CALL, case, given, ask, why)
    };
    let short = |world: &World| SpillRequest {
        ids: vec![PayloadId { value: world.subject.value[1..].to_vec() }],
        ..Default::default()
    };
    vec![
        item("15 bytes of id", Given::Active, short, (Code::InvalidArgument, Reason::IdLength)),
        item("unknown", Given::Nothing, |w| to(Tier::Disk)(w), unknown),
        item("unknown, some time", Given::Nothing, |w| soon(Tier::Disk)(w), unknown),
        item("expired", Given::Expired, |w| to(Tier::Disk)(w), unknown),
        item("unknown, to VOID", Given::Nothing, |w| to(Tier::Void)(w), unknown),
        item("not committed", Given::Allocated(Tier::Ram), |w| to(Tier::Disk)(w), uncommitted),
        item("not committed, some time", Given::Allocated(Tier::Ram), |w| soon(Tier::Disk)(w), uncommitted),
        item("not committed, to VOID", Given::Allocated(Tier::Ram), |w| to(Tier::Void)(w), uncommitted),
        item("to OBJECT", Given::Active, |w| to(Tier::Object)(w), no_tier),
        item("to OBJECT, some time", Given::Active, |w| soon(Tier::Object)(w), no_tier),
        item("to GPU", Given::Active, |w| to(Tier::Gpu)(w), no_tier),
        item("upwards", Given::Durable, |w| to(Tier::Ram)(w), (WRONG_STATE, Reason::SpillToFaster)),
        item("upwards, some time", Given::Durable, |w| soon(Tier::Ram)(w), (WRONG_STATE, Reason::SpillToFaster)),
        item("below its floor", Given::StaysInRam, |w| to(Tier::Disk)(w), floor),
        item("below its floor, some time", Given::StaysInRam, |w| soon(Tier::Disk)(w), floor),
        item("below its floor, to VOID", Given::StaysInRam, |w| to(Tier::Void)(w), floor),
        item("durable, to VOID", Given::MustBeDurable, |w| to(Tier::Void)(w), (WRONG_STATE, Reason::RequireDurable)),
        item("leased, to VOID", Given::Leased, |w| to(Tier::Void)(w), (Code::Aborted, Reason::Leased)),
        item("no room", Given::DiskFull, |w| to(Tier::Disk)(w), (Code::ResourceExhausted, Reason::TierFull)),
        item("lost", Given::Lost, |w| to(Tier::Disk)(w), (Code::DataLoss, Reason::BytesLost)),
    ]
}

fn waits() -> Vec<Row> {
    let late = (Code::DeadlineExceeded, Reason::Deadline);
    // The work goes on in the background: the bytes are in DISK, and the lease keeps those in RAM.
    vec![refused(CALL, "and wait for a lease", Given::Leased, until_free, late).until("300m").with_effects()]
}
