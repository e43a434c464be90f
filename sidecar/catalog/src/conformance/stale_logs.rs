//! Archived logs that are behind their streams, and streams that are made again.

use payload_manager_types::{Retention, UnixMillis};

use super::samples::{append, commit, create, entry, stream};
use super::{Case, Subject, apply, done, entries, sure};
use crate::change::{Change, Outcome, Refusal};
use crate::page::Limit;
use crate::store::{StaleLog, Store};

pub(super) const CASES: &[Case] = &[
    ("whatever changes a stream leaves its log behind", whatever_changes_a_stream_leaves_its_log_behind),
    ("only what was written as of the last mark is right", only_what_was_written_as_of_the_last_mark_is_right),
    ("a mark outlives its stream", a_mark_outlives_its_stream),
    ("a stream is made again where it was", a_stream_is_made_again_where_it_was),
    ("streams' marks come in pages by name", streams_marks_come_in_pages_by_name),
];

/// Whose logs are behind, as names and numbers of marks.
fn stale(store: &dyn Store) -> Vec<(String, u64)> {
    let mut reader = sure(|| store.reader());
    let page = sure(|| reader.stale_logs(None, Limit::NONE));
    page.items.into_iter().map(|StaleLog { stream, number }| (stream.name().to_owned(), number)).collect()
}

fn whatever_changes_a_stream_leaves_its_log_behind(subject: &dyn Subject) {
    let (mut store, name) = (subject.open(), stream("", "a"));
    let retention = Retention { max_entries: 0, max_age_sec: 1 };
    done(&mut *store, &[Change::CreateStream { name: name.clone(), retention, at: UnixMillis(0) }]);
    assert_eq!(stale(&*store), [("a".to_owned(), 1)]);
    apply(&mut *store, &[append(&name, vec![entry(1), entry(2)], 1), commit(&name, "g", 1, 1)]);
    apply(&mut *store, &[append(&name, vec![], 1), create(&name), commit(&name, "g", 9, 1)]);
    drop(store);
    let mut store = subject.open();
    assert_eq!(stale(&*store), [("a".to_owned(), 3)], "what changes nothing marks nothing");
    apply(&mut *store, &[Change::Trim { stream: name.clone(), at: UnixMillis(1001) }]);
    assert_eq!(stale(&*store), [("a".to_owned(), 3)]);
    apply(&mut *store, &[Change::Trim { stream: name, at: UnixMillis(9000) }]);
    assert_eq!(stale(&*store), [("a".to_owned(), 4)]);
}

fn only_what_was_written_as_of_the_last_mark_is_right(subject: &dyn Subject) {
    let (mut store, name) = (subject.open(), stream("", "a"));
    done(&mut *store, &[create(&name), commit(&name, "g", 0, 1)]);
    let archived = |number| Change::LogArchived { stream: name.clone(), number };
    done(&mut *store, &[archived(1)]);
    assert_eq!(stale(&*store), [("a".to_owned(), 2)]);
    done(&mut *store, &[archived(2), archived(2)]);
    assert_eq!(stale(&*store), []);
}

fn a_mark_outlives_its_stream(subject: &dyn Subject) {
    let (mut store, name) = (subject.open(), stream("", "a"));
    let delete = || Change::DeleteStream { name: name.clone() };
    done(&mut *store, &[create(&name), delete(), delete()]);
    assert_eq!(stale(&*store), [("a".to_owned(), 2)]);
    done(&mut *store, &[create(&name)]);
    assert_eq!(stale(&*store), [("a".to_owned(), 3)]);
}

fn a_stream_is_made_again_where_it_was(subject: &dyn Subject) {
    let (mut store, name) = (subject.open(), stream("n", "a"));
    let retention = Retention { max_entries: 9, max_age_sec: 0 };
    let restore = || Change::RestoreStream { name: name.clone(), retention, next: 7, created: UnixMillis(5) };
    done(&mut *store, &[restore()]);
    assert_eq!(apply(&mut *store, &[restore()]), [Outcome::Refused(Refusal::StreamExists)]);
    let appended = apply(&mut *store, &[append(&name, vec![entry(1), entry(2)], 8), commit(&name, "g", 9, 9)]);
    assert_eq!(appended, [Outcome::Appended { first: 7, last: 8, oldest: 7 }, Outcome::Done]);
    let mut reader = sure(|| store.reader());
    let info = sure(|| reader.stream(&name)).unwrap();
    assert_eq!((info.first, info.next, info.created, info.retention), (7, 9, UnixMillis(5), retention));
    assert_eq!(entries(&mut *reader, &name).len(), 2);
}

fn streams_marks_come_in_pages_by_name(subject: &dyn Subject) {
    let mut store = subject.open();
    let names = [stream("", "a"), stream("", "b"), stream("a", "a")];
    done(&mut *store, &names.clone().map(|name| create(&name)));
    let mut reader = sure(|| store.reader());
    let first = sure(|| reader.stale_logs(None, Limit::items(2)));
    assert!(first.more && first.items.len() == 2);
    let rest = sure(|| reader.stale_logs(Some(&first.items[1].stream), Limit::items(2)));
    assert!(!rest.more);
    let all: Vec<_> = first.items.into_iter().chain(rest.items).map(|stale| stale.stream).collect();
    assert_eq!(all, names);
}
