//! How far consumer groups have come.

use payload_manager_types::UnixMillis;

use super::samples::{append, commit, create, entry, stream};
use super::{Case, Subject, apply, content, done, sure};
use crate::change::{Change, Outcome, Refusal};
use crate::store::ConsumerGroup;

pub(super) const CASES: &[Case] = &[
    ("a group commits any offset up to the next", a_group_commits_any_offset_up_to_the_next),
    ("groups of a stream are listed by name", groups_of_a_stream_are_listed_by_name),
    ("groups go with their stream", groups_go_with_their_stream),
];

fn a_group_commits_any_offset_up_to_the_next(subject: &dyn Subject) {
    let mut store = subject.open();
    let name = stream("n", "s");
    done(&mut *store, &[create(&name), commit(&name, "g", 0, 1)]);
    let beyond = |next| [Outcome::Refused(Refusal::OffsetBeyondEnd { next })];
    assert_eq!(apply(&mut *store, &[commit(&name, "g", 1, 1)]), beyond(0));
    apply(&mut *store, &[append(&name, vec![entry(1); 3], 1)]);
    for offset in [3, 0, 2] {
        done(&mut *store, &[commit(&name, "g", offset, offset)]);
        let mut reader = sure(|| store.reader());
        assert_eq!(sure(|| reader.committed(&name, "g")), Some(offset));
    }
    for offset in [4, u64::MAX] {
        assert_eq!(apply(&mut *store, &[commit(&name, "g", offset, 9)]), beyond(3));
    }
    let nowhere = [commit(&stream("", "s"), "g", 0, 1)];
    assert_eq!(apply(&mut *store, &nowhere), [Outcome::Refused(Refusal::NoSuchStream)]);
    drop(store);
    let store = subject.open();
    let mut reader = sure(|| store.reader());
    assert_eq!(sure(|| reader.committed(&name, "g")), Some(2), "opened again, too");
    assert_eq!(sure(|| reader.committed(&name, "h")), None);
    assert_eq!(sure(|| reader.committed(&stream("", "s"), "g")), None);
}

fn groups_of_a_stream_are_listed_by_name(subject: &dyn Subject) {
    let mut store = subject.open();
    let (name, other) = (stream("", "s"), stream("", "t"));
    done(&mut *store, &[create(&name), create(&other), commit(&other, "x", 0, u64::MAX)]);
    let mut names = ["b".to_owned(), "\u{1f980}".to_owned(), "A".to_owned(), "n".repeat(255), "a b".to_owned()];
    for group in &names {
        done(&mut *store, &[commit(&name, group, 0, 7)]);
    }
    names.sort();
    let group = |name: String, at| ConsumerGroup { name, offset: 0, at: UnixMillis(at) };
    let expected = [names.map(|name| group(name, 7)).into(), vec![group("x".to_owned(), u64::MAX)]];
    assert_eq!(content(&*store).groups, expected);
}

fn groups_go_with_their_stream(subject: &dyn Subject) {
    let mut store = subject.open();
    let name = stream("", "s");
    done(&mut *store, &[create(&name), commit(&name, "g", 0, 1), Change::DeleteStream { name: name.clone() }]);
    let mut reader = sure(|| store.reader());
    assert_eq!(sure(|| reader.committed(&name, "g")), None);
    done(&mut *store, &[create(&name)]);
    assert_eq!(sure(|| reader.committed(&name, "g")), None, "made again, it is another stream");
    assert_eq!(content(&*store).groups, [vec![]]);
}
