//! Rows: what is asked of streams by offset and by group, and which there are.

use payload_manager_api::Reason;
use payload_manager_api::runtime::v1::{
    CommitRequest, GetCommittedRequest, GetCommittedResponse, GetRangeRequest, GetRangeResponse, GetStreamRequest,
    GetStreamResponse, ListStreamsRequest, ListStreamsResponse,
};
use payload_manager_tests::rpc::stream;
use tonic::Code;

use super::row::{Row, good, refused};
use super::world::{Given, STREAM, World};

const NO_STREAM: (Code, Reason) = (Code::NotFound, Reason::StreamNotFound);

pub(super) fn rows() -> Vec<Row> {
    [committed(), ranges(), known()].into_iter().flatten().collect()
}

fn commit(group: &str, offset: u64) -> impl Fn(&World) -> CommitRequest + use<> {
    let consumer_group = group.to_owned();
    move |_| CommitRequest { stream: Some(stream(STREAM)), consumer_group: consumer_group.clone(), offset }
}

fn ask(group: &str) -> impl Fn(&World) -> GetCommittedRequest + use<> {
    let consumer_group = group.to_owned();
    move |_| GetCommittedRequest { stream: Some(stream(STREAM)), consumer_group: consumer_group.clone() }
}

fn committed() -> Vec<Row> {
    let beyond = (Code::OutOfRange, Reason::OffsetBeyondEnd);
    let bad_name = (Code::InvalidArgument, Reason::BadGroupName);
    let mut rows = vec![
        good("Commit", "the next one to be written", Given::Stream, commit("g", 3), |_, (): ()| {}),
        good("Commit", "what is removed", Given::CutStream, commit("g", 0), |_, (): ()| {}),
        refused("Commit", "beyond", Given::Stream, commit("g", 4), beyond).saying(&[STREAM, "4", "3"]),
        refused("Commit", "far beyond", Given::CutStream, commit("g", u64::MAX), beyond),
        refused("Commit", "to none", Given::Nothing, commit("g", 0), NO_STREAM).saying(&[STREAM]),
        good("GetCommitted", "never", Given::Stream, ask("g"), |_, answer: GetCommittedResponse| {
            assert!(!answer.has_commit);
        }),
        refused("GetCommitted", "of none", Given::Nothing, ask("g"), NO_STREAM).saying(&[STREAM]),
    ];
    let (long, longer) = ("x".repeat(256), "x".repeat(10 << 10));
    for bad in ["", &long, &longer, "a\nb", "a\0b"] {
        rows.push(refused("Commit", "a misnamed group", Given::Stream, commit(bad, 0), bad_name));
        rows.push(refused("GetCommitted", "a misnamed group", Given::Stream, ask(bad), bad_name));
    }
    rows
}

fn range(start_offset: u64, end_offset: u64) -> impl Fn(&World) -> GetRangeRequest {
    move |_| GetRangeRequest { stream: Some(stream(STREAM)), start_offset, end_offset }
}

fn offsets(wanted: &'static [u64]) -> impl Fn(&World, GetRangeResponse) {
    move |world, answer| {
        let found: Vec<u64> = answer.entries.iter().map(|entry| entry.offset).collect();
        assert_eq!(found, wanted);
        assert!(answer.entries.iter().all(|entry| entry.payload_id.as_ref() == Some(&world.subject)));
    }
}

fn ranges() -> Vec<Row> {
    let backwards = (Code::InvalidArgument, Reason::BadRange);
    let cut = (Code::FailedPrecondition, Reason::RangeCut);
    let large = (Code::ResourceExhausted, Reason::AnswerTooLarge);
    vec![
        good("GetRange", "both ends", Given::Stream, range(0, 1), offsets(&[0, 1])),
        good("GetRange", "one", Given::Stream, range(2, 2), offsets(&[2])),
        good("GetRange", "past the end", Given::Stream, range(1, u64::MAX), offsets(&[1, 2])),
        good("GetRange", "all of it past the end", Given::Stream, range(7, 9), offsets(&[])),
        good("GetRange", "what is kept", Given::CutStream, range(2, 2), offsets(&[2])),
        good("GetRange", "as much as fits", Given::LargeStream, range(0, 1), offsets(&[0, 1])),
        refused("GetRange", "backwards", Given::Stream, range(1, 0), backwards),
        refused("GetRange", "cut", Given::CutStream, range(1, 2), cut).saying(&[STREAM, "1", "2"]),
        refused("GetRange", "all of it removed", Given::CutStream, range(0, 1), cut),
        refused("GetRange", "too large", Given::LargeStream, range(0, 3), large).saying(&[STREAM, "Read"]),
        refused("GetRange", "of none", Given::Nothing, range(0, 0), NO_STREAM),
    ]
}

fn known() -> Vec<Row> {
    let get = |_: &World| GetStreamRequest { stream: Some(stream(STREAM)) };
    let list = |page_token: &'static str| {
        move |_: &World| ListStreamsRequest { page_size: 0, page_token: page_token.to_owned() }
    };
    let is_cut = |_: &World, answer: GetStreamResponse| {
        let info = answer.info.unwrap();
        assert_eq!((info.stream, info.first_offset, info.next_offset), (Some(stream(STREAM)), 2, 3));
        assert_eq!((info.retention_max_entries, info.retention_max_age_sec), (1, 0));
        assert!(info.created_at.is_some() && answer.groups.is_empty());
    };
    let has_it = |_: &World, answer: ListStreamsResponse| {
        let [only] = answer.streams.as_slice() else { panic!("{answer:?}") };
        assert_eq!((only.first_offset, only.next_offset, answer.next_page_token.as_str()), (0, 3, ""));
    };
    let bad_token = (Code::InvalidArgument, Reason::BadPageToken);
    vec![
        good("GetStream", "cut", Given::CutStream, get, is_cut),
        refused("GetStream", "none", Given::Nothing, get, NO_STREAM).saying(&[STREAM]),
        good("ListStreams", "one", Given::Stream, list(""), has_it),
        good("ListStreams", "none", Given::Nothing, list(""), |_, answer: ListStreamsResponse| {
            assert!(answer.streams.is_empty());
        }),
        refused("ListStreams", "a token of nobody's", Given::Stream, list("00"), bad_token),
        refused("ListStreams", "a token of another list", Given::Stream, list("0123456789ab"), bad_token),
    ]
}
