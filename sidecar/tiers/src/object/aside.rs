//! Moves a copy where a person can look at it, never over another. Stores do not rename: it is copied on their side, and
//! then removed.

use std::io;
use std::sync::Arc;

use object_store::path::Path;
use payload_manager_types::PayloadId;

use super::fail;
use super::layout::{BIN, META, SET_ASIDE};
use super::remote::Remote;
use super::source::{ObjectSource, PART};
use super::upload::Upload;
use crate::{Source, TierError};

/// The largest object that S3 copies in one request; what is larger goes through this host.
pub(super) const COPY_MAX: u64 = 5 << 30;

/// Moves the bytes of `id` and what lies beside them to `set-aside/`; no bytes there is fine. The pair keeps one name:
/// `<uuid>`, or if that is taken `<uuid>.1` and so on. What is larger than `copy_max` goes through this host.
pub(super) fn move_pair(remote: &Arc<Remote>, id: PayloadId, copy_max: u64) -> Result<(), TierError> {
    let _one_at_a_time = remote.moving.lock();
    let (bin, meta) = (remote.layout.bin(id), remote.layout.meta(id));
    if let Some(found) = remote.head(&bin)? {
        let stem = free_stem(remote, id)?;
        if remote.head(&meta)?.is_some() {
            remote.copy(&meta, &stem.key(remote, META))?;
        }
        let to = stem.key(remote, BIN);
        if found.size > copy_max { through_here(remote, id, found.size, to)? } else { remote.copy(&bin, &to)? }
    }
    remote.delete(&bin)?;
    remote.delete(&meta)
}

struct Stem(String);

impl Stem {
    fn key(&self, remote: &Remote, end: &str) -> Path {
        remote.layout.key(&format!("{SET_ASIDE}/{}{end}", self.0))
    }
}

/// The first name under which neither object exists. The prefix is this daemon's alone, and `moving` is held, so it stays
/// free until the copies are made.
fn free_stem(remote: &Remote, id: PayloadId) -> Result<Stem, TierError> {
    let mut stem = Stem(id.to_string());
    let mut n = 0u32;
    while remote.head(&stem.key(remote, BIN))?.is_some() || remote.head(&stem.key(remote, META))?.is_some() {
        n += 1;
        stem = Stem(format!("{id}.{n}"));
    }
    Ok(stem)
}

/// Copies the bytes of `id` by reading and writing them.
fn through_here(remote: &Arc<Remote>, id: PayloadId, size: u64, to: Path) -> Result<(), TierError> {
    let mut source = ObjectSource::new(Arc::clone(remote), id, size);
    let mut upload = Upload::new(Arc::clone(remote), to, size)?;
    let mut piece = vec![0; usize::try_from(PART.min(size)).unwrap_or(usize::MAX)];
    let mut done = 0;
    while done < size {
        let got = source.read_at(done, &mut piece)?;
        if got == 0 {
            return Err(fail::odd(format!("copying payload {id}"), io::ErrorKind::UnexpectedEof, "it ended early"));
        }
        upload.take(done, piece.get(..got).unwrap_or_default())?;
        done += got as u64;
    }
    upload.complete()
}
