//! What is said about payloads and where they stay: each call is the async one, waited for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::client::Client;
use super::runtime::Connection;
use crate::descriptor::{PayloadId, Tier, UnixMillis};
use crate::error::Result;
use crate::lineage::{Direction, Edge, LineageEdge};
use crate::metadata::{Metadata, MetadataEvent, MetadataOptions, NewMetadataEvent, StoredMetadata};

/// A payload's history, oldest first: [`Client::metadata_events`]. Asks for page after page, and ends after an error.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
/// # let id = client.create(4096)?.commit()?.id;
/// use payload_manager_client::Metadata;
/// use payload_manager_client::blocking::MetadataEvents;
///
/// client.append_metadata_event(id, Metadata::default())?;
/// let events: MetadataEvents = client.metadata_events(id);
/// assert_eq!(events.count(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an iterator asks for nothing until it is used"]
pub struct MetadataEvents {
    events: crate::MetadataEvents,
    connection: Arc<Connection>,
}

impl Iterator for MetadataEvents {
    type Item = Result<MetadataEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        self.connection.wait(self.events.next())
    }
}

impl Client {
    /// A payload's metadata; `None` if it was never set.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// assert!(client.metadata(id)?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::metadata).
    pub fn metadata(&self, id: PayloadId) -> Result<Option<StoredMetadata>> {
        self.wait(self.client.metadata(id))
    }

    /// Sets a payload's metadata, committed or not, in the place of what was there. Answers with what is stored, once it
    /// survives what the payload does.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::Metadata;
    ///
    /// client.set_metadata(id, Metadata { data: b"{}".to_vec(), schema: "application/json".into() })?;
    /// assert_eq!(client.metadata(id)?.unwrap().metadata.data, b"{}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::set_metadata).
    pub fn set_metadata(&self, id: PayloadId, metadata: Metadata) -> Result<StoredMetadata> {
        self.wait(self.client.set_metadata(id, metadata))
    }

    /// Sets a payload's metadata as `options` say: merged with what was there, say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::{Metadata, MetadataOptions};
    ///
    /// client.set_metadata(id, Metadata { data: b"{}".to_vec(), schema: "text".into() })?;
    /// let renamed = Metadata { schema: "application/json".into(), ..Metadata::default() };
    /// let merge = MetadataOptions { merge: true, ..MetadataOptions::default() };
    /// let stored = client.set_metadata_with(id, renamed, merge)?.metadata;
    /// assert_eq!((stored.data.as_slice(), stored.schema.as_str()), (&b"{}"[..], "application/json"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::set_metadata_with).
    pub fn set_metadata_with(
        &self,
        id: PayloadId,
        metadata: Metadata,
        options: MetadataOptions,
    ) -> Result<StoredMetadata> {
        self.wait(self.client.set_metadata_with(id, metadata, options))
    }

    /// Adds to a payload's history, which is only ever added to. Answers with the time that the daemon gave the event, once
    /// it survives what the payload does.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::{Metadata, NewMetadataEvent};
    ///
    /// let checked = Metadata { data: b"ok".to_vec(), schema: String::new() };
    /// client.append_metadata_event(id, checked.clone())?;
    /// let event = NewMetadataEvent { source: "checker".into(), ..checked.into() };
    /// client.append_metadata_event(id, event)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::append_metadata_event).
    pub fn append_metadata_event(&self, id: PayloadId, event: impl Into<NewMetadataEvent>) -> Result<UnixMillis> {
        self.wait(self.client.append_metadata_event(id, event))
    }

    /// A payload's history, oldest first. Asks for page after page, and ends after the first error.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// for event in client.metadata_events(id) {
    ///     println!("{}", event?.what.source);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn metadata_events(&self, id: PayloadId) -> MetadataEvents {
        MetadataEvents { events: self.client.metadata_events(id), connection: self.connection.clone() }
    }

    /// Says what a payload was made from: all edges or none.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// # let parent = client.create(1)?.commit()?.id;
    /// use payload_manager_client::Edge;
    ///
    /// let made_from = |parent| Edge { parent, operation: "resize".into(), role: String::new(), parameters: vec![] };
    /// client.add_lineage(id, [made_from(parent)])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::add_lineage).
    pub fn add_lineage(&self, child: PayloadId, edges: impl IntoIterator<Item = Edge>) -> Result<()> {
        self.wait(self.client.add_lineage(child, edges))
    }

    /// A payload's ancestors or descendants, breadth first, each edge once.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::Direction;
    ///
    /// assert_eq!(client.lineage(id, Direction::Descendants, Some(3))?, []);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::lineage).
    pub fn lineage(&self, id: PayloadId, direction: Direction, max_depth: Option<u32>) -> Result<Vec<LineageEdge>> {
        self.wait(self.client.lineage(id, direction, max_depth))
    }

    /// Keeps a payload's fastest copy where it is: nothing evicts or spills it, through restarts of the daemon. For so long
    /// from now, in milliseconds, or until it is unpinned; the last call counts.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::Reason;
    ///
    /// client.pin(id, Some(std::time::Duration::from_secs(3600)))?;
    /// assert_eq!(client.spill(id).unwrap_err().reason(), Some(Reason::Pinned));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::pin).
    pub fn pin(&self, id: PayloadId, duration: Option<Duration>) -> Result<()> {
        self.wait(self.client.pin(id, duration))
    }

    /// Ends a pin. What is not pinned, or not there, is fine.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// client.pin(id, None)?;
    /// client.unpin(id)?;
    /// assert!(client.get(id)?.pinned.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::unpin).
    pub fn unpin(&self, id: PayloadId) -> Result<()> {
        self.wait(self.client.unpin(id))
    }

    /// Begins to make a copy in a faster tier, for who will read it soon. Whether it comes about is not told;
    /// [`promote`](Self::promote) waits for it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::Tier;
    ///
    /// client.spill(id)?;
    /// client.prefetch(id, Tier::Ram)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::prefetch).
    pub fn prefetch(&self, id: PayloadId, tier: Tier) -> Result<()> {
        self.wait(self.client.prefetch(id, tier))
    }
}
