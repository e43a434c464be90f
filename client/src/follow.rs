//! Following streams: entries as they come, also over a restart of the daemon.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use payload_manager_api::runtime::v1;
use payload_manager_api::runtime::v1::subscribe_request::Start as WireStart;
use payload_manager_api::{Reason, Timestamp};
use tonic::Streaming;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::rpc::Rpc;
use crate::streams::{StreamEntry, StreamName, entry};

/// Where a subscription starts.
///
/// ```
/// use payload_manager_client::{Start, SubscribeOptions};
///
/// assert_eq!(SubscribeOptions::from(Start::Offset(7)).start, Start::Offset(7));
/// ```
#[doc(inline)]
pub use payload_manager_api::convert::Start;

/// How long a daemon may be away, if nobody says.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts to find it: at first, doubled each time, at last.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How a stream is followed.
///
/// ```
/// use payload_manager_client::{Start, SubscribeOptions};
///
/// let options = SubscribeOptions { max_inflight: 16, ..Start::Latest.into() };
/// assert_ne!(options, SubscribeOptions::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// From where; the default is the oldest entry.
    pub start: Start,
    /// Entries that the daemon holds ready at most; 0 leaves it to the daemon.
    pub max_inflight: u32,
    /// How long the daemon may be away, as for a restart, until that is an error; the default is 30 seconds. With zero
    /// it is one at once.
    pub patience: Duration,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Start::Beginning.into()
    }
}

impl From<Start> for SubscribeOptions {
    fn from(start: Start) -> Self {
        Self { start, max_inflight: 0, patience: PATIENCE }
    }
}

/// Entries of a stream as they come: [`Client::subscribe`]. Every entry once, in order, without end; dropping it ends
/// the subscription. When the daemon is restarted it goes on after the entry seen last. After an error nothing more comes.
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
#[must_use = "a subscription that is dropped is over"]
pub struct Subscription {
    rpc: Rpc,
    patience: Duration,
    place: Place,
    state: State,
}

/// Where a subscriber stands.
#[derive(Debug, Clone)]
struct Place {
    stream: StreamName,
    start: Start,
    max_inflight: u32,
    /// When the stream was made, once that is known: another one of its name is another stream.
    made: Option<Timestamp>,
}

type Answers = Box<Streaming<v1::SubscribeResponse>>;

enum State {
    Open(Answers),
    Resuming(BoxFuture<'static, Result<(Answers, Place)>>),
    Over,
}

impl Stream for Subscription {
    type Item = Result<StreamEntry>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let item = match &mut self.state {
                State::Over => return Poll::Ready(None),
                State::Resuming(resuming) => match std::task::ready!(resuming.as_mut().poll(context)) {
                    Ok((answers, place)) => {
                        (self.state, self.place) = (State::Open(answers), place);
                        continue;
                    }
                    Err(error) => Err(error),
                },
                State::Open(answers) => match std::task::ready!(Pin::new(&mut **answers).poll_next(context)) {
                    Some(Ok(answer)) => entry(answer.entry),
                    Some(Err(status)) => match self.rpc.error(&status) {
                        error if is_away(&error) && !self.patience.is_zero() => {
                            let (rpc, place) = (self.rpc.clone(), self.place.clone());
                            self.state = State::Resuming(Box::pin(resume(rpc, place, self.patience, error)));
                            continue;
                        }
                        error => Err(error),
                    },
                    None => Err(Error::bad("the daemon ended the subscription and did not say why")),
                },
            };
            match &item {
                Ok(entry) => self.place.start = Start::Offset(entry.offset + 1),
                Err(_) => self.state = State::Over,
            }
            return Poll::Ready(Some(item));
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Whether the daemon is on its way out, or gone, and may come back.
fn is_away(error: &Error) -> bool {
    let stopping = matches!(error.reason(), Some(Reason::ShuttingDown | Reason::CatalogUnavailable));
    stopping || matches!(error, Error::Unreachable { .. })
}

/// Tries to go on, and gives up with the error that it began with.
async fn resume(rpc: Rpc, place: Place, patience: Duration, why: Error) -> Result<(Answers, Place)> {
    let again = async {
        let mut pause = PAUSE.0;
        loop {
            match begin(&rpc, place.clone()).await {
                Err(error) if is_away(&error) => tokio::time::sleep(pause).await,
                done => return done,
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    };
    tokio::time::timeout(patience, again).await.unwrap_or(Err(why))
}

/// Begins, or begins again. What "the latest" is, is settled now: it must not be something later after a restart.
async fn begin(rpc: &Rpc, mut place: Place) -> Result<(Answers, Place)> {
    let stream = Some(v1::StreamId::from(&place.stream));
    let known = rpc.outcome(rpc.streams().get_stream(v1::GetStreamRequest { stream: stream.clone() })).await?;
    let info = known.info.unwrap_or_default();
    if place.made.is_some() && place.made != info.created_at {
        return Err(Error::made_again(&place.stream));
    }
    place.made = info.created_at;
    if place.start == Start::Latest {
        place.start = Start::Offset(info.next_offset);
    }
    let start = Some(match place.start {
        Start::Offset(offset) => WireStart::Offset(offset),
        Start::Beginning => WireStart::FromBeginning(true),
        Start::Latest => WireStart::FromLatest(true),
    });
    let request = v1::SubscribeRequest { stream, start, max_inflight: place.max_inflight };
    Ok((Box::new(rpc.outcome(rpc.streams().subscribe(request)).await?), place))
}

impl Client {
    /// Follows a stream: what it holds from the start, then what is appended, as it is appended. A slow subscriber slows
    /// nobody but itself. A restart of the daemon is waited out. A client's deadline bounds how long subscribing takes, not the subscription.
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
    /// when retention has removed the start. Later, the same
    /// two: the stream is deleted, or was made again while the daemon was away; or retention overtook the subscriber.
    pub async fn subscribe(&self, stream: &StreamName, options: impl Into<SubscribeOptions>) -> Result<Subscription> {
        let SubscribeOptions { start, max_inflight, patience } = options.into();
        let place = Place { stream: stream.clone(), start, max_inflight, made: None };
        let rpc = self.rpc().clone();
        let (answers, place) = rpc.in_time(begin(&rpc, place)).await?;
        Ok(Subscription { rpc, patience, place, state: State::Open(answers) })
    }
}
