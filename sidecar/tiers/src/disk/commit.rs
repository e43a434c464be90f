//! What makes a copy durable: the orders of syncs and renames.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use payload_manager_types::{PayloadId, Tier};

use super::layout::{Folder, remove_quietly};
use crate::file::CopyFile;
use crate::{TierError, fail};

/// The producer wrote in place: bytes synced, then the metadata under its name, then the folder. On an error the
/// metadata is gone again, and with it the claim that the bytes are complete.
pub(super) fn in_place(folder: &Folder, id: PayloadId, file: &CopyFile, archive: &[u8]) -> Result<(), TierError> {
    let done = sync(file).and_then(|()| put_archive(folder, id, archive)).and_then(|()| folder.sync_shard(id));
    done.inspect_err(|_| {
        remove_quietly(&folder.meta_tmp(id));
        remove_quietly(&folder.meta(id));
    })
}

/// A copy was written as `.bin.tmp`: bytes synced, metadata under its name, bytes under theirs; the folder is not synced
/// yet. On an error nothing of it is left but the `.bin.tmp`.
pub(super) fn by_rename(folder: &Folder, id: PayloadId, file: &CopyFile, archive: &[u8]) -> Result<(), TierError> {
    make_read_only(file)?;
    sync(file)?;
    put_archive(folder, id, archive)?;
    let (from, to) = (folder.bin_tmp(id), folder.bin(id));
    fs::rename(&from, &to)
        .map_err(|e| fail::io(Tier::Disk, format!("renaming {}", from.display()), e))
        .inspect_err(|_| remove_quietly(&folder.meta(id)))
}

/// Puts other metadata beside a copy. Bytes that go meanwhile go first, so a look afterwards tells whether it has to go, too.
pub(super) fn describe(folder: &Folder, id: PayloadId, archive: &[u8]) -> Result<(), TierError> {
    if !folder.meta(id).exists() {
        return Ok(());
    }
    put_archive(folder, id, archive)?;
    if folder.bin(id).exists() {
        return folder.sync_shard(id);
    }
    remove_quietly(&folder.meta(id));
    Ok(())
}

/// The metadata file, or `None`.
pub(super) fn read_archive(folder: &Folder, id: PayloadId) -> Result<Option<Vec<u8>>, TierError> {
    let path = folder.meta(id);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(fail::io(Tier::Disk, format!("reading {}", path.display()), e)),
    }
}

/// Takes the write bits away: nobody opens the file for writing any more (promise: immutable).
pub(super) fn make_read_only(file: &CopyFile) -> Result<(), TierError> {
    file.file.set_permissions(Permissions::from_mode(0o400)).map_err(|e| file.failed("making read-only", e))
}

/// Gives them back, for the producer of a commit that failed.
pub(super) fn make_writable(file: &CopyFile) {
    let _ = file.file.set_permissions(Permissions::from_mode(0o600));
}

/// Writes the metadata beside its name, syncs it, and gives it its name; the folder is not synced yet.
fn put_archive(folder: &Folder, id: PayloadId, archive: &[u8]) -> Result<(), TierError> {
    put_whole(&folder.meta_tmp(id), &folder.meta(id), archive)
}

/// Writes a small file as `tmp`, syncs it, and gives it its name; the folder is not synced yet.
pub(super) fn put_whole(tmp: &Path, path: &Path, text: &[u8]) -> Result<(), TierError> {
    let written = fail::unless_missing(fs::remove_file(tmp))
        .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(tmp))
        .and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(tmp, path));
    written.map_err(|e| {
        remove_quietly(tmp);
        fail::write(Tier::Disk, format!("writing {}", path.display()), text.len(), e)
    })
}

fn sync(file: &CopyFile) -> Result<(), TierError> {
    file.file.sync_all().map_err(|e| file.failed("syncing", e))
}
