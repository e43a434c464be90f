//! What users say about payloads: opaque metadata, of which the last counts, and a history of events, of which all do.

use payload_manager_api::Timestamp;
use payload_manager_api::catalog::v1;
use payload_manager_api::core::v1::MetadataUpdateMode;

use crate::client::Client;
use crate::descriptor::{PayloadId, UnixMillis, time};
use crate::error::Result;
use crate::paged::{PAGE, Paged, listed, pages};

/// What is said about a payload: opaque bytes, 64 KiB at most, and what they are.
///
/// ```
/// use payload_manager_client::Metadata;
///
/// let metadata = Metadata { data: br#"{"camera": 3}"#.to_vec(), schema: "application/json".into() };
/// assert_ne!(metadata, Metadata::default());
/// ```
#[doc(inline)]
pub use payload_manager_api::convert::Metadata;

/// How metadata is set: the default takes the place of what was there.
///
/// ```
/// use payload_manager_client::MetadataOptions;
///
/// let options = MetadataOptions { merge: true, actor: "labeller".into(), ..MetadataOptions::default() };
/// assert!(options.reason.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataOptions {
    /// Whether the data or the schema that comes empty keeps its stored value.
    pub merge: bool,
    /// Who sets it; 1 KiB at most.
    pub actor: String,
    /// Why; 1 KiB at most.
    pub reason: String,
}

/// A payload's metadata as the daemon has it: [`Client::metadata`].
///
/// ```
/// use payload_manager_client::StoredMetadata;
///
/// fn is_json(stored: &StoredMetadata) -> bool {
///     stored.metadata.schema == "application/json"
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredMetadata {
    /// What is said.
    pub metadata: Metadata,
    /// When it was said.
    pub updated: UnixMillis,
}

/// What is added to a payload's history.
///
/// ```
/// use payload_manager_client::{Metadata, NewMetadataEvent};
///
/// let event = NewMetadataEvent { source: "checker".into(), version: "2.1".into(), ..Metadata::default().into() };
/// assert!(event.metadata.data.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewMetadataEvent {
    /// What.
    pub metadata: Metadata,
    /// Who says so; 1 KiB at most.
    pub source: String,
    /// Of the source's own choosing; 1 KiB at most.
    pub version: String,
}

impl From<Metadata> for NewMetadataEvent {
    fn from(metadata: Metadata) -> Self {
        Self { metadata, ..Self::default() }
    }
}

/// One event of a payload's history: [`Client::metadata_events`].
///
/// ```
/// use payload_manager_client::MetadataEvent;
///
/// fn line(event: &MetadataEvent) -> String {
///     format!("{} {} bytes", event.what.source, event.what.metadata.data.len())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetadataEvent {
    /// When the daemon took it in.
    pub at: UnixMillis,
    /// What was said.
    pub what: NewMetadataEvent,
}

/// A payload's history, oldest first: [`Client::metadata_events`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// # let id = client.create(4096).await?.commit().await?.id;
/// use futures_util::TryStreamExt;
/// use payload_manager_client::{Metadata, MetadataEvents};
///
/// client.append_metadata_event(id, Metadata::default()).await?;
/// let events: MetadataEvents = client.metadata_events(id);
/// assert_eq!(events.try_collect::<Vec<_>>().await?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream asks for nothing until it is polled"]
pub struct MetadataEvents(Paged<MetadataEvent>);

listed!(MetadataEvents of MetadataEvent);

impl Client {
    /// A payload's metadata; `None` if it was never set.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// assert!(client.metadata(id).await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::PayloadNotFound`](crate::Reason::PayloadNotFound).
    pub async fn metadata(&self, id: PayloadId) -> Result<Option<StoredMetadata>> {
        let request = self.rpc().request(v1::GetPayloadMetadataRequest { id: Some(id.into()) });
        let answer = self.rpc().outcome(self.rpc().catalog().get_payload_metadata(request)).await?;
        answer.metadata.map(|metadata| stored(metadata, answer.updated_at)).transpose()
    }

    /// Sets a payload's metadata, committed or not, in the place of what was there. Answers with what is stored, once it
    /// survives what the payload does.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::Metadata;
    ///
    /// client.set_metadata(id, Metadata { data: b"{}".to_vec(), schema: "application/json".into() }).await?;
    /// assert_eq!(client.metadata(id).await?.unwrap().metadata.data, b"{}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::PayloadNotFound`](crate::Reason::PayloadNotFound),
    /// [`Reason::MetadataTooLarge`](crate::Reason::MetadataTooLarge).
    pub async fn set_metadata(&self, id: PayloadId, metadata: Metadata) -> Result<StoredMetadata> {
        self.set_metadata_with(id, metadata, MetadataOptions::default()).await
    }

    /// Sets a payload's metadata as `options` say: merged with what was there, say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::{Metadata, MetadataOptions};
    ///
    /// client.set_metadata(id, Metadata { data: b"{}".to_vec(), schema: "text".into() }).await?;
    /// let renamed = Metadata { schema: "application/json".into(), ..Metadata::default() };
    /// let merge = MetadataOptions { merge: true, ..MetadataOptions::default() };
    /// let stored = client.set_metadata_with(id, renamed, merge).await?.metadata;
    /// assert_eq!((stored.data.as_slice(), stored.schema.as_str()), (&b"{}"[..], "application/json"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`set_metadata`](Self::set_metadata).
    pub async fn set_metadata_with(
        &self,
        id: PayloadId,
        metadata: Metadata,
        options: MetadataOptions,
    ) -> Result<StoredMetadata> {
        let mode = if options.merge { MetadataUpdateMode::Merge } else { MetadataUpdateMode::Replace };
        let request = self.rpc().request(v1::UpdatePayloadMetadataRequest {
            id: Some(id.into()),
            mode: mode as i32,
            metadata: Some(to_wire(metadata)),
            actor: options.actor,
            reason: options.reason,
        });
        let answer = self.rpc().outcome(self.rpc().catalog().update_payload_metadata(request)).await?;
        stored(answer.metadata.unwrap_or_default(), answer.updated_at)
    }

    /// Adds to a payload's history, which is only ever added to. Answers with the time that the daemon gave the event, once
    /// it survives what the payload does.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::{Metadata, NewMetadataEvent};
    ///
    /// let checked = Metadata { data: b"ok".to_vec(), schema: String::new() };
    /// client.append_metadata_event(id, checked.clone()).await?;
    /// let event = NewMetadataEvent { source: "checker".into(), ..checked.into() };
    /// client.append_metadata_event(id, event).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`set_metadata`](Self::set_metadata).
    pub async fn append_metadata_event(&self, id: PayloadId, event: impl Into<NewMetadataEvent>) -> Result<UnixMillis> {
        let NewMetadataEvent { metadata, source, version } = event.into();
        let metadata = Some(to_wire(metadata));
        let message = v1::AppendPayloadMetadataEventRequest { id: Some(id.into()), metadata, source, version };
        let request = self.rpc().request(message);
        let answer = self.rpc().outcome(self.rpc().catalog().append_payload_metadata_event(request)).await?;
        time(answer.event_time)
    }

    /// A payload's history, oldest first, with what comes meanwhile. Asks for page after page as it is polled, and ends
    /// after the first error.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use futures_util::TryStreamExt;
    ///
    /// let mut events = client.metadata_events(id);
    /// while let Some(event) = events.try_next().await? {
    ///     println!("{} {}", event.what.source, event.what.metadata.data.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn metadata_events(&self, id: PayloadId) -> MetadataEvents {
        MetadataEvents(pages(self, move |client, page_token| async move {
            let message = v1::ListPayloadMetadataEventsRequest { id: Some(id.into()), page_size: PAGE, page_token };
            let request = client.rpc().request(message);
            let page = client.rpc().outcome(client.rpc().catalog().list_payload_metadata_events(request)).await?;
            Ok((page.events.into_iter().map(event).collect(), page.next_page_token))
        }))
    }
}

fn to_wire(metadata: Metadata) -> v1::PayloadMetadata {
    v1::PayloadMetadata { id: None, data: metadata.data, schema: metadata.schema }
}

fn stored(wire: v1::PayloadMetadata, at: Option<Timestamp>) -> Result<StoredMetadata> {
    Ok(StoredMetadata { metadata: Metadata { data: wire.data, schema: wire.schema }, updated: time(at)? })
}

fn event(wire: v1::PayloadMetadataEvent) -> Result<MetadataEvent> {
    let v1::PayloadMetadataEvent { ts, data, schema, source, version, .. } = wire;
    Ok(MetadataEvent { at: time(ts)?, what: NewMetadataEvent { metadata: Metadata { data, schema }, source, version } })
}
