//! Archives that are behind what is said about their payloads.

use payload_manager_core::facts::Facts;
use payload_manager_types::{Tier, TierSet};

use super::samples::{add_event, edge, event, facts, id, lineage, metadata, put, set};
use super::{Case, Subject, apply, done, sure};
use crate::change::Change;
use crate::metadata::MetadataMode;
use crate::page::Limit;
use crate::store::{StaleArchive, Store};

pub(super) const CASES: &[Case] = &[
    ("whatever is said leaves an archive behind", whatever_is_said_leaves_an_archive_behind),
    ("what has no durable copy has no archive", what_has_no_durable_copy_has_no_archive),
    ("a first durable copy lacks what was said before", a_first_durable_copy_lacks_what_was_said_before),
    ("only what was written as of the last mark is right", only_what_was_written_as_of_the_last_mark_is_right),
    ("a mark goes with the row", a_mark_goes_with_the_row),
    ("marks come in pages by id", marks_come_in_pages_by_id),
];

fn durable(n: u64) -> Facts {
    Facts { copies: TierSet::EMPTY.with(Tier::Ram).with(Tier::Disk), ..facts(n) }
}

/// Which archives are behind, as numbers of payloads and of marks.
fn stale(store: &dyn Store) -> Vec<(u64, u64)> {
    let mut reader = sure(|| store.reader());
    let page = sure(|| reader.stale_archives(None, Limit::NONE));
    page.items.into_iter().map(|StaleArchive { id, number }| (id.to_words().1, number)).collect()
}

fn whatever_is_said_leaves_an_archive_behind(subject: &dyn Subject) {
    let mut store = subject.open();
    let object = Facts { copies: TierSet::EMPTY.with(Tier::Object), ..facts(3) };
    done(&mut *store, &[put(durable(1)), put(durable(2)), put(object), put(durable(4))]);
    assert_eq!(stale(&*store), []);
    done(&mut *store, &[add_event(1, event("x"), 1), lineage(2, vec![edge(4)])]);
    apply(&mut *store, &[set(3, metadata(b"x", ""), MetadataMode::Replace)]);
    drop(store);
    assert_eq!(stale(&*subject.open()), [(1, 1), (2, 1), (3, 1)]);
}

fn what_has_no_durable_copy_has_no_archive(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1)), add_event(1, event("x"), 1), lineage(1, vec![edge(2)])]);
    apply(&mut *store, &[add_event(2, event("x"), 1)]);
    assert_eq!(stale(&*store), []);
}

fn a_first_durable_copy_lacks_what_was_said_before(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1)), put(facts(2)), put(facts(3)), put(facts(4))]);
    done(&mut *store, &[add_event(1, event("x"), 1), lineage(2, vec![edge(4)])]);
    apply(&mut *store, &[set(3, metadata(b"", ""), MetadataMode::Replace)]);
    done(&mut *store, &[put(durable(1)), put(durable(2)), put(durable(3)), put(durable(4))]);
    assert_eq!(stale(&*store), [(1, 1), (2, 1), (3, 1)]);
    done(&mut *store, &[Change::Archived { id: id(1), number: 1 }, put(durable(1)), put(durable(2))]);
    assert_eq!(stale(&*store), [(2, 1), (3, 1)], "later changes of the row say nothing new");
    done(&mut *store, &[put(facts(1)), put(durable(1))]);
    assert_eq!(stale(&*store), [(1, 1), (2, 1), (3, 1)], "another first one");
}

fn only_what_was_written_as_of_the_last_mark_is_right(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(durable(1)), add_event(1, event("x"), 1), add_event(1, event("y"), 2)]);
    assert_eq!(stale(&*store), [(1, 2)]);
    done(&mut *store, &[Change::Archived { id: id(1), number: 1 }, Change::Archived { id: id(2), number: 2 }]);
    assert_eq!(stale(&*store), [(1, 2)]);
    done(&mut *store, &[Change::Archived { id: id(1), number: 2 }]);
    assert_eq!(stale(&*store), []);
    done(&mut *store, &[Change::Archived { id: id(1), number: 2 }, add_event(1, event("z"), 3)]);
    assert_eq!(stale(&*store), [(1, 1)]);
}

fn a_mark_goes_with_the_row(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(durable(1)), add_event(1, event("x"), 1)]);
    done(&mut *store, &[Change::Delete { id: id(1), doomed: vec![] }, put(durable(1))]);
    assert_eq!(stale(&*store), []);
}

fn marks_come_in_pages_by_id(subject: &dyn Subject) {
    let mut store = subject.open();
    for n in [5, 300, 1] {
        done(&mut *store, &[put(durable(n)), add_event(n, event("x"), 1)]);
    }
    let mut reader = sure(|| store.reader());
    let mut page = |after| {
        let page = sure(|| reader.stale_archives(after, Limit::items(2)));
        (page.items.iter().map(|stale| stale.id).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(page(None), (vec![id(1), id(5)], true));
    assert_eq!(page(Some(id(5))), (vec![id(300)], false));
}
