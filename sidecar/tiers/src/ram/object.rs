//! The shared-memory objects of payloads: opening, unlinking, and making one that is unlinked on drop until it is kept.

use std::io;

use payload_manager_shm::ObjectError;
use payload_manager_shm::object as shm;
use payload_manager_types::{PayloadId, Tier};

use crate::file::CopyFile;
use crate::{TierError, fail};

/// Opens what is there, for reading.
pub(super) fn open(id: PayloadId, name: String) -> Result<CopyFile, TierError> {
    opened(id, shm::open_read_only(&name), name)
}

/// Opens what is there, for reading and writing; the daemon may, as long as it is not sealed.
pub(super) fn open_writable(id: PayloadId, name: String) -> Result<CopyFile, TierError> {
    opened(id, shm::open(&name), name)
}

fn opened(id: PayloadId, file: io::Result<std::fs::File>, name: String) -> Result<CopyFile, TierError> {
    match file {
        Ok(file) => Ok(CopyFile::buffered(Tier::Ram, name, file)),
        Err(e) => Err(fail::open(Tier::Ram, id, &name, e)),
    }
}

/// Removes the name; the memory goes with the last mapping. Not being there is fine.
pub(super) fn unlink(name: &str) -> Result<(), TierError> {
    shm::unlink(name).map(drop).map_err(|e| fail::io(Tier::Ram, format!("unlinking {name}"), e))
}

/// Takes the write bits away: nobody opens it for writing any more (promise: immutable).
pub(super) fn make_read_only(object: &CopyFile) -> Result<(), TierError> {
    shm::chmod(&object.file, 0o400).map_err(|e| object.failed("making read-only", e))
}

/// An object that is unlinked again unless somebody keeps it.
pub(super) struct Unfinished {
    pub(super) file: CopyFile,
    kept: bool,
}

impl Unfinished {
    /// A new, empty object. What a crash left under the name is unlinked first, not reused: somebody may
    /// still have it mapped.
    pub(super) fn create(name: String, mode: u32) -> Result<Self, TierError> {
        let made = match shm::create(&name, 0, mode) {
            Err(ObjectError::AlreadyThere(_)) => {
                unlink(&name)?;
                shm::create(&name, 0, mode)
            }
            other => other,
        };
        match made {
            Ok(file) => Ok(Self { file: CopyFile::buffered(Tier::Ram, name, file), kept: false }),
            Err(e) => Err(not_made(&name, e)),
        }
    }

    /// It takes the name of another one, and stays.
    pub(super) fn keep_as(self, name: &str) -> Result<(), TierError> {
        shm::replace(&self.file.name, name).map_err(|e| self.file.failed("renaming", e))?;
        self.keep();
        Ok(())
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
            let _ = unlink(&self.file.name);
        }
    }
}

pub(super) fn not_made(name: &str, error: ObjectError) -> TierError {
    let doing = format!("creating {name}");
    match error {
        ObjectError::Os { source, .. } | ObjectError::Full { source, .. } => fail::write(Tier::Ram, doing, 0, source),
        other => fail::io(Tier::Ram, doing, io::Error::other(other)),
    }
}
