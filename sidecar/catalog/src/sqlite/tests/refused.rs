//! Files that are not opened, and values that are not read: said clearly, and left as they are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::unistd::{Uid, setfsuid};
use rusqlite::Connection;

use super::folder::{Folder, INSTANCE, as_if_killed};
use crate::conformance::samples::{facts, put};
use crate::sqlite::migrate::KNOWN;
use crate::{Sqlite, Store, StoreError};

#[test]
fn a_newer_schema_is_refused_untouched() {
    let folder = Folder::new();
    let newer = KNOWN + 1;
    folder.create().connection.pragma_update(None, "user_version", newer).unwrap();
    let expected = StoreError::NewerSchema { path: folder.file(), found: newer, known: KNOWN };
    assert_eq!(folder.is_refused_untouched(), expected);
}

#[test]
fn a_newer_schema_that_is_only_in_the_log_is_refused() {
    let folder = Folder::new();
    let store = folder.create();
    store.connection.pragma_update(None, "user_version", KNOWN + 1).unwrap();
    let survivor = as_if_killed(&folder);
    let error = Sqlite::open(&survivor.file()).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
}

#[test]
fn what_is_no_catalog_is_refused_untouched() {
    let contents: [&[u8]; 4] = [b"x", b"SQLite format 3\0", &[0; 5000], b"SQLite format 4\0 and then something else"];
    for bytes in contents {
        let folder = Folder::new();
        fs::write(folder.file(), bytes).unwrap();
        let error = folder.is_refused_untouched();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }
}

#[test]
fn another_programs_database_is_refused_untouched() {
    for pragma in ["PRAGMA application_id = 77", "PRAGMA user_version = 1", "CREATE TABLE payloads (id)"] {
        let folder = Folder::new();
        Connection::open(folder.file()).unwrap().execute_batch(pragma).unwrap();
        let error = folder.is_refused_untouched();
        assert!(error.to_string().contains("of another program"), "{pragma}: {error}");
    }
}

#[test]
fn a_log_without_its_file_is_kept() {
    let folder = Folder::new();
    let mut store = folder.create();
    store.apply(&[put(facts(1))], false).unwrap();
    let survivor = as_if_killed(&folder);
    fs::remove_file(survivor.file()).unwrap();
    let error = survivor.is_refused_untouched();
    assert!(error.to_string().contains("write-ahead log"), "{error}");
}

#[test]
fn a_damaged_page_is_an_error_and_no_panic() {
    let folder = Folder::new();
    let mut store = folder.create();
    let rows: Vec<_> = (0..1000).map(|n| put(facts(n))).collect();
    store.apply(&rows, false).unwrap();
    drop(store);
    let mut bytes = fs::read(folder.file()).unwrap();
    bytes.iter_mut().skip(4096).for_each(|byte| *byte = 0xa5);
    fs::write(folder.file(), bytes).unwrap();
    let error = match Sqlite::open(&folder.file()) {
        Ok(store) => store.unwrap().reader().unwrap().payloads(&mut |_| {}).unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn a_value_this_program_does_not_know_is_named() {
    for (change, column) in
        [("phase = 9", "phase"), ("copies = 64", "copies"), ("tags = '[]'", "tags"), ("policy = 0", "policy")]
    {
        let folder = Folder::new();
        let mut store = folder.create();
        store.apply(&[put(facts(1))], false).unwrap();
        store.connection.execute(&format!("UPDATE payloads SET {change}"), []).unwrap();
        let error = store.reader().unwrap().payloads(&mut |_| {}).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }) && error.to_string().contains(column), "{error}");
    }
}

/// Opens as a user who is not root, since root may write anywhere. The thread, and its user, end with the test.
fn open_as_somebody(path: &Path) -> StoreError {
    let path = path.to_owned();
    let opened = std::thread::spawn(move || {
        if Uid::effective().is_root() {
            setfsuid(Uid::from_raw(65_534));
        }
        Sqlite::open_or_create(&path, INSTANCE).unwrap_err()
    });
    opened.join().unwrap()
}

#[test]
fn a_folder_that_cannot_be_written_is_named_with_what_to_do() {
    let folder = Folder::new();
    fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let error = open_as_somebody(&folder.file()).to_string();
    for part in ["catalog.db", "folder", "writable for the daemon's user", "--data-dir"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_catalog_that_cannot_be_written_is_named_with_what_to_do() {
    for (folder_mode, file_mode) in [(0o555, 0o666), (0o777, 0o444), (0o555, 0o444)] {
        let folder = Folder::new();
        drop(folder.create());
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(file_mode)).unwrap();
        fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(folder_mode)).unwrap();
        let error = open_as_somebody(&folder.file());
        let text = error.to_string();
        assert!(matches!(error, StoreError::Unavailable(_)), "{text}");
        assert!(text.contains("catalog.db") && text.contains("writable") && text.contains("--data-dir"), "{text}");
    }
}
