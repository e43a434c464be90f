//! Listings and subscriptions as iterators.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::runtime::Connection;
use crate::descriptor::Summary;
use crate::error::Result;
use crate::stream_info::StreamInfo;
use crate::streams::StreamEntry;

/// Payloads, newest first: [`Client::list`](super::Client::list). Asks for page after page, and ends after an error.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
/// use payload_manager_client::ListOptions;
/// use payload_manager_client::blocking::Payloads;
///
/// let payloads: Payloads = client.list(ListOptions::default());
/// assert_eq!(payloads.count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an iterator asks for nothing until it is used"]
pub struct Payloads {
    pub(super) payloads: crate::Payloads,
    pub(super) connection: Arc<Connection>,
}

impl Iterator for Payloads {
    type Item = Result<Summary>;

    fn next(&mut self) -> Option<Self::Item> {
        self.connection.wait(self.payloads.next())
    }
}

/// Streams, by namespace and name: [`Client::list_streams`](super::Client::list_streams).
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
/// use payload_manager_client::blocking::Streams;
///
/// let streams: Streams = client.list_streams();
/// assert_eq!(streams.count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an iterator asks for nothing until it is used"]
pub struct Streams {
    pub(super) streams: crate::Streams,
    pub(super) connection: Arc<Connection>,
}

impl Iterator for Streams {
    type Item = Result<StreamInfo>;

    fn next(&mut self) -> Option<Self::Item> {
        self.connection.wait(self.streams.next())
    }
}

/// Entries of a stream as they come: [`Client::subscribe`](super::Client::subscribe). `next` blocks until there is one;
/// it has no end but an error.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
/// # let id = client.create(4096)?.commit()?.id;
/// use payload_manager_client::blocking::Subscription;
/// use payload_manager_client::{Start, StreamName};
///
/// let frames = StreamName::new("", "frames")?;
/// client.create_stream(&frames, Default::default())?;
/// client.append(&frames, [id, id])?;
/// let entries: Subscription = client.subscribe(&frames, Start::Beginning)?;
/// for entry in entries.take(2) {
///     assert_eq!(entry?.what.payload, id);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a subscription that is dropped is over"]
pub struct Subscription {
    pub(super) entries: crate::Subscription,
    pub(super) connection: Arc<Connection>,
}

impl Iterator for Subscription {
    type Item = Result<StreamEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.connection.wait(self.entries.next())
    }
}

impl Subscription {
    /// The next entry, if there is one within `patience`; `None` if there was none, and one may still come.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use std::time::Duration;
    ///
    /// use payload_manager_client::{Start, StreamName};
    ///
    /// let frames = StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default())?;
    /// let mut entries = client.subscribe(&frames, Start::Beginning)?;
    /// assert!(entries.next_within(Duration::from_millis(1))?.is_none());
    /// client.append(&frames, [id])?;
    /// assert!(entries.next_within(Duration::from_secs(60))?.is_some_and(|entry| entry.what.payload == id));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Why the subscription is over.
    pub fn next_within(&mut self, patience: Duration) -> Result<Option<StreamEntry>> {
        let Self { entries, connection } = self;
        let next = connection.wait(async { tokio::time::timeout(patience, entries.next()).await });
        next.unwrap_or_default().transpose()
    }
}
