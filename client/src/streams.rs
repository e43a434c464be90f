//! Streams: durable, ordered logs of payload ids. Made, appended to, read, deleted; `follow` follows them.

use std::ops::{Range, RangeInclusive};

use payload_manager_api::convert;
use payload_manager_api::runtime::v1;

use crate::client::Client;
use crate::descriptor::UnixMillis;
use crate::error::Result;

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

    /// Reads the entries between two offsets, both inclusive, as far as they exist.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::StreamName;
    ///
    /// let frames = StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default()).await?;
    /// client.append(&frames, [id, id, id]).await?;
    /// let some = client.read_range(&frames, 1..=7).await?;
    /// assert_eq!(some.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::StreamNotFound`](crate::Reason::StreamNotFound); [`Reason::RangeCut`](crate::Reason::RangeCut) if
    /// retention has removed any of them; [`Reason::AnswerTooLarge`](crate::Reason::AnswerTooLarge) for more than 3 MiB:
    /// [`Client::read_stream`] answers with as many as fit.
    pub async fn read_range(&self, stream: &StreamName, offsets: RangeInclusive<u64>) -> Result<Vec<StreamEntry>> {
        let (start_offset, end_offset) = offsets.into_inner();
        let request = self.rpc().request(v1::GetRangeRequest { stream: Some(stream.into()), start_offset, end_offset });
        let answer = self.rpc().outcome(self.rpc().streams().get_range(request)).await?;
        answer.entries.into_iter().map(|wire| entry(Some(wire))).collect()
    }

    /// Deletes a stream with its entries and groups, and ends its subscriptions. One that is not there is fine.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use payload_manager_client::StreamName;
    ///
    /// let frames = StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default()).await?;
    /// client.delete_stream(&frames).await?;
    /// assert!(client.stream_info(&frames).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The daemon can't be asked.
    pub async fn delete_stream(&self, stream: &StreamName) -> Result<()> {
        let request = self.rpc().request(v1::DeleteStreamRequest { stream: Some(stream.into()) });
        self.rpc().outcome(self.rpc().streams().delete_stream(request)).await
    }
}

pub(crate) fn entry(wire: Option<v1::StreamEntry>) -> Result<StreamEntry> {
    Ok(convert::entry(wire.unwrap_or_default())?)
}
