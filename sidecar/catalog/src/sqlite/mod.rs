//! The catalog in one SQLite file: write-ahead log, one transaction a batch, `synchronous = NORMAL` for what must
//! survive this process and `FULL` for what must survive power loss.
//!
//! The file is ours only if its `application_id` says so, and is never opened if its schema is newer than this program.

mod doomed;
mod entries;
mod error;
mod lineage;
mod metadata;
mod migrate;
mod open;
mod payloads;
mod read;
mod rows;
mod sniff;
mod stale;
mod stale_logs;
mod streams;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

use payload_manager_types::InstanceId;
use rusqlite::{Connection, TransactionBehavior};

use crate::change::{Change, Outcome};
use crate::store::{Reader, Store, StoreError};

/// A catalog file, open for writing.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    instance: InstanceId,
    /// Whether commits wait for the disk; switched only when it must.
    full: bool,
    /// Whether the write-ahead log may hold something that the file does not.
    logged: bool,
    /// Whether there may be deleted streams to be swept away.
    sweeping: bool,
}

/// Whether [`Sqlite::open_or_create`] found a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// There was none: it was made.
    Created,
    /// It was there, whosever it is: see [`Store::instance`].
    Existing,
}

/// Whose catalog it is, and what reads it.
pub type Looked = (InstanceId, Box<dyn Reader>);

impl Sqlite {
    /// Opens the catalog at `path`; `None` if there is none, and then none is made.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if what is there is no catalog of ours, [`StoreError::NewerSchema`]: the file is as it
    /// was. [`StoreError::Unavailable`] if it or its folder can't be written.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        Ok(open::open(path, None)?.map(|(connection, instance, _)| Self::new(connection, path, instance)))
    }

    /// Opens the catalog at `path`, or makes one that is `instance`'s. The folder must exist. One whose making was
    /// interrupted counts as not there.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn open_or_create(path: &Path, instance: InstanceId) -> Result<(Self, Opened), StoreError> {
        let Some((connection, instance, created)) = open::open(path, Some(instance))? else {
            return Err(StoreError::Unavailable(format!("{} vanished while it was made", path.display())));
        };
        let opened = if created { Opened::Created } else { Opened::Existing };
        Ok((Self::new(connection, path, instance), opened))
    }

    /// Looks at the catalog at `path`, and whose it is, without changing anything, beside a daemon that has it open; `None`
    /// if there is none.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn look(path: &Path) -> Result<Option<Looked>, StoreError> {
        if sniff::sniff(path, migrate::KNOWN)? == sniff::Found::Nothing {
            return Ok(None);
        }
        let reader = read::SqliteReader::open(path.to_owned())?;
        let instance = open::instance(&reader.connection).map_err(|e| error::store_error(path, &e))?;
        Ok(Some((instance, Box::new(reader))))
    }

    fn new(connection: Connection, path: &Path, instance: InstanceId) -> Self {
        Self { connection, path: path.to_owned(), instance, full: false, logged: true, sweeping: true }
    }

    fn set_full(&mut self, full: bool) -> rusqlite::Result<()> {
        if self.full != full {
            self.connection.pragma_update(None, "synchronous", if full { "FULL" } else { "NORMAL" })?;
            self.full = full;
        }
        Ok(())
    }

    fn transact(&mut self, changes: &[Change], sync: bool) -> rusqlite::Result<Vec<Outcome>> {
        self.set_full(sync)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcomes = changes.iter().map(|change| write::apply(&transaction, change)).collect::<Result<_, _>>()?;
        let deletes = changes.iter().any(|change| matches!(change, Change::DeleteStream { .. }));
        let sweeping = (self.sweeping || deletes) && streams::sweep(&transaction)?;
        if sync {
            write::barrier(&transaction)?;
        }
        transaction.commit()?;
        (self.logged, self.sweeping) = (true, sweeping);
        Ok(outcomes)
    }

    /// Moves what the write-ahead log holds into the file.
    fn fold(&mut self) -> rusqlite::Result<()> {
        let pages = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (logged, moved) = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], pages)?;
        self.logged = moved < logged;
        Ok(())
    }
}

impl Drop for Sqlite {
    /// Leaves everything in the one file, so that somebody who copies, moves or loses it has to think of no other.
    /// SQLite does that by itself only where no reader is open any more.
    fn drop(&mut self) {
        // Not for long: a reader that is still at work is no reason to keep a stop waiting.
        let _ = self.connection.busy_timeout(Duration::from_millis(100));
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::debug!(%error, "the write-ahead log stays for the next start");
        }
    }
}

impl Store for Sqlite {
    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn apply(&mut self, changes: &[Change], sync: bool) -> Result<Vec<Outcome>, StoreError> {
        self.transact(changes, sync).map_err(|error| error::store_error(&self.path, &error))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(read::SqliteReader::open(self.path.clone())?))
    }

    /// Sweeps away a part of what deleted streams left, and moves what the write-ahead log holds into the file, as far
    /// as no reader is in the way.
    fn rest(&mut self) -> Result<bool, StoreError> {
        if self.sweeping {
            self.apply(&[], false)?;
        }
        if self.logged {
            self.fold().map_err(|error| error::store_error(&self.path, &error))?;
        }
        Ok(self.sweeping)
    }
}
