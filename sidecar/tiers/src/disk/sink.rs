//! Writes a copy that nobody can see until it is finished.

use std::sync::Arc;

use payload_manager_types::{Checksum, PayloadId, Place};

use super::commit;
use super::layout::{Folder, remove_quietly};
use crate::file::CopyFile;
use crate::{Archive, Sink, TierError, Written};

/// A `.bin.tmp` whose space is reserved; removed on drop, where it still has that name.
#[derive(Debug)]
pub(super) struct DiskSink {
    folder: Arc<Folder>,
    id: PayloadId,
    file: CopyFile,
    /// Whether it takes the place of what the producer wrote: that name is never without bytes.
    over: bool,
    finished: bool,
}

impl DiskSink {
    pub(super) fn new(folder: Arc<Folder>, id: PayloadId, file: CopyFile) -> Self {
        Self { folder, id, file, over: false, finished: false }
    }

    pub(super) fn over(folder: Arc<Folder>, id: PayloadId, file: CopyFile) -> Self {
        Self { folder, id, file, over: true, finished: false }
    }
}

impl Sink for DiskSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TierError> {
        self.file.write_at(offset, bytes)
    }

    fn finish(mut self: Box<Self>, checksum: Checksum, archive: &Archive<'_>) -> Result<Place, TierError> {
        commit::by_rename(&self.folder, self.id, &self.file, &archive(Written::plain(checksum)))?;
        // Best effort: the first error is the one to report.
        let undo = || if self.over { Ok(()) } else { self.folder.remove_all(self.id) };
        self.folder.sync_shard(self.id).inspect_err(|_| drop(undo()))?;
        self.finished = true;
        Ok(Place::OWN)
    }
}

impl Drop for DiskSink {
    fn drop(&mut self) {
        if !self.finished {
            remove_quietly(&self.folder.bin_tmp(self.id));
        }
    }
}
