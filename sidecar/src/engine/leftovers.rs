//! Files and objects that could not be freed: they are tried again until they are gone. Their payloads' rows are gone, and
//! the catalog remembers them, so that a start goes on where this ends.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use payload_manager_core::backlog::Retired;
use payload_manager_types::PayloadId;
use tokio::sync::Notify;

use super::{Engine, Error, blocking};

/// The first wait, and the longest after many in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is still there.
#[derive(Debug, Default)]
pub(super) struct Unfreed {
    blocks: Mutex<VecDeque<(Retired, Error)>>,
    rung: Notify,
}

impl Unfreed {
    /// One that could not be freed.
    pub(super) fn add(&self, block: Retired, error: &Error) {
        let mut blocks = self.blocks.lock();
        if blocks.is_empty() {
            tracing::warn!(payload = %block.id, tier = %block.tier, %error, "what is deleted could not be removed; it is tried again by itself");
        }
        blocks.push_back((block, error.clone()));
        self.rung.notify_one();
    }

    fn next(&self) -> Option<Retired> {
        self.blocks.lock().pop_front().map(|(block, _)| block)
    }

    /// Why a payload's old copy is still in the way of a new one.
    pub(super) fn in_the_way(&self, id: PayloadId) -> Option<Error> {
        self.blocks.lock().iter().find(|(block, _)| block.id == id).map(|(_, error)| error.clone())
    }
}

impl Engine {
    /// Frees what could not be freed before, until the daemon stops.
    pub(super) async fn free_what_is_left(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = self.0.tasks.stopping() => return,
                () = self.0.unfreed.rung.notified() => {}
            }
            tokio::select! {
                () = self.0.tasks.stopping() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = if self.free_again().await { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        }
    }

    /// Whether all are gone; ends with the first that is not, whose turn comes again after the others.
    async fn free_again(&self) -> bool {
        while let Some(block) = self.0.unfreed.next() {
            let worker = self.clone();
            match blocking(move || Ok(worker.free_block(&block))).await {
                Ok(true) => self.undoom(&[block]).await,
                Ok(false) => return false,
                // On its way out, or a bug: the catalog remembers the block.
                Err(_) => return false,
            }
        }
        true
    }
}
