//! The one table of calls: every RPC over a real socket, in its good case and for each code that it can reach.
//!
//! A row says which call, what was there before, what is asked, and what must come back: code, machine-readable reason,
//! and that a failed call has changed nothing. The rows stand in the files beside this one, by topic; `world` makes what
//! they are given, `malformed` generates those for fields of every kind from the contract itself.

mod lease;
mod life;
mod lineage;
mod malformed;
mod metadata;
mod offsets;
mod pin;
mod row;
mod spill;
mod stream;
mod tiering;
mod watch;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use payload_manager_api::Reason;
use payload_manager_tests::named::methods;
use tonic::Code;

use row::Row;
use world::World;

/// The calls of this version, and every code that each can answer. Left out are those that any call can answer and that
/// need a daemon of their own: PERMISSION_DENIED and UNAVAILABLE.
const REACHES: [(&str, &[Code]); 37] = [
    ("AllocatePayload", &[Code::Ok, Code::InvalidArgument, Code::FailedPrecondition, Code::ResourceExhausted]),
    ("CommitPayload", &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition]),
    ("Delete", &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::Aborted]),
    ("GetPayload", &[Code::Ok, Code::InvalidArgument, Code::NotFound]),
    ("ListPayloads", &[Code::Ok, Code::InvalidArgument]),
    (
        "Promote",
        &[
            Code::Ok,
            Code::InvalidArgument,
            Code::NotFound,
            Code::FailedPrecondition,
            Code::ResourceExhausted,
            Code::DataLoss,
        ],
    ),
    (
        "Spill",
        &[
            Code::Ok,
            Code::InvalidArgument,
            Code::NotFound,
            Code::FailedPrecondition,
            Code::Aborted,
            Code::ResourceExhausted,
            Code::DataLoss,
            Code::DeadlineExceeded,
        ],
    ),
    ("Prefetch", &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition, Code::DataLoss]),
    ("Pin", &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition]),
    ("Unpin", &[Code::Ok, Code::InvalidArgument]),
    // There is no OBJECT tier yet, so nothing that could be imported.
    ("ImportPayload", &[Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition]),
    ("UpdatePayloadMetadata", &[Code::Ok, Code::InvalidArgument, Code::NotFound]),
    ("AppendPayloadMetadataEvent", &[Code::Ok, Code::InvalidArgument, Code::NotFound]),
    ("GetPayloadMetadata", &[Code::Ok, Code::InvalidArgument, Code::NotFound]),
    ("ListPayloadMetadataEvents", &[Code::Ok, Code::InvalidArgument, Code::NotFound]),
    ("AddLineage", &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition]),
    ("GetLineage", &[Code::Ok, Code::InvalidArgument, Code::ResourceExhausted]),
    ("ResolveSnapshot", &[Code::Ok, Code::InvalidArgument, Code::NotFound]),
    (
        "AcquireReadLease",
        &[
            Code::Ok,
            Code::InvalidArgument,
            Code::NotFound,
            Code::FailedPrecondition,
            Code::ResourceExhausted,
            Code::DataLoss,
        ],
    ),
    ("ReleaseLease", &[Code::Ok, Code::InvalidArgument]),
    ("RenewLease", &[Code::Ok, Code::InvalidArgument, Code::NotFound]),
    ("Stats", &[Code::Ok, Code::InvalidArgument]),
    ("CreateStream", &[Code::Ok, Code::InvalidArgument, Code::AlreadyExists]),
    ("DeleteStream", &[Code::Ok, Code::InvalidArgument]),
    ("Append", &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition]),
    ("Read", &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::OutOfRange]),
    ("Subscribe", &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::OutOfRange]),
    ("WatchPayloads", &[Code::Ok, Code::InvalidArgument, Code::OutOfRange]),
    (
        "AcquireReadLeases",
        &[
            Code::Ok,
            Code::InvalidArgument,
            Code::NotFound,
            Code::FailedPrecondition,
            Code::ResourceExhausted,
            Code::DataLoss,
        ],
    ),
    ("ReleaseLeases", &[Code::Ok, Code::InvalidArgument]),
    ("ListLeases", &[Code::Ok, Code::InvalidArgument]),
    ("ListSessions", &[Code::Ok, Code::InvalidArgument]),
    ("Commit", &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::OutOfRange]),
    ("GetCommitted", &[Code::Ok, Code::InvalidArgument, Code::NotFound]),
    ("GetRange", &[Code::Ok, Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition, Code::ResourceExhausted]),
    ("ListStreams", &[Code::Ok, Code::InvalidArgument]),
    ("GetStream", &[Code::Ok, Code::InvalidArgument, Code::NotFound]),
];

fn table() -> Vec<Row> {
    let written = [life::rows(), tiering::rows(), spill::rows(), lease::rows(), stream::rows(), watch::rows()];
    let said = [offsets::rows(), pin::rows(), metadata::rows(), lineage::rows()];
    written.into_iter().chain(said).flatten().chain(malformed::rows()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_answers_as_the_contract_says_and_a_failed_one_changes_nothing() {
    let mut world = World::start().await;
    let mut wrong = Vec::new();
    let rows = table();
    for row in &rows {
        if let Err(what) = world.check(row).await {
            wrong.push(format!("{} / {} / given {:?}: {what}", row.call, row.case, row.given));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows are wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn the_table_has_a_row_for_every_code_that_a_call_can_reach_and_for_no_other() {
    let mut seen: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for row in table() {
        seen.entry(row.call).or_default().insert(row.expect.code() as i32);
    }
    for (call, codes) in REACHES {
        let declared: BTreeSet<i32> = codes.iter().map(|code| *code as i32).collect();
        assert_eq!(seen.remove(call), Some(declared), "{call}");
    }
    assert!(seen.is_empty(), "not declared: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_contract_is_in_the_table_or_says_that_it_is_not_built() {
    let world = World::start().await;
    let built: BTreeSet<&str> = REACHES.iter().map(|(call, _)| *call).collect();
    let mut not_built = 0;
    for method in methods().iter().filter(|method| !built.contains(method.name.as_str())) {
        let answer = world.wire.call_bytes(&method.name, &[]).await;
        assert_eq!(answer.code(), Code::Unimplemented, "{}: {}", method.name, answer.status.message());
        assert_eq!(answer.detail().unwrap().known(), Some(Reason::NotImplemented), "{}", method.name);
        assert!(answer.status.message().contains(&method.name), "{}", answer.status.message());
        not_built += 1;
    }
    assert_eq!(REACHES.len() + not_built, methods().len());
}
