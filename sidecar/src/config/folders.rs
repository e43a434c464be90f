//! Where sockets and data lie when nobody says, and how such a folder is made safely.
//!
//! Choosing looks and changes nothing, so that `payload-manager config` can tell; [`Folder::prepare`] makes the folder.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::machine::{Machine, writable};

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A link in a place where anybody can put one.
    #[error(
        "{0} is a symbolic link: in a folder that everybody can write to it could lead anywhere; remove it or name another folder"
    )]
    Link(PathBuf),
    /// A file or something else.
    #[error("{0} is no folder")]
    NotAFolder(PathBuf),
    /// In a place where anybody could have made it.
    #[error("{path} belongs to user {owner}, not to {us}: somebody else made it; remove it or name another folder")]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs this.
        us: u32,
    },
    /// No permission, or a read-only file system.
    #[error("{0} can't be written to by this user: change its owner or mode, or name another folder")]
    NotWritable(PathBuf),
    /// The system refused.
    #[error("{path} can't be made or looked at: {error}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// A folder of the daemon's, and how far the place where it lies is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where it is: an absolute path.
    pub path: PathBuf,
    /// Whether it lies where anybody can make things: then it must be this user's own, no link, and closed to others.
    pub private: bool,
}

impl Folder {
    /// A folder that somebody named: whoever did so vouches for it.
    #[must_use]
    pub fn named(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), private: false }
    }

    fn private(path: PathBuf) -> Self {
        Self { path, private: true }
    }

    /// Makes the folder, and those above it, where they are missing: mode 0700 if private, else 0750. One that is there
    /// keeps its mode and owner, but a private one is closed to others.
    ///
    /// # Errors
    /// [`FolderError`], when it is not ours, no folder, or can't be written to.
    pub fn prepare(&self, uid: u32) -> Result<(), FolderError> {
        let io = |error| FolderError::Io { path: self.path.clone(), error };
        if let Some(above) = self.path.parent() {
            fs::create_dir_all(above).map_err(io)?;
        }
        let mode = if self.private { 0o700 } else { 0o750 };
        match DirBuilder::new().mode(mode).create(&self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.check(uid),
            Err(error) => Err(io(error)),
        }
    }

    /// The check after the attempt to make it, so that whoever was quicker is seen.
    fn check(&self, uid: u32) -> Result<(), FolderError> {
        let path = &self.path;
        let io = |error| FolderError::Io { path: path.clone(), error };
        if self.private {
            let found = fs::symlink_metadata(path).map_err(io)?;
            self.check_private(&found, uid)?;
            if found.permissions().mode() & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(io)?;
            }
        }
        if !fs::metadata(path).map_err(io)?.is_dir() {
            return Err(FolderError::NotAFolder(path.clone()));
        }
        if writable(path) { Ok(()) } else { Err(FolderError::NotWritable(path.clone())) }
    }

    fn check_private(&self, found: &Metadata, us: u32) -> Result<(), FolderError> {
        let path = self.path.clone();
        if found.is_symlink() {
            return Err(FolderError::Link(path));
        }
        if !found.is_dir() {
            return Err(FolderError::NotAFolder(path));
        }
        if found.uid() != us {
            return Err(FolderError::Foreign { path, owner: found.uid(), us });
        }
        Ok(())
    }
}

const NAME: &str = "payload-manager";

/// The folder of the sockets when nobody names one, and why that one.
#[must_use]
pub(super) fn runtime(machine: &Machine) -> (Folder, String) {
    if let Some(own) = machine.env_path("XDG_RUNTIME_DIR").filter(|path| owned(path, machine.uid) && writable(path)) {
        return (Folder::named(own.join(NAME)), "in $XDG_RUNTIME_DIR".into());
    }
    let system = machine.at("/run").join(NAME);
    if usable(&system, machine.uid) {
        return (
            Folder::named(system),
            "/run can be written to, and $XDG_RUNTIME_DIR is not set to a folder of this user's".into(),
        );
    }
    let temporary = machine.temporary().join(format!("{NAME}-{}", machine.uid));
    (Folder::private(temporary), "neither $XDG_RUNTIME_DIR nor /run can be used by this user".into())
}

/// The folder of the data when nobody names one, and why that one.
#[must_use]
pub(super) fn data(machine: &Machine) -> (Folder, String) {
    if let Some(state) = machine.env_path("XDG_STATE_HOME").map(|path| path.join(NAME)).filter(|path| writable(path)) {
        return (Folder::named(state), "in $XDG_STATE_HOME".into());
    }
    let system = machine.at("/var/lib").join(NAME);
    if usable(&system, machine.uid) {
        return (Folder::named(system), "/var/lib can be written to".into());
    }
    let home = machine.env_path("HOME").map(|home| home.join(".local/state").join(NAME)).filter(|path| writable(path));
    if let Some(home) = home {
        return (Folder::named(home), "in the home folder: /var/lib can't be written to".into());
    }
    let temporary = machine.temporary().join(format!("{NAME}-{}-data", machine.uid));
    (Folder::private(temporary), format!("{TEMPORARY}: neither /var/lib nor the home folder can be written to"))
}

/// How the reason begins when data has nowhere better to go.
pub(super) const TEMPORARY: &str = "in the temporary folder, which may be emptied at any time";

/// In a place for the whole system a folder is ours if we could make it, or if somebody made it for us.
fn usable(path: &Path, uid: u32) -> bool {
    writable(path) && (!path.exists() || owned(path, uid) || owned(path, 0))
}

fn owned(path: &Path, uid: u32) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

#[cfg(test)]
mod tests;
