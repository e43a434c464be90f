//! A look at a file before SQLite touches it: is it a catalog of ours that this program can read?
//!
//! SQLite changes a file, or makes others beside it, merely by opening it. What is not ours, or newer than this program,
//! is refused here and stays as it was found. Pages still in the write-ahead log are not seen: `open` asks again.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// `application_id` of a catalog: "PLMG".
pub(super) const APPLICATION_ID: i64 = 0x504c_4d47;

/// The bytes that start every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What lies at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, or an empty file.
    Nothing,
    /// Ours, or so young that its header does not say so yet.
    Catalog,
}

/// Looks at `path`.
///
/// # Errors
/// [`StoreError::Damaged`] if it is something else, [`StoreError::NewerSchema`], [`StoreError::Unavailable`] if it can't
/// be read. Nothing was changed.
pub(super) fn sniff(path: &Path, known: i64) -> Result<Found, StoreError> {
    let damaged = |what: &str| StoreError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let Some(header) = read_header(path)? else { return nothing(path) };
    let Some(rest) = header.strip_prefix(MAGIC) else { return Err(damaged("it is no SQLite file")) };
    let (Some(version), Some(application)) = (word(rest, 60), word(rest, 68)) else {
        return Err(damaged("it is cut off within its header"));
    };
    match application {
        // A version without our name: someone else's.
        0 if version == 0 => Ok(Found::Catalog),
        APPLICATION_ID if version <= known => Ok(Found::Catalog),
        APPLICATION_ID => Err(StoreError::NewerSchema { path: path.to_owned(), found: version, known }),
        _ => Err(damaged("it is an SQLite file of another program")),
    }
}

/// Beside a file that is not there, its write-ahead log must not be there either: the log may hold what was lost, and
/// SQLite would delete it (promise: never-the-only-copy).
fn nothing(path: &Path) -> Result<Found, StoreError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    match log.metadata() {
        Ok(meta) if meta.len() > 0 => Err(StoreError::Damaged {
            path: path.to_owned(),
            what: format!("it is gone or empty, but its write-ahead log {} is still there", log.display()),
        }),
        _ => Ok(Found::Nothing),
    }
}

/// The first 100 bytes, fewer if the file is shorter; `None` if it is not there or empty.
fn read_header(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let unreadable =
        |error: std::io::Error| StoreError::Unavailable(format!("{} can't be read: {error}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut header = Vec::with_capacity(100);
    file.take(100).read_to_end(&mut header).map_err(unreadable)?;
    Ok(Some(header).filter(|h| !h.is_empty()))
}

/// The big-endian word at `at` of the file, given what follows its magic.
fn word(rest: &[u8], at: usize) -> Option<i64> {
    let bytes = rest.get(at - MAGIC.len()..)?.first_chunk::<4>()?;
    Some(i64::from(i32::from_be_bytes(*bytes)))
}
