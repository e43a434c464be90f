//! One session, for as long as anything of it lives: what its leases have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use payload_manager_api::session::v1::Welcome;
use payload_manager_shm::{Clock, ProcessMark};

use super::home::Tie;
use super::pace::Pace;
use super::segments::Segments;
use super::slabs::Slabs;
use super::views::Views;

/// The shortest term that a daemon may give.
const LEAST_MS: u64 = 1;

/// Kept by its table and by each of its leases.
#[derive(Debug)]
pub(crate) struct Core {
    /// The daemon does not know the session any more: no lease of it holds, whatever its slot says.
    over: AtomicBool,
    pub(super) clock: Clock,
    default_ms: u64,
    max_ms: u64,
    pub(super) views: Views,
    pub(super) segments: Segments,
    pub(super) slabs: Slabs,
    pub(super) pace: Pace,
    pub(super) mark: Arc<ProcessMark>,
    /// Keeps the thread. Dropped last, as it may end it.
    _tie: Arc<Tie>,
}

impl Core {
    pub(super) fn new(welcome: &Welcome, clock: Clock, mark: Arc<ProcessMark>, tie: Arc<Tie>) -> Self {
        let max_ms = welcome.lease_max_ms.max(LEAST_MS);
        Self {
            over: AtomicBool::new(false),
            clock,
            default_ms: welcome.lease_default_ms.clamp(LEAST_MS, max_ms),
            max_ms,
            views: Views::default(),
            segments: Segments::default(),
            slabs: Slabs::default(),
            pace: Pace::new(Arc::clone(&tie.bell)),
            mark,
            _tie: tie,
        }
    }

    /// How long a lease is to hold for which this was asked; zero is the daemon's default, as by RPC.
    #[inline]
    pub(super) fn term_ms(&self, asked: Option<Duration>) -> u64 {
        match asked.map_or(0, crate::keeper::millis) {
            0 => self.default_ms,
            asked => asked.min(self.max_ms),
        }
    }

    pub(super) fn default_ms(&self) -> u64 {
        self.default_ms
    }

    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
