//! Leases by the dozen: taken together, given back together, listed. One lease's rules are the ledger's.

use futures_util::future::join_all;
use payload_manager_core::ledger::{Grant, LeasePage};
use payload_manager_types::{LeaseId, PayloadId};

use super::{Engine, Error, Reading};

/// Leases given back under one lock.
const AT_ONCE: usize = 1000;

/// How much less of its time a lease may have left, after others were waited for, before it is prolonged.
const STALE_MS: u64 = 1000;

/// A lease that nobody knows of yet: unless it is [claimed](Self::claim), it is given back.
pub struct Unclaimed {
    engine: Engine,
    grant: Option<Grant>,
}

impl Unclaimed {
    /// The lease; `None` once it is claimed.
    #[must_use]
    pub fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// Its holder is told of it now.
    pub fn claim(mut self) {
        self.grant = None;
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(grant) = &self.grant {
            self.engine.release(grant.lease);
        }
    }
}

impl Engine {
    /// Takes many leases, each for itself and with its own say on waiting; their promotions run at once. Answers in
    /// their order.
    ///
    /// # Errors
    /// None of the whole; each lease's are those of [`Self::acquire`].
    pub async fn acquire_many(&self, asked: Vec<Reading>) -> Vec<Result<Unclaimed, Error>> {
        let taken = asked.into_iter().map(|reading| async move {
            let grant = Some(self.acquire(reading).await?);
            Ok(Unclaimed { engine: self.clone(), grant })
        });
        let mut taken: Vec<Result<Unclaimed, Error>> = join_all(taken).await;
        taken.iter_mut().flatten().for_each(|unclaimed| self.freshen(unclaimed));
        taken
    }

    /// A lease that had to wait for others lasts as long as it was to. One that is over stays so: its end is the truth.
    fn freshen(&self, unclaimed: &mut Unclaimed) {
        let Some(grant) = &mut unclaimed.grant else { return };
        let left = grant.expires.0.saturating_sub(self.now().wall.0);
        if left + STALE_MS < grant.lasts_ms
            && let Ok(expires) = self.renew(grant.lease, grant.lasts_ms)
        {
            grant.expires = expires;
        }
    }

    /// Gives leases back; those that are over or never were are fine.
    pub fn release_many(&self, leases: &[LeaseId]) {
        for some in leases.chunks(AT_ONCE) {
            let free = {
                let mut ledger = self.ledger();
                some.iter().flat_map(|lease| ledger.release(*lease)).collect()
            };
            self.free_held(free);
        }
    }

    /// A page of the leases there are, on one payload or on all, from a position on.
    #[must_use]
    pub fn leases(&self, of: Option<PayloadId>, size: usize, from: u64) -> LeasePage {
        self.ledger().leases(of, size, from, self.now())
    }
}
