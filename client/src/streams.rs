//! Streams: durable, ordered logs of payload ids. Made, appended to, read, followed.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use payload_manager_api::convert;
use payload_manager_api::runtime::v1;
use payload_manager_api::runtime::v1::subscribe_request::Start as WireStart;
use tonic::Streaming;

use crate::client::Client;
use crate::descriptor::UnixMillis;
use crate::error::{Error, Result};
use crate::rpc::Rpc;

/// Where a subscription starts.
///
/// ```
/// use payload_manager_client::{Start, SubscribeOptions};
///
/// assert_eq!(SubscribeOptions::from(Start::Offset(7)).start, Start::Offset(7));
/// ```
#[doc(inline)]
pub use payload_manager_api::convert::Start;
#[doc(inline)]
pub use payload_manager_types::{BadName, NewEntry, Retention, StreamEntry, StreamName};

/// What to read of a stream: the default is from its oldest entry, as many as fit one answer.
///
/// ```
/// use payload_manager_client::RangeOptions;
///
/// let next_ten = RangeOptions { start: 20, max_entries: 10, ..RangeOptions::default() };
/// assert_eq!(next_ten.not_before, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RangeOptions {
    /// The first offset, or the oldest kept one if that is later.
    pub start: u64,
    /// How many at most; 0 for as many as fit one answer (10,000, or 3 MiB).
    pub max_entries: u64,
    /// Without those that were appended earlier.
    pub not_before: Option<UnixMillis>,
}

/// How a stream is followed.
///
/// ```
/// use payload_manager_client::{Start, SubscribeOptions};
///
/// let options = SubscribeOptions { start: Start::Latest, max_inflight: 16 };
/// assert_ne!(options, SubscribeOptions::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// From where; the default is the oldest entry.
    pub start: Start,
    /// Entries that the daemon holds ready at most; 0 leaves it to the daemon.
    pub max_inflight: u32,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Start::Beginning.into()
    }
}

impl From<Start> for SubscribeOptions {
    fn from(start: Start) -> Self {
        Self { start, max_inflight: 0 }
    }
}

/// Entries of a stream as they come: [`Client::subscribe`]. Every entry once, in order, without end; dropping it ends
/// the subscription. After an error nothing more comes: subscribe again from the offset after the last one seen.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// # let id = client.create(4096).await?.commit().await?.id;
/// use futures_util::TryStreamExt;
/// use payload_manager_client::{Start, StreamName, Subscription};
///
/// let frames = StreamName::new("", "frames")?;
/// client.create_stream(&frames, Default::default()).await?;
/// client.append(&frames, [id]).await?;
/// let mut entries: Subscription = client.subscribe(&frames, Start::Beginning).await?;
/// let first = entries.try_next().await?.expect("a subscription has no end");
/// assert_eq!((first.offset, first.what.payload), (0, id));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a subscription that is dropped is over"]
pub struct Subscription {
    /// `None` after an error.
    answers: Option<Streaming<v1::SubscribeResponse>>,
    rpc: Rpc,
}

impl Stream for Subscription {
    type Item = Result<StreamEntry>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(answers) = &mut self.answers else {
            return Poll::Ready(None);
        };
        let item = match std::task::ready!(Pin::new(answers).poll_next(context)) {
            Some(Ok(answer)) => entry(answer.entry),
            Some(Err(status)) => Err(self.rpc.error(&status)),
            None => Err(Error::bad("the daemon ended the subscription and did not say why")),
        };
        if item.is_err() {
            self.answers = None;
        }
        Poll::Ready(Some(item))
    }
}

impl Client {
    /// Makes a stream. The default retention keeps everything.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use payload_manager_client::{Retention, StreamName};
    ///
    /// let frames = StreamName::new("left", "frames")?;
    /// client.create_stream(&frames, Retention { max_entries: 1000, max_age_sec: 0 }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::StreamExists`](crate::Reason::StreamExists).
    pub async fn create_stream(&self, stream: &StreamName, retention: Retention) -> Result<()> {
        let request = self.rpc().request(v1::CreateStreamRequest {
            stream: Some(stream.into()),
            retention_max_entries: retention.max_entries,
            retention_max_age_sec: retention.max_age_sec,
        });
        self.rpc().outcome(self.rpc().streams().create_stream(request)).await
    }

    /// Appends committed payloads to a stream: all of them or none, one after the other. Answers with their offsets once
    /// they are durable; nothing to append is a range with nothing in it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let (a, b) = (client.create(1).await?.commit().await?.id, client.create(1).await?.commit().await?.id);
    /// use payload_manager_client::{NewEntry, StreamName};
    ///
    /// let frames = StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default()).await?;
    /// assert_eq!(client.append(&frames, [a, b]).await?, 0..2);
    ///
    /// let tagged = NewEntry { tags: [("key".into(), "yes".into())].into(), ..a.into() };
    /// assert_eq!(client.append(&frames, [tagged]).await?, 2..3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::StreamNotFound`](crate::Reason::StreamNotFound), [`Reason::NotCommitted`](crate::Reason::NotCommitted).
    pub async fn append<I>(&self, stream: &StreamName, entries: I) -> Result<Range<u64>>
    where
        I: IntoIterator,
        I::Item: Into<NewEntry>,
    {
        let items: Vec<_> = entries.into_iter().map(|entry| v1::AppendItem::from(entry.into())).collect();
        let none = items.is_empty();
        let request = self.rpc().request(v1::AppendRequest { stream: Some(stream.into()), items });
        let v1::AppendResponse { first_offset, last_offset } =
            self.rpc().outcome(self.rpc().streams().append(request)).await?;
        Ok(if none { first_offset..first_offset } else { first_offset..last_offset.saturating_add(1) })
    }

    /// Reads what a stream holds, from an offset on.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::{RangeOptions, StreamName};
    ///
    /// let frames = StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default()).await?;
    /// client.append(&frames, [id, id, id]).await?;
    /// let rest = client.read_stream(&frames, RangeOptions { start: 1, ..Default::default() }).await?;
    /// assert_eq!(rest.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::StreamNotFound`](crate::Reason::StreamNotFound), [`Reason::OffsetBeyondEnd`](crate::Reason::OffsetBeyondEnd).
    pub async fn read_stream(&self, stream: &StreamName, options: RangeOptions) -> Result<Vec<StreamEntry>> {
        let request = self.rpc().request(v1::ReadRequest {
            stream: Some(stream.into()),
            start_offset: options.start,
            max_entries: options.max_entries,
            not_before: options.not_before.map(Into::into),
        });
        let answer = self.rpc().outcome(self.rpc().streams().read(request)).await?;
        answer.entries.into_iter().map(|wire| entry(Some(wire))).collect()
    }

    /// Follows a stream: what it holds from the start, then what is appended, as it is appended. A slow subscriber slows
    /// nobody but itself. A client's deadline bounds how long subscribing takes, not the subscription.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use futures_util::TryStreamExt;
    /// use payload_manager_client::{Start, StreamName};
    ///
    /// let frames = StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default()).await?;
    /// let mut entries = client.subscribe(&frames, Start::Offset(0)).await?;
    /// client.append(&frames, [id]).await?;
    /// assert_eq!(entries.try_next().await?.map(|entry| entry.what.payload), Some(id));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::StreamNotFound`](crate::Reason::StreamNotFound), and [`Reason::OffsetRemoved`](crate::Reason::OffsetRemoved)
    /// when retention has removed the start.
    pub async fn subscribe(&self, stream: &StreamName, options: impl Into<SubscribeOptions>) -> Result<Subscription> {
        let options = options.into();
        let rpc = self.rpc().clone();
        let message = v1::SubscribeRequest {
            stream: Some(stream.into()),
            start: Some(match options.start {
                Start::Offset(offset) => WireStart::Offset(offset),
                Start::Beginning => WireStart::FromBeginning(true),
                Start::Latest => WireStart::FromLatest(true),
            }),
            max_inflight: options.max_inflight,
        };
        let mut streams = rpc.streams();
        let begun = rpc.in_time(rpc.outcome(streams.subscribe(message))).await?;
        Ok(Subscription { answers: Some(begun), rpc })
    }
}

fn entry(wire: Option<v1::StreamEntry>) -> Result<StreamEntry> {
    Ok(convert::entry(wire.unwrap_or_default())?)
}
