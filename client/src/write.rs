//! A payload that its producer fills: writable and unpublished, until [`PayloadMut::commit`] makes it everybody's.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use payload_manager_api::core::v1 as core;
use payload_manager_api::runtime::v1;
use payload_manager_shm::{ProcessMark, SegmentWriter, WriteMap};

use crate::client::Client;
use crate::descriptor::{Descriptor, EvictionPolicy, Location, PayloadId, Protection, Tier, descriptor};
use crate::device::{self, DevicePart, DevicePtr, DeviceUuid};
use crate::error::{Error, Reason, Result};
use crate::keeper::{Chore, give_up, millis};
use crate::place;
use crate::session::{Made, Memory};

/// How long a commit is tried again while the daemon is out of reach, and how often.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);
const COMMIT_RETRY: Duration = Duration::from_millis(50);

/// How a payload is made: the default is in RAM, for good, with nothing special about it.
///
/// ```
/// use std::time::Duration;
/// use payload_manager_client::{CreateOptions, Tier};
///
/// let options = CreateOptions {
///     tier: Tier::Disk,
///     ttl: Some(Duration::from_secs(3600)),
///     tags: [("camera".to_owned(), "left".to_owned())].into(),
///     ..CreateOptions::default()
/// };
/// assert_eq!(options.tier, Tier::Disk);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOptions {
    /// Where the bytes are written.
    pub tier: Tier,
    /// How long it lives, from now; for good if there is none. Counted in milliseconds.
    pub ttl: Option<Duration>,
    /// Never evict it.
    pub no_evict: bool,
    /// What eviction may do otherwise.
    pub policy: EvictionPolicy,
    /// Who could still write the bytes after commit.
    ///
    /// * [`Protection::Shared`] costs nothing. The producer wrote in place and could still write, or truncate.
    /// * [`Protection::Strict`]: the commit copies the bytes to where no client ever could write, which takes a moment, and
    ///   for that long twice the room. A process of the daemon's own user can still give itself the right to write.
    /// * [`Protection::Sealed`]: the kernel lets nobody write, in RAM alone and over a session alone, for its producer and
    ///   its readers. It costs a page fault for every page and a descriptor of the daemon's for every payload, and its
    ///   bytes in RAM die with the daemon ([`Descriptor::dies_with_daemon`]): spill it if they must not. The commit fails
    ///   with [`Reason::StillMapped`] while a forked child still has the memory.
    pub protection: Protection,
    /// What it belongs to; up to 1 KiB.
    pub dataset: String,
    /// Who makes it; up to 1 KiB.
    pub producer: String,
    /// Anything else to say of it; up to 64 KiB together.
    pub tags: BTreeMap<String, String>,
    /// Of a payload on a GPU, which one; any that this process may see if there is none.
    pub device: Option<DeviceUuid>,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            tier: Tier::Ram,
            ttl: None,
            no_evict: false,
            policy: EvictionPolicy::default(),
            protection: Protection::default(),
            dataset: String::new(),
            producer: String::new(),
            tags: BTreeMap::new(),
            device: None,
        }
    }
}

impl CreateOptions {
    /// The devices that it may be on, the most wanted first.
    fn devices(&self) -> Vec<DeviceUuid> {
        device::wanted(self.tier, self.device)
    }

    pub(crate) fn request(self, len: u64) -> v1::AllocatePayloadRequest {
        v1::AllocatePayloadRequest {
            size_bytes: len,
            preferred_tier: core::Tier::from(self.tier) as i32,
            ttl_ms: self.ttl.map_or(0, |ttl| millis(ttl).max(1)),
            no_evict: self.no_evict,
            eviction_policy: Some(self.policy.into()),
            protection: core::Protection::from(self.protection) as i32,
            alignment_bytes: 0,
            dataset: self.dataset,
            producer: self.producer,
            tags: self.tags.into_iter().collect(),
        }
    }
}

/// The bytes of a payload that is not committed yet: this process's alone, to be filled in place.
///
/// What they hold before they are written is not specified: zeros, or bytes of an earlier payload of this same client
/// whose memory they have. Nobody else can read them until [`commit`](Self::commit). Dropped without it, the payload is
/// deleted in the background; if that can't be done (the daemon is out of reach, or too much is waiting), the daemon
/// reclaims it after its allocation timeout. Let no other process change the object or file behind it: its bytes are
/// ordinary memory of this program.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// use payload_manager_client::Client;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// let client = Client::connect(daemon.socket()).await?;
/// let mut payload = client.create(5).await?;
/// payload.copy_from_slice(b"hello");
/// let id = payload.commit().await?.id;
/// assert_eq!(&*client.read(id).await?, b"hello");
/// # Ok(())
/// # }
/// ```
pub struct PayloadMut {
    /// `None` once it was let go of, on the way to commit.
    map: Option<Room>,
    descriptor: Descriptor,
    client: Client,
    /// Whether dropping it deletes the payload.
    ours: bool,
    /// Of the process whose session allocated it, if one did.
    by_session: Option<Arc<ProcessMark>>,
}

impl PayloadMut {
    pub(crate) async fn allocate(client: Client, options: CreateOptions, len: u64) -> Result<Self> {
        let devices = options.devices();
        let request = options.request(len);
        if let Some(payload) = Self::by_session(&client, &request, &devices).await? {
            return Ok(payload);
        }
        let called = client.rpc().request(request.clone());
        let answer = client.rpc().outcome(client.rpc().catalog().allocate_payload(called)).await?;
        let mut payload = Self::empty(client.clone(), answer.payload_descriptor, None)?;
        match Room::open(&payload.descriptor) {
            Ok(room) => {
                payload.map = Some(room);
                Ok(payload)
            }
            Err(error) if error.is_out_of_sight() => {
                // Given up by its drop.
                drop(payload);
                let back = client.rpc().in_own_time(client.own_sessions().is_back()).await?;
                let again = if back { Self::by_session(&client, &request, &devices).await? } else { None };
                again.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn by_session(
        client: &Client,
        request: &v1::AllocatePayloadRequest,
        devices: &[DeviceUuid],
    ) -> Result<Option<Self>> {
        if ![core::Tier::Ram as i32, core::Tier::Gpu as i32].contains(&request.preferred_tier) {
            return Ok(None);
        }
        let by_session = async { client.own_sessions().allocate(request.clone(), devices).await.transpose() };
        let made = client.rpc().in_own_time(by_session).await?;
        made.map(|made| Self::of_session(client.clone(), made)).transpose()
    }

    /// By a call alone.
    pub(crate) async fn by_call(client: Client, request: v1::AllocatePayloadRequest) -> Result<Self> {
        let request = client.rpc().request(request);
        let answer = client.rpc().outcome(client.rpc().catalog().allocate_payload(request)).await?;
        let mut payload = Self::empty(client, answer.payload_descriptor, None)?;
        payload.map = Some(Room::open(&payload.descriptor)?);
        Ok(payload)
    }

    pub(crate) fn of_session(client: Client, made: Made) -> Result<Self> {
        let mut payload = Self::empty(client, Some(made.descriptor), Some(made.mark))?;
        payload.map = Some(match made.memory {
            Memory::Object(file) => Room::Own(place::passed(&payload.descriptor, &file)?),
            Memory::Part(part) => Room::Part(part),
            Memory::Device(part) => Room::Device(part),
        });
        Ok(payload)
    }

    /// From here on, dropping it deletes what was allocated.
    fn empty(
        client: Client,
        wire: Option<core::PayloadDescriptor>,
        by_session: Option<Arc<ProcessMark>>,
    ) -> Result<Self> {
        Ok(Self { map: None, descriptor: descriptor(wire)?, client, ours: true, by_session })
    }

    /// Whether this process's session allocated it. A child has no part in what its parent allocated.
    pub(crate) fn is_by_session(&self) -> bool {
        self.by_session.as_ref().is_some_and(|mark| mark.is_ours())
    }

    /// Whether a session of this client allocated it.
    pub(crate) fn is_of(&self, client: &Client) -> bool {
        self.is_by_session() && self.client.shares_sessions(client)
    }

    /// The payload's name; known before it is committed, and of no use to others until then.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// let payload = client.create(1).await?;
    /// let id = payload.id();
    /// assert_eq!(payload.commit().await?.id, id);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn id(&self) -> PayloadId {
        self.descriptor.id
    }

    /// What the daemon allocated.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use payload_manager_client::PayloadState;
    ///
    /// let payload = client.create(4096).await?;
    /// assert_eq!(payload.descriptor().state, PayloadState::Allocated);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Where its bytes are on a GPU, for kernels of this process; `None` if they are in memory of the host. What has to be
    /// finished before a commit is said at [`DevicePtr`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// assert_eq!(client.create(4096).await?.device_ptr(), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn device_ptr(&self) -> Option<DevicePtr> {
        match &self.map {
            Some(Room::Device(part)) => Some(part.ptr()),
            _ => None,
        }
    }

    /// Copies bytes into it, wherever it is, and returns when they are there.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// let mut payload = client.create(5).await?;
    /// payload.copy_from_host(3, b"lo")?;
    /// assert!(payload.copy_from_host(4, b"lo").is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Place`] where `bytes` reach beyond the payload; [`Error::Device`] where its GPU fails.
    pub fn copy_from_host(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        if matches!(self.map, Some(Room::Device(_))) {
            return self.copy_to_device(offset, bytes);
        }
        device::within(offset, bytes.len(), self.len() as u64)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(to) = self.get_mut(start..start + bytes.len()) {
            to.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// What the card orders by itself needs no `&mut`.
    pub(crate) fn copy_to_device(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        match &self.map {
            Some(Room::Device(part)) => part.copy_in(offset, bytes),
            _ => Err(Error::bad("a payload that is not on a GPU")),
        }
    }

    /// Publishes the bytes, for good: they never change again. Answers with the payload as it is then; it survives a
    /// kill of the daemon from there on, and a power loss if the answer says DURABLE.
    ///
    /// If the connection breaks meanwhile, this goes on asking for a few seconds, and finds out whether it was done.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// let mut payload = client.create(3).await?;
    /// payload.copy_from_slice(b"abc");
    /// println!("made {}", payload.commit().await?.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Refused`] when the daemon can't publish it, [`Error::Unreachable`] when it stayed out of reach. The
    /// payload is deleted then, as if it had been dropped; so it is when this future is dropped before it is done.
    pub async fn commit(mut self) -> Result<Descriptor> {
        self.unmap();
        if self.is_by_session() {
            let id = self.id();
            let by_session = async { self.client.own_sessions().commit(id).await.transpose() };
            if let Some(committed) = self.client.rpc().in_own_time(by_session).await? {
                self.is_committed();
                return Ok(committed);
            }
        }
        self.commit_by_call().await
    }

    /// On the way to commit: sealed memory can't be sealed while it is mapped, and nobody writes to what is published.
    pub(crate) fn unmap(&mut self) {
        self.map = None;
    }

    /// It is the daemon's from here on.
    pub(crate) fn is_committed(&mut self) {
        self.ours = false;
    }

    /// Commits it by a call, also if its session may have done so and the answer was lost.
    pub(crate) async fn commit_by_call(mut self) -> Result<Descriptor> {
        let patience = Instant::now() + COMMIT_PATIENCE;
        let mut again = self.is_by_session();
        let mut answer = self.try_commit().await;
        // In a forked child nobody comes back, and there is no runtime to wait with.
        let may_come_back = || self.client.is_ours() && Instant::now() < patience;
        while matches!(answer, Err(Error::Unreachable { .. })) && may_come_back() {
            again = true;
            tokio::time::sleep(COMMIT_RETRY).await;
            answer = self.try_commit().await;
        }
        let committed = match answer {
            // The answer to an earlier attempt was lost with the connection.
            Err(error) if again && error.reason() == Some(Reason::AlreadyCommitted) => {
                self.ours = false;
                self.client.resolve(self.id()).await?
            }
            answer => answer?,
        };
        self.ours = false;
        Ok(committed)
    }

    async fn try_commit(&self) -> Result<Descriptor> {
        let rpc = self.client.rpc();
        let request = rpc.request(v1::CommitPayloadRequest { id: Some(self.id().into()) });
        descriptor(rpc.outcome(rpc.catalog().commit_payload(request)).await?.payload_descriptor)
    }

    /// Gives the payload up and returns when it is deleted; dropping it does the same in the background.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// let payload = client.create(1 << 20).await?;
    /// let id = payload.id();
    /// payload.abort().await?;
    /// assert!(client.get(id).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The daemon could not be asked; it reclaims the payload by itself then, after its allocation timeout.
    pub async fn abort(mut self) -> Result<()> {
        self.map = None;
        let sessions = Some(self.client.own_sessions()).filter(|_| self.is_by_session());
        give_up(self.client.rpc(), sessions, self.id()).await?;
        self.ours = false;
        Ok(())
    }
}

/// Where the bytes are until they are committed.
enum Room {
    /// An object or file of the payload's own, mapped for it.
    Own(WriteMap),
    /// A part of a segment.
    Part(SegmentWriter),
    /// On a GPU.
    Device(DevicePart),
}

impl Room {
    /// Of what a call allocated.
    fn open(descriptor: &Descriptor) -> Result<Self> {
        match &descriptor.location {
            Some(Location::Gpu { .. }) => device::open(descriptor).map(Self::Device),
            _ => place::writable(descriptor).map(Self::Own),
        }
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(map) => map,
            Self::Part(part) => part,
            Self::Device(_) => &[],
        }
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Own(map) => map,
            Self::Part(part) => part,
            Self::Device(_) => &mut [],
        }
    }
}

impl Deref for PayloadMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

impl DerefMut for PayloadMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.map.as_deref_mut().unwrap_or_default()
    }
}

impl AsRef<[u8]> for PayloadMut {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for PayloadMut {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for PayloadMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadMut").field("descriptor", &self.descriptor).finish_non_exhaustive()
    }
}

impl Drop for PayloadMut {
    fn drop(&mut self) {
        // Unmapped first, so that the memory is free once it is deleted.
        self.map = None;
        let (id, by_session) = (self.descriptor.id, self.is_by_session());
        match self.client.is_ours() {
            _ if !self.ours => {}
            true => self.client.keeper().leave(Chore::Abort { id, by_session }),
            false if by_session => self.client.own_sessions().abort_unheard(id),
            false => {}
        }
    }
}
