//! A payload that is read: its bytes in place, and the lease that keeps them there.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use payload_manager_api::convert::tier_number;
use payload_manager_api::core::v1::PromotionPolicy;
use payload_manager_api::runtime::v1;
use payload_manager_shm::ReadMap;

use crate::client::Client;
use crate::descriptor::{Descriptor, Location, PayloadId, Tier, descriptor};
use crate::device::{self, DevicePart, DevicePtr, DeviceUuid};
use crate::error::{Error, Result};
use crate::keeper::{millis, try_release, try_renew};
use crate::lease::{Holder, Lease, Term};
use crate::place;
use crate::rpc::Rpc;
use crate::session::{Fast, Taken};

/// What to do where no copy is fast enough.
///
/// ```
/// assert_eq!(payload_manager_client::Promotion::default(), payload_manager_client::Promotion::Wait);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Promotion {
    /// Make one, and wait for it.
    #[default]
    Wait,
    /// Make one in the background, and don't wait: a read is refused with
    /// [`Reason::MinTierNotMet`](crate::Reason::MinTierNotMet) until it is there.
    Background,
}

impl Promotion {
    pub(crate) fn number(self) -> i32 {
        match self {
            Self::Wait => PromotionPolicy::Blocking as i32,
            Self::Background => PromotionPolicy::BestEffort as i32,
        }
    }
}

/// How a payload is read: the default is where it is, with a lease of the daemon's default length.
///
/// ```
/// use payload_manager_client::{Promotion, ReadOptions, Tier};
///
/// let options = ReadOptions { min_tier: Some(Tier::Ram), promotion: Promotion::Wait, ..ReadOptions::default() };
/// assert_eq!(options.lease, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// The slowest tier that will do; any will if there is none.
    pub min_tier: Option<Tier>,
    /// What to do where no copy is fast enough.
    pub promotion: Promotion,
    /// How long the lease holds between renewals; the daemon caps it. Short ones cost calls, long ones keep the bytes
    /// of a program that was killed.
    pub lease: Option<Duration>,
    /// Whether bytes on a GPU will do: they are had by [`PayloadView::device_ptr`] or [`PayloadView::copy_to_host`], and
    /// not as a slice. Without it what lies there is refused. A `min_tier` of GPU means it, too.
    pub on_device: bool,
    /// The GPU to copy it to where it has to be: with a `min_tier` of GPU and no copy on any. Without it, one of those that
    /// this process may see.
    pub device: Option<DeviceUuid>,
}

impl ReadOptions {
    pub(crate) fn takes_devices(&self) -> bool {
        self.on_device || self.min_tier == Some(Tier::Gpu)
    }

    pub(crate) fn request(self, id: PayloadId) -> v1::AcquireReadLeaseRequest {
        v1::AcquireReadLeaseRequest {
            id: Some(id.into()),
            // A view is a mapping, and what is only in OBJECT has to be brought to DISK for one.
            min_tier: tier_number(self.min_tier.or(Some(Tier::Disk))),
            promotion_policy: self.promotion.number(),
            min_lease_duration_ms: millis(self.lease.unwrap_or_default()),
            mode: v1::LeaseMode::Read as i32,
            // A shared segment may be used again once an RPC lease is over; an object of its own is not, and the bytes
            // of a view must never change.
            accepts_segment_offset: false,
            devices: device::named(if self.takes_devices() { Tier::Gpu } else { Tier::Ram }, self.device),
        }
    }
}

/// The bytes of a committed payload, in place: `&view[..]` is the memory that its producer wrote.
///
/// A lease keeps them there, whatever tiering does. It is renewed in the background for as long as a view lives. Clones
/// share it; when the last one is dropped, it is given back: by a store if it was taken in shared memory
/// ([`Client::path`]), in the background otherwise. Views of one payload that live at the same time share its mapping
/// where the session has it.
///
/// **When the lease is over** ([`is_valid`](Self::is_valid) is false): because somebody deleted the payload by force,
/// because the daemon was out of reach for longer than the lease and does not know it any more, or because this process
/// was stopped that long. From then on a delete is no longer refused. What holds for the bytes then is said where they
/// are had: at [`deref`](#method.deref). They are never unmapped under a view. A new [`Client::read`] tells whether the
/// payload is still there.
///
/// In a forked child a view of its parent's can be read, is not valid, and its drop does nothing.
///
/// What no lease can stop: a producer that keeps its own descriptor of a `shared` payload can write to it, or truncate
/// it, which kills readers with SIGBUS. Use [`Protection::Strict`](crate::Protection::Strict) or
/// [`Protection::Sealed`](crate::Protection::Sealed) where producers are not trusted.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// use payload_manager_client::Client;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// let client = Client::connect(daemon.socket()).await?;
/// # let mut payload = client.create(5).await?;
/// # payload.copy_from_slice(b"hello");
/// # let id = payload.commit().await?.id;
/// let view = client.read(id).await?;
/// assert_eq!(view.iter().max(), Some(&b'o'));
/// let other = view.clone();
/// drop(view);
/// assert_eq!(&*other, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PayloadView(Grip);

/// How the bytes are held: by a session's lease, or by one that was asked for.
#[derive(Clone)]
enum Grip {
    Session(Fast),
    Called(Arc<Held>),
}

/// Dropped in this order: first unmapped, then given back.
struct Held {
    map: Opened,
    descriptor: Descriptor,
    lease: Holder,
    rpc: Rpc,
}

/// What a lease that was asked for opened.
enum Opened {
    Mapped(ReadMap),
    Device(DevicePart),
}

impl PayloadView {
    /// Of what needs no call, if it is that.
    #[inline]
    pub(crate) fn at_hand(client: &Client, id: PayloadId, options: &ReadOptions) -> Option<Self> {
        match client.own_sessions().take(id, options) {
            Taken::View(fast) => Some(Self(Grip::Session(fast))),
            // The lease is given back by its drop.
            Taken::Unmapped(_) | Taken::Ask => None,
        }
    }

    pub(crate) fn of_session(fast: Fast) -> Self {
        Self(Grip::Session(fast))
    }

    pub(crate) async fn acquire(client: &Client, id: PayloadId, options: ReadOptions) -> Result<Self> {
        let rpc = client.rpc();
        if let Some(view) = Self::by_session(client, id, &options).await? {
            return Ok(view);
        }
        // What a call leases has an allocation of its own; in a slab it is opened without a namespace in common.
        if options.min_tier == Some(Tier::Gpu)
            && options.promotion == Promotion::Wait
            && client.own_sessions().is_open()
        {
            client.promote_on(id, Tier::Gpu, Promotion::Wait, options.device).await?;
            if let Some(view) = Self::by_session(client, id, &options).await? {
                return Ok(view);
            }
        }
        let request = rpc.request(options.request(id));
        let answer = rpc.outcome(rpc.data().acquire_read_lease(request)).await?;
        match Self::open(client, answer, options) {
            Err(error) if error.is_out_of_sight() && rpc.in_own_time(client.own_sessions().is_back()).await? => {
                Self::by_session(client, id, &options).await?.ok_or(error)
            }
            opened => opened,
        }
    }

    async fn by_session(client: &Client, id: PayloadId, options: &ReadOptions) -> Result<Option<Self>> {
        let sessions = client.own_sessions();
        let by_session = async {
            Ok(match sessions.open_and_take(id, options).await {
                Taken::View(fast) => Some(fast),
                Taken::Unmapped(unmapped) => sessions.open(vec![unmapped]).await.pop().flatten(),
                Taken::Ask => None,
            })
        };
        Ok(client.rpc().in_own_time(by_session).await?.map(Self::of_session))
    }

    /// Maps what was leased; what can't be mapped is given back.
    pub(crate) fn open(client: &Client, answer: v1::AcquireReadLeaseResponse, options: ReadOptions) -> Result<Self> {
        let lease = Holder::new(lease(&answer, options)?, client.keeper().clone());
        let descriptor = descriptor(answer.payload_descriptor)?;
        let map = match &descriptor.location {
            Some(Location::Gpu { .. }) if options.takes_devices() => Opened::Device(device::open(&descriptor)?),
            _ => Opened::Mapped(place::readable(&descriptor)?),
        };
        Ok(Self(Grip::Called(Arc::new(Held { map, descriptor, lease, rpc: client.rpc().clone() }))))
    }

    /// The payload as it was when it was leased; its bytes are at that location.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// let view = client.read(id).await?;
    /// assert_eq!((view.descriptor().id, view.len()), (id, 4096));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        match &self.0 {
            Grip::Session(fast) => fast.descriptor(),
            Grip::Called(held) => &held.descriptor,
        }
    }

    /// Where its bytes are on a GPU, for kernels of this process; `None` if they are in memory of the host.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::ReadOptions;
    ///
    /// let anywhere = ReadOptions { on_device: true, ..ReadOptions::default() };
    /// let view = client.read_with(id, anywhere).await?;
    /// match view.device_ptr() {
    ///     Some(place) => println!("at {:#x} on {}", place.address, place.device),
    ///     None => println!("{} bytes on the host", view.len()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn device_ptr(&self) -> Option<DevicePtr> {
        self.device().map(DevicePart::ptr)
    }

    fn device(&self) -> Option<&DevicePart> {
        match &self.0 {
            Grip::Session(fast) => fast.device(),
            Grip::Called(held) => match &held.map {
                Opened::Device(part) => Some(part),
                Opened::Mapped(_) => None,
            },
        }
    }

    /// Copies bytes of it, wherever they are, and returns when they are here.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let mut payload = client.create(5).await?;
    /// # payload.copy_from_host(0, b"hello")?;
    /// # let id = payload.commit().await?.id;
    /// let mut end = [0; 2];
    /// client.read(id).await?.copy_to_host(3, &mut end)?;
    /// assert_eq!(&end, b"lo");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Place`] where `into` reaches beyond the payload; [`Error::Device`] where its GPU fails.
    pub fn copy_to_host(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        if let Some(part) = self.device() {
            return part.copy_out(offset, into);
        }
        device::within(offset, into.len(), self.len() as u64)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(from) = self.get(start..start + into.len()) {
            into.copy_from_slice(from);
        }
        Ok(())
    }

    /// Whether the lease still holds, as far as this process knows: no call is made.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// let view = client.read(id).await?;
    /// assert!(view.is_valid());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_valid(&self) -> bool {
        match &self.0 {
            Grip::Session(fast) => fast.is_valid(),
            Grip::Called(held) => held.rpc.is_ours() && held.lease.is_valid(),
        }
    }

    /// How long the lease holds from now, unless it is renewed; zero when it is over.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// let view = client.read(id).await?;
    /// assert!(!view.time_left().is_zero());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn time_left(&self) -> Duration {
        match &self.0 {
            Grip::Session(fast) => fast.left(),
            Grip::Called(held) if held.rpc.is_ours() => held.lease.left(),
            Grip::Called(_) => Duration::ZERO,
        }
    }

    /// Renews the lease now. It is renewed by itself anyway; this is for those who are about to be busy, or want to know
    /// whether the daemon still honours it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// let view = client.read(id).await?;
    /// view.renew().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::LeaseOver`](crate::Reason::LeaseOver) when it is over, which then stays so.
    pub async fn renew(&self) -> Result<()> {
        match &self.0 {
            Grip::Session(fast) => fast.renew(),
            Grip::Called(held) => try_renew(&held.rpc, &held.lease).await,
        }
    }

    /// The same, where that takes no call: nor does anything else about such a view.
    pub(crate) fn renew_at_once(&self) -> Option<Result<()>> {
        match &self.0 {
            Grip::Session(fast) => Some(fast.renew()),
            Grip::Called(_) => None,
        }
    }

    /// Whether giving it back or renewing it takes a call.
    #[inline]
    pub(crate) const fn takes_calls(&self) -> bool {
        matches!(self.0, Grip::Called(_))
    }

    /// Gives this view up. If it was the last of its clones, returns when the daemon has the lease back; dropping it
    /// does the same in the background.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// let view = client.read(id).await?;
    /// view.release().await?;
    /// client.delete(id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The daemon could not be told; the lease runs out then.
    pub async fn release(self) -> Result<()> {
        let Grip::Called(held) = self.0 else {
            // A store, which the daemon sees when it looks.
            return Ok(());
        };
        let Some(Held { map, lease, rpc, .. }) = Arc::into_inner(held) else {
            return Ok(());
        };
        drop(map);
        if !lease.is_over() {
            // Ended only afterwards: if this is cancelled or fails, dropping the lease tries once more.
            try_release(&rpc, lease.id()).await?;
            lease.end();
        }
        Ok(())
    }
}

fn lease(answer: &v1::AcquireReadLeaseResponse, options: ReadOptions) -> Result<Lease> {
    let id = answer.lease_id.clone().ok_or_else(|| Error::bad("a lease without an id"))?;
    let term = Term::until(answer.lease_expires_at)?;
    Ok(Lease::new(id.try_into()?, options.lease.unwrap_or_default(), term))
}

impl Deref for PayloadView {
    type Target = [u8];

    /// The bytes of the payload (none of one on a GPU: see [`device_ptr`](PayloadView::device_ptr)), which do not change while the lease holds ([`is_valid`](PayloadView::is_valid)).
    ///
    /// **After that**, for a lease of the session ([`Client::path`]): the claim is over, the payload can be deleted, and
    /// the bytes stay as they are all the same until this view is dropped or this process ends, because the daemon uses
    /// their memory again only then. One exception: a uid that pins more than its quota has its session closed, and then
    /// its blocks go at their deadlines. Memory that goes at a deadline can get the bytes of another payload.
    ///
    /// For a lease that was taken by a call: the memory goes at the deadline. It is an object or a file of the payload's
    /// own, which is removed and not used again, so that what is mapped stays as it is.
    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Grip::Session(fast) => fast.bytes(),
            Grip::Called(held) => match &held.map {
                Opened::Mapped(map) => map,
                Opened::Device(_) => &[],
            },
        }
    }
}

impl AsRef<[u8]> for PayloadView {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PayloadView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (descriptor, valid) = (self.descriptor(), self.is_valid());
        f.debug_struct("PayloadView").field("descriptor", descriptor).field("valid", &valid).finish_non_exhaustive()
    }
}
