//! Which streams there are, what they keep, and who reads them.

use payload_manager_api::runtime::v1;

use crate::client::Client;
use crate::descriptor::{UnixMillis, time};
use crate::error::Result;
use crate::paged::{PAGE, Paged, listed, pages};
use crate::streams::{Retention, StreamName};

/// A stream's bounds and retention.
///
/// ```
/// use payload_manager_client::StreamInfo;
///
/// fn kept(info: &StreamInfo) -> u64 {
///     info.next - info.first
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Its name.
    pub name: StreamName,
    /// The oldest kept offset; equal to `next` when nothing is.
    pub first: u64,
    /// The offset that the next append gets.
    pub next: u64,
    /// What it keeps.
    pub retention: Retention,
    /// When it was made.
    pub created: UnixMillis,
}

/// How far a group of readers has come.
///
/// ```
/// use payload_manager_client::{ConsumerGroup, StreamInfo};
///
/// fn lag(info: &StreamInfo, group: &ConsumerGroup) -> u64 {
///     info.next - group.offset
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerGroup {
    /// Its name.
    pub name: String,
    /// The offset that it wants to see next.
    pub offset: u64,
    /// When it said so.
    pub at: UnixMillis,
}

/// Streams, by namespace and name: [`Client::list_streams`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// use futures_util::TryStreamExt;
/// use payload_manager_client::Streams;
///
/// let streams: Streams = client.list_streams();
/// assert_eq!(streams.try_collect::<Vec<_>>().await?.len(), 0);
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream asks for nothing until it is polled"]
pub struct Streams(Paged<StreamInfo>);

listed!(Streams of StreamInfo);

impl Client {
    /// Lists streams by namespace and name; ends after the first error.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use futures_util::TryStreamExt;
    /// use payload_manager_client::StreamName;
    ///
    /// client.create_stream(&StreamName::new("left", "frames")?, Default::default()).await?;
    /// let mut streams = client.list_streams();
    /// while let Some(stream) = streams.try_next().await? {
    ///     println!("{}: {} to {}", stream.name, stream.first, stream.next);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_streams(&self) -> Streams {
        Streams(pages(self, |client, page_token| async move {
            let request = client.rpc().request(v1::ListStreamsRequest { page_size: PAGE, page_token });
            let page = client.rpc().outcome(client.rpc().streams().list_streams(request)).await?;
            Ok((page.streams.into_iter().map(info).collect(), page.next_page_token))
        }))
    }

    /// A stream's bounds and retention, and its consumer groups by name.
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
    /// client.append(&frames, [id]).await?;
    /// client.commit_offset(&frames, "viewers", 1).await?;
    /// let (info, groups) = client.stream_info(&frames).await?;
    /// assert_eq!((info.first, info.next, groups[0].offset), (0, 1, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::StreamNotFound`](crate::Reason::StreamNotFound).
    pub async fn stream_info(&self, stream: &StreamName) -> Result<(StreamInfo, Vec<ConsumerGroup>)> {
        let request = self.rpc().request(v1::GetStreamRequest { stream: Some(stream.into()) });
        let answer = self.rpc().outcome(self.rpc().streams().get_stream(request)).await?;
        let groups = answer.groups.into_iter().map(group).collect::<Result<_>>()?;
        Ok((info(answer.info.unwrap_or_default())?, groups))
    }
}

fn info(wire: v1::StreamInfo) -> Result<StreamInfo> {
    Ok(StreamInfo {
        name: StreamName::try_from(wire.stream.unwrap_or_default())?,
        first: wire.first_offset,
        next: wire.next_offset,
        retention: Retention { max_entries: wire.retention_max_entries, max_age_sec: wire.retention_max_age_sec },
        created: time(wire.created_at)?,
    })
}

fn group(wire: v1::ConsumerGroup) -> Result<ConsumerGroup> {
    Ok(ConsumerGroup { name: wire.name, offset: wire.committed_offset, at: time(wire.committed_at)? })
}
