//! What streams keep.

use payload_manager_types::{Retention, StreamName, UnixMillis};

use super::samples::{append, entry, stream};
use super::{Case, Subject, apply, content, done, sure};
use crate::change::{Change, Outcome, Refusal, TRIM};
use crate::page::Limit;
use crate::store::{Span, Store};

pub(super) const CASES: &[Case] = &[
    ("an append removes what is too much", an_append_removes_what_is_too_much),
    ("an append removes what is too old", an_append_removes_what_is_too_old),
    ("trimming removes what is too old by then", trimming_removes_what_is_too_old_by_then),
    ("retention cuts from the front only", retention_cuts_from_the_front_only),
    ("much that is too old goes some at a time", much_that_is_too_old_goes_some_at_a_time),
    ("offsets go on after everything was removed", offsets_go_on_after_everything_was_removed),
    ("without retention nothing goes", without_retention_nothing_goes),
];

fn name() -> StreamName {
    stream("", "s")
}

fn open(subject: &dyn Subject, max_entries: u64, max_age_sec: u64) -> Box<dyn Store> {
    let mut store = subject.open();
    let retention = Retention { max_entries, max_age_sec };
    done(&mut *store, &[Change::CreateStream { name: name(), retention, at: UnixMillis(0) }]);
    store
}

fn trim(at: u64) -> Change {
    Change::Trim { stream: name(), at: UnixMillis(at) }
}

/// The offsets that are there; the stream must say the same of itself.
fn kept(store: &dyn Store) -> Vec<u64> {
    let mut reader = sure(|| store.reader());
    let entries = sure(|| reader.entries(&name(), Span::from(0), Limit::NONE)).items;
    let kept: Vec<_> = entries.iter().map(|entry| entry.offset).collect();
    let info = sure(|| reader.stream(&name())).unwrap();
    assert_eq!(kept, (info.first..info.next).collect::<Vec<_>>());
    assert_eq!(sure(|| reader.streams()), [info]);
    kept
}

fn an_append_removes_what_is_too_much(subject: &dyn Subject) {
    let mut store = open(subject, 3, 0);
    let mut add = |count| apply(&mut *store, &[append(&name(), vec![entry(1); count], 1)]).remove(0);
    assert_eq!(add(2), Outcome::Appended { first: 0, last: 1, oldest: 0 });
    assert_eq!(add(2), Outcome::Appended { first: 2, last: 3, oldest: 1 });
    assert_eq!(add(5), Outcome::Appended { first: 4, last: 8, oldest: 6 }, "some of its own");
    assert_eq!(kept(&*store), [6, 7, 8]);
    assert_eq!(apply(&mut *store, &[trim(u64::MAX)]), [Outcome::Trimmed { oldest: 6, more: false }]);
}

fn an_append_removes_what_is_too_old(subject: &dyn Subject) {
    let mut store = open(subject, 0, 2);
    for (at, oldest) in [(1000, 0), (3000, 0), (3001, 1), (3001, 1), (5000, 1), (5001, 2)] {
        let Outcome::Appended { oldest: left, .. } =
            apply(&mut *store, &[append(&name(), vec![entry(1)], at)]).remove(0)
        else {
            panic!("not appended")
        };
        assert_eq!(left, oldest, "at {at}");
    }
    assert_eq!(kept(&*store), [2, 3, 4, 5]);
}

fn trimming_removes_what_is_too_old_by_then(subject: &dyn Subject) {
    let mut store = open(subject, 10, 1);
    for at in [100, 200, 300] {
        apply(&mut *store, &[append(&name(), vec![entry(1)], at)]);
    }
    let trimmed = |oldest| [Outcome::Trimmed { oldest, more: false }];
    for (at, oldest) in [(0, 0), (1100, 0), (1101, 1), (900, 1), (1250, 2), (u64::MAX, 3), (u64::MAX, 3)] {
        assert_eq!(apply(&mut *store, &[trim(at)]), trimmed(oldest), "at {at}");
    }
    assert_eq!(kept(&*store), Vec::<u64>::new());
    let nowhere = Change::Trim { stream: stream("x", "s"), at: UnixMillis(1) };
    assert_eq!(apply(&mut *store, &[nowhere]), [Outcome::Refused(Refusal::NoSuchStream)]);
}

/// The clock may step back between appends; what is kept has no holes all the same, and nothing young goes.
fn retention_cuts_from_the_front_only(subject: &dyn Subject) {
    let mut store = open(subject, 0, 1);
    for at in [5000, 100, 5000, 200] {
        apply(&mut *store, &[append(&name(), vec![entry(1)], at)]);
    }
    assert_eq!(kept(&*store), [0, 1, 2, 3]);
    assert_eq!(apply(&mut *store, &[trim(5500)]), [Outcome::Trimmed { oldest: 0, more: false }]);
    assert_eq!(apply(&mut *store, &[trim(6001)]), [Outcome::Trimmed { oldest: 4, more: false }]);
}

fn much_that_is_too_old_goes_some_at_a_time(subject: &dyn Subject) {
    let mut store = open(subject, 0, 1);
    let count = usize::try_from(2 * TRIM).unwrap();
    apply(&mut *store, &[append(&name(), vec![entry(1); count + 1], 1)]);
    let late = 1_000_000;
    assert_eq!(apply(&mut *store, &[trim(late)]), [Outcome::Trimmed { oldest: TRIM, more: true }]);
    let first = 2 * TRIM + 1;
    let appended = Outcome::Appended { first, last: first, oldest: 2 * TRIM };
    assert_eq!(apply(&mut *store, &[append(&name(), vec![entry(2)], late)]), [appended]);
    assert_eq!(apply(&mut *store, &[trim(late)]), [Outcome::Trimmed { oldest: first, more: false }]);
    assert_eq!(kept(&*store), [first]);
}

fn offsets_go_on_after_everything_was_removed(subject: &dyn Subject) {
    let mut store = open(subject, 0, 1);
    apply(&mut *store, &[append(&name(), vec![entry(1); 5], 0), trim(u64::MAX)]);
    assert_eq!(kept(&*store), Vec::<u64>::new());
    drop(store);
    let mut store = subject.open();
    let info = content(&*store).streams.remove(0).0;
    assert_eq!((info.first, info.next), (5, 5));
    let appended = Outcome::Appended { first: 5, last: 5, oldest: 5 };
    assert_eq!(apply(&mut *store, &[append(&name(), vec![entry(1)], 1)]), [appended]);
}

fn without_retention_nothing_goes(subject: &dyn Subject) {
    for (max_entries, max_age_sec) in [(0, 0), (u64::MAX, u64::MAX)] {
        let mut store = open(subject, max_entries, max_age_sec);
        apply(&mut *store, &[append(&name(), vec![entry(1); 5], 0), trim(u64::MAX)]);
        assert_eq!(kept(&*store), [0, 1, 2, 3, 4]);
        done(&mut *store, &[Change::DeleteStream { name: name() }]);
    }
}
