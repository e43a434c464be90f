//! Rows: streams.

use payload_manager_api::core::v1::PayloadId;
use payload_manager_api::runtime::v1::subscribe_request::Start;
use payload_manager_api::runtime::v1::{
    AppendItem, AppendRequest, AppendResponse, CommitRequest, CreateStreamRequest, DeleteStreamRequest,
    GetCommittedRequest, GetRangeRequest, GetStreamRequest, ReadRequest, ReadResponse, StreamId, SubscribeRequest,
    SubscribeResponse,
};
use payload_manager_api::{Reason, Timestamp};
use payload_manager_tests::rpc::stream;
use prost::Message;
use tonic::Code;

use super::row::{Row, good, refused};
use super::world::{Given, STREAM, World};

const INVALID: Code = Code::InvalidArgument;

pub(super) fn rows() -> Vec<Row> {
    [made(), appended(), refused_appends(), read(), subscribed(), misnamed()].into_iter().flatten().collect()
}

fn made() -> Vec<Row> {
    let create = |_: &World| CreateStreamRequest { stream: Some(stream(STREAM)), ..Default::default() };
    let delete = |_: &World| DeleteStreamRequest { stream: Some(stream(STREAM)) };
    vec![
        good("CreateStream", "new", Given::Nothing, create, |_, (): ()| {}),
        refused("CreateStream", "again", Given::Stream, create, (Code::AlreadyExists, Reason::StreamExists))
            .saying(&[STREAM]),
        good("DeleteStream", "full", Given::Stream, delete, |_, (): ()| {}),
        good("DeleteStream", "none", Given::Nothing, delete, |_, (): ()| {}),
    ]
}

fn item(id: &PayloadId) -> AppendItem {
    AppendItem { payload_id: Some(id.clone()), ..Default::default() }
}

fn absent() -> PayloadId {
    PayloadId { value: vec![1; 16] }
}

fn append(items: Vec<AppendItem>) -> AppendRequest {
    AppendRequest { stream: Some(stream(STREAM)), items }
}

fn appended() -> Vec<Row> {
    let two = |world: &World| append(vec![item(&world.subject), item(&world.subject)]);
    vec![
        good("Append", "two", Given::Stream, two, |_, answer: AppendResponse| {
            assert_eq!((answer.first_offset, answer.last_offset), (3, 4));
        }),
        good("Append", "where some were removed", Given::CutStream, two, |_, answer: AppendResponse| {
            assert_eq!((answer.first_offset, answer.last_offset), (3, 4), "offsets are never used again");
        }),
        good("Append", "nothing", Given::Stream, |_| append(Vec::new()), |_, _: AppendResponse| {}),
    ]
}

fn refused_appends() -> Vec<Row> {
    let nobody = || item(&absent());
    let with = |change: fn(&mut AppendItem)| {
        move |world: &World| {
            let mut bad = item(&world.subject);
            change(&mut bad);
            // All or none: the first one is good.
            append(vec![item(&world.subject), bad])
        }
    };
    let only = |world: &World| append(vec![item(&world.subject)]);
    let (no_stream, no_payload) = ((Code::NotFound, Reason::StreamNotFound), (Code::NotFound, Reason::PayloadNotFound));
    let uncommitted = (Code::FailedPrecondition, Reason::NotCommitted);
    let thousand = |bad: fn(&World) -> AppendItem| {
        move |world: &World| {
            let mut items = vec![item(&world.subject); 1000];
            items[777] = bad(world);
            append(items)
        }
    };
    let bad_time = |item: &mut AppendItem| item.event_time = Some(Timestamp { seconds: 1, nanos: -1 });
    let late = |item: &mut AppendItem| item.event_time = Some(Timestamp { seconds: 253_402_300_800, nanos: 0 });
    let fat = |item: &mut AppendItem| item.tags = [("key".to_owned(), "x".repeat(1 << 20))].into();
    vec![
        refused("Append", "to none", Given::Active, only, no_stream).saying(&[STREAM]),
        refused("Append", "nothing to none", Given::Active, |_| append(Vec::new()), no_stream),
        refused(
            "Append",
            "one that is not there",
            Given::Stream,
            move |w| append(vec![item(&w.subject), nobody()]),
            no_payload,
        ),
        refused(
            "Append",
            "not committed",
            Given::Stream,
            |w| append(vec![item(&w.subject), item(&w.other)]),
            uncommitted,
        ),
        refused("Append", "one of 1,000 is not there", Given::Stream, thousand(|_| item(&absent())), no_payload),
        refused("Append", "one of 1,000 is not committed", Given::Stream, thousand(|w| item(&w.other)), uncommitted),
        refused(
            "Append",
            "one of 1,000 is no id",
            Given::Stream,
            thousand(|_| item(&PayloadId { value: vec![1; 15] })),
            (INVALID, Reason::IdLength),
        ),
        refused("Append", "at no time", Given::Stream, with(bad_time), (INVALID, Reason::BadTime)),
        refused("Append", "after the year 9999", Given::Stream, with(late), (INVALID, Reason::TimeTooLate)),
        refused("Append", "too much in tags", Given::Stream, with(fat), (INVALID, Reason::MetadataTooLarge)),
    ]
}

fn from(start_offset: u64, max_entries: u64) -> impl Fn(&World) -> ReadRequest {
    move |_| ReadRequest { stream: Some(stream(STREAM)), start_offset, max_entries, not_before: None }
}

fn offsets(wanted: &'static [u64]) -> impl Fn(&World, ReadResponse) {
    move |world, answer| {
        let found: Vec<u64> = answer.entries.iter().map(|entry| entry.offset).collect();
        assert_eq!(found, wanted);
        let whose = |id: &Option<PayloadId>| id.as_ref() == Some(&world.subject);
        assert!(answer.entries.iter().all(|entry| whose(&entry.payload_id) && entry.append_time.is_some()));
        assert!(answer.entries.iter().all(|entry| entry.stream == Some(stream(STREAM))));
    }
}

fn read() -> Vec<Row> {
    let bad_time = |_: &World| ReadRequest {
        stream: Some(stream(STREAM)),
        not_before: Some(Timestamp { seconds: 0, nanos: 2_000_000_000 }),
        ..Default::default()
    };
    let future = |_: &World| ReadRequest {
        stream: Some(stream(STREAM)),
        not_before: Some(Timestamp { seconds: 253_402_300_799, nanos: 0 }),
        ..Default::default()
    };
    vec![
        good("Read", "all", Given::Stream, from(0, 0), offsets(&[0, 1, 2])),
        good("Read", "two", Given::Stream, from(1, 1), offsets(&[1])),
        good("Read", "at the end", Given::Stream, from(3, 0), offsets(&[])),
        good("Read", "nothing that old", Given::Stream, future, offsets(&[])),
        refused("Read", "none", Given::Nothing, from(0, 0), (Code::NotFound, Reason::StreamNotFound)),
        refused("Read", "beyond", Given::Stream, from(4, 0), (Code::OutOfRange, Reason::OffsetBeyondEnd))
            .saying(&["3"]),
        good("Read", "the oldest kept", Given::CutStream, from(0, 0), offsets(&[2])),
        refused("Read", "removed", Given::CutStream, from(1, 0), (Code::OutOfRange, Reason::OffsetRemoved))
            .saying(&["2"]),
        refused("Read", "not before no time", Given::Stream, bad_time, (INVALID, Reason::BadTime)),
    ]
}

fn start(start: Option<Start>) -> impl Fn(&World) -> SubscribeRequest {
    move |_| SubscribeRequest { stream: Some(stream(STREAM)), start, max_inflight: 0 }
}

fn begins(offset: u64) -> impl Fn(&World, SubscribeResponse) {
    move |world, answer| {
        let entry = answer.entry.unwrap();
        assert_eq!((entry.offset, entry.payload_id), (offset, Some(world.subject.clone())));
    }
}

fn subscribed() -> Vec<Row> {
    let removed = (Code::OutOfRange, Reason::OffsetRemoved);
    let none = (Code::NotFound, Reason::StreamNotFound);
    vec![
        good("Subscribe", "by default", Given::Stream, start(None), begins(0)),
        good("Subscribe", "from an offset", Given::Stream, start(Some(Start::Offset(2))), begins(2)),
        good("Subscribe", "from the beginning", Given::CutStream, start(Some(Start::FromBeginning(true))), begins(2)),
        refused("Subscribe", "from what is removed", Given::CutStream, start(Some(Start::Offset(1))), removed)
            .saying(&["2"]),
        refused("Subscribe", "to none", Given::Nothing, start(None), none),
    ]
}

/// Every call that names a stream, with names that break the rules.
fn misnamed() -> Vec<Row> {
    let named = |name: &str, namespace: &str| StreamId { name: name.to_owned(), namespace: namespace.to_owned() };
    let (long, longer) = ("x".repeat(256), "x".repeat(10 << 10));
    let mut bad = vec![named("", ""), named("a", "\u{7f}"), named("a", &long)];
    bad.extend([long.as_str(), &longer, "a\nb", "a\0b"].map(|name| named(name, "")));
    let mut rows = Vec::new();
    for bad in bad {
        let stream = Some(bad);
        rows.push(misname("CreateStream", CreateStreamRequest { stream: stream.clone(), ..Default::default() }));
        rows.push(misname("DeleteStream", DeleteStreamRequest { stream: stream.clone() }));
        rows.push(misname("Append", AppendRequest { stream: stream.clone(), items: Vec::new() }));
        rows.push(misname("Read", ReadRequest { stream: stream.clone(), ..Default::default() }));
        rows.push(misname("GetRange", GetRangeRequest { stream: stream.clone(), ..Default::default() }));
        rows.push(misname("Subscribe", SubscribeRequest { stream: stream.clone(), ..Default::default() }));
        rows.push(misname("Commit", CommitRequest { stream: stream.clone(), ..Default::default() }));
        rows.push(misname("GetCommitted", GetCommittedRequest { stream: stream.clone(), ..Default::default() }));
        rows.push(misname("GetStream", GetStreamRequest { stream }));
    }
    rows
}

fn misname<M: Message + Clone + 'static>(call: &'static str, ask: M) -> Row {
    refused(call, "misnamed", Given::Nothing, move |_| ask.clone(), (INVALID, Reason::BadStreamName))
}
