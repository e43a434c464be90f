//! The way to the catalog: a bounded number of changes on their way, each awaited without blocking a thread.
//!
//! A permit is taken first, then the ledger's lock, then the change is submitted under it: so the catalog sees changes
//! in the order in which the ledger made them.

use std::sync::Arc;

use payload_manager_catalog::{Catalog, CatalogError, Change, Durability, Outcome};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::error::Error;

/// Changes on their way at once; at the bound commits wait.
pub const IN_FLIGHT: usize = 4096;

/// The way to the catalog.
#[derive(Clone)]
pub struct Gate {
    catalog: Arc<Catalog>,
    permits: Arc<Semaphore>,
}

/// Leave to submit one change without waiting.
#[must_use]
pub struct Pass {
    _permit: OwnedSemaphorePermit,
}

/// An answer that is on its way.
#[must_use]
pub struct Pending<T = Outcome>(oneshot::Receiver<Result<T, Error>>);

impl<T> Pending<T> {
    /// Waits for the change to be as durable as it was asked to be.
    ///
    /// # Errors
    /// [`Error::Catalog`], [`Error::ShuttingDown`], and what was made of the outcome.
    pub async fn done(self) -> Result<T, Error> {
        self.0.await.unwrap_or(Err(Error::ShuttingDown))
    }
}

impl Gate {
    /// The way to `catalog`, which must have room for more than [`IN_FLIGHT`] changes.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, permits: Arc::new(Semaphore::new(IN_FLIGHT)) }
    }

    /// Waits for leave to submit.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`].
    pub async fn pass(&self) -> Result<Pass, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map(|permit| Pass { _permit: permit }).map_err(|_| Error::ShuttingDown)
    }

    /// Leave to submit, if it is to be had without waiting.
    pub fn try_pass(&self) -> Option<Pass> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.ok().map(|permit| Pass { _permit: permit })
    }

    /// Waits for leave to submit two changes, one right after the other. Both at once: who held one while waiting for
    /// the other could wait for somebody who does the same.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`].
    pub async fn two_passes(&self) -> Result<(Pass, Pass), Error> {
        let permits = Arc::clone(&self.permits).acquire_many_owned(2).await;
        let mut both = permits.map_err(|_| Error::ShuttingDown)?;
        let one = both.split(1).ok_or_else(|| Error::Bug("two permits can't be parted".into()))?;
        Ok((Pass { _permit: one }, Pass { _permit: both }))
    }

    /// Submits a change; memory only, so it may be done under the ledger's lock.
    pub fn submit(&self, pass: Pass, change: Change, durability: Durability) -> Pending {
        self.submit_then(pass, change, durability, |result| {
            let result = result.map_err(Error::from);
            result.inspect_err(|error| tracing::warn!(%error, "a change of the catalog was not made"))
        })
    }

    /// Submits a change and has `then` make of it what is answered, in the order of submission, on the catalog's thread.
    pub fn submit_then<T: Send + 'static>(
        &self,
        pass: Pass,
        change: Change,
        durability: Durability,
        then: impl FnOnce(Result<Outcome, CatalogError>) -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        let (sender, receiver) = oneshot::channel();
        let done = move |result| {
            drop(pass);
            // Nobody may wait for it: who asked has gone, or it is remembered elsewhere.
            drop(sender.send(then(result)));
        };
        self.catalog.submit(change, durability, Box::new(done));
        Pending(receiver)
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }
}
