//! Watching, and who holds what: each call is the async one, waited for; each stream an iterator.

use std::sync::Arc;

use futures_util::StreamExt as _;

use super::client::Client;
use super::payload::PayloadView;
use super::runtime::Connection;
use crate::descriptor::PayloadId;
use crate::error::Result;
use crate::holders::{LeaseInfo, SessionInfo};
use crate::read::ReadOptions;
use crate::watch::{Event, WatchFrom};

/// Events as they come: [`Client::watch`]. `next` blocks until there is one; it has no end but an error.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
/// use payload_manager_client::WatchFrom;
/// use payload_manager_client::blocking::Watch;
///
/// let events: Watch = client.watch(WatchFrom::Now)?;
/// client.create(4096)?.commit()?;
/// for event in events.take(2) {
///     println!("{}", event?.kind);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a watch that is dropped is over"]
pub struct Watch {
    events: crate::Watch,
    connection: Arc<Connection>,
}

/// Leases: [`Client::leases`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
/// use payload_manager_client::blocking::Leases;
///
/// let leases: Leases = client.leases(None);
/// assert_eq!(leases.count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an iterator asks for nothing until it is used"]
pub struct Leases {
    leases: crate::Leases,
    connection: Arc<Connection>,
}

/// Sessions: [`Client::sessions`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
/// use payload_manager_client::blocking::Sessions;
///
/// let sessions: Sessions = client.sessions();
/// assert_eq!(sessions.count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an iterator asks for nothing until it is used"]
pub struct Sessions {
    sessions: crate::Sessions,
    connection: Arc<Connection>,
}

impl Iterator for Watch {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        self.connection.wait(self.events.next())
    }
}

impl Iterator for Leases {
    type Item = Result<LeaseInfo>;

    fn next(&mut self) -> Option<Self::Item> {
        self.connection.wait(self.leases.next())
    }
}

impl Iterator for Sessions {
    type Item = Result<SessionInfo>;

    fn next(&mut self) -> Option<Self::Item> {
        self.connection.wait(self.sessions.next())
    }
}

impl Client {
    /// Follows every change of every payload.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// use payload_manager_client::{EventKind, WatchFrom};
    ///
    /// let id = client.create(4096)?.commit()?.id;
    /// let mut known = Vec::new();
    /// for event in client.watch(WatchFrom::Snapshot)? {
    ///     let event = event?;
    ///     if event.kind == EventKind::SnapshotEnd {
    ///         break;
    ///     }
    ///     known.extend(event.payload.map(|payload| payload.id));
    /// }
    /// assert_eq!(known, [id]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::watch).
    pub fn watch(&self, from: WatchFrom) -> Result<Watch> {
        let events = self.wait(self.client.watch(from))?;
        Ok(Watch { events, connection: self.connection.clone() })
    }

    /// Leases and maps many payloads, a thousand a call: one result each, in order.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// let ids = [client.create(1)?.commit()?.id, client.create(2)?.commit()?.id];
    /// let views: Vec<_> = client.read_many(&ids)?.into_iter().collect::<Result<_, _>>()?;
    /// assert_eq!((views[0].len(), views[1].len()), (1, 2));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::read_many).
    pub fn read_many(&self, ids: &[PayloadId]) -> Result<Vec<Result<PayloadView>>> {
        self.read_many_with(ids, ReadOptions::default())
    }

    /// Leases many payloads as `options` say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// use payload_manager_client::{ReadOptions, Tier};
    ///
    /// let id = client.create(4096)?.commit()?.id;
    /// let in_ram = ReadOptions { min_tier: Some(Tier::Ram), ..ReadOptions::default() };
    /// assert!(client.read_many_with(&[id], in_ram)?.iter().all(Result::is_ok));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::read_many_with).
    pub fn read_many_with(&self, ids: &[PayloadId], options: ReadOptions) -> Result<Vec<Result<PayloadView>>> {
        let views = self.wait(self.client.read_many_with(ids, options))?.into_iter();
        let view = |view| PayloadView::new(view, &self.connection);
        Ok(views.map(|result| result.map(view)).collect())
    }

    /// Lists the leases on one payload or, with `None`, on all.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// let id = client.create(4096)?.commit()?.id;
    /// let view = client.read(id)?;
    /// for lease in client.leases(Some(id)) {
    ///     assert_eq!(lease?.payload, id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn leases(&self, of: Option<PayloadId>) -> Leases {
        Leases { leases: self.client.leases(of), connection: self.connection.clone() }
    }

    /// Lists the clients that have a session.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// for session in client.sessions() {
    ///     println!("process {}", session?.pid);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn sessions(&self) -> Sessions {
        Sessions { sessions: self.client.sessions(), connection: self.connection.clone() }
    }
}
