//! What the thread of the session socket may do by itself: allocate in memory that the session has at hand, and commit in
//! RAM, by a few system calls that do not wait. Everything else is [`None`] here, and goes the ordinary way on the runtime.

use payload_manager_core::Refusal;
use payload_manager_core::payload::{Descriptor, Payload};
use payload_manager_types::{PayloadId, Protection, Tier};

use super::write::{SMALL, offered};
use super::{Engine, Error, NewPayload};

impl Engine {
    /// Allocates, if that takes no waiting: in RAM, where the session has memory at hand, with nothing to write down
    /// first, and with room for it.
    pub fn allocate_at_once(&self, new: &NewPayload) -> Option<Result<Descriptor, Error>> {
        if new.tier != Tier::Ram || !new.labels.is_empty() {
            return None;
        }
        if let Err(refusal) = offered(new) {
            return Some(Err(refusal.into()));
        }
        let place = self.place_at_once(new)?;
        let request = self.asked(new.clone(), place);
        let asked = self.ledger().allocate(request, self.now());
        let allocation = match asked {
            Ok(allocation) => allocation,
            Err(refusal) => {
                self.leave_place(place);
                return (!matches!(refusal, Refusal::TierFull { .. })).then_some(Err(refusal.into()));
            }
        };
        Some(self.allocated(allocation, Ok(place)))
    }

    /// Commits, if that takes no waiting.
    pub fn commit_at_once(&self, id: PayloadId) -> Option<Result<Descriptor, Error>> {
        let pass = self.0.gate.try_pass()?;
        let (tier, place, facts) = {
            let mut ledger = self.ledger();
            let now = self.now();
            ledger.payload(id, now).ok().filter(|payload| is_swift(payload))?;
            match ledger.begin_commit(id, now) {
                Ok(begun) => begun,
                Err(refusal) => return Some(Err(refusal.into())),
            }
        };
        let sealed = self.tier(tier).and_then(|store| self.seal_now(&*store, place, &facts));
        let committed = sealed.and_then(|sealed| self.publish_soon(pass, id, &facts, sealed));
        if committed.is_err()
            && let Some(deletion) = self.ledger().abort_commit(id)
        {
            let engine = self.clone();
            self.0.tasks.spawn("delete", async move {
                if let Err(error) = engine.finish_deletion(deletion).await {
                    tracing::error!(%error, "a deleted payload's row is still there; the next start removes it");
                }
            });
        }
        Some(committed)
    }

    /// Gives up an allocation that is not committed.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::AlreadyCommitted`]; [`Error::Catalog`].
    pub async fn abort(&self, id: PayloadId) -> Result<(), Error> {
        let engine = self.clone();
        self.detached("abort", async move {
            let deletion = {
                let mut ledger = engine.ledger();
                let now = engine.now();
                let payload = ledger.payload(id, now)?;
                if payload.is_committed() {
                    return Err(Refusal::AlreadyCommitted { id, state: payload.state() }.into());
                }
                ledger.delete(id, false, now)?
            };
            engine.finish_deletion(deletion).await
        })
        .await
    }
}

/// In a segment, whatever its size, or small in an object of its own; and nothing to be written down or copied first.
fn is_swift(payload: &Payload) -> bool {
    let Some((Tier::Ram, copy)) = payload.fastest() else { return false };
    let facts = payload.facts();
    let sealed_in_place = facts.protection == Protection::Shared;
    sealed_in_place && (copy.place.unit != 0 || facts.size <= SMALL) && facts.labels.is_empty()
}
