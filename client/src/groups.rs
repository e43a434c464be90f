//! Consumer groups: how far a group of readers has come, remembered by the daemon.

use futures_util::StreamExt as _;
use payload_manager_api::runtime::v1;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::follow::{Start, Subscription};
use crate::streams::{StreamEntry, StreamName};

/// A reader of a stream that goes on where its group stopped: [`Client::consume`]. What is not committed comes again, so
/// every entry is seen at least once.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// # let id = client.create(4096).await?.commit().await?.id;
/// use payload_manager_client::{Consumer, StreamName};
///
/// let frames = StreamName::new("", "frames")?;
/// client.create_stream(&frames, Default::default()).await?;
/// client.append(&frames, [id, id]).await?;
/// let mut consumer: Consumer = client.consume(&frames, "viewers").await?;
/// let entry = consumer.next().await?;
/// println!("{}", entry.what.payload);
/// consumer.commit(&entry).await?;
/// drop(consumer);
/// assert_eq!(client.consume(&frames, "viewers").await?.next().await?.offset, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a consumer that is dropped is over"]
pub struct Consumer {
    client: Client,
    stream: StreamName,
    group: String,
    entries: Subscription,
}

impl Consumer {
    /// The next entry; waits for it, over a restart of the daemon too.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// # client.create_stream(&frames, Default::default()).await?;
    /// # client.append(&frames, [id]).await?;
    /// let mut consumer = client.consume(&frames, "viewers").await?;
    /// assert_eq!(consumer.next().await?.what.payload, id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Subscription`]'s; after one, it is over.
    pub async fn next(&mut self) -> Result<StreamEntry> {
        self.entries.next().await.unwrap_or_else(|| Err(Error::bad("the subscription is over: consume again")))
    }

    /// The group has dealt with `entry` and all before it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// # client.create_stream(&frames, Default::default()).await?;
    /// # client.append(&frames, [id]).await?;
    /// let mut consumer = client.consume(&frames, "viewers").await?;
    /// let entry = consumer.next().await?;
    /// consumer.commit(&entry).await?;
    /// assert_eq!(client.committed_offset(&frames, "viewers").await?, Some(1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::commit_offset`]'s.
    pub async fn commit(&self, entry: &StreamEntry) -> Result<()> {
        self.client.commit_offset(&self.stream, &self.group, entry.offset.saturating_add(1)).await
    }
}

impl Client {
    /// Reads a stream on behalf of a group: from what it has committed, or from the oldest entry if it never has.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// # client.create_stream(&frames, Default::default()).await?;
    /// # client.append(&frames, [id]).await?;
    /// let mut consumer = client.consume(&frames, "viewers").await?;
    /// let entry = consumer.next().await?;
    /// // Deal with it, and then:
    /// consumer.commit(&entry).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::StreamNotFound`](crate::Reason::StreamNotFound), [`Reason::BadGroupName`](crate::Reason::BadGroupName);
    /// [`Reason::OffsetRemoved`](crate::Reason::OffsetRemoved) if retention has removed what the group has not seen:
    /// commit the oldest kept offset to go on from there.
    pub async fn consume(&self, stream: &StreamName, group: &str) -> Result<Consumer> {
        let start = self.committed_offset(stream, group).await?.map_or(Start::Beginning, Start::Offset);
        let entries = self.subscribe(stream, start).await?;
        Ok(Consumer { client: self.clone(), stream: stream.clone(), group: group.to_owned(), entries })
    }

    /// Says how far a group has come: the offset that it wants to see next. Back is fine.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// # client.create_stream(&frames, Default::default()).await?;
    /// # client.append(&frames, [id]).await?;
    /// client.commit_offset(&frames, "viewers", 1).await?;
    /// assert!(client.commit_offset(&frames, "viewers", 2).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::StreamNotFound`](crate::Reason::StreamNotFound), [`Reason::BadGroupName`](crate::Reason::BadGroupName);
    /// [`Reason::OffsetBeyondEnd`](crate::Reason::OffsetBeyondEnd) beyond the next one to be written.
    pub async fn commit_offset(&self, stream: &StreamName, group: &str, offset: u64) -> Result<()> {
        let (stream, consumer_group) = (Some(stream.into()), group.to_owned());
        let request = self.rpc().request(v1::CommitRequest { stream, consumer_group, offset });
        self.rpc().outcome(self.rpc().streams().commit(request)).await
    }

    /// How far a group has come; `None` if it never said so.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// # client.create_stream(&frames, Default::default()).await?;
    /// assert_eq!(client.committed_offset(&frames, "viewers").await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::StreamNotFound`](crate::Reason::StreamNotFound), [`Reason::BadGroupName`](crate::Reason::BadGroupName).
    pub async fn committed_offset(&self, stream: &StreamName, group: &str) -> Result<Option<u64>> {
        let (stream, consumer_group) = (Some(stream.into()), group.to_owned());
        let request = self.rpc().request(v1::GetCommittedRequest { stream, consumer_group });
        let answer = self.rpc().outcome(self.rpc().streams().get_committed(request)).await?;
        Ok(answer.has_commit.then_some(answer.offset))
    }
}
