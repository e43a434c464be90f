//! Eviction by itself: keeps the tiers between their watermarks, before anybody has to wait for room.
//!
//! No clock drives it. Whoever lets go of the ledger wakes it if there is something to evict ([`Bell::ring_for`]), the end of a
//! copy begins the next, as many at a time as may run at once: so it keeps up with the disk, and sleeps when everything
//! that could go is leased, pinned or has no room to go to. Only a disk that fails makes it wait for a time. Not here: who
//! goes (the ledger), and room for somebody who waits for it (`room`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use payload_manager_core::{Ledger, Refusal};
use tokio::sync::Notify;

use super::transfer::ended;
use super::{Ending, Engine, Error, SharedPages};

/// How the evictor is woken.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// Whether it sleeps and wants to be woken: one ring a sleep, however much happens.
    sleeps: AtomicBool,
    rung: Notify,
}

impl Bell {
    /// Somebody lets go of the ledger: wakes the evictor if it sleeps and there is work for it. There is no event that
    /// somebody could forget to tell it of.
    pub(super) fn ring_for(&self, ledger: &mut Ledger<SharedPages>) {
        if self.sleeps.load(Ordering::Relaxed) && ledger.eviction_due() {
            self.sleeps.store(false, Ordering::Relaxed);
            self.rung.notify_one();
        }
    }
}

/// The first wait after a copy that failed, and the longest after many in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Copies that failed in a row.
#[derive(Debug, Default)]
struct Failures(u32);

impl Failures {
    fn count(&mut self, result: Result<(), Error>) {
        match result {
            // One that was deleted meanwhile is gone, too.
            Ok(()) | Err(Error::Refused(Refusal::NotFound { .. })) => self.0 = 0,
            Err(error) => {
                self.0 = self.0.saturating_add(1);
                tracing::warn!(%error, in_a_row = self.0, "an eviction came to nothing; it is tried again");
            }
        }
    }

    /// How long to leave the disk alone.
    fn pause(&self) -> Option<Duration> {
        let doubled = self.0.checked_sub(1)?.min(16);
        Some((FIRST_PAUSE * (1 << doubled)).min(LONGEST_PAUSE))
    }
}

impl Engine {
    /// Evicts until the daemon stops.
    pub(super) async fn evict(&self) {
        let mut running = FuturesUnordered::new();
        let mut failures = Failures::default();
        loop {
            if let Some(pause) = failures.pause() {
                tokio::select! {
                    () = self.0.tasks.stopping() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
            running.extend(self.begin_evictions(running.len()).into_iter().map(ended));
            let spare = running.len() < self.0.transfers;
            if spare {
                self.go_to_sleep();
            }
            tokio::select! {
                () = self.0.tasks.stopping() => return,
                Some(result) = running.next() => failures.count(result),
                () = self.0.evictor.rung.notified(), if spare => {}
            }
        }
    }

    /// As many as may run beside those that are running.
    fn begin_evictions(&self, running: usize) -> Vec<Ending> {
        let mut ledger = self.ledger();
        ledger.collect_reads();
        let steps = ledger.plan_eviction(self.0.transfers.saturating_sub(running), self.now());
        steps.into_iter().filter_map(|step| self.step(step)).collect()
    }

    /// From here on the bell is rung, also for what came since the ledger was asked.
    fn go_to_sleep(&self) {
        self.0.evictor.sleeps.store(true, Ordering::Relaxed);
        drop(self.ledger());
    }
}
