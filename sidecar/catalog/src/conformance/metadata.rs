//! What users say about payloads.

use payload_manager_types::UnixMillis;

use super::samples::{add_event, event, facts, id, metadata, put, set, strange_facts};
use super::{Case, Subject, apply, content, done, events, sure};
use crate::change::{Change, Outcome, Refusal};
use crate::metadata::{Metadata, MetadataEvent, MetadataMode, MetadataRecord, NewMetadataEvent};
use crate::store::Store;

pub(super) const CASES: &[Case] = &[
    ("metadata that was never set is not there", metadata_that_was_never_set_is_not_there),
    ("metadata reads back as it was set", metadata_reads_back_as_it_was_set),
    ("merging keeps what comes empty", merging_keeps_what_comes_empty),
    ("events are numbered in order for each payload", events_are_numbered_in_order_for_each_payload),
    ("what is said about nothing is refused", what_is_said_about_nothing_is_refused),
    ("what is said outlives a change of the row", what_is_said_outlives_a_change_of_the_row),
    ("what is said goes with the row", what_is_said_goes_with_the_row),
    ("starts are counted durably", starts_are_counted_durably),
];

/// Sets metadata of payload 1; the answer must be what is stored.
fn stored(store: &mut dyn Store, new: Metadata, mode: MetadataMode) -> Metadata {
    let outcome = apply(store, &[set(1, new, mode)]).remove(0);
    let mut reader = sure(|| store.reader());
    let record = sure(|| reader.metadata(id(1))).unwrap();
    assert_eq!(outcome, Outcome::Metadata(Box::new(record.clone())));
    record.metadata
}

fn metadata_that_was_never_set_is_not_there(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1))]);
    let mut reader = sure(|| store.reader());
    for n in [1, 2] {
        assert_eq!(sure(|| reader.metadata(id(n))), None);
        assert_eq!(events(&mut *reader, id(n)), []);
    }
}

fn metadata_reads_back_as_it_was_set(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1)), put(facts(2))]);
    let all_bytes: Vec<u8> = (0..=255).cycle().take(64 << 10).collect();
    for new in [metadata(&all_bytes, "schema\0 \u{1f980}"), metadata(b"", ""), metadata(b"\0", &"s".repeat(1 << 10))] {
        assert_eq!(stored(&mut *store, new.clone(), MetadataMode::Replace), new);
    }
    let last = MetadataRecord {
        metadata: metadata(b"\0", &"s".repeat(1 << 10)),
        actor: "an \0 actor".to_owned(),
        reason: "to try 1".to_owned(),
        updated: UnixMillis(u64::MAX - 1),
    };
    drop(store);
    assert_eq!(content(&*subject.open()).notes, [(Some(last), vec![]), (None, vec![])]);
}

fn merging_keeps_what_comes_empty(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1))]);
    let mut merged = |data: &[u8], schema| stored(&mut *store, metadata(data, schema), MetadataMode::Merge);
    assert_eq!(merged(b"", ""), metadata(b"", ""), "nothing was stored");
    assert_eq!(merged(b"a", ""), metadata(b"a", ""));
    assert_eq!(merged(b"", "text"), metadata(b"a", "text"));
    assert_eq!(merged(b"", ""), metadata(b"a", "text"));
    assert_eq!(merged(b"b", "json"), metadata(b"b", "json"));
    assert_eq!(stored(&mut *store, metadata(b"", "x"), MetadataMode::Replace), metadata(b"", "x"));
}

fn events_are_numbered_in_order_for_each_payload(subject: &dyn Subject) {
    let mut store = subject.open();
    let nothing = NewMetadataEvent::default();
    done(&mut *store, &[put(facts(1)), put(facts(2)), add_event(1, event("a"), 9), add_event(2, event("b"), 1)]);
    done(&mut *store, &[add_event(1, nothing.clone(), u64::MAX)]);
    drop(store);
    let mut store = subject.open();
    done(&mut *store, &[add_event(1, event("a"), 9)]);
    let event = |number, what, at| MetadataEvent { number, at: UnixMillis(at), what };
    let mut reader = sure(|| store.reader());
    let first = [event(0, super::samples::event("a"), 9), event(1, nothing, u64::MAX)];
    assert_eq!(events(&mut *reader, id(1)), [&first[..], &[event(2, super::samples::event("a"), 9)]].concat());
    assert_eq!(events(&mut *reader, id(2)), [event(0, super::samples::event("b"), 1)]);
}

fn what_is_said_about_nothing_is_refused(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1))]);
    let before = content(&*store);
    let batch = [set(2, metadata(b"x", ""), MetadataMode::Merge), add_event(2, event("x"), 1)];
    assert_eq!(apply(&mut *store, &batch), [const { Outcome::Refused(Refusal::NoSuchPayload) }; 2]);
    assert_eq!(content(&*store), before);
    done(&mut *store, &[put(facts(2))]);
    assert_eq!(content(&*store).notes, [(None, vec![]), (None, vec![])]);
}

fn what_is_said_outlives_a_change_of_the_row(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1)), add_event(1, event("x"), 1)]);
    apply(&mut *store, &[set(1, metadata(b"x", ""), MetadataMode::Replace)]);
    let before = content(&*store).notes;
    done(&mut *store, &[put(strange_facts(1))]);
    assert_eq!(content(&*store).notes, before);
}

fn what_is_said_goes_with_the_row(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1)), put(facts(2)), add_event(1, event("x"), 1), add_event(2, event("y"), 2)]);
    apply(&mut *store, &[set(1, metadata(b"x", ""), MetadataMode::Replace)]);
    done(&mut *store, &[Change::Delete { id: id(1), doomed: vec![] }]);
    let mut reader = sure(|| store.reader());
    assert_eq!((sure(|| reader.metadata(id(1))), events(&mut *reader, id(1))), (None, vec![]));
    assert_eq!(events(&mut *reader, id(2)).len(), 1);
}

fn starts_are_counted_durably(subject: &dyn Subject) {
    let mut store = subject.open();
    assert_eq!(apply(&mut *store, &[Change::CountStart]), [Outcome::Start(1)]);
    drop(store);
    let mut store = subject.open();
    assert_eq!(apply(&mut *store, &[Change::CountStart, Change::CountStart]), [Outcome::Start(2), Outcome::Start(3)]);
    done(&mut *store, &[Change::CountStartsFrom(1), Change::CountStartsFrom(1_700_000_000)]);
    assert_eq!(apply(&mut *store, &[Change::CountStart]), [Outcome::Start(1_700_000_001)]);
}
