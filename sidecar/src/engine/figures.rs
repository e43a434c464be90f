//! One look at everything that is counted, for who watches the daemon. It changes nothing.

use std::sync::Weak;
use std::time::Duration;

use payload_manager_catalog::{Limit, Reader, StoreError};
use payload_manager_core::ledger::{Stats, Watermarks};

use super::board::Leases;
use super::{Engine, Inner};

/// What is counted, at one moment.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Of the ledger.
    pub stats: Stats,
    /// When eviction begins and ends by itself.
    pub watermarks: Watermarks,
    /// Of the leases.
    pub leases: Leases,
    /// How long the oldest block of the backlog has waited.
    pub backlog_age: Duration,
    /// Copies under way.
    pub transfers: u64,
    /// Changes that wait for the catalog.
    pub catalog_queue: u64,
    /// Whether it can be written.
    pub catalog_available: bool,
    /// Sessions.
    pub sessions: u64,
    /// How far consumer groups are behind.
    pub lags: Vec<Lag>,
}

/// How far one consumer group is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Its stream: `namespace/name`.
    pub stream: String,
    /// Its name.
    pub group: String,
    /// Entries that are there and that it has not committed.
    pub entries: u64,
}

/// Streams that are looked at, and groups that are told of, at most: names are the clients' choice, and each is a series of
/// values for whoever keeps them.
const MOST: usize = 1000;

/// An engine that may be gone.
#[derive(Debug, Clone)]
pub struct WeakEngine(Weak<Inner>);

impl WeakEngine {
    /// The engine, if it is there.
    #[must_use]
    pub fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(Engine)
    }
}

impl Engine {
    /// The same engine, which does not keep it.
    #[must_use]
    pub fn downgrade(&self) -> WeakEngine {
        WeakEngine(std::sync::Arc::downgrade(&self.0))
    }

    /// Everything that is counted. Reads the catalog: not for a thread that must not wait.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let catalog = self.0.gate.catalog();
        let lags = catalog.read(lags).unwrap_or_else(|error| {
            tracing::warn!(%error, "the consumer groups could not be looked at");
            Vec::new()
        });
        let now = self.now().monotonic;
        let mut ledger = self.ledger();
        let stats = ledger.stats();
        let waits = stats.backlog_since.map_or(0, |since| now.saturating_sub(since));
        let (watermarks, leases) = (ledger.limits().watermarks, ledger.board_mut().count_leases());
        drop(ledger);
        Figures {
            stats,
            watermarks,
            leases,
            backlog_age: Duration::from_millis(waits),
            transfers: self.0.running.lock().len() as u64,
            catalog_queue: catalog.depth() as u64,
            catalog_available: catalog.healthy(),
            sessions: self.0.members.lock().len() as u64,
            lags,
        }
    }
}

fn lags(reader: &mut dyn Reader) -> Result<Vec<Lag>, StoreError> {
    let mut lags = Vec::new();
    let streams = reader.streams_after(None, Limit::items(MOST))?.items;
    for stream in streams {
        let rows = MOST - lags.len();
        if rows == 0 {
            break;
        }
        for group in reader.groups(&stream.name, None, Limit::items(rows))?.items {
            // What was removed before it was read is nothing that the group is still to read.
            let at = group.offset.max(stream.first);
            lags.push(Lag {
                stream: stream.name.to_string(),
                group: group.name,
                entries: stream.next.saturating_sub(at),
            });
        }
    }
    Ok(lags)
}
