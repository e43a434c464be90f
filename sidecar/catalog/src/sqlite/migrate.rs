//! The schema's versions: numbered SQL files, each applied once, `user_version` saying how far the file has come.
//!
//! A file is never changed once it was released; the next version is the next file.

use rusqlite::{Connection, TransactionBehavior};

/// Migration `n` leads from version `n` to `n + 1`.
const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/0001_catalog.sql"),
    include_str!("migrations/0002_stale_archives.sql"),
    include_str!("migrations/0003_stale_logs.sql"),
];

/// The newest version this program knows.
pub(super) const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Brings the schema from `version` to [`KNOWN`], and then lets `finish` add to the same transaction.
///
/// # Errors
/// SQLite's; the file is as it was.
pub(super) fn migrate(
    connection: &mut Connection,
    version: i64,
    finish: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let done = usize::try_from(version).unwrap_or(0);
    for sql in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(sql)?;
    }
    transaction.pragma_update(None, "user_version", KNOWN)?;
    finish(&transaction)?;
    transaction.commit()
}
