//! Consumer groups: each call is the async one, waited for.

use super::client::Client;
use crate::error::Result;
use crate::streams::{StreamEntry, StreamName};

/// A reader of a stream that goes on where its group stopped: [`Client::consume`]. What is not committed comes again, so
/// every entry is seen at least once.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
/// # let id = client.create(4096)?.commit()?.id;
/// # let frames = payload_manager_client::StreamName::new("", "frames")?;
/// # client.create_stream(&frames, Default::default())?;
/// # client.append(&frames, [id])?;
/// use payload_manager_client::blocking::Consumer;
///
/// let mut consumer: Consumer = client.consume(&frames, "viewers")?;
/// let entry = consumer.next()?;
/// consumer.commit(&entry)?;
/// assert_eq!(client.committed_offset(&frames, "viewers")?, Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a consumer that is dropped is over"]
pub struct Consumer {
    consumer: crate::Consumer,
    client: Client,
}

impl Consumer {
    /// The next entry; waits for it, over a restart of the daemon too.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// # client.create_stream(&frames, Default::default())?;
    /// # client.append(&frames, [id])?;
    /// assert_eq!(client.consume(&frames, "viewers")?.next()?.what.payload, id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Consumer::next).
    #[allow(clippy::should_implement_trait, reason = "an iterator goes on after an error, and may end")]
    pub fn next(&mut self) -> Result<StreamEntry> {
        self.client.wait(self.consumer.next())
    }

    /// The group has dealt with `entry` and all before it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// # client.create_stream(&frames, Default::default())?;
    /// # client.append(&frames, [id])?;
    /// let mut consumer = client.consume(&frames, "viewers")?;
    /// let entry = consumer.next()?;
    /// consumer.commit(&entry)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Consumer::commit).
    pub fn commit(&self, entry: &StreamEntry) -> Result<()> {
        self.client.wait(self.consumer.commit(entry))
    }
}

impl Client {
    /// Reads a stream on behalf of a group: from what it has committed, or from the oldest entry if it never has.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// # client.create_stream(&frames, Default::default())?;
    /// # client.append(&frames, [id])?;
    /// let mut consumer = client.consume(&frames, "viewers")?;
    /// let entry = consumer.next()?;
    /// // Deal with it, and then:
    /// consumer.commit(&entry)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::consume).
    pub fn consume(&self, stream: &StreamName, group: &str) -> Result<Consumer> {
        let consumer = self.wait(self.client.consume(stream, group))?;
        Ok(Consumer { consumer, client: self.clone() })
    }

    /// Says how far a group has come: the offset that it wants to see next. Back is fine.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// # client.create_stream(&frames, Default::default())?;
    /// client.commit_offset(&frames, "viewers", 0)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::commit_offset).
    pub fn commit_offset(&self, stream: &StreamName, group: &str, offset: u64) -> Result<()> {
        self.wait(self.client.commit_offset(stream, group, offset))
    }

    /// How far a group has come; `None` if it never said so.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let frames = payload_manager_client::StreamName::new("", "frames")?;
    /// # client.create_stream(&frames, Default::default())?;
    /// assert_eq!(client.committed_offset(&frames, "viewers")?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::committed_offset).
    pub fn committed_offset(&self, stream: &StreamName, group: &str) -> Result<Option<u64>> {
        self.wait(self.client.committed_offset(stream, group))
    }
}
