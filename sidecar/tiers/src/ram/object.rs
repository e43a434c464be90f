//! One shared-memory object by name: making, opening, unlinking; unlinked on drop until it is kept.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::mman::{shm_open, shm_unlink};
use nix::sys::stat::Mode;
use payload_manager_types::{PayloadId, Tier};

use crate::file::CopyFile;
use crate::{TierError, fail};

/// The name of an object, which may or may not exist.
#[derive(Debug)]
pub(super) struct Object {
    name: String,
}

impl Object {
    pub(super) fn new(name: String) -> Self {
        Self { name }
    }

    /// Opens what is there.
    pub(super) fn open(self, id: PayloadId, access: OFlag) -> Result<CopyFile, TierError> {
        shm_open(self.name.as_str(), access, Mode::empty())
            .map_err(|errno| fail::open(Tier::Ram, id, &self.name, errno.into()))
            .map(|fd| CopyFile::buffered(Tier::Ram, self.name, File::from(fd)))
    }

    /// Removes the name; the memory goes with the last mapping. Not being there is fine.
    pub(super) fn unlink(&self) -> Result<(), TierError> {
        match shm_unlink(self.name.as_str()) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(fail::io(Tier::Ram, format!("unlinking {}", self.name), errno)),
        }
    }

    fn create(&self) -> nix::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL;
        shm_open(self.name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from)
    }
}

/// An object that is unlinked again unless somebody keeps it.
pub(super) struct Unfinished {
    pub(super) file: CopyFile,
    object: Object,
    kept: bool,
}

impl Unfinished {
    /// A new, empty object with mode 0600. What a crash left under the name is unlinked first, not reused: somebody may
    /// still have it mapped.
    pub(super) fn create(object: Object) -> Result<Self, TierError> {
        let made = match object.create() {
            Err(Errno::EEXIST) => {
                object.unlink()?;
                object.create()
            }
            other => other,
        };
        let file = made.map_err(|errno| fail::io(Tier::Ram, format!("creating {}", object.name), errno))?;
        Ok(Self { file: CopyFile::buffered(Tier::Ram, object.name.as_str(), file), object, kept: false })
    }

    /// It stays, and is somebody's now.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept {
            // There is nobody to tell; a name that is left is in the records, and start-up frees it.
            let _ = self.object.unlink();
        }
    }
}

/// Takes the write bits away: nobody opens it for writing any more.
pub(super) fn make_read_only(object: &CopyFile) -> Result<(), TierError> {
    object.file.set_permissions(Permissions::from_mode(0o400)).map_err(|e| object.failed("making read-only", e))
}
