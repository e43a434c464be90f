//! DISK: a file of its own for each payload, with its archive metadata beside it, both synced before anybody is told.
//!
//! ```text
//! <root>/instance                  whose folder this is
//! <root>/<hh>/<uuid>.bin           the bytes; hh: the last two hexadecimal digits of the uuid
//! <root>/<hh>/<uuid>.meta.json     what a rebuild of the catalog needs to know of them
//! <root>/<hh>/<uuid>.*.tmp         being written; garbage after a crash
//! <root>/streams/<hash>/<name>     the logs of streams, see [`crate::Notes`]
//! <root>/set-aside/                copies that failed their check
//! <root>/orphans/                  copies that no row names
//! ```
//!
//! A copy is made as `.bin.tmp`, fsynced, and gets its name after its metadata got its own; a producer writes in place,
//! and then the metadata file is what says that the bytes are complete. Not here: which copies should be there (the
//! catalog), and the lock on the folder (whoever opens the tier holds it).

mod aside;
mod commit;
mod layout;
mod marker;
mod notes;
mod sink;
mod survey;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use payload_manager_types::{PayloadId, Place, Tier};

use self::layout::Folder;
pub use self::marker::{read_marker, write_marker};
use self::sink::DiskSink;
pub use self::survey::Found;
use crate::file::{self, CopyFile};
use crate::reserve::Request;
use crate::{Archive, Description, Location, Packing, Sealed, Sink, Source, TierError, TierStore, Written, copy, fail};

/// How a [`DiskTier`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskOptions {
    /// Copies of this size and more pass the page cache by where the file system allows it; in bytes.
    pub direct_io_min: u64,
}

impl Default for DiskOptions {
    /// Direct I/O from 8 MiB on.
    fn default() -> Self {
        Self { direct_io_min: 8 << 20 }
    }
}

/// Holds copies in files below one folder.
#[derive(Debug, Clone)]
pub struct DiskTier {
    folder: Arc<Folder>,
    options: DiskOptions,
}

impl DiskTier {
    /// Uses the folder `root`, made with mode 0700 if it is missing.
    ///
    /// # Errors
    /// [`TierError::Io`] if it is no folder, can't be made, or can't be written to.
    pub fn open(root: &Path, options: DiskOptions) -> Result<Self, TierError> {
        Ok(Self { folder: Arc::new(Folder::open(root)?), options })
    }

    /// The folder, as an absolute path.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.folder.root()
    }

    /// The path of the bytes of `id`, whether they are there or not.
    #[must_use]
    pub fn path(&self, id: PayloadId) -> PathBuf {
        self.folder.bin(id)
    }

    /// What lies in the folder, in no order. For start-up: a walk over every file.
    ///
    /// # Errors
    /// [`TierError::Io`].
    pub fn survey(&self) -> Result<Vec<Found>, TierError> {
        survey::walk(&self.folder)
    }

    /// The metadata file of `id`, or `None` if there is none.
    ///
    /// # Errors
    /// [`TierError::Io`].
    pub fn archive(&self, id: PayloadId) -> Result<Option<Vec<u8>>, TierError> {
        commit::read_archive(&self.folder, id)
    }

    /// Moves what no row names to `orphans/`, the bytes and what lies beside them; nothing there is overwritten
    /// (promise: never-the-only-copy). Returns where the bytes are now, or `None` if there were none.
    ///
    /// # Errors
    /// [`TierError::Io`].
    pub fn orphan(&self, id: PayloadId) -> Result<Option<PathBuf>, TierError> {
        aside::move_pair(&self.folder, id, layout::ORPHANS)
    }

    /// Removes a file that [`Self::survey`] found to be unfinished.
    ///
    /// # Errors
    /// [`TierError::Io`], also for a path that is no such file.
    pub fn remove_tmp(&self, path: &Path) -> Result<(), TierError> {
        survey::remove_tmp(&self.folder, path)
    }

    fn open_copy(&self, id: PayloadId, size: u64, direct: bool) -> Result<CopyFile, TierError> {
        let name = self.folder.bin(id).display().to_string();
        let (file, direct) = file::open(&self.folder.bin(id), OpenOptions::new().read(true), direct)
            .map_err(|e| fail::open(Tier::Disk, id, &name, e))?;
        let file = CopyFile { tier: Tier::Disk, name, file, direct };
        file.check_size(id, size)?;
        Ok(file)
    }

    /// A new file of `size` bytes, under `name`, that replaces what a crash left there.
    fn reserve(&self, path: PathBuf, size: u64) -> Result<CopyFile, TierError> {
        let options = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).clone();
        let direct = size >= self.options.direct_io_min;
        let (file, direct) = self.folder.create(&path, &options, direct)?;
        let file = CopyFile { tier: Tier::Disk, name: path.display().to_string(), file, direct };
        let on = self.folder.root().display().to_string();
        let reserved = Request { tier: Tier::Disk, size, on: &on }.on_disk(&file.file);
        reserved.inspect_err(|_| layout::remove_quietly(&path)).map(|()| file)
    }
}

impl TierStore for DiskTier {
    fn tier(&self) -> Tier {
        Tier::Disk
    }

    fn location(&self, id: PayloadId, place: Place) -> Location {
        Location::File { path: self.folder.bin(id), offset: place.offset }
    }

    fn allocate(&self, id: PayloadId, size: u64) -> Result<Place, TierError> {
        self.reserve(self.folder.bin(id), size)?;
        Ok(Place::OWN)
    }

    fn seal(&self, id: PayloadId, _: Place, size: u64, archive: &Archive<'_>) -> Result<Sealed, TierError> {
        let mut file = self.open_copy(id, size, false)?;
        commit::make_read_only(&file)?;
        let job = copy::Job { id, from: Tier::Disk, size };
        // What the producer wrote is in the page cache: read it from there, before the sync pushes it out.
        copy::hash(job, &mut file, &|_| true)
            .and_then(|sum| commit::in_place(&self.folder, id, &file, &archive(Written::plain(sum))).map(|()| sum))
            .inspect_err(|_| commit::make_writable(&file))
            .map(|sum| Sealed { checksum: Some(sum) })
    }

    fn source(&self, id: PayloadId, _: Place, size: u64) -> Result<Box<dyn Source>, TierError> {
        Ok(Box::new(self.open_copy(id, size, size >= self.options.direct_io_min)?))
    }

    fn sink(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        let file = self.reserve(self.folder.bin_tmp(id), size)?;
        Ok(Box::new(DiskSink::new(Arc::clone(&self.folder), id, file)))
    }

    fn replacement(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        let file = self.reserve(self.folder.bin_tmp(id), size)?;
        Ok(Box::new(DiskSink::over(Arc::clone(&self.folder), id, file)))
    }

    fn describe(&self, id: PayloadId, _: u64, archive: &Description<'_>) -> Result<(), TierError> {
        commit::describe(&self.folder, id, &archive(Packing::Plain))
    }

    fn free(&self, id: PayloadId, _: Place) -> Result<(), TierError> {
        self.folder.remove_all(id)
    }

    fn set_aside(&self, id: PayloadId, _: Place) -> Result<(), TierError> {
        aside::move_pair(&self.folder, id, layout::SET_ASIDE).map(|_| ())
    }
}
