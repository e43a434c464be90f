//! The ground that daemons of these tests stand on: mounts of their own, and a picture of all that they own.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::PayloadDescriptor;
use payload_manager_api::reason::detail;
use payload_manager_tests::remains::files_under;
use payload_manager_tests::{Daemon, Setup, v1};
use tonic::{Code, Status};

/// Whether mounts can be made that nobody else sees.
pub(crate) fn can_mount() -> bool {
    let tried = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    tried.is_ok_and(|done| done.status.success())
}

/// The daemon runs after `script` has changed its mounts, which are its own.
pub(crate) fn on_own_mounts(setup: Setup, script: &str) -> Setup {
    let script = format!("{script} && exec \"$0\" \"$@\"");
    setup.wrapper(&["unshare", "-m", "sh", "-c", &script])
}

/// A path as the daemon sees it.
pub(crate) fn as_it_sees(daemon: &Daemon, path: &Path) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", daemon.pid()));
    root.join(path.strip_prefix("/").unwrap())
}

/// Where the daemon's eyes see the bytes of a payload.
pub(crate) fn place(daemon: &Daemon, descriptor: &PayloadDescriptor) -> PathBuf {
    as_it_sees(daemon, &v1::place(descriptor).0)
}

/// Fills the file system that `path` is on; frees it again when dropped.
pub(crate) struct Filler(PathBuf);

impl Filler {
    pub(crate) fn fill(path: PathBuf) -> Self {
        let file = File::create(&path).unwrap();
        let block = vec![7; 64 << 10];
        let mut written = 0;
        // Blocks, then what is left in ever smaller pieces.
        for size in [64 << 10, 4096, 1] {
            while file.write_at(&block[..size], written).is_ok_and(|n| n > 0) {
                written += size as u64;
            }
        }
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Changes one byte.
pub(crate) fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// Makes a file or an object shorter or longer.
pub(crate) fn resize(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// All that a daemon which does not run owns: its files by name with their bytes, and the names of its objects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    files: BTreeMap<PathBuf, Vec<u8>>,
    objects: Vec<String>,
}

impl Picture {
    pub(crate) fn of(setup: &Setup) -> Self {
        let data = setup.data_dir();
        // Locks, and what SQLite makes beside its file by looking at it, are no belongings; after a stop nothing is in it.
        let passing = |path: &PathBuf| {
            ["lock", "catalog.sqlite-shm", "catalog.sqlite-wal"].iter().any(|p| path.as_os_str() == *p)
        };
        let files = files_under(&data).into_iter().filter(|path| !passing(path));
        Self {
            files: files.map(|file| (file.clone(), fs::read(data.join(&file)).unwrap())).collect(),
            objects: payload_manager_tests::remains::shm_left(&setup.prefix).into_iter().collect(),
        }
    }
}

/// The call failed like this, and says more than that.
pub(crate) fn fails<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: Reason) -> Status {
    let status = answer.expect_err("should have failed");
    let found = detail(&status).and_then(|d| d.known());
    assert_eq!((status.code(), found), (code, Some(reason)), "{}", status.message());
    status
}
