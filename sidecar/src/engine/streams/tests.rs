//! What the tails hold, and which stream a name stands for. Only memory; the catalog is played by the tests.

use std::sync::Arc;

use payload_manager_catalog::Limit;
use payload_manager_types::{NewEntry, PayloadId, Retention, StreamName, UnixMillis};
use tokio::sync::Notify;

use super::live::{Live, Look, weight};
use super::tails::Tails;
use super::{Standing, Streams};

fn entry() -> NewEntry {
    PayloadId::from_bytes([1; 16]).into()
}

fn fat() -> NewEntry {
    NewEntry { tags: [("k".to_owned(), "x".repeat(2000))].into(), ..entry() }
}

fn name(text: &str) -> StreamName {
    StreamName::new("", text).unwrap()
}

fn streams(budget: usize) -> Streams {
    Streams { known: Default::default(), tails: Tails::new(budget), ages: Notify::new(), logs: Notify::new() }
}

fn append(streams: &Streams, to: &StreamName, first: u64, entries: Vec<NewEntry>, oldest: u64) {
    streams.appended(to, first, UnixMillis(1), entries, oldest);
}

fn offsets(look: Look) -> Vec<u64> {
    match look {
        Look::Tail(entries) => entries.iter().map(|entry| entry.offset).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_tails_of_many_streams_together_keep_to_the_budget() {
    const BUDGET: usize = 100_000;
    let streams = streams(BUDGET);
    let names: Vec<_> = (0..1000).map(|n| name(&n.to_string())).collect();
    names.iter().for_each(|name| streams.made(name.clone(), Retention::default()));
    for round in 0..20 {
        for name in &names {
            append(&streams, name, round, vec![if round % 2 == 0 { fat() } else { entry() }], 0);
        }
        let held: usize = names.iter().map(|name| streams.find(name).unwrap().held()).sum();
        assert!((BUDGET / 2..=BUDGET).contains(&held), "{held}");
    }
    let last = streams.find(names.last().unwrap()).unwrap();
    assert_eq!(offsets(last.look(Some(19), Limit::NONE)), [19], "the newest is there");
    assert_eq!(last.look(Some(0), Limit::NONE), Look::Behind(0));
}

#[test]
fn an_append_larger_than_the_budget_is_left_to_the_catalog() {
    let streams = streams(10_000);
    let s = name("s");
    streams.made(s.clone(), Retention::default());
    append(&streams, &s, 0, vec![fat(); 10], 0);
    let live = streams.find(&s).unwrap();
    assert_eq!((live.held(), live.look(Some(9), Limit::NONE)), (0, Look::Behind(9)));
    append(&streams, &s, 10, vec![entry()], 0);
    assert_eq!(offsets(live.look(Some(10), Limit::NONE)), [10]);
}

#[test]
fn what_is_looked_at_is_limited_and_never_nothing() {
    let live = Live::new(Retention::default(), 0, 0);
    live.extend(0, UnixMillis(1), vec![fat(); 5], 0);
    assert_eq!(offsets(live.look(None, Limit::items(2))), [0, 1]);
    assert_eq!(offsets(live.look(Some(1), Limit { items: 9, bytes: 2 * weight(&fat()) })), [1, 2]);
    assert_eq!(offsets(live.look(Some(4), Limit { items: 9, bytes: 1 })), [4]);
    assert_eq!(live.look(Some(5), Limit::NONE), Look::End(5));
    assert_eq!(live.look(Some(u64::MAX), Limit::NONE), Look::End(5));
}

#[test]
fn what_retention_removed_is_not_looked_at() {
    let live = Live::new(Retention::default(), 0, 0);
    live.extend(0, UnixMillis(1), vec![entry(); 5], 3);
    assert_eq!(live.look(Some(2), Limit::NONE), Look::Removed { first: 3, next: 5 });
    assert_eq!(offsets(live.look(None, Limit::NONE)), [3, 4]);
    live.cut(5);
    assert_eq!(live.look(None, Limit::NONE), Look::End(5));
    assert_eq!(live.held(), 0);
    live.end();
    assert_eq!(live.look(None, Limit::NONE), Look::Gone);
}

#[test]
fn what_may_be_too_old_is_known_without_the_catalog_where_it_can_be() {
    let live = Live::new(Retention { max_entries: 0, max_age_sec: 1 }, 0, 0);
    assert!(!live.may_be_too_old(UnixMillis(u64::MAX)), "nothing is not too old");
    live.extend(0, UnixMillis(1000), vec![entry()], 0);
    assert!(!live.may_be_too_old(UnixMillis(2000)));
    assert!(live.may_be_too_old(UnixMillis(2001)));
    live.forget_before(1);
    assert!(live.may_be_too_old(UnixMillis(1000)), "only the catalog knows");
    live.cut(1);
    assert!(!live.may_be_too_old(UnixMillis(u64::MAX)));
}

#[tokio::test]
async fn a_name_stands_for_one_stream_at_a_time() {
    let (streams, s) = (streams(10_000), name("s"));
    streams.made(s.clone(), Retention::default());
    let old = streams.find(&s).unwrap();
    let mut grown = old.watch();
    streams.leaving(&s);
    streams.leaving(&s);
    assert_eq!(streams.standing(&s, &old), Standing::Leaving);
    streams.left(&s, false);
    assert!(grown.has_changed().unwrap(), "who waits for the outcome hears of a failure, too");
    grown.borrow_and_update();
    assert_eq!(streams.standing(&s, &old), Standing::Leaving, "the other one still tries");
    streams.left(&s, true);
    assert!(grown.has_changed().unwrap());
    assert_eq!((streams.standing(&s, &old), old.look(None, Limit::NONE)), (Standing::Gone, Look::Gone));
    streams.made(s.clone(), Retention::default());
    append(&streams, &s, 0, vec![entry()], 0);
    assert_eq!((streams.standing(&s, &old), old.held()), (Standing::Gone, 0));
    let new = streams.find(&s).unwrap();
    assert!(!Arc::ptr_eq(&new, &old));
    assert_eq!((streams.standing(&s, &new), new.bounds()), (Standing::Here, (0, 1)));
}
