//! Opening: is it ours, can it be written, does its schema fit; and making one where there is none.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use payload_manager_types::InstanceId;
use rusqlite::{Connection, OpenFlags};

use super::error::{not_writable, store_error};
use super::migrate::{KNOWN, migrate};
use super::sniff::{APPLICATION_ID, Found, sniff};
use crate::store::StoreError;

/// How long a change waits for another program that holds the file, such as somebody's `sqlite3`. The daemon itself is
/// alone: it locks the folder.
const BUSY: Duration = Duration::from_secs(5);

/// Pages of the write-ahead log at which a commit checkpoints by itself, for when there is never a rest: 64 MiB.
const LOG_PAGES: i64 = 16_384;

/// Bytes of the write-ahead log that are kept for reuse once it is folded into the file.
const LOG_BYTES: i64 = 16 << 20;

/// Opens what is at `path`, or makes it if `create` says whose it is to be. `None`: there is nothing, and nothing was
/// made. The flag says whether it was made now.
pub(super) fn open(
    path: &Path,
    create: Option<InstanceId>,
) -> Result<Option<(Connection, InstanceId, bool)>, StoreError> {
    if sniff(path, KNOWN)? == Found::Nothing {
        if create.is_none() {
            return Ok(None);
        }
        make_file(path)?;
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|e| store_error(path, &e))?;
    let version = match check(&connection, path)? {
        Some(version) => version,
        None if create.is_none() => return Ok(None),
        None => 0,
    };
    prepare(&mut connection, path)?;
    let finish = |c: &Connection| if version == 0 { found(c, create) } else { Ok(()) };
    if version < KNOWN {
        migrate(&mut connection, version, finish).map_err(|e| store_error(path, &e))?;
        sync_folder(path)?;
    }
    let instance = instance(&connection).map_err(|e| store_error(path, &e))?;
    // From here on a commit that asks for no more survives this process, which is what it needs.
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(|e| store_error(path, &e))?;
    Ok(Some((connection, instance, version == 0)))
}

/// A connection that waits for its turn and names no file by URI.
pub(super) fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Made by us rather than by SQLite so that only the daemon's user can read it; SQLite gives its log the same mode.
fn make_file(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(drop).map_err(|error| not_writable(path, &error))
}

/// The schema's version, now with what the write-ahead log says; `None` if nothing was ever written.
fn check(connection: &Connection, path: &Path) -> Result<Option<i64>, StoreError> {
    let ask = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| store_error(path, &e));
    let damaged = |what: &str| StoreError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let (application, version) = (ask("PRAGMA application_id")?, ask("PRAGMA user_version")?);
    match (application, version, ask("SELECT count(*) FROM sqlite_schema")?) {
        (0, 0, 0) => Ok(None),
        (APPLICATION_ID, 1..=KNOWN, _) => Ok(Some(version)),
        (APPLICATION_ID, newer, _) if newer > KNOWN => {
            Err(StoreError::NewerSchema { path: path.to_owned(), found: newer, known: KNOWN })
        }
        (APPLICATION_ID, _, _) => Err(damaged("its schema has no version")),
        _ => Err(damaged("it is an SQLite file of another program")),
    }
}

/// What every writer of the file needs; refuses a file that can only be read.
fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |e: rusqlite::Error| store_error(path, &e);
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(failed)? {
        return Err(not_writable(path, &"it is read-only"));
    }
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(not_writable(path, &"its file system can't hold a write-ahead log (no shared memory there)"));
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(failed)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES).map_err(failed)
}

/// Marks a new catalog as ours and `instance`'s.
fn found(connection: &Connection, instance: Option<InstanceId>) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    let bytes = instance.as_ref().map(InstanceId::as_bytes);
    connection.execute("INSERT INTO catalog (one, instance) VALUES (1, ?1)", [bytes]).map(drop)
}

pub(super) fn instance(connection: &Connection) -> rusqlite::Result<InstanceId> {
    connection.query_row("SELECT instance FROM catalog", [], |row| row.get(0).map(InstanceId::from_bytes))
}

/// A new file is durable once its folder is.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| not_writable(path, &error))
}
