//! Compaction: the segments that sessions leave behind nearly empty are emptied.
//!
//! A process that outlived its session may still have a segment mapped for writing; and each takes a place among those that
//! there can be. So once little is left in one, that moves into objects of its own, which no client ever had for writing:
//! payload by payload, while nobody reads it, and only into memory that is free. Nobody waits for it, and nobody is evicted
//! for it. What fills most of a segment stays: to copy it would cost more than it is worth.

use std::time::Duration;

use payload_manager_types::{PayloadId, Tier};

use super::mover::Devices;
use super::{Engine, Error};

/// How soon to look again after something moved, and how late after nothing did, many times in a row.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(64);

/// Payloads looked at while the ledger is locked.
const SLICE: usize = 1024;

impl Engine {
    /// A session is over: its segments get no fuller from here on.
    pub(super) fn ring_compactor(&self) {
        self.0.compactor.notify_one();
    }

    /// Empties sparse segments until the daemon stops.
    pub(super) async fn compact(&self) {
        let mut pause = SOON;
        loop {
            tokio::select! {
                () = self.0.tasks.stopping() => return,
                () = self.0.compactor.notified() => pause = SOON,
                () = tokio::time::sleep(pause) => {}
            }
            let moved = tokio::select! {
                () = self.0.tasks.stopping() => return,
                moved = self.compact_once() => moved,
            };
            pause = if moved { SOON } else { (2 * pause).min(LATE) };
        }
    }

    /// Whether anything moved.
    async fn compact_once(&self) -> bool {
        let sparse = self.segments().sparse();
        let (mut after, mut moved) = (None, false);
        while !sparse.is_empty() {
            let (ids, next) = self.ledger().movable(&sparse, SLICE, after);
            for id in ids {
                match self.move_out(id).await {
                    Ok(did) => moved |= did,
                    Err(error) => {
                        tracing::info!(payload = %id, %error, "it could not be moved out of a segment that is to go; it is tried again");
                        return moved;
                    }
                }
            }
            match next {
                Some(cursor) => after = Some(cursor),
                None => break,
            }
        }
        moved
    }

    /// Whether it moved: it may be gone, or there may be no room for it.
    async fn move_out(&self, id: PayloadId) -> Result<bool, Error> {
        let Ok(payload) = self.descriptor(id) else { return Ok(false) };
        if self.ledger().unused(Tier::Ram) < payload.facts.size {
            return Ok(false);
        }
        match self.set_apart(id, Tier::Ram, Devices::default()).await {
            Ok(_) => Ok(true),
            Err(Error::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
