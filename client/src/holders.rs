//! Who holds what: leases and sessions, listed page by page.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use payload_manager_api::admin::v1;
use payload_manager_api::convert;

use crate::client::Client;
use crate::descriptor::{PayloadId, Tier, UnixMillis};
use crate::error::{Error, Result};

/// Asked for at once.
const PAGE: i32 = 500;

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
pub struct Leases(Pages<LeaseInfo>);

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
pub struct Sessions(Pages<SessionInfo>);

type Pages<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

macro_rules! listed {
    ($list:ident of $item:ident) => {
        impl Stream for $list {
            type Item = Result<$item>;

            fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                self.0.poll_next_unpin(context)
            }
        }

        impl std::fmt::Debug for $list {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($list)).finish_non_exhaustive()
            }
        }
    };
}

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
        let client = self.clone();
        Leases(pages(move |page_token| {
            let client = client.clone();
            async move {
                let id = of.map(Into::into);
                let request = client.rpc().request(v1::ListLeasesRequest { id, page_size: PAGE, page_token });
                let page = client.rpc().outcome(client.rpc().admin().list_leases(request)).await?;
                Ok((page.leases.into_iter().map(lease).collect::<Result<Vec<_>>>()?, page.next_page_token))
            }
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
        let client = self.clone();
        Sessions(pages(move |page_token| {
            let client = client.clone();
            async move {
                let request = client.rpc().request(v1::ListSessionsRequest { page_size: PAGE, page_token });
                let page = client.rpc().outcome(client.rpc().admin().list_sessions(request)).await?;
                Ok((page.sessions.into_iter().map(session).collect::<Result<Vec<_>>>()?, page.next_page_token))
            }
        }))
    }
}

/// Asks for page after page; an empty one need not be the last.
fn pages<T: Send + 'static, F>(ask: impl Fn(String) -> F + Send + 'static) -> Pages<T>
where
    F: Future<Output = Result<(Vec<T>, String)>> + Send,
{
    let pages = stream::try_unfold((ask, Some(String::new())), |(ask, token)| async move {
        let Some(token) = token else { return Ok::<_, Error>(None) };
        let (items, next) = ask(token).await?;
        let next = Some(next).filter(|token| !token.is_empty());
        Ok(Some((stream::iter(items.into_iter().map(Ok)), (ask, next))))
    });
    Box::pin(pages.try_flatten())
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

fn time(wire: Option<payload_manager_api::Timestamp>) -> Result<UnixMillis> {
    let wire = wire.ok_or_else(|| Error::bad("a time is missing"))?;
    UnixMillis::try_from(wire).map_err(|e| Error::bad(e.to_string()))
}
