//! What the thread of the session socket may do by itself: allocate and commit small payloads in RAM, by a few system
//! calls that do not wait. Everything else is [`None`] here, and goes the ordinary way on the runtime.

use payload_manager_core::Refusal;
use payload_manager_core::payload::{Descriptor, Payload};
use payload_manager_types::{PayloadId, Tier};

use super::write::{SMALL, offered};
use super::{Engine, Error, NewPayload};

impl Engine {
    /// Allocates, if that takes no waiting: in RAM, small, with nothing to write down first, and with room for it.
    pub fn allocate_at_once(&self, new: &NewPayload) -> Option<Result<Descriptor, Error>> {
        if new.tier != Tier::Ram || new.size > SMALL || !new.labels.is_empty() {
            return None;
        }
        if let Err(refusal) = offered(new) {
            return Some(Err(refusal.into()));
        }
        let request = self.asked(new.clone());
        let allocation = match self.ledger().allocate(request, self.now()) {
            Ok(allocation) => allocation,
            Err(Refusal::TierFull { .. }) => return None,
            Err(refusal) => return Some(Err(refusal.into())),
        };
        let (id, size) = (allocation.id(), allocation.size());
        let made = self.tier(Tier::Ram).and_then(|store| Ok(store.allocate(id, size)?));
        Some(self.allocated(allocation, made))
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

fn is_swift(payload: &Payload) -> bool {
    let in_ram = payload.fastest().is_some_and(|(tier, _)| tier == Tier::Ram);
    in_ram && payload.facts().size <= SMALL && payload.facts().labels.is_empty()
}
