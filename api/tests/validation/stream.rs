//! Streams: names, positions, times, entries.

use std::collections::HashMap;

use payload_manager_api::Timestamp;
use payload_manager_api::convert::*;
use payload_manager_api::reason::Reason;
use payload_manager_api::runtime::v1::subscribe_request::Start as WireStart;
use payload_manager_api::runtime::v1::*;
use payload_manager_types::{NewEntry, StreamEntry, StreamName, UnixMillis};

use crate::{id, refusal};

fn stream(namespace: &str, name: &str) -> Option<StreamId> {
    Some(StreamId { name: name.to_owned(), namespace: namespace.to_owned() })
}

#[test]
fn a_name_has_1_to_255_bytes_without_control_characters() {
    let create = |stream| CreateStream::try_from(CreateStreamRequest { stream, ..Default::default() });
    let longest = "n".repeat(255);
    for good in [stream("", "a"), stream("ns", "a/ü b"), stream(&longest, &longest)] {
        assert!(create(good).is_ok());
    }
    let long = "n".repeat(256);
    for bad in [None, stream("ns", ""), stream("", &long), stream(&long, "a"), stream("", "a\n"), stream("\0", "a")] {
        assert_eq!(refusal(create(bad.clone())), (Reason::BadStreamName, "stream"));
        assert_eq!(refusal(StreamName::try_from(DeleteStreamRequest { stream: bad.clone() })).0, Reason::BadStreamName);
        assert_eq!(refusal(StreamName::try_from(GetStreamRequest { stream: bad })).0, Reason::BadStreamName);
    }
    for group in ["", &long, "a\u{7f}"] {
        let asked = GetCommittedRequest { stream: stream("", "a"), consumer_group: group.to_owned() };
        assert_eq!(refusal(GetCommitted::try_from(asked)), (Reason::BadGroupName, "consumer_group"));
        let commit = CommitRequest { stream: stream("", "a"), consumer_group: group.to_owned(), offset: 0 };
        assert_eq!(refusal(Commit::try_from(commit)), (Reason::BadGroupName, "consumer_group"));
    }
}

#[test]
fn an_item_needs_an_id_and_a_time_that_can_be_written() {
    let append = |item| Append::try_from(AppendRequest { stream: stream("", "a"), items: vec![item] });
    let at = |seconds, nanos| AppendItem {
        payload_id: id(16),
        event_time: Some(Timestamp { seconds, nanos }),
        ..Default::default()
    };
    assert!(append(at(-1, 999_999_999)).is_ok());
    assert_eq!(refusal(append(AppendItem::default())), (Reason::IdLength, "payload_id"));
    assert_eq!(refusal(append(at(253_402_300_800, 0))), (Reason::TimeTooLate, "event_time"));
    assert_eq!(refusal(append(at(0, 1_000_000_000))), (Reason::BadTime, "event_time"));
    assert_eq!(refusal(append(at(i64::MIN, 0))), (Reason::BadTime, "event_time"));
    let tags = HashMap::from([(String::new(), "x".repeat(ITEM_LIMIT + 1))]);
    let heavy = AppendItem { payload_id: id(16), tags, ..Default::default() };
    assert_eq!(refusal(append(heavy)), (Reason::MetadataTooLarge, "tags"));
    let nothing = Append::try_from(AppendRequest { stream: stream("", "a"), items: Vec::new() });
    assert!(nothing.unwrap().entries.is_empty());
}

#[test]
fn a_read_answers_at_most_ten_thousand_entries() {
    for (asked, given) in [(0, READ_LIMIT), (1, 1), (10_000, 10_000), (10_001, READ_LIMIT), (u64::MAX, READ_LIMIT)] {
        let request = ReadRequest { stream: stream("", "a"), max_entries: asked, ..Default::default() };
        assert_eq!(Read::try_from(request).unwrap().max_entries, given);
    }
    let from = |not_before| ReadRequest { stream: stream("", "a"), not_before, ..Default::default() };
    let time = Timestamp { seconds: 1, nanos: 0 };
    assert_eq!(Read::try_from(from(Some(time))).unwrap().not_before, Some(UnixMillis(1000)));
    let late = Timestamp { seconds: i64::MAX, nanos: 0 };
    assert_eq!(refusal(Read::try_from(from(Some(late)))), (Reason::TimeTooLate, "not_before"));
}

#[test]
fn a_range_ends_where_it_starts_or_later() {
    let range = |start_offset, end_offset| {
        GetRange::try_from(GetRangeRequest { stream: stream("", "a"), start_offset, end_offset })
    };
    assert!(range(3, 3).is_ok());
    assert_eq!(refusal(range(3, 2)), (Reason::BadRange, "end_offset"));
}

#[test]
fn a_subscription_starts_at_the_beginning_unless_it_says_otherwise() {
    let cases = [
        (None, Start::Beginning),
        (Some(WireStart::Offset(0)), Start::Offset(0)),
        (Some(WireStart::FromBeginning(true)), Start::Beginning),
        (Some(WireStart::FromBeginning(false)), Start::Beginning),
        (Some(WireStart::FromLatest(true)), Start::Latest),
        (Some(WireStart::FromLatest(false)), Start::Beginning),
    ];
    for (start, expected) in cases {
        let request = SubscribeRequest { stream: stream("", "a"), start, max_inflight: 0 };
        let subscribe = Subscribe::try_from(request).unwrap();
        assert_eq!((subscribe.start, subscribe.max_inflight), (expected, None));
    }
}

#[test]
fn an_entry_survives_the_wire() {
    let name = StreamName::new("ns", "a").unwrap();
    let what = NewEntry {
        payload: id(16).unwrap().try_into().unwrap(),
        event_time: Some(payload_manager_types::Timestamp { seconds: -7, nanos: 5 }),
        duration_ns: 9,
        tags: [("k".to_owned(), "v".to_owned())].into(),
    };
    assert_eq!(NewEntry::try_from(AppendItem::from(what.clone())), Ok(what.clone()));
    let original = StreamEntry { offset: 3, append_time: UnixMillis(1_700_000_000_001), what };
    let wire = entry_to_wire(&name, original.clone());
    assert_eq!(wire.stream.clone().unwrap().try_into(), Ok(name));
    assert_eq!(entry(wire), Ok(original));
}
