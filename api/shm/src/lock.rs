//! The lock on a folder: one daemon at a time, held for life, dropped by the kernel with the process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The file that is locked; it stays behind, empty of meaning without the lock.
const FILE: &str = "lock";

/// Why the folder is not ours.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{folder} is in use by another daemon{}", holder.map_or(String::new(), |pid| format!(" (process {pid})")))]
    Held {
        /// The folder.
        folder: String,
        /// Who wrote that it holds it, if that can be read.
        holder: Option<u32>,
    },
    /// The lock file can't be made or locked.
    #[error("{path}: {source}")]
    Os {
        /// The lock file.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A folder that is ours as long as this lives.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
    folder: PathBuf,
}

impl FolderLock {
    /// Locks `folder`, without waiting, and leaves this process's id in the lock file for others to name.
    ///
    /// # Errors
    /// Somebody has it, or the file can't be made.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(FILE);
        let os = |source| LockError::Os { path: path.display().to_string(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(os)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(folder, &path)),
            Err(TryLockError::Error(e)) => return Err(os(e)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(os)?;
        Ok(Self { file, folder: folder.to_owned() })
    }

    /// The folder that is locked.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for FolderLock {
    /// Gives it back by name. Closing the file would not do: a child that another thread has forked has the same open file
    /// until it becomes another program, and the lock with it.
    fn drop(&mut self) {
        // What can't be unlocked is unlocked when the last of its copies is closed.
        let _ = self.file.unlock();
    }
}

fn held(folder: &Path, path: &Path) -> LockError {
    let holder = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    LockError::Held { folder: folder.display().to_string(), holder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        match FolderLock::take(folder.path()) {
            Err(LockError::Held { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert_eq!(FolderLock::take(folder.path()).unwrap().folder(), folder.path());
    }

    #[test]
    fn a_copy_of_its_descriptor_in_a_child_does_not_keep_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let of_a_child = first.file.try_clone().unwrap();
        drop(first);
        assert!(FolderLock::take(folder.path()).is_ok());
        drop(of_a_child);
    }
}
