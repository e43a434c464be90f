//! Streams and their entries.

use payload_manager_types::{Retention, StreamEntry, StreamName, UnixMillis};

use super::samples::{append, create, entry, facts, put, strange_entry, stream};
use super::{Case, Subject, apply, content, done, entries, sure};
use crate::change::{Change, Outcome, Refusal};
use crate::page::Limit;
use crate::store::{Span, StreamInfo};

pub(super) const CASES: &[Case] = &[
    ("streams are listed by namespace and name", streams_are_listed_by_namespace_and_name),
    ("a stream is made once", a_stream_is_made_once),
    ("a deleted stream takes its entries along", a_deleted_stream_takes_its_entries_along),
    ("offsets start at 0 and grow by 1", offsets_start_at_0_and_grow_by_1),
    ("an entry reads back as it was appended", an_entry_reads_back_as_it_was_appended),
    ("an append of nothing changes nothing", an_append_of_nothing_changes_nothing),
    ("a refused change leaves its batch alone", a_refused_change_leaves_its_batch_alone),
    ("entries are read from where and as many as asked", entries_are_read_from_where_and_as_many_as_asked),
];

/// Nothing is removed.
fn appended(first: u64, last: u64) -> Outcome {
    Outcome::Appended { first, last, oldest: 0 }
}

fn delete(name: &StreamName) -> Change {
    Change::DeleteStream { name: name.clone() }
}

fn streams_are_listed_by_namespace_and_name(subject: &dyn Subject) {
    let mut store = subject.open();
    let mut names: Vec<_> =
        [("b", "a"), ("", "z"), ("a", "é"), ("a", "b"), ("", "a"), ("a b", "c"), ("A", "x"), ("a", &"n".repeat(255))]
            .map(|(namespace, name)| stream(namespace, name))
            .into();
    done(&mut *store, &names.iter().map(create).collect::<Vec<_>>());
    names.sort();
    let retention = Retention { max_entries: u64::MAX, max_age_sec: 3 };
    let info = |name| StreamInfo { name, retention, first: 0, next: 0, created: UnixMillis(5) };
    let mut reader = sure(|| store.reader());
    assert_eq!(sure(|| reader.streams()), names.into_iter().map(info).collect::<Vec<_>>());
}

fn a_stream_is_made_once(subject: &dyn Subject) {
    let mut store = subject.open();
    let (name, namesake) = (stream("a", "s"), stream("", "s"));
    done(&mut *store, &[create(&name), create(&namesake)]);
    done(&mut *store, &[delete(&namesake)]);
    apply(&mut *store, &[append(&name, vec![entry(1)], 1)]);
    let before = content(&*store);
    assert_eq!(apply(&mut *store, &[create(&name)]), [Outcome::Refused(Refusal::StreamExists)]);
    assert_eq!(content(&*store), before);
}

fn a_deleted_stream_takes_its_entries_along(subject: &dyn Subject) {
    let mut store = subject.open();
    let (name, other) = (stream("", "s"), stream("", "t"));
    done(&mut *store, &[create(&name), create(&other)]);
    apply(&mut *store, &[append(&name, vec![entry(1), entry(2)], 1), append(&other, vec![entry(3)], 1)]);
    done(&mut *store, &[delete(&name), delete(&name), delete(&stream("x", "y"))]);
    assert_eq!(content(&*store).streams.len(), 1);
    done(&mut *store, &[create(&name)]);
    let content = content(&*store);
    let entries: Vec<usize> = content.streams.iter().map(|(_, entries)| entries.len()).collect();
    assert_eq!(entries, [0, 1], "made again, it is another stream");
    assert_eq!(apply(&mut *store, &[append(&name, vec![entry(4)], 1)]), [appended(0, 0)]);
}

fn offsets_start_at_0_and_grow_by_1(subject: &dyn Subject) {
    let name = stream("n", "s");
    let mut store = subject.open();
    done(&mut *store, &[create(&name)]);
    let both = [append(&name, vec![entry(1); 3], 1), append(&name, vec![entry(2)], 1)];
    let expected = [appended(0, 2), appended(3, 3)];
    assert_eq!(apply(&mut *store, &both), expected);
    drop(store);
    let mut store = subject.open();
    assert_eq!(apply(&mut *store, &both[1..]), [appended(4, 4)], "opened again, too");
    let content = content(&*store);
    let (info, entries) = content.streams.first().unwrap();
    assert_eq!((info.first, info.next), (0, 5));
    assert_eq!(entries.iter().map(|e| e.offset).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

fn an_entry_reads_back_as_it_was_appended(subject: &dyn Subject) {
    let name = stream("", "s");
    let mut store = subject.open();
    done(&mut *store, &[create(&name)]);
    apply(&mut *store, &[append(&name, vec![entry(1), strange_entry(2)], 77)]);
    let read = content(&*store).streams.swap_remove(0).1;
    let expected = |offset, what| StreamEntry { offset, append_time: UnixMillis(77), what };
    assert_eq!(read, [expected(0, entry(1)), expected(1, strange_entry(2))]);
}

fn an_append_of_nothing_changes_nothing(subject: &dyn Subject) {
    let name = stream("", "s");
    let mut store = subject.open();
    done(&mut *store, &[create(&name)]);
    let before = content(&*store);
    done(&mut *store, &[append(&name, vec![], 9)]);
    assert_eq!(content(&*store), before);
    let nowhere = append(&stream("", "t"), vec![], 9);
    assert_eq!(apply(&mut *store, &[nowhere]), [Outcome::Refused(Refusal::NoSuchStream)]);
}

fn a_refused_change_leaves_its_batch_alone(subject: &dyn Subject) {
    let (name, nowhere) = (stream("", "s"), stream("", "t"));
    let mut store = subject.open();
    let batch = [
        put(facts(1)),
        append(&nowhere, vec![entry(1)], 1),
        create(&name),
        create(&name),
        append(&name, vec![entry(1)], 1),
    ];
    let refused = Outcome::Refused;
    let expected =
        [Outcome::Done, refused(Refusal::NoSuchStream), Outcome::Done, refused(Refusal::StreamExists), appended(0, 0)];
    assert_eq!(apply(&mut *store, &batch), expected);
    let content = content(&*store);
    assert_eq!((content.payloads.len(), content.streams.len()), (1, 1));
}

fn entries_are_read_from_where_and_as_many_as_asked(subject: &dyn Subject) {
    let name = stream("", "s");
    let mut store = subject.open();
    done(&mut *store, &[create(&name), create(&stream("", "t"))]);
    // The clock may step back between appends: offsets count, not times.
    for at in [10, 30, 20, 30] {
        apply(&mut *store, &[append(&name, vec![entry(at)], at), append(&stream("", "t"), vec![entry(0)], at)]);
    }
    let mut reader = sure(|| store.reader());
    let mut read = |from, to, max, not_before: Option<u64>| {
        let span = Span { from, to, not_before: not_before.map(UnixMillis) };
        let page = sure(|| reader.entries(&name, span, Limit::items(max)));
        (page.items.iter().map(|entry| entry.offset).collect::<Vec<_>>(), page.more)
    };
    let max = usize::MAX;
    assert_eq!(read(0, u64::MAX, 10, None), (vec![0, 1, 2, 3], false));
    assert_eq!(read(1, u64::MAX, 2, None), (vec![1, 2], true));
    assert_eq!(read(0, u64::MAX, 4, None), (vec![0, 1, 2, 3], false), "as many as there are");
    assert_eq!(read(0, u64::MAX, max, Some(30)), (vec![1, 3], false));
    assert_eq!(read(0, u64::MAX, 1, Some(11)), (vec![1], true), "counted after the filter");
    assert_eq!(read(0, u64::MAX, 2, Some(30)), (vec![1, 3], false), "and so is what is left");
    assert_eq!((read(1, 2, max, None), read(3, 3, max, None)), ((vec![1, 2], false), (vec![3], false)));
    assert_eq!((read(2, 1, max, None), read(3, 9, max, None)), ((vec![], false), (vec![3], false)));
    assert_eq!((read(4, u64::MAX, 9, None), read(u64::MAX, u64::MAX, 9, None)), ((vec![], false), (vec![], false)));
    assert_eq!((read(0, u64::MAX, 0, None), read(0, u64::MAX, 9, Some(u64::MAX))), ((vec![], true), (vec![], false)));
    assert_eq!(entries(&mut *reader, &stream("", "u")), []);
}
