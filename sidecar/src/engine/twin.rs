//! Looks at a slower copy before the faster ones are dropped: whether it is there, and as long as it must be. No byte is
//! read or written; that its bytes are right is checked when they are read back.

use payload_manager_core::backlog::Retired;
use payload_manager_core::ledger::Check;
use payload_manager_tiers::TierError;
use payload_manager_types::{PayloadId, Place, Tier};

use super::{Ending, Engine, Error, blocking};

impl Engine {
    /// Has a slower copy looked at by a task of its own.
    pub(super) fn check_twin(&self, check: Check) -> Ending {
        let engine = self.clone();
        self.under_way("check", check.id, async move { engine.look_at(check).await })
    }

    async fn look_at(&self, check: Check) -> Result<(), Error> {
        let Check { id, tier, place, size, .. } = check;
        let found = match self.tier(tier) {
            Ok(store) => blocking(move || Ok(store.source(id, place, size).map(drop))).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(Ok(())) => {
                let dropped = self.ledger().finish_check(check);
                match dropped {
                    Some(dropped) => self.dropped(dropped).await.map(drop),
                    None => Ok(()),
                }
            }
            Ok(Err(error @ (TierError::Missing { .. } | TierError::WrongSize { .. } | TierError::Damaged { .. }))) => {
                // Deleted while it was looked for: its file is the deletion's.
                let Some(blocks) = self.ledger().twin_lost(check) else { return Ok(()) };
                tracing::error!(payload = %id, %tier, %error, "a copy is bad or gone; what is faster stays, and it is written again");
                self.put_aside(id, tier, place, blocks);
                Ok(())
            }
            Ok(Err(error)) => {
                self.ledger().abort_check(check);
                Err(error.into())
            }
            Err(error) => {
                self.ledger().abort_check(check);
                Err(error)
            }
        }
    }

    /// Moves a bad copy out of the way, and then frees what it took.
    pub(super) fn put_aside(&self, id: PayloadId, tier: Tier, place: Place, blocks: Vec<Retired>) {
        self.meters().damaged(tier);
        let engine = self.clone();
        self.0.tasks.spawn_blocking("set-aside", move || {
            let aside = engine.tier(tier).and_then(|store| Ok(store.set_aside(id, place)?));
            if let Err(error) = aside {
                tracing::error!(payload = %id, %tier, %error, "a bad copy could not be set aside");
            }
            engine.free_blocks(blocks);
        });
    }
}
