//! Moves a payload's files where a person can look at them, never over another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use payload_manager_types::{PayloadId, Tier};

use super::layout::{self, BIN, Folder, META};
use crate::{TierError, fail};

/// Moves the bytes of `id`, and what lies beside them, to the folder `into` below the root. The pair keeps one name:
/// `<uuid>`, or if that is taken `<uuid>.1` and so on. Returns where the bytes are, `None` if there were none.
pub(super) fn move_pair(folder: &Folder, id: PayloadId, into: &str) -> Result<Option<PathBuf>, TierError> {
    let into = folder.root().join(into);
    let moved = {
        let _one_at_a_time = folder.moving.lock();
        layout::make(&into, false).and_then(|()| move_files(folder, id, &into))
    };
    let moved = moved.map_err(|e| fail::io(Tier::Disk, format!("moving {id} to {}", into.display()), e))?;
    layout::sync_folder(&into)?;
    folder.sync_shard_if_there(id)?;
    Ok(moved)
}

fn move_files(folder: &Folder, id: PayloadId, into: &Path) -> io::Result<Option<PathBuf>> {
    let stem = free_stem(id, into)?;
    let to = into.join(format!("{stem}{BIN}"));
    fail::unless_missing(fs::rename(folder.meta(id), into.join(format!("{stem}{META}"))))?;
    match fs::rename(folder.bin(id), &to) {
        Ok(()) => Ok(Some(to)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The first name under which neither file exists. The folder is this daemon's alone, and `moving` is held, so it stays
/// free until the renames.
fn free_stem(id: PayloadId, into: &Path) -> io::Result<String> {
    let mut stem = id.to_string();
    let mut n = 0u32;
    while taken(&into.join(format!("{stem}{BIN}")))? || taken(&into.join(format!("{stem}{META}")))? {
        n += 1;
        stem = format!("{id}.{n}");
    }
    Ok(stem)
}

/// Whether something has the name, be it a link to nowhere.
fn taken(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}
