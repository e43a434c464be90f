//! What SQLite says, in the words of the port.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// Says which file, what was being done, and what to do about it.
pub(super) fn store_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    match advice(error.sqlite_error_code()) {
        Some(advice) => StoreError::Unavailable(format!("{}: {error}{advice}", path.display())),
        None => StoreError::Damaged { path: path.to_owned(), what: error.to_string() },
    }
}

/// What helps, for errors that say nothing against the file; `None` for the others.
fn advice(code: Option<ErrorCode>) -> Option<&'static str> {
    Some(match code? {
        ErrorCode::ReadOnly
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::AuthorizationForStatementDenied => {
            "; the file and its folder must be writable for the daemon's user: change their owner or mode, or choose another folder with --data-dir"
        }
        ErrorCode::DiskFull => "; free some space on its file system",
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            "; another program holds it: end that program's transaction"
        }
        ErrorCode::SystemIoFailure => "; the system's log may say what is wrong with the disk",
        ErrorCode::OutOfMemory
        | ErrorCode::NoLargeFileSupport
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted => "",
        _ => return None,
    })
}

/// The folder can't be written, as found before SQLite was asked.
pub(super) fn not_writable(path: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!(
        "{} can't be written: {why}; make the folder {} writable for the daemon's user, or choose another with --data-dir",
        path.display(),
        path.parent().unwrap_or(path).display(),
    ))
}
