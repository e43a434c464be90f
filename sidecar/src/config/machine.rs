//! What the configuration may know of the machine, in one place that a test can replace: environment, user, and a root
//! folder under which `/proc`, `/dev/shm` and the rest are looked for. It answers questions and changes nothing.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access, getegid, geteuid};

/// The room in one file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it; 0 when it has no limit of its own.
    pub total: u64,
    /// What this user may still fill.
    pub available: u64,
    /// Whether it lives in memory.
    pub in_memory: bool,
}

/// A machine, as the configuration sees it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What stands for `/`.
    pub root: PathBuf,
    /// The environment.
    pub env: BTreeMap<OsString, OsString>,
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The folder that relative paths of flags and environment are taken from.
    pub working_dir: PathBuf,
    /// Asks for the room in the file system of a path.
    pub space: fn(&Path) -> io::Result<Space>,
}

impl Machine {
    /// This process on this host, now.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn this() -> io::Result<Self> {
        Ok(Self {
            root: PathBuf::from("/"),
            env: std::env::vars_os().collect(),
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            working_dir: std::env::current_dir()?,
            space: space_of,
        })
    }

    /// An environment variable, if it is set and not empty: an empty one is how scripts and unit files say "not set".
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&OsStr> {
        self.env.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// An environment variable that holds an absolute path; the XDG rules have others ignored.
    #[must_use]
    pub fn env_path(&self, name: &str) -> Option<PathBuf> {
        self.env(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The path `absolute`, under this machine's root.
    #[must_use]
    pub fn at(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let path = absolute.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The folder for temporary files.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.env_path("TMPDIR").unwrap_or_else(|| self.at("/tmp"))
    }

    /// The room in the file system where `path` is, or will be once its missing folders are made.
    ///
    /// # Errors
    /// When the system can't tell.
    pub fn space(&self, path: &Path) -> io::Result<Space> {
        let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        (self.space)(there)
    }
}

/// Whether this process may make files in `path`, or make `path` itself where it is missing.
pub(super) fn writable(path: &Path) -> bool {
    let there = path.ancestors().find(|path| path.symlink_metadata().is_ok());
    there.is_some_and(|path| path.is_dir() && access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok())
}

fn space_of(path: &Path) -> io::Result<Space> {
    let room = statvfs(path)?;
    let block = room.fragment_size();
    Ok(Space {
        total: room.blocks().saturating_mul(block),
        available: room.blocks_available().saturating_mul(block),
        in_memory: statfs(path)?.filesystem_type() == TMPFS_MAGIC,
    })
}
