//! Makes room in a full tier: carries out the evictions that the ledger has begun, and asks it again until what is wanted
//! fits or nothing more may go.

use payload_manager_core::ledger::{Room, Step};
use payload_manager_tiers::TierError;
use payload_manager_types::Tier;

use super::mover::Devices;
use super::transfer::ended;
use super::{Ending, Engine, Error};

impl Engine {
    /// After what failed because a tier was full though its budget had room: makes room, so that it is worth trying again,
    /// but only once.
    ///
    /// # Errors
    /// What it failed with, if that was something else, if it was `relieved` before, or if nothing may go.
    pub(super) async fn relieve_once(&self, relieved: &mut bool, tier: Tier, error: Error) -> Result<(), Error> {
        if tier == Tier::Ram && self.cools(&error)? {
            return Ok(());
        }
        let full = is_full(&error, tier).filter(|_| !std::mem::replace(relieved, true));
        match full {
            Some(bytes) if self.relieve(tier, bytes).await => Ok(()),
            Some(_) | None => Err(error),
        }
    }

    /// The budget had room and the tier has not: somebody else has filled what it lives in. Evicts as many bytes, if
    /// so many may go; whether it is worth trying again.
    async fn relieve(&self, tier: Tier, bytes: u64) -> bool {
        let (used, endings): (u64, Vec<Ending>) = {
            let mut ledger = self.ledger();
            let now = self.now();
            let used = ledger.used(tier);
            let steps = ledger.plan_relief(tier, bytes, now);
            if steps.is_empty() {
                return false;
            }
            (used, steps.into_iter().filter_map(|step| self.step(step)).collect())
        };
        if all_failed(endings).await.is_some() {
            return false;
        }
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let ledger = self.ledger();
                if ledger.used(tier).saturating_add(bytes) <= used || !ledger.is_anything_leaving(tier) {
                    return true;
                }
            }
            tokio::select! {
                () = changed => {}
                () = self.0.tasks.stopping() => return false,
            }
        }
    }

    /// Evicts until `bytes` fit into `tier`.
    ///
    /// # Errors
    /// [`Refusal::TierFull`] if nothing that may go makes enough room; what an eviction fails with, if all fail.
    pub(super) async fn make_room(&self, tier: Tier, bytes: u64) -> Result<(), Error> {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let endings = {
                let mut ledger = self.ledger();
                let now = self.now();
                ledger.collect_reads();
                match ledger.plan_room(tier, bytes, now)? {
                    Room::Enough => return Ok(()),
                    Room::Wait => None,
                    Room::Steps(steps) => Some(steps.into_iter().filter_map(|step| self.step(step)).collect()),
                }
            };
            match endings {
                None => changed.await,
                Some(endings) => all_failed(endings).await.map_or(Ok(()), Err)?,
            }
        }
    }

    /// Has a step carried out; `None` for one that needs no copy: what it frees is seen when it is free.
    pub(super) fn step(&self, step: Step) -> Option<Ending> {
        let engine = self.clone();
        match step {
            Step::Copy(ticket) => return Some(self.carry_out(ticket, Devices::default())),
            Step::Check(check) => return Some(self.check_twin(check)),
            Step::Dropped(dropped) => self.0.tasks.spawn("drop", async move {
                if let Err(error) = engine.dropped(dropped).await {
                    tracing::error!(%error, "a dropped copy's row could not be written");
                }
            }),
            Step::Deleted(deletion) => self.0.tasks.spawn("evict", async move {
                if let Err(error) = engine.finish_deletion(deletion).await {
                    tracing::error!(%error, "an evicted payload's row could not be removed; the next start does it");
                }
            }),
        }
        None
    }
}

/// Waits for all; the last error if none of them succeeded.
async fn all_failed(endings: Vec<Ending>) -> Option<Error> {
    let (mut succeeded, mut last) = (endings.is_empty(), None);
    for ending in endings {
        match ended(ending).await {
            Ok(()) => succeeded = true,
            Err(error) => last = Some(error),
        }
    }
    last.filter(|_| !succeeded)
}

/// How many bytes a tier had no room for, though its budget had.
fn is_full(error: &Error, tier: Tier) -> Option<u64> {
    match error {
        Error::Tier(error) => match **error {
            TierError::Full { tier: full, asked, .. } if full == tier => Some(asked),
            _ => None,
        },
        _ => None,
    }
}
