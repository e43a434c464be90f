//! Payloads for threads that may block: the async types, waited for.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use super::runtime::Connection;
use crate::descriptor::{Descriptor, PayloadId};
use crate::device::DevicePtr;
use crate::error::Result;

/// The bytes of a payload that is not committed yet, to be filled in place: as [`crate::PayloadMut`], deleted when it is
/// dropped without [`commit`](Self::commit).
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
/// let mut payload = client.create(5)?;
/// payload.copy_from_slice(b"hello");
/// let id = payload.commit()?.id;
/// # assert_eq!(&*client.read(id)?, b"hello");
/// # Ok(())
/// # }
/// ```
pub struct PayloadMut {
    pub(super) payload: crate::PayloadMut,
    pub(super) connection: Arc<Connection>,
}

impl PayloadMut {
    /// The payload's name.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// let payload = client.create(1)?;
    /// let id = payload.id();
    /// assert_eq!(payload.commit()?.id, id);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn id(&self) -> PayloadId {
        self.payload.id()
    }

    /// What the daemon allocated.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// assert_eq!(client.create(4096)?.descriptor().size, 4096);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        self.payload.descriptor()
    }

    /// Where its bytes are on a GPU, as [`crate::PayloadMut::device_ptr`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// assert_eq!(client.create(4096)?.device_ptr(), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn device_ptr(&self) -> Option<DevicePtr> {
        self.payload.device_ptr()
    }

    /// Copies bytes into it, wherever it is.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// client.create(5)?.copy_from_host(0, b"hello")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`crate::PayloadMut::copy_from_host`].
    pub fn copy_from_host(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.payload.copy_from_host(offset, bytes)
    }

    /// The same for a payload on a GPU, for callers who see to it themselves that nobody else is at it.
    ///
    /// ```no_run
    /// # fn example(payload: &payload_manager_client::blocking::PayloadMut) -> payload_manager_client::Result<()> {
    /// payload.copy_to_device(0, b"hello")
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`crate::PayloadMut::copy_from_host`]; also if it is in memory of the host.
    #[doc(hidden)]
    pub fn copy_to_device(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.payload.copy_to_device(offset, bytes)
    }

    /// Publishes the bytes, for good.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// println!("made {}", client.create(4096)?.commit()?.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`crate::PayloadMut::commit`].
    pub fn commit(self) -> Result<Descriptor> {
        self.connection.wait(self.payload.commit())
    }

    /// Gives the payload up and returns when it is deleted.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// client.create(4096)?.abort()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`crate::PayloadMut::abort`].
    pub fn abort(self) -> Result<()> {
        self.connection.wait(self.payload.abort())
    }
}

impl Deref for PayloadMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.payload
    }
}

impl DerefMut for PayloadMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.payload
    }
}

impl AsRef<[u8]> for PayloadMut {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for PayloadMut {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for PayloadMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.payload.fmt(f)
    }
}

/// The bytes of a committed payload, in place, kept there by a lease: as [`crate::PayloadView`], which says what holds
/// when the lease is over.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
/// # let id = client.create(4096)?.commit()?.id;
/// let view = client.read(id)?;
/// assert!(view.iter().all(|byte| *byte == 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PayloadView {
    view: crate::PayloadView,
    /// Of one that takes calls.
    connection: Option<Arc<Connection>>,
}

impl PayloadView {
    #[inline]
    pub(super) fn new(view: crate::PayloadView, connection: &Arc<Connection>) -> Self {
        let connection = view.takes_calls().then(|| Arc::clone(connection));
        Self { view, connection }
    }

    /// The payload as it was when it was leased.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// assert_eq!(client.read(id)?.descriptor().id, id);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        self.view.descriptor()
    }

    /// Where its bytes are on a GPU, as [`crate::PayloadView::device_ptr`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// assert_eq!(client.read(id)?.device_ptr(), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn device_ptr(&self) -> Option<DevicePtr> {
        self.view.device_ptr()
    }

    /// Copies bytes of it, wherever they are.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// client.read(id)?.copy_to_host(0, &mut [0; 4])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`crate::PayloadView::copy_to_host`].
    pub fn copy_to_host(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.view.copy_to_host(offset, into)
    }

    /// Whether the lease still holds, as far as this process knows.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// assert!(client.read(id)?.is_valid());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.view.is_valid()
    }

    /// How long the lease holds from now, unless it is renewed; zero when it is over.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// assert!(!client.read(id)?.time_left().is_zero());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.view.time_left()
    }

    /// Renews the lease now; it is renewed by itself anyway.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// client.read(id)?.renew()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`crate::PayloadView::renew`].
    pub fn renew(&self) -> Result<()> {
        match &self.connection {
            Some(connection) => connection.wait(self.view.renew()),
            None => self.view.renew_at_once().unwrap_or(Ok(())),
        }
    }

    /// Gives this view up; if it was the last of its clones, returns when the daemon has the lease back.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// client.read(id)?.release()?;
    /// client.delete(id)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`crate::PayloadView::release`].
    pub fn release(self) -> Result<()> {
        // Without one, the drop is all that there is to it.
        self.connection.map_or(Ok(()), |connection| connection.wait(self.view.release()))
    }
}

impl Deref for PayloadView {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.view
    }
}

impl AsRef<[u8]> for PayloadView {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PayloadView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view.fmt(f)
    }
}
