//! What lies in the folder, for start-up to compare with the catalog. Changes nothing by itself.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use payload_manager_types::{PayloadId, Tier};

use super::layout::{BIN, Folder, META, ORPHANS, SET_ASIDE, TMP, shard_name};
use super::marker;
use crate::notes::NOTES;
use crate::{TierError, fail};

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The bytes of a payload, where they belong.
    Bin {
        /// Whose.
        id: PayloadId,
        /// How many.
        size: u64,
    },
    /// A metadata file, where it belongs.
    Meta {
        /// Whose.
        id: PayloadId,
    },
    /// Something that was not finished: garbage, for [`DiskTier::remove_tmp`](super::DiskTier::remove_tmp).
    Tmp {
        /// Where.
        path: PathBuf,
    },
    /// Something that is not ours, or not where it belongs: leave it alone, and say so.
    Other {
        /// Where.
        path: PathBuf,
    },
}

/// Looks at every file in every shard. What was moved aside, the marker and the notes are not listed.
pub(super) fn walk(folder: &Folder) -> Result<Vec<Found>, TierError> {
    let mut found = Vec::new();
    for entry in entries(folder.root())? {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            found.push(Found::Other { path: entry.path() });
            continue;
        };
        let is_dir = entry.file_type().map_err(|e| failed(&entry.path(), e))?.is_dir();
        match name.as_str() {
            marker::NAME | ORPHANS | SET_ASIDE | NOTES => {}
            shard if is_dir && is_shard(shard) => {
                for entry in entries(&entry.path())? {
                    found.extend(classify(shard, &entry)?);
                }
            }
            tmp if !is_dir && tmp.ends_with(TMP) => found.push(Found::Tmp { path: entry.path() }),
            _ => found.push(Found::Other { path: entry.path() }),
        }
    }
    Ok(found)
}

/// Removes an unfinished file of this folder, and nothing else.
pub(super) fn remove_tmp(folder: &Folder, path: &Path) -> Result<(), TierError> {
    let refused = |what: &str| failed(path, io::Error::new(io::ErrorKind::InvalidInput, what));
    let depth = path.strip_prefix(folder.root()).map_err(|_| refused("not in this folder"))?.components();
    let plain = depth.clone().all(|part| matches!(part, std::path::Component::Normal(_)));
    let unfinished = path.to_str().is_some_and(|path| path.ends_with(TMP));
    if !plain || !unfinished || depth.count() > 2 {
        return Err(refused("no unfinished file of a payload"));
    }
    fail::unless_missing(fs::remove_file(path)).map_err(|e| failed(path, e))
}

/// What an entry of a shard is; `None` if it went away meanwhile. Only of bytes it is asked how many they are: with many
/// files, that is what takes the time.
fn classify(shard: &str, entry: &DirEntry) -> Result<Option<Found>, TierError> {
    let path = entry.path();
    let is_file = entry.file_type().map_err(|e| failed(&path, e))?.is_file();
    let name = entry.file_name();
    let name = name.to_str().filter(|_| is_file).unwrap_or_default();
    let id_before = |end: &str| name.strip_suffix(end)?.parse().ok().filter(|id| is_home(*id, end, name, shard));
    Ok(Some(if name.ends_with(TMP) {
        Found::Tmp { path }
    } else if let Some(id) = id_before(BIN) {
        match entry.metadata() {
            Ok(meta) => Found::Bin { id, size: meta.len() },
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(&path, e)),
        }
    } else if let Some(id) = id_before(META) {
        Found::Meta { id }
    } else {
        Found::Other { path }
    }))
}

/// Whether this very name in this very shard is where the tier looks for it.
fn is_home(id: PayloadId, end: &str, name: &str, shard: &str) -> bool {
    name == format!("{id}{end}") && shard == shard_name(id)
}

fn is_shard(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>, TierError> {
    fs::read_dir(folder).and_then(Iterator::collect).map_err(|e| failed(folder, e))
}

fn failed(path: &Path, error: io::Error) -> TierError {
    fail::io(Tier::Disk, format!("surveying {}", path.display()), error)
}
