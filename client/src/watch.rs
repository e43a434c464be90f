//! Following every change of every payload, as it happens.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use payload_manager_api::runtime::v1;
use tonic::Streaming;

use crate::client::Client;
use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::rpc::Rpc;

/// Where a watch starts.
///
/// ```
/// use payload_manager_client::WatchFrom;
///
/// let again = |token: Option<String>| token.map_or(WatchFrom::Snapshot, WatchFrom::Token);
/// assert_eq!(again(None), WatchFrom::Snapshot);
/// ```
#[doc(inline)]
pub use payload_manager_api::convert::WatchFrom;

/// What happened to a payload.
///
/// ```
/// use payload_manager_client::EventKind;
///
/// assert_eq!(EventKind::SnapshotEnd.to_string(), "SNAPSHOT_END");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// It was there when the watch began; only before [`Self::SnapshotEnd`].
    Current,
    /// All that was there has been told; what follows has changed since.
    SnapshotEnd,
    /// It was allocated.
    Allocated,
    /// It was committed: its bytes can be read.
    Committed,
    /// Its placement, its copies or its state have changed.
    Changed,
    /// Somebody deleted it, or eviction did.
    Deleted,
    /// Its time was over.
    Expired,
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Current => "CURRENT",
            Self::SnapshotEnd => "SNAPSHOT_END",
            Self::Allocated => "ALLOCATED",
            Self::Committed => "COMMITTED",
            Self::Changed => "CHANGED",
            Self::Deleted => "DELETED",
            Self::Expired => "EXPIRED",
        })
    }
}

impl From<v1::PayloadEventKind> for EventKind {
    fn from(wire: v1::PayloadEventKind) -> Self {
        match wire {
            v1::PayloadEventKind::Current => Self::Current,
            v1::PayloadEventKind::SnapshotEnd => Self::SnapshotEnd,
            v1::PayloadEventKind::Allocated => Self::Allocated,
            v1::PayloadEventKind::Committed => Self::Committed,
            // Whatever a newer daemon calls it, something has changed.
            v1::PayloadEventKind::Changed | v1::PayloadEventKind::Unspecified => Self::Changed,
            v1::PayloadEventKind::Deleted => Self::Deleted,
            v1::PayloadEventKind::Expired => Self::Expired,
        }
    }
}

/// One thing that a watcher is told.
///
/// ```
/// use payload_manager_client::{Event, EventKind};
///
/// fn line(event: &Event) -> String {
///     match &event.payload {
///         Some(payload) => format!("{} {} v{}", event.kind, payload.id, payload.version),
///         None => event.kind.to_string(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The payload right after it; [`EventKind::SnapshotEnd`] has none. Its version is one more than that of the event
    /// about it before.
    pub payload: Option<Descriptor>,
    /// How to go on after this event: [`WatchFrom::Token`]. None amid what was there.
    pub token: Option<String>,
}

/// Events as they come: [`Client::watch`]. Each once, in order, without end; dropping it ends the watch. After an error
/// nothing more comes: watch again from the last token, and where that is too old
/// ([`Reason::ResumeTokenTooOld`](crate::Reason::ResumeTokenTooOld)), from a snapshot.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// use futures_util::TryStreamExt;
/// use payload_manager_client::{EventKind, Watch, WatchFrom};
///
/// let id = client.create(4096).await?.commit().await?.id;
/// let mut events: Watch = client.watch(WatchFrom::Snapshot).await?;
/// let first = events.try_next().await?.expect("a watch has no end");
/// assert_eq!((first.kind, first.payload.map(|payload| payload.id)), (EventKind::Current, Some(id)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a watch that is dropped is over"]
pub struct Watch {
    /// `None` after an error.
    answers: Option<Streaming<v1::WatchPayloadsResponse>>,
    rpc: Rpc,
}

impl Stream for Watch {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(answers) = &mut self.answers else {
            return Poll::Ready(None);
        };
        let told = match std::task::ready!(Pin::new(answers).poll_next(context)) {
            Some(Ok(answer)) => event(answer),
            Some(Err(status)) => Err(self.rpc.error(&status)),
            None => Err(crate::Error::bad("a watch that ends without a reason")),
        };
        if told.is_err() {
            self.answers = None;
        }
        Poll::Ready(Some(told))
    }
}

impl Client {
    /// Follows every change of every payload: what is told has happened, and what was told as committed outlives the
    /// daemon being killed. A slow watcher slows nobody; one that falls too far behind is told so, and begins anew. A
    /// client's deadline bounds how long it takes to begin, not the watch.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use futures_util::TryStreamExt;
    /// use payload_manager_client::{EventKind, WatchFrom};
    ///
    /// let mut events = client.watch(WatchFrom::Now).await?;
    /// let id = client.create(4096).await?.commit().await?.id;
    /// let allocated = events.try_next().await?.expect("a watch has no end");
    /// drop(events);
    ///
    /// let again = WatchFrom::Token(allocated.token.expect("every change has a token"));
    /// let committed = client.watch(again).await?.try_next().await?.expect("a watch has no end");
    /// assert_eq!(committed.kind, EventKind::Committed);
    /// assert_eq!(committed.payload.map(|payload| payload.id), Some(id));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::ResumeTokenTooOld`](crate::Reason::ResumeTokenTooOld) for a token of before the daemon's last start, or
    /// of too many changes ago; [`Reason::BadResumeToken`](crate::Reason::BadResumeToken) for what is none.
    pub async fn watch(&self, from: WatchFrom) -> Result<Watch> {
        let include_current = from == WatchFrom::Snapshot;
        let resume_token = if let WatchFrom::Token(token) = from { token } else { String::new() };
        let message = v1::WatchPayloadsRequest { resume_token, include_current };
        let rpc = self.rpc().clone();
        let mut catalog = rpc.catalog();
        let begun = rpc.in_time(rpc.outcome(catalog.watch_payloads(message))).await?;
        Ok(Watch { answers: Some(begun), rpc })
    }
}

fn event(wire: v1::WatchPayloadsResponse) -> Result<Event> {
    let kind = wire.kind().into();
    let payload = wire.payload_descriptor.map(Descriptor::try_from).transpose()?;
    Ok(Event { kind, payload, token: Some(wire.token).filter(|token| !token.is_empty()) })
}
