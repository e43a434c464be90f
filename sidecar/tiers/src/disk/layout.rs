//! Where things lie below the root, and the folders they lie in.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{self, Path, PathBuf};

use parking_lot::Mutex;
use payload_manager_types::{PayloadId, Tier};

use crate::{TierError, fail, file};

/// Where copies that no row names go.
pub(super) const ORPHANS: &str = "orphans";
/// Where copies that failed their check go.
pub(super) const SET_ASIDE: &str = "set-aside";
/// Ends the name of what is not finished.
pub(super) const TMP: &str = ".tmp";
/// Ends the name of a payload's bytes.
pub(super) const BIN: &str = ".bin";
/// Ends the name of what lies beside them.
pub(super) const META: &str = ".meta.json";

/// The root and its shards.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Held while something is moved aside, so that two moves do not choose one name.
    pub(super) moving: Mutex<()>,
}

impl Folder {
    pub(super) fn open(root: &Path) -> Result<Self, TierError> {
        let making = |e| fail::io(Tier::Disk, format!("making the folder {}", root.display()), e);
        let missing: Vec<PathBuf> = path::absolute(root).map_err(making)?.ancestors().map_while(missing).collect();
        make(root, true).map_err(making)?;
        missing.iter().filter_map(|folder| folder.parent()).try_for_each(sync_folder)?;
        let doing = |what: &str| format!("the folder {} {what}", root.display());
        let root = fs::canonicalize(root).map_err(|e| fail::io(Tier::Disk, doing("can't be found"), e))?;
        let probe = root.join(format!("probe-{}{TMP}", std::process::id()));
        File::create(&probe)
            .and_then(|_| fs::remove_file(&probe))
            .map_err(|e| fail::io(Tier::Disk, doing("can't be written to; is it read-only?"), e))?;
        let folder = Self { root, moving: Mutex::default() };
        folder.make_shards()?;
        Ok(folder)
    }

    /// Makes all shards whose names must survive power loss before any file in them counts, so that no copy has to wait
    /// for that.
    fn make_shards(&self) -> Result<(), TierError> {
        for number in u8::MIN..=u8::MAX {
            let shard = self.root.join(format!("{number:02x}"));
            make(&shard, false)
                .map_err(|e| fail::io(Tier::Disk, format!("making the folder {}", shard.display()), e))?;
        }
        // Also those that were there: nobody knows whether the one who made them came to do this.
        sync_folder(&self.root)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn bin(&self, id: PayloadId) -> PathBuf {
        self.shard(id).join(format!("{id}{BIN}"))
    }

    pub(super) fn meta(&self, id: PayloadId) -> PathBuf {
        self.shard(id).join(format!("{id}{META}"))
    }

    pub(super) fn bin_tmp(&self, id: PayloadId) -> PathBuf {
        self.shard(id).join(format!("{id}{BIN}{TMP}"))
    }

    pub(super) fn meta_tmp(&self, id: PayloadId) -> PathBuf {
        self.shard(id).join(format!("{id}{META}{TMP}"))
    }

    /// The last two hexadecimal digits: of a UUIDv7 the first ones are time, and would crowd.
    fn shard(&self, id: PayloadId) -> PathBuf {
        self.root.join(shard_name(id))
    }

    /// Creates a file in a shard, making the shard again if somebody took it away, and replacing what a crash left under
    /// the name.
    pub(super) fn create(&self, path: &Path, options: &OpenOptions, direct: bool) -> Result<(File, bool), TierError> {
        let made = match file::open(path, options, direct) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => path
                .parent()
                .map_or(Ok(()), |shard| make(shard, false))
                .and_then(|()| File::open(&self.root)?.sync_all())
                .and_then(|()| file::open(path, options, direct)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(path).and_then(|()| file::open(path, options, direct))
            }
            other => other,
        };
        let doing = format!("creating {}", path.display());
        made.map_err(|e| fail::write(Tier::Disk, doing, 0, e))
    }

    /// Makes the names in the shard of `id` survive power loss.
    pub(super) fn sync_shard(&self, id: PayloadId) -> Result<(), TierError> {
        sync_folder(&self.shard(id))
    }

    /// As [`Self::sync_shard`]; no shard has no names to lose.
    pub(super) fn sync_shard_if_there(&self, id: PayloadId) -> Result<(), TierError> {
        if self.shard(id).is_dir() { self.sync_shard(id) } else { Ok(()) }
    }

    /// Removes everything of `id`: the bytes first, so that a crash in between leaves a metadata file without bytes,
    /// which is garbage, and never bytes that look like an orphan.
    pub(super) fn remove_all(&self, id: PayloadId) -> Result<(), TierError> {
        for path in [self.bin(id), self.bin_tmp(id), self.meta(id), self.meta_tmp(id)] {
            fail::unless_missing(fs::remove_file(&path))
                .map_err(|e| fail::io(Tier::Disk, format!("removing {}", path.display()), e))?;
        }
        Ok(())
    }
}

/// The name of the shard of `id`.
pub(super) fn shard_name(id: PayloadId) -> String {
    format!("{:02x}", shard_number(id))
}

fn shard_number(id: PayloadId) -> u8 {
    id.as_bytes().last().copied().unwrap_or_default()
}

/// The folder, if it is not there yet.
fn missing(folder: &Path) -> Option<PathBuf> {
    (!folder.exists()).then(|| folder.to_owned())
}

/// Makes a folder with mode 0700; being there already is fine.
pub(super) fn make(folder: &Path, with_parents: bool) -> io::Result<()> {
    match DirBuilder::new().recursive(with_parents).mode(0o700).create(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other,
    }
}

/// Makes the names in a folder survive power loss.
pub(super) fn sync_folder(folder: &Path) -> Result<(), TierError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| fail::io(Tier::Disk, format!("syncing the folder {}", folder.display()), e))
}

/// Removes what is being given up because of another error, which is the one to report.
pub(super) fn remove_quietly(path: &Path) {
    let _ = fs::remove_file(path);
}
