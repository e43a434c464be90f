//! Memory of SEALED payloads: each has one of its own, without a name, that the kernel lets nobody change once it is
//! committed, the daemon and root included.
//!
//! It is there as long as somebody has it open or mapped; the daemon keeps one descriptor of each, so it dies with the
//! daemon, and there is a bound on how many there are. Not here: what is told of them to whom.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit};
use parking_lot::Mutex;
use payload_manager_shm::memfd::{self, Access};
use payload_manager_types::{PayloadId, Place, Tier};

use super::request;
use crate::file::CopyFile;
use crate::reserve::Turn;
use crate::{MemoryGauge, Source, TierError, fail};

/// One of so many descriptors that this process may have is for this: sessions, segments and files need the others.
const PART: u64 = 4;

/// How many there may be at once, as the limit of open files is now.
pub(super) fn most() -> usize {
    // What can't be asked is what POSIX promises at least.
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(256, |(soft, _)| soft);
    usize::try_from(files / PART).unwrap_or(usize::MAX)
}

/// All of a daemon's. Clones speak of the same ones.
#[derive(Clone)]
pub struct Memfds(Arc<Shared>);

struct Shared {
    gauge: Arc<dyn MemoryGauge>,
    turn: Arc<Turn>,
    most: usize,
    files: Mutex<HashMap<PayloadId, Arc<File>>>,
}

impl Memfds {
    /// None yet, and never more than `most`.
    pub(super) fn new(gauge: Arc<dyn MemoryGauge>, turn: Arc<Turn>, most: usize) -> Self {
        Self(Arc::new(Shared { gauge, turn, most, files: Mutex::default() }))
    }

    /// How many there may be at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.0.most
    }

    /// Makes memory of `size` bytes, all there, for a producer to write; `None` if there are as many as may be.
    ///
    /// # Errors
    /// [`TierError::Full`], [`TierError::Io`]; nothing is left behind.
    pub fn allocate(&self, id: PayloadId, size: u64) -> Result<Option<Place>, TierError> {
        let name = format!("payload-{id}");
        let file = memfd::create(&name).map_err(|e| fail::io(Tier::Ram, format!("making memory for {name}"), e))?;
        let file = Arc::new(file);
        {
            let mut files = self.0.files.lock();
            if files.len() >= self.0.most {
                return Ok(None);
            }
            files.insert(id, Arc::clone(&file));
        }
        let filled = request(size).in_memory(&file, &*self.0.gauge, &self.0.turn);
        filled.inspect_err(|_| self.free(id)).map(|()| Some(Place::SEALED))
    }

    /// A descriptor of its own, for a client.
    ///
    /// # Errors
    /// `NotFound` if it is gone; as the system says.
    pub fn open(&self, id: PayloadId, access: Access) -> io::Result<File> {
        let file = self.get(id).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, GONE))?;
        memfd::open_again(&file, access)
    }

    /// From here on nobody can change it.
    pub(super) fn seal(&self, id: PayloadId, size: u64) -> Result<(), TierError> {
        let object = self.copy_file(id)?;
        object.check_size(id, size)?;
        memfd::seal(&object.file).map_err(|e| match e.kind() {
            io::ErrorKind::ResourceBusy => TierError::StillMapped { id },
            _ => object.failed("sealing", e),
        })?;
        // It could be cut, and holes be made in it, until just now.
        object.check_size(id, size)?;
        let meta = object.file.metadata().map_err(|e| object.failed("looking at", e))?;
        if meta.blocks().saturating_mul(512) < size {
            request(size).in_memory(&object.file, &*self.0.gauge, &self.0.turn)?;
        }
        Ok(())
    }

    pub(super) fn source(&self, id: PayloadId, size: u64) -> Result<Box<dyn Source>, TierError> {
        let object = self.copy_file(id)?;
        object.check_size(id, size)?;
        Ok(Box::new(object))
    }

    /// The memory goes with the last mapping and descriptor. One that is not there is fine.
    pub(super) fn free(&self, id: PayloadId) {
        let file = self.0.files.lock().remove(&id);
        // Not under the lock: the kernel may have much to free.
        drop(file);
    }

    fn get(&self, id: PayloadId) -> Option<Arc<File>> {
        self.0.files.lock().get(&id).cloned()
    }

    fn copy_file(&self, id: PayloadId) -> Result<CopyFile, TierError> {
        let gone = || TierError::Missing { id, tier: Tier::Ram, what: GONE.to_owned() };
        let (file, name) = (self.get(id).ok_or_else(gone)?, format!("the sealed memory of {id}"));
        let file = file.try_clone().map_err(|e| fail::io(Tier::Ram, format!("opening {name}"), e))?;
        Ok(CopyFile::buffered(Tier::Ram, name, file))
    }
}

const GONE: &str = "there is no sealed memory of it";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use payload_manager_shm::WriteMap;

    use super::*;
    use crate::conformance::bytes::{checksum_of, new_id, pattern};
    use crate::ram::RamTier;
    use crate::{Job, Location, TierStore, Unlimited, copy};

    const SIZE: usize = (1 << 20) + 5;

    /// A tier that may have two of them; no object of it is made.
    fn tier() -> RamTier {
        let tier = RamTier::new("pm-sealed-none", Arc::new(Unlimited));
        let memfds = Memfds::new(Arc::clone(&tier.gauge), Arc::clone(&tier.turn), 2);
        RamTier { memfds, ..tier }
    }

    fn made(tier: &RamTier, bytes: &[u8]) -> (PayloadId, File) {
        let id = new_id();
        assert_eq!(tier.memfds().allocate(id, bytes.len() as u64).unwrap(), Some(Place::SEALED));
        let file = tier.memfds().open(id, Access::Write).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        (id, file)
    }

    fn seal(tier: &RamTier, id: PayloadId, size: usize) -> Result<(), TierError> {
        tier.seal(id, Place::SEALED, size as u64, &|_| Vec::new()).map(drop)
    }

    #[test]
    fn nobody_changes_what_is_sealed_and_it_can_be_copied_from() {
        let (tier, bytes) = (tier(), pattern(SIZE));
        let (id, producer) = made(&tier, &bytes);
        assert_eq!(tier.location(id, Place::SEALED), Location::Passed);
        seal(&tier, id, SIZE).unwrap();
        seal(&tier, id, SIZE).unwrap();
        producer.write_all_at(&[0; 8], 0).unwrap_err();
        producer.set_len(1).unwrap_err();
        let mut source = tier.source(id, Place::SEALED, SIZE as u64).unwrap();
        let job = Job { id, from: Tier::Ram, size: SIZE as u64 };
        assert_eq!(copy::hash(job, &mut *source, &|_| true).unwrap(), checksum_of(&bytes));
        tier.free(id, Place::SEALED).unwrap();
        tier.free(id, Place::SEALED).unwrap();
        assert!(matches!(tier.source(id, Place::SEALED, SIZE as u64).map(drop), Err(TierError::Missing { .. })));
        assert_eq!(tier.memfds().open(id, Access::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_producer_who_has_it_mapped_is_told_to_unmap_it_and_may_try_again() {
        let tier = tier();
        let (id, file) = made(&tier, &pattern(SIZE));
        let map = WriteMap::of_file(&file, 0, SIZE).unwrap();
        let busy = seal(&tier, id, SIZE).unwrap_err();
        assert!(matches!(busy, TierError::StillMapped { id: named } if named == id), "{busy}");
        drop(map);
        seal(&tier, id, SIZE).unwrap();
    }

    #[test]
    fn what_its_producer_cut_is_not_sealed_and_holes_are_filled() {
        let tier = tier();
        let (id, file) = made(&tier, &pattern(SIZE));
        file.set_len(5).unwrap();
        assert!(matches!(seal(&tier, id, SIZE), Err(TierError::WrongSize { found: 5, .. })));
        assert!(!memfd::is_sealed(&file).unwrap());
        file.set_len(SIZE as u64).unwrap();
        seal(&tier, id, SIZE).unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 >= SIZE as u64);
        assert_eq!(file.metadata().unwrap().len(), SIZE as u64);
    }

    #[test]
    fn there_are_never_more_than_may_be() {
        let tier = tier();
        let (first, _) = made(&tier, b"1");
        made(&tier, b"2");
        assert_eq!(tier.memfds().allocate(new_id(), 1).unwrap(), None);
        tier.free(first, Place::SEALED).unwrap();
        made(&tier, b"3");
    }

    #[test]
    fn a_quarter_of_the_descriptors_is_for_them() {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(most() > 0 && most() as u64 <= soft / PART, "{} of {soft}", most());
    }
}
