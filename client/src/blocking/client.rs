//! The blocking client: connecting, and a payload's life. Each call is the async one, waited for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::payload::{PayloadMut, PayloadView};
use super::runtime::Connection;
use crate::address::Address;
use crate::descriptor::{Descriptor, PayloadId, PayloadInfo};
use crate::error::Result;
use crate::read::ReadOptions;
use crate::trace::TraceContext;
use crate::write::CreateOptions;

/// A connection to a daemon on this host, for threads that may block. Cheap to clone; clones share it.
///
/// It makes itself anew after the daemon was restarted, as [`crate::Client`] does.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// use payload_manager_client::blocking::Client;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// let client = Client::connect(daemon.socket())?;
/// let id = client.create(4096)?.commit()?.id;
/// client.delete(id)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) client: crate::Client,
    /// Dropped last, and told of what was dropped before.
    pub(super) connection: Arc<Connection>,
}

impl Client {
    fn over(connect: impl Future<Output = Result<crate::Client>>) -> Result<Self> {
        let connection = Arc::new(Connection::make(connect)?);
        Ok(Self { client: connection.client().clone(), connection })
    }

    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.connection.wait(work)
    }

    /// Connects to the daemon at `address`: the path of its socket or runtime folder, `unix:PATH`, or
    /// `http://HOST:PORT` on loopback.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// use payload_manager_client::blocking::Client;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// let client = Client::connect(daemon.socket())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::connect).
    pub fn connect(address: impl Into<Address>) -> Result<Self> {
        Self::over(crate::Client::connect(address))
    }

    /// Connects to this user's daemon: the first of [`Address::defaults`] where one answers.
    ///
    /// ```
    /// use payload_manager_client::blocking::Client;
    ///
    /// match Client::connect_default() {
    ///     Ok(client) => println!("connected to {}", client.address()),
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::connect_default).
    pub fn connect_default() -> Result<Self> {
        Self::over(crate::Client::connect_default())
    }

    /// Where the daemon is.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// assert!(client.address().ends_with("control.sock"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn address(&self) -> &str {
        self.client.address()
    }

    /// The same connection without a session: every lease is a call, as it is for plain gRPC clients.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// let plain = client.without_session();
    /// println!("{}", plain.path());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn without_session(&self) -> Self {
        Self { client: self.client.without_session(), connection: Arc::clone(&self.connection) }
    }

    /// Which way payloads are reached, and why not the fast one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// println!("{}", client.path());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn path(&self) -> crate::DataPath {
        self.wait(self.client.path())
    }

    /// The same connection, with every call bounded to so long; `None` is no bound, as at first.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// let hasty = client.with_deadline(Some(std::time::Duration::from_secs(5)));
    /// let payload = hasty.create(4096)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_deadline(&self, deadline: Option<Duration>) -> Self {
        Self { client: self.client.with_deadline(deadline), connection: self.connection.clone() }
    }

    /// See [`Client::with_trace`](crate::Client::with_trace).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// let traced = client.with_trace(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?));
    /// let payload = traced.create(4096)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_trace(&self, trace: Option<TraceContext>) -> Self {
        Self { client: self.client.with_trace(trace), connection: self.connection.clone() }
    }

    /// Allocates a payload of `len` bytes in RAM, to be filled and committed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// let mut payload = client.create(1 << 20)?;
    /// payload.fill(7);
    /// payload.commit()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::create).
    pub fn create(&self, len: u64) -> Result<PayloadMut> {
        self.create_with(len, CreateOptions::default())
    }

    /// Allocates a payload of `len` bytes as `options` say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// use payload_manager_client::{CreateOptions, Tier};
    ///
    /// let on_disk = CreateOptions { tier: Tier::Disk, ..CreateOptions::default() };
    /// assert_eq!(client.create_with(4096, on_disk)?.commit()?.tier, Tier::Disk);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::create_with).
    pub fn create_with(&self, len: u64, options: CreateOptions) -> Result<PayloadMut> {
        let payload = self.wait(self.client.create_with(len, options))?;
        Ok(PayloadMut { payload, connection: self.connection.clone() })
    }

    /// Leases a committed payload and maps its bytes, wherever they are.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// let view = client.read(id)?;
    /// assert_eq!(view.len(), 4096);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::read).
    pub fn read(&self, id: PayloadId) -> Result<PayloadView> {
        self.read_with(id, ReadOptions::default())
    }

    /// Leases a payload as `options` say: in a fast enough tier, say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::{ReadOptions, Tier};
    ///
    /// let in_ram = ReadOptions { min_tier: Some(Tier::Ram), ..ReadOptions::default() };
    /// assert_eq!(client.read_with(id, in_ram)?.descriptor().tier, Tier::Ram);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::read_with).
    pub fn read_with(&self, id: PayloadId, options: ReadOptions) -> Result<PayloadView> {
        let view = match crate::PayloadView::at_hand(&self.client, id, &options) {
            Some(view) => view,
            None => self.wait(self.client.read_with(id, options))?,
        };
        Ok(PayloadView::new(view, &self.connection))
    }

    /// Where a payload is now: advice, for nothing keeps it there.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// println!("fastest copy: {}", client.resolve(id)?.tier);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::resolve).
    pub fn resolve(&self, id: PayloadId) -> Result<Descriptor> {
        self.wait(self.client.resolve(id))
    }

    /// All that the daemon knows of a payload, committed or not.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// assert_eq!(client.get(id)?.active_leases, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::get).
    pub fn get(&self, id: PayloadId) -> Result<PayloadInfo> {
        self.wait(self.client.get(id))
    }

    /// Deletes a payload in every tier, unless somebody has a lease on it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// client.delete(id)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::delete).
    pub fn delete(&self, id: PayloadId) -> Result<()> {
        self.wait(self.client.delete(id))
    }

    /// Deletes a payload in every tier. Leases are over from that moment; bytes that are mapped stay until they are unmapped.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// let view = client.read(id)?;
    /// client.delete_by_force(id)?;
    /// assert!(view.renew().is_err() && !view.is_valid());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::delete_by_force).
    pub fn delete_by_force(&self, id: PayloadId) -> Result<()> {
        self.wait(self.client.delete_by_force(id))
    }

    /// Returns when the daemon has been told of every view and payload that was dropped before.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// drop(client.read(id)?);
    /// client.flush();
    /// assert_eq!(client.get(id)?.active_leases, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn flush(&self) {
        self.wait(self.client.flush());
    }
}
