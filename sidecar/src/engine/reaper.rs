//! What time does: leases run out, payloads reach the end of their time, allocations are abandoned. Sleeps until the
//! next of them is due; looks at nothing that is not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use payload_manager_core::Ledger;

use super::sessions::is_closed;
use super::{Engine, SharedPages};

/// The clocks may be set, so it looks up now and then even if nothing is due.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// How often it looks for what sessions gave back without a word, while a block waits for that.
const LOOK_EVERY_MS: u64 = 250;

impl Engine {
    /// Runs until the daemon stops.
    pub(super) async fn reap(&self) {
        loop {
            let woken = self.0.timers.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            self.reap_once();
            let nap = self.nap();
            tokio::select! {
                () = self.0.tasks.stopping() => return,
                () = &mut woken => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    /// How long nothing is due.
    fn nap(&self) -> Duration {
        let (now, ledger) = (self.now(), self.ledger());
        let timer = ledger.next_timer().map(|at| at.0.saturating_sub(now.wall.0));
        let lease = ledger.board().leases.next_due().map(|at| at.0.saturating_sub(now.monotonic));
        let look = has_to_look(&ledger).then_some(LOOK_EVERY_MS);
        let due =
            timer.into_iter().chain(lease).chain(look).min().map_or(LONGEST_NAP, |ms| Duration::from_millis(ms + 1));
        let nap = due.min(LONGEST_NAP);
        let wake_at = now.monotonic + u64::try_from(nap.as_millis()).unwrap_or(u64::MAX);
        self.0.wake_at.store(wake_at, Ordering::Relaxed);
        nap
    }

    fn reap_once(&self) {
        let free = self.ledger().expire_leases(self.now());
        self.free_held(free);
        self.sweep_sessions();
        self.enforce_quota();
        let now = self.now();
        let ended = self.ledger().end_due(now);
        for deletion in ended {
            tracing::debug!(payload = %deletion.facts.id, "its time is over");
            let engine = self.clone();
            self.0.tasks.spawn("expire", async move {
                if let Err(error) = engine.finish_deletion(deletion).await {
                    tracing::error!(%error, "an expired payload's row could not be removed; the next start does it");
                }
            });
        }
    }

    /// To be called whenever the ledger may have changed: no timer runs while nothing waits for a session.
    pub(super) fn mind_backlog(&self, ledger: &Ledger<SharedPages>) {
        if ledger.has_held() && ledger.board().sessions.iter().next().is_some() {
            self.alarm(self.now().monotonic + 2 * LOOK_EVERY_MS);
        }
    }

    /// Something is due at this reading of the monotonic clock: wakes the reaper if it would sleep beyond it.
    pub(super) fn alarm(&self, at: u64) {
        if at < self.0.wake_at.load(Ordering::Relaxed) {
            self.0.timers.notify_one();
        }
    }
}

/// Whether sessions may give back a block that waits for it, or a page of theirs runs out.
fn has_to_look(ledger: &Ledger<SharedPages>) -> bool {
    let mut pages = ledger.board().sessions.iter().peekable();
    pages.peek().is_some() && (ledger.has_held() || pages.any(is_closed))
}
