//! Writes a copy: the bytes in parts, then what lies beside them, and only then the object of the bytes is there. So a
//! copy has its metadata from its first moment on, and metadata without bytes is garbage of a crash.

use std::sync::Arc;

use bytes::Bytes;
use payload_manager_types::{Checksum, PayloadId, Place};

use super::remote::Remote;
use super::upload::Upload;
use crate::{Archive, Sink, TierError};

/// One copy going up.
#[derive(Debug)]
pub(super) struct ObjectSink {
    remote: Arc<Remote>,
    id: PayloadId,
    upload: Upload,
    /// Whether the bytes that lie there already are the producer's, and stay if this fails.
    over: bool,
}

impl ObjectSink {
    pub(super) fn new(remote: Arc<Remote>, id: PayloadId, size: u64, over: bool) -> Result<Self, TierError> {
        let upload = Upload::new(Arc::clone(&remote), remote.layout.bin(id), size)?;
        Ok(Self { remote, id, upload, over })
    }

    /// Takes back what is beside the bytes, and the bytes too, because a request without an answer may have been carried
    /// out.
    fn take_back(&self) {
        if !self.over {
            self.remote.delete_quietly(&self.remote.layout.bin(self.id));
        }
        self.remote.delete_quietly(&self.remote.layout.meta(self.id));
    }
}

impl Sink for ObjectSink {
    /// In order, each piece where the last one ended.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TierError> {
        self.upload.take(offset, bytes)
    }

    fn finish(mut self: Box<Self>, checksum: Checksum, archive: &Archive<'_>) -> Result<Place, TierError> {
        self.upload.settle()?;
        let beside = Bytes::from(archive(checksum));
        self.remote
            .put(&self.remote.layout.meta(self.id), beside)
            .and_then(|()| self.upload.complete())
            .inspect_err(|_| self.take_back())
            .map(|()| Place::OWN)
    }
}
