//! Commits of what nobody under another uid may change afterwards: the bytes are copied into an object or file that no
//! client ever had for writing, and that takes the place of the producer's.
//!
//! What the producer still has mapped is its own from then on: nobody else sees it. The copy is made before anything says
//! that the payload is committed, so a crash leaves the payload ALLOCATED, or committed and whole.

use std::sync::Arc;

use payload_manager_core::Refusal;
use payload_manager_core::facts::Facts;
use payload_manager_core::ledger::Spare;
use payload_manager_tiers::copy::{self, Job};
use payload_manager_tiers::{Sealed, TierError, TierStore};
use payload_manager_types::{Place, Tier};

use super::write::resized;
use super::{Engine, Error, blocking};
use crate::failpoint;

impl Engine {
    /// Seals a payload by a copy. Its bytes are there twice until the producer's are gone, and both are counted.
    ///
    /// # Errors
    /// As the commit of any other; [`Refusal::TierFull`] or [`TierError::Full`] if there is no room for a second copy.
    pub(super) async fn seal_apart(&self, tier: Tier, place: Place, facts: &Facts) -> Result<Sealed, Error> {
        let mut relieved = false;
        loop {
            match self.copy_apart(tier, place, facts.clone()).await {
                Err(error) => self.relieve_once(&mut relieved, tier, error).await?,
                sealed => return sealed,
            }
        }
    }

    async fn copy_apart(&self, tier: Tier, place: Place, facts: Facts) -> Result<Sealed, Error> {
        let spare = self.spare(tier, facts.size).await?;
        // In this order: who makes room may have to wait for those who copy.
        let permit = Arc::clone(&self.0.copies).acquire_owned().await;
        let engine = self.clone();
        let sealed = blocking(move || engine.copy_now(tier, place, &facts)).await;
        drop(permit);
        self.ledger().give_back(spare);
        self.0.changed.notify_waiters();
        sealed
    }

    async fn spare(&self, tier: Tier, size: u64) -> Result<Spare, Error> {
        loop {
            let asked = self.ledger().spare(tier, size);
            match asked {
                Ok(spare) => return Ok(spare),
                Err(Refusal::TierFull { tier, asked, .. }) => self.make_room(tier, asked).await?,
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// Reads by offset, never through a mapping: what the producer cuts off meanwhile is a short read.
    fn copy_now(&self, tier: Tier, place: Place, facts: &Facts) -> Result<Sealed, Error> {
        if tier == Tier::Ram {
            self.cool()?;
        }
        let (store, id) = (self.tier(tier)?, facts.id);
        let (archive, watch) = (self.archive_of(facts)?, |_| !self.0.hurry.is_cancelled());
        let copy = |store: &dyn TierStore| -> Result<Sealed, TierError> {
            let mut source = store.source(id, place, facts.size)?;
            let mut sink = store.replacement(id, facts.size)?;
            let job = Job { id, from: tier, size: facts.size };
            let sum = copy::copy(job, &mut *source, &mut *sink, &watch)?;
            failpoint::hit("commit-copied");
            sink.finish(sum, &archive)?;
            Ok(Sealed { checksum: Some(sum) })
        };
        let sealed = copy(&*store).map_err(|error| resized(id, error))?;
        failpoint::hit("commit-sealed");
        Ok(sealed)
    }
}
