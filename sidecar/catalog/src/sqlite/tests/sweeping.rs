//! A deleted stream's entries go in parts, and an append that does not fit leaves none.

use std::sync::mpsc::channel;

use payload_manager_types::StreamName;
use rusqlite::{Connection, OpenFlags};

use super::folder::{Folder, as_if_killed};
use crate::conformance::content;
use crate::conformance::samples::{append, commit, create, entry, stream};
use crate::faulty::{Call, Faulty};
use crate::sqlite::streams::SWEEP;
use crate::{Catalog, Change, Durability, Outcome, Sqlite, Store, StoreError};

/// Appends `count` entries.
fn fill(store: &mut dyn Store, name: &StreamName, count: u64) {
    let entries = vec![entry(1); usize::try_from(count).unwrap()];
    store.apply(&[create(name), append(name, entries, 1), commit(name, "g", 1, 1)], false).unwrap();
}

/// Rows of `table`, whosever they are.
fn rows(connection: &Connection, table: &str) -> u64 {
    let count: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    count.cast_unsigned()
}

fn delete(name: &StreamName) -> Change {
    Change::DeleteStream { name: name.clone() }
}

#[test]
fn a_deleted_streams_entries_go_in_parts() {
    let folder = Folder::new();
    let mut store = folder.create();
    let name = stream("", "s");
    fill(&mut store, &name, 3 * SWEEP + 1);
    store.apply(&[delete(&name), create(&name), append(&name, vec![entry(2)], 2)], true).unwrap();
    assert_eq!(content(&store).streams.len(), 1, "its name is free at once");
    assert_eq!(rows(&store.connection, "entries"), 2 * SWEEP + 2);
    store.apply(&[append(&name, vec![entry(2)], 2)], true).unwrap();
    assert_eq!(rows(&store.connection, "entries"), SWEEP + 3);
    assert!(store.rest().unwrap(), "there is more");
    while store.rest().unwrap() {}
    let left = ["entries", "streams", "consumer_groups"].map(|table| rows(&store.connection, table));
    assert_eq!(left, [2, 1, 0]);
    assert_eq!(content(&store).streams.remove(0).1.len(), 2);
}

#[test]
fn a_small_deleted_stream_is_gone_at_once() {
    let folder = Folder::new();
    let mut store = folder.create();
    let name = stream("", "s");
    fill(&mut store, &name, 10);
    store.apply(&[delete(&name)], true).unwrap();
    let left = ["entries", "streams", "consumer_groups"].map(|table| rows(&store.connection, table));
    assert_eq!(left, [0, 0, 0]);
}

#[test]
fn sweeping_goes_on_after_a_kill() {
    let folder = Folder::new();
    let mut store = folder.create();
    let names = [stream("", "s"), stream("", "t")];
    for name in &names {
        fill(&mut store, name, SWEEP + 1);
    }
    store.apply(&names.each_ref().map(delete), true).unwrap();
    let survivor = as_if_killed(&folder);
    let mut store = survivor.reopen();
    assert_eq!((rows(&store.connection, "streams"), content(&store).streams), (2, vec![]));
    while store.rest().unwrap() {}
    assert_eq!((rows(&store.connection, "streams"), rows(&store.connection, "entries")), (0, 0));
}

#[test]
fn the_writer_rests_until_everything_is_swept() {
    let folder = Folder::new();
    let mut store = folder.create();
    let name = stream("", "s");
    fill(&mut store, &name, 3 * SWEEP);
    let (sender, rests) = channel();
    let faults = move |call: &Call<'_>| {
        if *call == Call::Rest {
            // Nobody hears of the last one.
            let _ = sender.send(());
        }
        None
    };
    let store: Box<dyn Store> = Box::new(store);
    let catalog = Catalog::start(Box::new(Faulty::new(store, faults)), 8).unwrap();
    assert_eq!(catalog.write(delete(&name), Durability::Committed), Ok(Outcome::Done));
    let reader = Connection::open_with_flags(folder.file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    while rows(&reader, "streams") > 0 {
        rests.recv().unwrap();
    }
}

#[test]
fn an_append_that_does_not_fit_leaves_nothing() {
    let folder = Folder::new();
    let mut store = folder.create();
    let name = stream("", "s");
    fill(&mut store, &name, 3);
    let before = content(&store);
    let limit = |store: &Sqlite, pages: i64| {
        store.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    limit(&store, 1);
    let error = store.apply(&[append(&name, vec![entry(1); 100_000], 1)], true).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert_eq!(content(&store), before);
    assert_eq!(content(&as_if_killed(&folder).reopen()), before);
    limit(&store, 1 << 20);
    let appended = store.apply(&[append(&name, vec![entry(1)], 1)], true).unwrap();
    assert_eq!(appended, [Outcome::Appended { first: 3, last: 3, oldest: 0 }]);
}
