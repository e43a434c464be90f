//! Retention by age, between appends: one task, which sleeps while no stream has anything that will be too old.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use payload_manager_catalog::{Change, Durability, Outcome};
use payload_manager_types::{StreamName, UnixMillis};
use tokio::time::{Instant, sleep_until};

use super::live::Live;
use super::{Error, Streams};
use crate::engine::Engine;

/// Between two looks: as long as the shortest age that some stream keeps, within these bounds.
const NAP: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Streams that are trimmed at a time.
const AT_ONCE: usize = 64;

impl Streams {
    /// How long nothing needs to be looked at; `None`: as long as nothing is appended to a stream with an age.
    fn nap(&self) -> Option<Duration> {
        let known = self.known.read();
        let filled = known.aged.values().filter(|live| live.bounds().0 < live.bounds().1);
        let shortest = filled.map(|live| Duration::from_secs(live.retention.max_age_sec)).min();
        shortest.map(|age| age.clamp(NAP.0, NAP.1))
    }

    /// The streams that may have something too old.
    fn too_old(&self, now: UnixMillis) -> Vec<StreamName> {
        let old = |(name, live): (&StreamName, &Arc<Live>)| live.may_be_too_old(now).then(|| name.clone());
        self.known.read().aged.iter().filter_map(old).collect()
    }
}

impl Engine {
    /// Runs until the daemon stops.
    pub(in crate::engine) async fn keep_young(&self) {
        let mut looked = Instant::now();
        loop {
            let nap = self.0.streams.nap();
            let due = async {
                match nap {
                    Some(nap) => sleep_until(looked + nap).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.0.tasks.stopping() => return,
                // Shorter, perhaps.
                () = self.0.streams.ages.notified() => {}
                () = due => {
                    self.trim_all().await;
                    looked = Instant::now();
                }
            }
        }
    }

    async fn trim_all(&self) {
        let old = self.0.streams.too_old(self.now().wall);
        let trims = futures_util::stream::iter(old).for_each_concurrent(AT_ONCE, |name| self.trim(name));
        tokio::select! {
            () = self.0.tasks.stopping() => {}
            () = trims => {}
        }
    }

    /// Some at a time, so that nobody waits for long behind it.
    async fn trim(&self, name: StreamName) {
        loop {
            match self.trim_once(name.clone()).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(stream = %name, %error, "what is too old stays until the next minute");
                    return;
                }
            }
        }
    }

    async fn trim_once(&self, name: StreamName) -> Result<bool, Error> {
        let pass = self.0.gate.pass().await?;
        let change = Change::Trim { stream: name.clone(), at: self.now().wall };
        let worker = self.clone();
        // What a crash brings back is trimmed again.
        let pending = self.0.gate.submit_then(pass, change, Durability::Soon, move |result| match result? {
            Outcome::Trimmed { oldest, more } => {
                worker.0.streams.cut(&name, oldest);
                Ok(more)
            }
            // Deleted meanwhile.
            _ => Ok(false),
        });
        pending.done().await
    }
}
