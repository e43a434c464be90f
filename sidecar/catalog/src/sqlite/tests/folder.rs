//! A folder with a catalog in it.

use std::fs;
use std::path::PathBuf;

use payload_manager_types::InstanceId;
use tempfile::TempDir;

use crate::{Opened, Sqlite, StoreError};

pub(super) const INSTANCE: InstanceId = InstanceId::from_bytes([1; 16]);

pub(super) struct Folder(pub(super) TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.path().join("catalog.db")
    }

    pub(super) fn create(&self) -> Sqlite {
        let (store, opened) = Sqlite::open_or_create(&self.file(), INSTANCE).unwrap();
        assert_eq!(opened, Opened::Created);
        store
    }

    pub(super) fn reopen(&self) -> Sqlite {
        Sqlite::open(&self.file()).unwrap().unwrap()
    }

    /// Every file and its bytes.
    pub(super) fn bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(self.0.path()).unwrap().map(|file| file.unwrap().path());
        let mut all: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        all.sort();
        all
    }

    /// Both ways to open must refuse the file and leave everything as it is.
    pub(super) fn is_refused_untouched(&self) -> StoreError {
        let before = self.bytes();
        let error = Sqlite::open_or_create(&self.file(), INSTANCE).unwrap_err();
        assert_eq!(Sqlite::open(&self.file()).unwrap_err(), error);
        assert!(before == self.bytes(), "the refused file, or one beside it, was changed");
        assert!(error.to_string().contains(&self.file().display().to_string()), "{error}");
        error
    }
}

/// What another process would leave that was killed now: copies of the files, the write-ahead log not folded in.
pub(super) fn as_if_killed(folder: &Folder) -> Folder {
    let copy = Folder::new();
    for (path, bytes) in folder.bytes() {
        fs::write(copy.0.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    copy
}
