//! Answers in pages.

use std::fmt::Debug;

use super::samples::{add_event, append, commit, create, entry, event, facts, id, put, stream};
use super::{Case, Subject, apply, done, sure};
use crate::page::{Limit, Page};
use crate::store::{Reader, Span, entry_weight};

pub(super) const CASES: &[Case] = &[
    ("pages of streams join up", pages_of_streams_join_up),
    ("pages of groups join up", pages_of_groups_join_up),
    ("pages of events join up", pages_of_events_join_up),
    ("a page holds what fits its bytes and at least one", a_page_holds_what_fits_its_bytes_and_at_least_one),
];

/// Reads page after page, of `size` items, each from after the last one of the page before.
fn joined<T: Clone + Debug>(size: usize, mut read: impl FnMut(Option<T>, Limit) -> Page<T>) -> Vec<T> {
    let mut all: Vec<T> = vec![];
    loop {
        let page = read(all.last().cloned(), Limit::items(size));
        assert!(page.items.len() == size || !page.more && page.items.len() < size, "{page:?}");
        all.extend(page.items);
        if !page.more {
            return all;
        }
    }
}

/// Pages of any size must join up to what one page holds.
fn join_up<T: Clone + Debug + PartialEq>(count: usize, mut read: impl FnMut(Option<T>, Limit) -> Page<T>) {
    let all = read(None, Limit::NONE);
    assert_eq!((all.items.len(), all.more), (count, false));
    for size in 1..=count + 1 {
        assert_eq!(joined(size, &mut read), all.items, "pages of {size}");
    }
    assert_eq!(read(None, Limit::items(0)), Page { items: vec![], more: true });
}

fn pages_of_streams_join_up(subject: &dyn Subject) {
    let mut store = subject.open();
    let names = [("b", "a"), ("", "z"), ("a", "é"), ("", "a"), ("A", "x")].map(|(space, name)| stream(space, name));
    done(&mut *store, &names.each_ref().map(create));
    let mut reader = sure(|| store.reader());
    join_up(5, |after, limit| {
        let after = after.map(|info: crate::StreamInfo| info.name);
        sure(|| reader.streams_after(after.as_ref(), limit))
    });
    let gone = stream("a", "gone");
    let after = sure(|| reader.streams_after(Some(&gone), Limit::NONE));
    assert_eq!(after.items.len(), 2, "from where one that is gone was");
}

fn pages_of_groups_join_up(subject: &dyn Subject) {
    let mut store = subject.open();
    let name = stream("", "s");
    done(&mut *store, &[create(&name)]);
    done(&mut *store, &["b", "a", "c", "é"].map(|group| commit(&name, group, 0, 1)));
    let mut reader = sure(|| store.reader());
    join_up(4, |after, limit| {
        let after = after.map(|group: crate::ConsumerGroup| group.name);
        sure(|| reader.groups(&name, after.as_deref(), limit))
    });
}

fn pages_of_events_join_up(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1)), put(facts(2)), add_event(2, event("of another"), 1)]);
    done(&mut *store, &["a", "b", "c"].map(|what| add_event(1, event(what), 1)));
    let mut reader = sure(|| store.reader());
    join_up(3, |after, limit| {
        let after = after.map(|event: crate::MetadataEvent| event.number);
        sure(|| reader.metadata_events(id(1), after, limit))
    });
    assert_eq!(sure(|| reader.metadata_events(id(1), Some(u64::MAX), Limit::NONE)).items, []);
}

fn a_page_holds_what_fits_its_bytes_and_at_least_one(subject: &dyn Subject) {
    let mut store = subject.open();
    let name = stream("n", "s");
    done(&mut *store, &[create(&name)]);
    apply(&mut *store, &[append(&name, vec![entry(1); 4], 1)]);
    let mut reader: Box<dyn Reader> = sure(|| store.reader());
    let mut read = |bytes| {
        let page = sure(|| reader.entries(&name, Span::from(0), Limit { items: 9, bytes }));
        (page.items, page.more)
    };
    let one = entry_weight(&name, read(usize::MAX).0.first().unwrap());
    for (bytes, count) in [(0, 1), (one, 1), (2 * one - 1, 1), (2 * one, 2), (4 * one - 1, 3), (4 * one, 4)] {
        let (items, more) = read(bytes);
        assert_eq!((items.len(), more), (count, count < 4), "{bytes} bytes");
    }
}
