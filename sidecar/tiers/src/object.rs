//! OBJECT: an object in S3, Google Cloud Storage, Azure or a folder for each payload, with its archive metadata beside it.
//!
//! What lies where: `layout.rs`. How it gets there: bytes in parts (`upload.rs`), then the metadata, and then the object of
//! the bytes is there at once (`sink.rs`); a producer uploads by itself, and [`TierStore::seal`] looks whether it did.
//! Reads are ahead of their reader (`source.rs`). An upload holds 64 MiB at most, a read too, whatever the size.
//!
//! Not here: which copies should be there (the catalog), compression, and removing what a killed daemon left of an
//! upload in parts: S3 shows those to nobody who lists objects, and a rule of the bucket should remove them.

pub mod address;
mod aside;
mod connect;
mod driver;
mod fail;
mod held;
mod layout;
mod marker;
mod notes;
mod packed;
pub mod parts;
mod profile;
mod remote;
mod sink;
mod source;
mod survey;
#[cfg(test)]
mod tests;
mod unpacked;
mod upload;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use payload_manager_types::{InstanceId, PayloadId, Place, Tier};

pub use self::address::{Address, AddressError, Scheme};
use self::driver::Driver;
use self::held::Held;
use self::layout::{Layout, PROBE};
use self::packed::BLOCK;
use self::remote::Remote;
use self::sink::ObjectSink;
use self::source::ObjectSource;
pub use self::survey::{Found, Survey};
use self::unpacked::UnpackedSource;
use crate::{Archive, Description, Location, Packing, Sealed, Sink, Source, TierError, TierStore, Written, copy};

/// How an [`ObjectTier`] speaks to its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectOptions {
    /// Parts of one copy that may be under way at once; fewer where they would hold more than 64 MiB.
    pub in_flight: u64,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one request may take, body and all; a part is 8 MiB, or more for copies beyond 80 GiB.
    pub request_timeout: Duration,
    /// How often a request is tried again after no answer, a 429 or a 5xx.
    pub retries: usize,
    /// No request is tried again this long after its first try.
    pub retry_for: Duration,
    /// The wait before the second try; it doubles, with jitter, up to 15 s.
    pub backoff: Duration,
    /// Whether new copies are packed with LZ4, those that shrink. Packed ones are read in any case.
    pub pack: bool,
    /// What the environment would say otherwise, and wins over it.
    pub settings: Settings,
}

/// Settings of a store by the names that environment variables have for them, in small letters: `aws_region`,
/// `aws_access_key_id`, `aws_virtual_hosted_style_request` (the bucket stands in the path otherwise), `proxy_url`,
/// `google_service_account`, `azure_storage_account_name` and so on. Its debug text names no values, as some are secrets.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Settings(pub Vec<(String, String)>);

impl fmt::Debug for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Default for ObjectOptions {
    /// Four parts at once, 5 s to connect, 2 min a request, 10 retries within 3 min.
    fn default() -> Self {
        Self {
            in_flight: 4,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(120),
            retries: 10,
            retry_for: Duration::from_secs(180),
            backoff: Duration::from_millis(100),
            pack: false,
            settings: Settings::default(),
        }
    }
}

/// Holds copies below one prefix of an object store. It has threads of its own, which end with its last clone.
#[derive(Debug, Clone)]
pub struct ObjectTier {
    address: Arc<Address>,
    remote: Arc<Remote>,
}

impl ObjectTier {
    /// Uses the prefix of `address`. Sends nothing: [`Self::check`] does.
    ///
    /// # Errors
    /// [`TierError::Io`] if a setting, here or in the environment, is unknown or wrong, the folder of a `file://` address can't be made, or the
    /// system gives no threads.
    pub fn open(address: Address, options: ObjectOptions) -> Result<Self, TierError> {
        let store = connect::connect(&address, &options)?;
        let driver = Driver::start().map_err(|e| crate::fail::io(Tier::Object, "starting its threads", e))?;
        let layout = Layout::new(&address);
        let remote = Remote {
            store,
            layout,
            options,
            driver,
            held: Arc::<Held>::default(),
            moving: parking_lot::Mutex::default(),
        };
        Ok(Self { address: Arc::new(address), remote: Arc::new(remote) })
    }

    /// Whether the store can be reached, listed, written to and read: for start-up. Leaves nothing behind.
    ///
    /// # Errors
    /// [`TierError::Unavailable`] if it is out of reach for now; [`TierError::Io`], of kind `NotFound` for a bucket that is
    /// not there, of kind `PermissionDenied` for credentials that are missing, wrong or too weak.
    pub fn check(&self) -> Result<(), TierError> {
        self.survey().next().transpose()?;
        let key = self.remote.layout.key(&format!("{PROBE}{}", std::process::id()));
        self.remote.put(&key, Bytes::from_static(b"can this be written?\n"))?;
        let read = self.remote.get(&key);
        self.remote.delete(&key)?;
        read.map(drop)
    }

    /// The URI to which a producer uploads the bytes of `id`, and from which anybody reads them.
    #[must_use]
    pub fn uri(&self, id: PayloadId) -> String {
        self.address.bin(id)
    }

    /// Whose prefix it is; `None` if it says nothing.
    ///
    /// # Errors
    /// [`TierError::Unavailable`]; [`TierError::Io`], also if the marker holds no id.
    pub fn marker(&self) -> Result<Option<InstanceId>, TierError> {
        marker::read(&self.remote)
    }

    /// Says that the prefix is that of `instance`. Saying it again is fine; another's marker is not replaced (promise:
    /// never-the-only-copy): to give a prefix away, a person removes the object. Of two daemons that say so at once, the
    /// store lets one win.
    ///
    /// # Errors
    /// [`TierError::Unavailable`]; [`TierError::Io`], of kind `AlreadyExists` if the prefix is another's.
    pub fn claim(&self, instance: InstanceId) -> Result<(), TierError> {
        marker::write(&self.remote, instance)
    }

    /// What lies below the prefix, a page at a time.
    #[must_use]
    pub fn survey(&self) -> Survey {
        Survey::new(Arc::clone(&self.remote))
    }

    /// Removes everything below the prefix, whoever put it there, and for a `file://` address the folder: for a prefix that
    /// was made for a while.
    ///
    /// # Errors
    /// [`TierError::Unavailable`], [`TierError::Io`]; some of it may be gone then.
    pub fn empty(&self) -> Result<(), TierError> {
        let Some(folder) = self.address.folder() else { return self.remote.empty() };
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(crate::fail::io(Tier::Object, format!("removing {}", folder.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// The metadata object of `id`, or `None` if there is none.
    ///
    /// # Errors
    /// [`TierError::Unavailable`], [`TierError::Io`].
    pub fn archive(&self, id: PayloadId) -> Result<Option<Vec<u8>>, TierError> {
        Ok(self.remote.get(&self.remote.layout.meta(id))?.map(Vec::from))
    }

    /// Bytes that parts on their way up or down hold in memory now.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.remote.held.now()
    }

    /// The most that [`Self::held_bytes`] ever was.
    #[must_use]
    pub fn peak_held_bytes(&self) -> u64 {
        self.remote.held.peak()
    }
}

/// Removes the files that uploads of a killed daemon were in, which the crate numbers from 1 on.
fn remove_staged(folder: &Path, id: PayloadId) -> Result<(), TierError> {
    for name in [format!("{id}.bin"), format!("{id}.meta.json")] {
        for number in 1.. {
            let path = folder.join(format!("{name}#{number}"));
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(crate::fail::io(Tier::Object, format!("removing {}", path.display()), error)),
            }
        }
    }
    Ok(())
}

impl TierStore for ObjectTier {
    fn tier(&self) -> Tier {
        Tier::Object
    }

    fn location(&self, id: PayloadId, _: Place) -> Location {
        Location::Object { uri: self.uri(id) }
    }

    /// Makes nothing: the producer uploads by itself, to [`Self::uri`].
    fn allocate(&self, id: PayloadId, size: u64) -> Result<Place, TierError> {
        upload::plan(&self.remote, &self.remote.layout.bin(id), size).map(|_| Place::OWN)
    }

    /// Looks whether the producer uploaded that many bytes, reads them for their checksum, and puts the metadata beside
    /// them.
    fn seal(&self, id: PayloadId, place: Place, size: u64, archive: &Archive<'_>) -> Result<Sealed, TierError> {
        // A producer uploads the bytes as they are.
        self.remote.check_size(id, size)?;
        let mut source = self.source(id, place, size)?;
        let job = copy::Job { id, from: Tier::Object, size };
        let checksum = copy::hash(job, &mut *source, &|_| true)?;
        self.remote.put(&self.remote.layout.meta(id), Bytes::from(archive(Written::plain(checksum))))?;
        Ok(Sealed { checksum: Some(checksum) })
    }

    fn source(&self, id: PayloadId, _: Place, size: u64) -> Result<Box<dyn Source>, TierError> {
        let stored = self.remote.stored(id)?;
        let inner = ObjectSource::new(Arc::clone(&self.remote), id, stored);
        if stored == size {
            return Ok(Box::new(inner));
        }
        let table = self.remote.table(id, stored, size)?;
        Ok(Box::new(UnpackedSource::new(inner, id, size, table)))
    }

    fn sink(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        Ok(Box::new(ObjectSink::new(Arc::clone(&self.remote), id, size, false)?))
    }

    fn replacement(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        Ok(Box::new(ObjectSink::new(Arc::clone(&self.remote), id, size, true)?))
    }

    fn describe(&self, id: PayloadId, size: u64, archive: &Description<'_>) -> Result<(), TierError> {
        let meta = self.remote.layout.meta(id);
        if self.remote.head(&meta)?.is_none() {
            return Ok(());
        }
        let stored = self.remote.head(&self.remote.layout.bin(id))?.map_or(size, |found| found.size);
        let packing = if stored == size { Packing::Plain } else { Packing::Lz4 { block_bytes: BLOCK as u64 } };
        self.remote.put(&meta, Bytes::from(archive(packing)))?;
        // Bytes that go meanwhile go first, so a look afterwards tells whether this has to go, too.
        if self.remote.head(&self.remote.layout.bin(id))?.is_none() {
            self.remote.delete(&meta)?;
        }
        Ok(())
    }

    fn free(&self, id: PayloadId, _: Place) -> Result<(), TierError> {
        self.remote.delete(&self.remote.layout.bin(id))?;
        self.remote.delete(&self.remote.layout.meta(id))?;
        self.address.folder().map_or(Ok(()), |folder| remove_staged(&folder, id))
    }

    fn set_aside(&self, id: PayloadId, _: Place) -> Result<(), TierError> {
        aside::move_pair(&self.remote, id, aside::COPY_MAX)
    }
}
