//! The port: what a tier does.

use std::path::PathBuf;

use payload_manager_types::{Checksum, DeviceUuid, PayloadId, Place, Tier};

/// Why a tier could not do it. Names the payload where there is one; nothing is left half done.
#[derive(Debug, thiserror::Error)]
pub enum TierError {
    /// No space: the tmpfs, the file system or the memory limit is full.
    #[error("{tier} has no room for {asked} bytes: {what}")]
    Full {
        /// Which tier.
        tier: Tier,
        /// Bytes asked for.
        asked: u64,
        /// Bytes free, as far as it is known.
        free: u64,
        /// What is full.
        what: String,
    },
    /// The bytes are not there.
    #[error("payload {id}: its {tier} copy is gone ({what})")]
    Missing {
        /// Whose.
        id: PayloadId,
        /// Where it should be.
        tier: Tier,
        /// What was found.
        what: String,
    },
    /// What is there has another length than it must have.
    #[error("payload {id}: its {tier} copy was resized: {found} bytes instead of {expected}")]
    WrongSize {
        /// Whose.
        id: PayloadId,
        /// Where.
        tier: Tier,
        /// The length it must have.
        expected: u64,
        /// The length it has.
        found: u64,
    },
    /// What is there can't be what was written.
    #[error("payload {id}: its {tier} copy is damaged: {what}")]
    Damaged {
        /// Whose.
        id: PayloadId,
        /// Where.
        tier: Tier,
        /// What is wrong with it.
        what: String,
    },
    /// Memory can't be sealed while somebody has it mapped for writing.
    #[error(
        "payload {id}: can't be sealed while its memory is mapped for writing, or a device writes to it; unmap it first, in every process that has it, then commit again"
    )]
    StillMapped {
        /// Whose.
        id: PayloadId,
    },
    /// Whoever watched the copy wanted no more of it.
    #[error("payload {id}: the copy from {from} was cancelled")]
    Cancelled {
        /// Whose.
        id: PayloadId,
        /// Where it was read.
        from: Tier,
    },
    /// The tier is out of reach for now; the same call may work later.
    #[error("{tier} is out of reach: {doing}: {what}")]
    Unavailable {
        /// Which tier.
        tier: Tier,
        /// What was being done, with the URI.
        doing: String,
        /// What the other side, or the way to it, said.
        what: String,
    },
    /// The system refused.
    #[error("{tier}: {doing}: {source}")]
    Io {
        /// Which tier.
        tier: Tier,
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What became of the producer's bytes at commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sealed {
    /// What they hash to, where the tier reads them all at commit (DISK does, RAM does not).
    pub checksum: Option<Checksum>,
}

/// How a client opens a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A POSIX shared-memory object, by name with one leading slash.
    SharedMemory {
        /// The name.
        name: String,
        /// Bytes from its start.
        offset: u64,
        /// How long the object is, in bytes; `None`: as long as the payload.
        object_bytes: Option<u64>,
    },
    /// Memory without a name: it is passed as a descriptor.
    Passed,
    /// A file.
    File {
        /// Its absolute path.
        path: PathBuf,
        /// Bytes from its start.
        offset: u64,
    },
    /// Memory of a GPU.
    Device {
        /// Which one.
        uuid: DeviceUuid,
        /// Its number in the daemon.
        ordinal: u32,
        /// Size and CUDA IPC handle of the allocation, 72 bytes; empty if it is opened by a descriptor.
        handle: Vec<u8>,
        /// Bytes from the start of the allocation.
        offset: u64,
        /// How long the allocation is, in bytes.
        bytes: u64,
    },
    /// An object in a store.
    Object {
        /// Its full URI, with what a reader needs to reach a custom endpoint.
        uri: String,
    },
}

/// Holds bytes of one tier. All calls may block; none may be made while the ledger is locked.
pub trait TierStore: Send + Sync {
    /// Which tier this is.
    fn tier(&self) -> Tier;

    /// How a client opens the block.
    fn location(&self, id: PayloadId, place: Place) -> Location;

    /// Makes room for a producer who writes in place: an object or file of exactly `size` bytes whose space is truly
    /// there (promise: honest-full). Making it again after a crash is fine.
    ///
    /// # Errors
    /// [`TierError::Full`], [`TierError::Io`]; nothing is left behind.
    fn allocate(&self, id: PayloadId, size: u64) -> Result<Place, TierError>;

    /// The producer is done: checks the length, takes the write bits away, and where the tier is durable makes it so
    /// (`archive` is what to store beside the bytes, given their checksum), reading the bytes once for the checksum.
    ///
    /// # Errors
    /// [`TierError::Missing`], [`TierError::WrongSize`] if the producer removed or resized it; [`TierError::Full`] if
    /// it punched holes that can't be filled again; [`TierError::StillMapped`]; [`TierError::Io`]. The producer may still write then, and try again.
    fn seal(&self, id: PayloadId, place: Place, size: u64, archive: &Archive<'_>) -> Result<Sealed, TierError>;

    /// Opens a copy for reading.
    ///
    /// # Errors
    /// [`TierError::Missing`], [`TierError::WrongSize`], [`TierError::Io`].
    fn source(&self, id: PayloadId, place: Place, size: u64) -> Result<Box<dyn Source>, TierError>;

    /// Opens a new copy for writing, its space reserved. Dropped without [`Sink::finish`], it leaves nothing behind.
    ///
    /// # Errors
    /// [`TierError::Full`], [`TierError::Io`].
    fn sink(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError>;

    /// As [`Self::sink`], for the place where the payload has bytes that its producer can write: they are there until
    /// [`Sink::finish`], and from then on these are, in an object or file that no client ever had for writing.
    ///
    /// # Errors
    /// As [`Self::sink`].
    fn replacement(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError>;

    /// Writes anew what lies beside a copy of `size` bytes that is there, whole or not at all; where nothing does, or there is no copy, it
    /// does nothing.
    ///
    /// # Errors
    /// [`TierError::Full`], [`TierError::Io`]; what lay there is as it was.
    fn describe(&self, id: PayloadId, size: u64, archive: &Description<'_>) -> Result<(), TierError>;

    /// Frees a copy, and what lies beside it. One that is not there is fine.
    ///
    /// # Errors
    /// [`TierError::Io`].
    fn free(&self, id: PayloadId, place: Place) -> Result<(), TierError>;

    /// Moves a copy that failed its check out of the way, where a person can look at it; a tier with no such place
    /// frees it.
    ///
    /// # Errors
    /// [`TierError::Io`].
    fn set_aside(&self, id: PayloadId, place: Place) -> Result<(), TierError>;
}

/// How the bytes of a copy lie in their tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// As they are.
    #[default]
    Plain,
    /// In LZ4 frames.
    Lz4 {
        /// Bytes of the payload in each.
        block_bytes: u64,
    },
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Of the payload's bytes.
    pub checksum: Checksum,
    /// How they lie there.
    pub packing: Packing,
}

impl Written {
    /// Bytes that lie there as they are.
    #[must_use]
    pub const fn plain(checksum: Checksum) -> Self {
        Self { checksum, packing: Packing::Plain }
    }
}

/// Makes the bytes of `<uuid>.meta.json` once it is known what lies beside them.
pub type Archive<'a> = dyn Fn(Written) -> Vec<u8> + 'a;

/// The same for a copy that is there.
pub type Description<'a> = dyn Fn(Packing) -> Vec<u8> + 'a;

/// Reads one copy.
pub trait Source: Send {
    /// Reads at `offset`, filling `buf` unless the copy ends first (promise: no SIGBUS; what a producer truncated is a
    /// short read, and then [`TierError::WrongSize`] from the copy).
    ///
    /// `offset` and the length of `buf` are multiples of 4 KiB except at the end, and `buf` is 4 KiB aligned, so that a
    /// back end may use direct I/O.
    ///
    /// # Errors
    /// [`TierError::Io`].
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError>;

    /// Buffers that it is read into faster than into others, if there are any.
    fn buffers(&self) -> Option<Box<dyn Buffers>> {
        None
    }
}

/// Lends buffers for a copy.
pub trait Buffers {
    /// One of them, or `None` while all are lent. It goes back when it is dropped.
    fn lend(&self) -> Option<Box<dyn Lent>>;
}

/// A buffer on loan. It begins at a multiple of 4 KiB, and has a multiple of 4 KiB.
pub trait Lent: Send {
    /// All of it, for reading.
    fn bytes(&self) -> &[u8];

    /// All of it, for writing.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// Writes one copy.
pub trait Sink: Send {
    /// Writes all of `bytes` at `offset`; the same alignment holds as in [`Source::read_at`].
    ///
    /// # Errors
    /// [`TierError::Full`], [`TierError::Io`].
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TierError>;

    /// Buffers that it is written from faster than from others, if there are any.
    fn buffers(&self) -> Option<Box<dyn Buffers>> {
        None
    }

    /// Every byte is written: makes the copy readable under its final name, read-only, and where the tier is durable
    /// synced, with `archive` beside it.
    ///
    /// # Errors
    /// [`TierError::Io`]; nothing is left behind.
    fn finish(self: Box<Self>, checksum: Checksum, archive: &Archive<'_>) -> Result<Place, TierError>;
}
