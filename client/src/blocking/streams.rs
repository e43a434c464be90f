//! Streams: each call is the async one, waited for.

use std::ops::{Range, RangeInclusive};

use super::client::Client;
use super::follow::{Streams, Subscription};
use crate::error::Result;
use crate::follow::SubscribeOptions;
use crate::stream_info::{ConsumerGroup, StreamInfo};
use crate::streams::{NewEntry, RangeOptions, Retention, StreamEntry, StreamName};

impl Client {
    /// Makes a stream. The default retention keeps everything.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// use payload_manager_client::{Retention, StreamName};
    ///
    /// client.create_stream(&StreamName::new("left", "frames")?, Retention::default())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::create_stream).
    pub fn create_stream(&self, stream: &StreamName, retention: Retention) -> Result<()> {
        self.wait(self.client.create_stream(stream, retention))
    }

    /// Appends committed payloads to a stream: all of them or none. Answers with their offsets once they are durable.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::StreamName;
    ///
    /// let frames = StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default())?;
    /// assert_eq!(client.append(&frames, [id, id])?, 0..2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::append).
    pub fn append<I>(&self, stream: &StreamName, entries: I) -> Result<Range<u64>>
    where
        I: IntoIterator,
        I::Item: Into<NewEntry>,
    {
        self.wait(self.client.append(stream, entries))
    }

    /// Reads what a stream holds, from an offset on.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::{RangeOptions, StreamName};
    ///
    /// let frames = StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default())?;
    /// client.append(&frames, [id])?;
    /// assert_eq!(client.read_stream(&frames, RangeOptions::default())?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::read_stream).
    pub fn read_stream(&self, stream: &StreamName, options: RangeOptions) -> Result<Vec<StreamEntry>> {
        self.wait(self.client.read_stream(stream, options))
    }

    /// Follows a stream: what it holds from the start, then what is appended, as it is appended.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::{Start, StreamName};
    ///
    /// let frames = StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default())?;
    /// let mut entries = client.subscribe(&frames, Start::Latest)?;
    /// client.append(&frames, [id])?;
    /// assert_eq!(entries.next().transpose()?.map(|entry| entry.what.payload), Some(id));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::subscribe).
    pub fn subscribe(&self, stream: &StreamName, options: impl Into<SubscribeOptions>) -> Result<Subscription> {
        let entries = self.wait(self.client.subscribe(stream, options))?;
        Ok(Subscription { entries, connection: self.connection.clone() })
    }

    /// Reads the entries between two offsets, both inclusive, as far as they exist.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default())?;
    /// client.append(&frames, [id, id])?;
    /// assert_eq!(client.read_range(&frames, 1..=7)?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::read_range).
    pub fn read_range(&self, stream: &StreamName, offsets: RangeInclusive<u64>) -> Result<Vec<StreamEntry>> {
        self.wait(self.client.read_range(stream, offsets))
    }

    /// Deletes a stream with its entries and groups, and ends its subscriptions.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default())?;
    /// client.delete_stream(&frames)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::delete_stream).
    pub fn delete_stream(&self, stream: &StreamName) -> Result<()> {
        self.wait(self.client.delete_stream(stream))
    }

    /// Lists streams by namespace and name.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default())?;
    /// for stream in client.list_streams() {
    ///     println!("{}", stream?.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_streams(&self) -> Streams {
        Streams { streams: self.client.list_streams(), connection: self.connection.clone() }
    }

    /// A stream's bounds and retention, and its consumer groups by name.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// client.create_stream(&frames, Default::default())?;
    /// let (info, groups) = client.stream_info(&frames)?;
    /// assert_eq!((info.next, groups.len()), (0, 0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::stream_info).
    pub fn stream_info(&self, stream: &StreamName) -> Result<(StreamInfo, Vec<ConsumerGroup>)> {
        self.wait(self.client.stream_info(stream))
    }
}
