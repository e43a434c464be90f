//! The client itself: connecting, and a payload's life. Moves between tiers, lists, streams and figures stand beside it.

use std::sync::Arc;
use std::time::Duration;

use payload_manager_api::runtime::v1;

use crate::address::Address;
use crate::descriptor::{Descriptor, PayloadId, PayloadInfo, descriptor};
use crate::error::{Error, Result};
use crate::keeper::Keeper;
use crate::read::{PayloadView, ReadOptions};
use crate::rpc::Rpc;
use crate::session::{Asking, DataPath, OwnSessions};
use crate::trace::TraceContext;
use crate::write::{CreateOptions, PayloadMut};

/// A connection to a daemon on this host. Cheap to clone; clones share it.
///
/// It makes itself anew after the daemon was restarted: calls that were under way fail with
/// [`Error::Unreachable`], later ones go through. Payloads, and the leases of views, are still there then.
///
/// It belongs to the tokio runtime that it was connected on: that one renews leases and cleans up. Calls may be made,
/// and views and payloads dropped, anywhere. Programs without a runtime use [`blocking`](crate::blocking).
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
///
/// assert_eq!(&*client.read(id).await?, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    rpc: Rpc,
    keeper: Arc<Keeper>,
    sessions: Arc<OwnSessions>,
}

impl Client {
    /// Connects to the daemon at `address`: the path of its socket or runtime folder, `unix:PATH`, or
    /// `http://HOST:PORT` on loopback.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// use payload_manager_client::Client;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// let client = Client::connect(daemon.socket()).await?;
    /// assert!(Client::connect("/nowhere/control.sock").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::BadAddress`], or [`Error::Unreachable`] when no daemon answers there.
    pub async fn connect(address: impl Into<Address>) -> Result<Self> {
        let address = address.into();
        let rpc = Rpc::connect(&address).await?;
        let sessions = Arc::new(OwnSessions::new(address.session_socket(), Arc::clone(rpc.mark())));
        let keeper = Arc::new(Keeper::start(rpc.clone(), Arc::downgrade(&sessions)));
        Ok(Self { rpc, keeper, sessions })
    }

    /// Connects to this user's daemon: the first of [`Address::defaults`] where one answers.
    ///
    /// ```
    /// use payload_manager_client::Client;
    ///
    /// # #[tokio::main]
    /// # async fn main() {
    /// match Client::connect_default().await {
    ///     Ok(client) => println!("connected to {}", client.address()),
    ///     Err(error) => println!("{error}"),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unreachable`], with every place that was looked at, when no daemon answers at any of them.
    pub async fn connect_default() -> Result<Self> {
        let mut tried = Vec::new();
        for address in Address::defaults() {
            match Self::connect(&address).await {
                Ok(client) => return Ok(client),
                Err(Error::Unreachable { address, why }) => tried.push((address, why)),
                Err(error) => return Err(error),
            }
        }
        if let [(address, why)] = tried.as_slice() {
            return Err(Error::Unreachable { address: address.clone(), why: why.clone() });
        }
        let places: Vec<_> = tried.iter().map(|(address, _)| address.as_str()).collect();
        let reasons: Vec<_> = tried.iter().map(|(address, why)| format!("{address}: {why}")).collect();
        Err(Error::Unreachable { address: places.join(" or "), why: reasons.join("; ") })
    }

    /// Where the daemon is.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// assert!(client.address().ends_with("control.sock"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn address(&self) -> &str {
        self.rpc.address()
    }

    /// The same connection, with every call bounded to so long: then it fails with
    /// [`Code::DeadlineExceeded`](crate::Code::DeadlineExceeded), and what it asked for may still happen. `None` is no
    /// bound, as at first: a call that has to wait for a copy of a large payload takes its time.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use std::time::Duration;
    ///
    /// let hasty = client.with_deadline(Some(Duration::from_secs(5)));
    /// let payload = hasty.create(4096).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_deadline(&self, deadline: Option<Duration>) -> Self {
        Self { rpc: self.rpc.with_deadline(deadline), ..self.clone() }
    }

    /// The same connection, with every request part of this trace: where the daemon sends traces, its spans are children of
    /// the caller's. `None` is of no trace, as at first. What is made with it belongs to it, too: so does the commit of a
    /// payload that it created. Leases that need no request leave no span.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// // As your tracing library's propagator writes it into headers.
    /// let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    ///
    /// let traced = client.with_trace(Some(traceparent.parse()?));
    /// let payload = traced.create(4096).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_trace(&self, trace: Option<TraceContext>) -> Self {
        Self { rpc: self.rpc.with_trace(trace), ..self.clone() }
    }

    /// The same connection without a session: every lease is a call, as it is for plain gRPC clients. For programs that
    /// compare, and for those that take a lease once in a while and want no thread and no shared pages for it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use payload_manager_client::DataPath;
    ///
    /// let plain = client.without_session();
    /// assert!(matches!(plain.path().await, DataPath::Calls { .. }));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn without_session(&self) -> Self {
        Self { sessions: Arc::new(OwnSessions::unwanted()), ..self.clone() }
    }

    /// Which way payloads are reached, and why not the fast one. The session starts when it is first of use; this starts
    /// it too. A read may be a call all the same: of a payload that is not in RAM yet, say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// println!("{}", client.path().await);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn path(&self) -> DataPath {
        self.sessions.path().await
    }

    /// Allocates a payload of `len` bytes in RAM, to be filled and committed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// let mut payload = client.create(1 << 20).await?;
    /// payload.fill(7);
    /// payload.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Most often [`Reason::TierFull`](crate::Reason::TierFull): nothing more may be evicted.
    pub async fn create(&self, len: u64) -> Result<PayloadMut> {
        self.create_with(len, CreateOptions::default()).await
    }

    /// Allocates a payload of `len` bytes as `options` say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use payload_manager_client::{CreateOptions, PayloadState, Tier};
    ///
    /// let on_disk = CreateOptions { tier: Tier::Disk, ..CreateOptions::default() };
    /// let payload = client.create_with(4096, on_disk).await?;
    /// assert_eq!(payload.commit().await?.state, PayloadState::Durable);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create); and [`Error::Place`] when what was allocated can't be opened from this process, or
    /// is in a tier that can't be mapped. It is given back then.
    pub async fn create_with(&self, len: u64, options: CreateOptions) -> Result<PayloadMut> {
        PayloadMut::allocate(self.clone(), options, len).await
    }

    /// Leases a committed payload and maps its bytes, wherever they are.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let mut payload = client.create(3).await?;
    /// # payload.copy_from_slice(b"abc");
    /// # let id = payload.commit().await?.id;
    /// let view = client.read(id).await?;
    /// assert_eq!(&view[1..], b"bc");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::PayloadNotFound`](crate::Reason::PayloadNotFound), [`Reason::NotCommitted`](crate::Reason::NotCommitted)
    /// and so on; [`Error::Place`] when the bytes can't be opened from this process.
    pub async fn read(&self, id: PayloadId) -> Result<PayloadView> {
        self.read_with(id, ReadOptions::default()).await
    }

    /// Leases a payload as `options` say: in a fast enough tier, say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::{ReadOptions, Tier};
    ///
    /// client.spill(id).await?;
    /// let in_ram = ReadOptions { min_tier: Some(Tier::Ram), ..ReadOptions::default() };
    /// let view = client.read_with(id, in_ram).await?;
    /// assert_eq!(view.descriptor().tier, Tier::Ram);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Reason::MinTierNotMet`](crate::Reason::MinTierNotMet) if it was not to wait.
    pub async fn read_with(&self, id: PayloadId, options: ReadOptions) -> Result<PayloadView> {
        PayloadView::acquire(self, id, options).await
    }

    /// Where a payload is now: advice, for nothing keeps it there.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// println!("fastest copy: {}", client.resolve(id).await?.tier);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::PayloadNotFound`](crate::Reason::PayloadNotFound).
    pub async fn resolve(&self, id: PayloadId) -> Result<Descriptor> {
        let request = self.rpc.request(v1::ResolveSnapshotRequest { id: Some(id.into()) });
        descriptor(self.rpc.outcome(self.rpc.data().resolve_snapshot(request)).await?.payload_descriptor)
    }

    /// All that the daemon knows of a payload, committed or not.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// let view = client.read(id).await?;
    /// assert_eq!(client.get(id).await?.active_leases, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::PayloadNotFound`](crate::Reason::PayloadNotFound).
    pub async fn get(&self, id: PayloadId) -> Result<PayloadInfo> {
        let request = self.rpc.request(v1::GetPayloadRequest { id: Some(id.into()) });
        self.rpc.outcome(self.rpc.catalog().get_payload(request)).await?.try_into()
    }

    /// Deletes a payload in every tier, unless somebody has a lease on it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::Reason;
    ///
    /// let view = client.read(id).await?;
    /// assert_eq!(client.delete(id).await.unwrap_err().reason(), Some(Reason::Leased));
    /// view.release().await?;
    /// client.delete(id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::Leased`](crate::Reason::Leased), [`Reason::PayloadNotFound`](crate::Reason::PayloadNotFound).
    pub async fn delete(&self, id: PayloadId) -> Result<()> {
        self.remove(id, false).await
    }

    /// Deletes a payload in every tier. Leases are over from that moment; bytes that are mapped stay until they are
    /// unmapped.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// let view = client.read(id).await?;
    /// client.delete_by_force(id).await?;
    /// assert!(view.renew().await.is_err() && !view.is_valid());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::PayloadNotFound`](crate::Reason::PayloadNotFound).
    pub async fn delete_by_force(&self, id: PayloadId) -> Result<()> {
        self.remove(id, true).await
    }

    async fn remove(&self, id: PayloadId, force: bool) -> Result<()> {
        let request = self.rpc.request(v1::DeleteRequest { id: Some(id.into()), force });
        self.rpc.outcome(self.rpc.catalog().delete(request)).await
    }

    /// Returns when the daemon has been told of every view and payload that was dropped before. A program that is about
    /// to exit calls it so that no lease of its own has to run out.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// let view = client.read(id).await?;
    /// drop(view);
    /// client.flush().await;
    /// assert_eq!(client.get(id).await?.active_leases, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn flush(&self) {
        self.keeper.flush().await;
    }

    /// Whether this is the process that connected.
    pub(crate) fn is_ours(&self) -> bool {
        self.rpc.is_ours()
    }

    pub(crate) fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    #[inline]
    pub(crate) fn own_sessions(&self) -> Asking<'_> {
        self.sessions.asking(self.rpc.trace())
    }

    /// Whether it has its sessions in common with another.
    pub(crate) fn shares_sessions(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.sessions, &other.sessions)
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.keeper
    }
}
