//! Making, keeping, syncing, sharing and filling up a catalog file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use payload_manager_types::{InstanceId, Tier};
use rusqlite::Connection;

use super::folder::{Folder, INSTANCE, as_if_killed};
use crate::conformance::samples::{append, create, doomed, entry, facts, id, put, strange_facts, stream};
use crate::conformance::{Content, content};
use crate::sqlite::read::SqliteReader;
use crate::{Catalog, Change, Durability, Opened, Sqlite, Store, StoreError};

const OTHER: InstanceId = InstanceId::from_bytes([2; 16]);

#[test]
fn nothing_is_made_unless_asked_for() {
    let folder = Folder::new();
    assert!(Sqlite::open(&folder.file()).unwrap().is_none());
    assert_eq!(folder.bytes(), []);
    fs::write(folder.file(), "").unwrap();
    assert!(Sqlite::open(&folder.file()).unwrap().is_none(), "an empty file is a catalog whose making was interrupted");
    assert_eq!(folder.create().instance(), INSTANCE);
}

#[test]
fn a_catalog_keeps_its_instance() {
    let folder = Folder::new();
    drop(folder.create());
    let (store, opened) = Sqlite::open_or_create(&folder.file(), OTHER).unwrap();
    assert_eq!((store.instance(), opened), (INSTANCE, Opened::Existing));
    assert_eq!(folder.reopen().instance(), INSTANCE);
}

#[test]
fn only_its_owner_can_read_it() {
    let folder = Folder::new();
    let mut store = folder.create();
    store.apply(&[put(facts(1))], false).unwrap();
    for (path, _) in folder.bytes() {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn what_was_applied_survives_a_kill() {
    let folder = Folder::new();
    let mut store = folder.create();
    let name = stream("", "s");
    store.apply(&[put(strange_facts(1)), Change::Doom(doomed(2, Tier::Disk, 1))], false).unwrap();
    store.apply(&[create(&name), append(&name, vec![entry(1)], 1)], true).unwrap();
    let survivor = as_if_killed(&folder);
    assert_eq!(content(&survivor.reopen()), content(&store));
}

#[test]
fn an_interrupted_making_is_made_again() {
    let folder = Folder::new();
    Connection::open(folder.file()).unwrap().pragma_update(None, "journal_mode", "WAL").unwrap();
    assert!(Sqlite::open(&folder.file()).unwrap().is_none());
    assert_eq!(folder.create().instance(), INSTANCE);
}

#[test]
fn a_second_opening_waits_for_its_turn_and_then_says_who_is_in_the_way() {
    let folder = Folder::new();
    let (mut first, mut second) = (folder.create(), folder.reopen());
    second.apply(&[put(facts(1))], true).unwrap();
    first.apply(&[put(facts(2))], true).unwrap();
    second.connection.busy_timeout(Duration::from_millis(1)).unwrap();
    first.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = second.apply(&[put(facts(3))], false).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("another program")), "{error}");
    first.connection.execute_batch("ROLLBACK").unwrap();
    second.apply(&[put(facts(3))], false).unwrap();
    assert_eq!(content(&first).payloads.len(), 3);
}

#[test]
fn a_full_disk_applies_nothing_and_loses_nothing() {
    let folder = Folder::new();
    let mut store = folder.create();
    store.apply(&[put(facts(1))], false).unwrap();
    let before: Content = content(&store);
    let pages: i64 = store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |store: &Sqlite, pages: i64| {
        store.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    limit(&store, pages);
    let batch = [Change::Delete { id: id(1), doomed: vec![] }, put(strange_facts(2))];
    let error = store.apply(&batch, true).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("free some space")), "{error}");
    assert_eq!(content(&store), before);
    limit(&store, 1 << 20);
    store.apply(&batch, true).unwrap();
    assert_eq!(content(&store).payloads, [strange_facts(2)]);
}

#[test]
fn a_batch_that_must_be_synced_always_has_something_to_sync() {
    let folder = Folder::new();
    let mut store = folder.create();
    let log_length = || fs::metadata(folder.file().with_extension("db-wal")).unwrap().len();
    let delete = Change::Delete { id: id(2), doomed: vec![] };
    for batch in [vec![put(facts(1))], vec![put(facts(1))], vec![delete], vec![]] {
        store.apply(&batch, false).unwrap();
        let before = log_length();
        store.apply(&batch, true).unwrap();
        assert!(log_length() > before, "nothing was logged, so nothing was synced: {batch:?}");
    }
}

#[test]
fn at_rest_the_log_is_folded_into_the_file() {
    let folder = Folder::new();
    let mut store = folder.create();
    store.apply(&[put(strange_facts(1))], false).unwrap();
    store.rest().unwrap();
    assert!(!store.logged);
    let copy = Folder::new();
    fs::copy(folder.file(), copy.file()).unwrap();
    assert_eq!(content(&copy.reopen()).payloads, [strange_facts(1)]);
}

#[test]
fn stopping_folds_the_log_into_the_file_even_while_it_is_read() {
    let folder = Folder::new();
    let catalog = Catalog::start(Box::new(folder.create()), 8).unwrap();
    catalog.write(put(facts(1)), Durability::Committed).unwrap();
    catalog.read(|reader| reader.doomed()).unwrap();
    catalog.stop();
    let copy = Folder::new();
    fs::copy(folder.file(), copy.file()).unwrap();
    assert_eq!(content(&copy.reopen()).payloads, [facts(1)]);
}

#[test]
fn a_reader_cannot_write() {
    let folder = Folder::new();
    let store = folder.create();
    let reader = SqliteReader::open(folder.file()).unwrap();
    assert!(reader.connection.execute("DELETE FROM payloads", []).is_err());
    drop(store);
}
