//! Writes a copy: the bytes in parts, then what lies beside them, and only then the object of the bytes is there. So a
//! copy has its metadata from its first moment on, and metadata without bytes is garbage of a crash.
//!
//! Where copies are to be packed, the first block tells whether this one is: what does not shrink goes up as it is.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use payload_manager_types::{Checksum, PayloadId, Place};

use super::fail;
use super::packed::{BLOCK, Packer, bound};
use super::remote::Remote;
use super::upload::Upload;
use crate::{Archive, Packing, Sink, TierError, Written};

/// One copy going up.
#[derive(Debug)]
pub(super) struct ObjectSink {
    remote: Arc<Remote>,
    id: PayloadId,
    size: u64,
    /// Bytes of the payload taken so far.
    taken: u64,
    way: Way,
    /// Whether the bytes that lie there already are the producer's, and stay if this fails.
    over: bool,
}

/// How it goes up.
#[derive(Debug)]
enum Way {
    /// The first block is being filled.
    Undecided(Vec<u8>),
    Plain(Upload),
    Packed {
        upload: Upload,
        packer: Packer,
        block: Vec<u8>,
    },
}

impl ObjectSink {
    pub(super) fn new(remote: Arc<Remote>, id: PayloadId, size: u64, over: bool) -> Result<Self, TierError> {
        // As it is, an object of that size must be possible: what shrinks is known later.
        let upload = Upload::new(Arc::clone(&remote), remote.layout.bin(id), size)?;
        let way = if remote.options.pack { Way::Undecided(Vec::new()) } else { Way::Plain(upload) };
        Ok(Self { remote, id, size, taken: 0, way, over })
    }

    /// Takes back what is beside the bytes, and the bytes too, because a request without an answer may have been carried
    /// out.
    fn take_back(&self) {
        if !self.over {
            self.remote.delete_quietly(&self.remote.layout.bin(self.id));
        }
        self.remote.delete_quietly(&self.remote.layout.meta(self.id));
    }

    /// The first block is whole: whether this copy is packed is decided.
    fn decide(&mut self, block: Vec<u8>) -> Result<(), TierError> {
        let mut packer = Packer::default();
        let frame = packer.pack(&block).map_err(|error| self.odd(error))?;
        let upload = |size| Upload::new(Arc::clone(&self.remote), self.remote.layout.bin(self.id), size);
        self.way = if Packer::is_worth_it(block.len(), frame.len(), self.size) {
            let mut upload = upload(bound(self.size))?;
            upload.push(&frame)?;
            Way::Packed { upload, packer, block: Vec::new() }
        } else {
            let mut upload = upload(self.size)?;
            upload.push(&block)?;
            Way::Plain(upload)
        };
        Ok(())
    }

    fn odd(&self, error: io::Error) -> TierError {
        let doing = self.remote.doing("packing", &self.remote.layout.bin(self.id));
        fail::odd(doing, error.kind(), error.to_string())
    }

    /// What is left goes up; how the copy lies there.
    fn settle(&mut self) -> Result<Packing, TierError> {
        if let Way::Undecided(block) = &mut self.way {
            let block = std::mem::take(block);
            self.decide(block)?;
        }
        match &mut self.way {
            Way::Packed { upload, packer, block } => {
                let doing = || self.remote.doing("packing", &self.remote.layout.bin(self.id));
                let failed = |error: io::Error| fail::odd(doing(), error.kind(), error.to_string());
                if !block.is_empty() {
                    upload.push(&packer.pack(block).map_err(failed)?)?;
                }
                let end = std::mem::take(packer).end(upload.taken(), self.size).map_err(failed)?;
                upload.push(&end)?;
                upload.end_here()?;
                upload.settle()?;
                Ok(Packing::Lz4 { block_bytes: BLOCK as u64 })
            }
            Way::Plain(upload) => upload.settle().map(|()| Packing::Plain),
            Way::Undecided(_) => Err(self.odd(io::Error::other("nothing was decided"))),
        }
    }

    fn complete(&mut self) -> Result<(), TierError> {
        match &mut self.way {
            Way::Packed { upload, .. } | Way::Plain(upload) => upload.complete(),
            Way::Undecided(_) => Ok(()),
        }
    }
}

impl Sink for ObjectSink {
    /// In order, each piece where the last one ended.
    fn write_at(&mut self, offset: u64, mut bytes: &[u8]) -> Result<(), TierError> {
        if let Way::Plain(upload) = &mut self.way {
            return upload.take(offset, bytes);
        }
        if offset != self.taken || bytes.len() as u64 > self.size - self.taken {
            let what = format!("{} bytes at {offset}, after {} of {}", bytes.len(), self.taken, self.size);
            return Err(self.odd(io::Error::new(io::ErrorKind::InvalidInput, what)));
        }
        self.taken += bytes.len() as u64;
        while !bytes.is_empty() {
            let filling = match &mut self.way {
                Way::Undecided(block) | Way::Packed { block, .. } => block,
                // Decided by the first block of these bytes.
                Way::Plain(upload) => return upload.push(bytes),
            };
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - filling.len()));
            filling.extend_from_slice(now);
            bytes = rest;
            if filling.len() < BLOCK {
                break;
            }
            let mut block = std::mem::take(filling);
            if let Way::Packed { upload, packer, .. } = &mut self.way {
                let doing = || self.remote.doing("packing", &self.remote.layout.bin(self.id));
                let frame = packer.pack(&block);
                upload.push(&frame.map_err(|error| fail::odd(doing(), error.kind(), error.to_string()))?)?;
                block.clear();
                if let Way::Packed { block: filling, .. } = &mut self.way {
                    *filling = block;
                }
            } else {
                self.decide(block)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, checksum: Checksum, archive: &Archive<'_>) -> Result<Place, TierError> {
        if !matches!(self.way, Way::Plain(_)) && self.taken != self.size {
            let what = format!("{} of {} bytes were written", self.taken, self.size);
            return Err(self.odd(io::Error::new(io::ErrorKind::InvalidInput, what)));
        }
        let packing = self.settle()?;
        let beside = Bytes::from(archive(Written { checksum, packing }));
        self.remote
            .put(&self.remote.layout.meta(self.id), beside)
            .and_then(|()| self.complete())
            .inspect_err(|_| self.take_back())
            .map(|()| Place::OWN)
    }
}
