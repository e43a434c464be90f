//! Who has a session, written down for the next start.
//!
//! A file in the runtime folder, replaced by rename whenever a session begins or ends, before the client is told. It is
//! not synced: it has to outlive this process, not the host, as the lease pages that it speaks of lie in memory too.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use payload_manager_types::UnixMillis;
use serde::{Deserialize, Serialize};

use super::process;
use crate::engine::sessions::Member;

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) secret: [u8; 16],
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) pid: Option<u32>,
    /// When its process began.
    pub(super) born: Option<u64>,
    pub(super) since_ms: u64,
    pub(super) program: String,
}

impl Record {
    /// For lists.
    pub(super) fn member(&self) -> Member {
        Member { uid: self.uid, gid: self.gid, pid: self.pid, since: UnixMillis(self.since_ms) }
    }

    /// Whether these are its secret, without telling by the time it takes how much of it is right.
    pub(super) fn is_secret(&self, secret: &[u8]) -> bool {
        let differing = self.secret.iter().zip(secret).fold(0, |all, (a, b)| all | (a ^ b));
        secret.len() == self.secret.len() && differing == 0
    }

    /// Whether its process is known to be gone.
    pub(super) fn is_gone(&self) -> bool {
        process::is_gone(self.pid, self.born)
    }
}

/// The sessions, by the number of their page.
#[derive(Debug)]
pub(super) struct Book {
    path: PathBuf,
    records: BTreeMap<u32, Record>,
}

impl Book {
    /// What the last run has written. A book that can't be read is an empty one: its sessions can't be taken up, and end
    /// with their leases.
    pub(super) fn open(path: &Path) -> Self {
        let read = fs::read(path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from));
        let records = read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::error!(path = %path.display(), %error, "the sessions of the last run can't be taken up");
            }
            BTreeMap::new()
        });
        Self { path: path.to_owned(), records }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Record> {
        self.records.get(&number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Record)> {
        self.records.iter().map(|(number, record)| (*number, record))
    }

    /// Writes a session down.
    pub(super) fn insert(&mut self, number: u32, record: Record) {
        self.records.insert(number, record);
        self.save();
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, number: u32) {
        if self.records.remove(&number).is_some() {
            self.save();
        }
    }

    /// Keeps only some.
    pub(super) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        self.records.retain(|number, _| keep(*number));
        self.save();
    }

    fn save(&self) {
        if let Err(error) = self.write() {
            tracing::error!(path = %self.path.display(), %error, "sessions could not be written down: after a restart they can't be taken up");
        }
    }

    fn write(&self) -> io::Result<()> {
        let draft = self.path.with_extension("tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(&self.records)?)?;
        fs::rename(draft, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(pid: Option<u32>) -> Record {
        let program = "test".to_owned();
        Record { secret: [7; 16], uid: 1, gid: 2, pid, born: Some(3), since_ms: 4, program }
    }

    #[test]
    fn what_is_written_down_is_there_for_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.json");
        let mut book = Book::open(&path);
        book.insert(3, record(Some(1)));
        book.insert(9, record(None));
        book.remove(3);
        let again = Book::open(&path);
        assert_eq!(again.iter().collect::<Vec<_>>(), [(9, &record(None))]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_torn_book_is_an_empty_one_and_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.json");
        fs::write(&path, "{\"3\":{\"sec").unwrap();
        let mut book = Book::open(&path);
        assert_eq!(book.iter().count(), 0);
        book.insert(1, record(None));
        assert_eq!(Book::open(&path).iter().count(), 1);
    }

    #[test]
    fn only_the_whole_secret_is_the_secret() {
        let record = record(None);
        assert!(record.is_secret(&[7; 16]));
        for wrong in [&[][..], &[7; 15], &[7; 17], &[0; 16]] {
            assert!(!record.is_secret(wrong));
        }
    }
}
