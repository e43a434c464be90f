//! Who holds what: leases and sessions, listed page by page.

use payload_manager_api::admin::v1;
use payload_manager_api::convert;

use crate::client::Client;
use crate::descriptor::{PayloadId, Tier, UnixMillis, time};
use crate::error::{Error, Result};
use crate::paged::{PAGE, Paged, listed, pages};

/// A lease that somebody holds. Its id is its holder's secret.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// use futures_util::TryStreamExt;
/// use payload_manager_client::LeaseInfo;
///
/// let id = client.create(4096).await?.commit().await?.id;
/// let view = client.read(id).await?;
/// let leases: Vec<LeaseInfo> = client.leases(None).try_collect().await?;
/// assert_eq!((leases[0].payload, leases[0].size), (id, 4096));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseInfo {
    /// On which payload.
    pub payload: PayloadId,
    /// In which tier the copy is that it keeps.
    pub tier: Tier,
    /// How many bytes it keeps.
    pub size: u64,
    /// When it ends, unless it is renewed.
    pub expires: UnixMillis,
    /// Whether a forced delete ended it; its bytes are still there.
    pub revoked: bool,
    /// The session that holds it; `None` for one that was taken by a call.
    pub session: Option<u64>,
}

/// A client with a session.
///
/// ```
/// use payload_manager_client::SessionInfo;
///
/// fn line(session: &SessionInfo) -> String {
///     format!("{} pid {} uid {}: {} leases", session.id, session.pid, session.uid, session.live_leases)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its number.
    pub id: u64,
    /// The client's process as the daemon sees it; 0 when it can't.
    pub pid: u32,
    /// The client's user.
    pub uid: u32,
    /// The client's group.
    pub gid: u32,
    /// Since when.
    pub connected: UnixMillis,
    /// Its leases.
    pub live_leases: u64,
    /// Bytes that they keep.
    pub leased_bytes: u64,
    /// Bytes of the segments that it may write.
    pub segment_bytes: u64,
}

/// Leases, in no order that means anything: [`Client::leases`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// use futures_util::TryStreamExt;
/// use payload_manager_client::Leases;
///
/// let leases: Leases = client.leases(None);
/// assert_eq!(leases.try_collect::<Vec<_>>().await?, []);
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream asks for nothing until it is polled"]
pub struct Leases(Paged<LeaseInfo>);

/// Sessions: [`Client::sessions`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// use futures_util::TryStreamExt;
/// use payload_manager_client::Sessions;
///
/// let sessions: Sessions = client.sessions();
/// assert_eq!(sessions.try_collect::<Vec<_>>().await?, []);
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream asks for nothing until it is polled"]
pub struct Sessions(Paged<SessionInfo>);

listed!(Leases of LeaseInfo);
listed!(Sessions of SessionInfo);

impl Client {
    /// Lists the leases on one payload or, with `None`, on all. What lasts throughout comes once. Asks for page after page
    /// as it is polled, and ends after the first error.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use futures_util::TryStreamExt;
    ///
    /// let id = client.create(4096).await?.commit().await?.id;
    /// let view = client.read(id).await?;
    /// let mut leases = client.leases(Some(id));
    /// while let Some(lease) = leases.try_next().await? {
    ///     println!("{} bytes in {}", lease.size, lease.tier);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn leases(&self, of: Option<PayloadId>) -> Leases {
        Leases(pages(self, move |client, page_token| async move {
            let id = of.map(Into::into);
            let request = client.rpc().request(v1::ListLeasesRequest { id, page_size: PAGE, page_token });
            let page = client.rpc().outcome(client.rpc().admin().list_leases(request)).await?;
            Ok((page.leases.into_iter().map(lease).collect(), page.next_page_token))
        }))
    }

    /// Lists the clients that have a session.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use futures_util::TryStreamExt;
    ///
    /// let mut sessions = client.sessions();
    /// while let Some(session) = sessions.try_next().await? {
    ///     println!("process {} holds {} bytes", session.pid, session.leased_bytes);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn sessions(&self) -> Sessions {
        Sessions(pages(self, |client, page_token| async move {
            let request = client.rpc().request(v1::ListSessionsRequest { page_size: PAGE, page_token });
            let page = client.rpc().outcome(client.rpc().admin().list_sessions(request)).await?;
            Ok((page.sessions.into_iter().map(session).collect(), page.next_page_token))
        }))
    }
}

fn lease(wire: v1::LeaseInfo) -> Result<LeaseInfo> {
    let tier = convert::tier(wire.tier, "tier")?.ok_or_else(|| Error::bad("a lease without a tier"))?;
    Ok(LeaseInfo {
        payload: wire.payload_id.ok_or_else(|| Error::bad("a lease without a payload"))?.try_into()?,
        tier,
        size: wire.length_bytes,
        expires: time(wire.lease_expires_at)?,
        revoked: wire.revoked,
        session: Some(wire.session_id).filter(|id| *id != 0),
    })
}

fn session(wire: v1::SessionInfo) -> Result<SessionInfo> {
    Ok(SessionInfo {
        id: wire.session_id,
        pid: wire.pid,
        uid: wire.uid,
        gid: wire.gid,
        connected: time(wire.connected_at)?,
        live_leases: wire.live_leases,
        leased_bytes: wire.leased_bytes,
        segment_bytes: wire.segment_bytes,
    })
}
