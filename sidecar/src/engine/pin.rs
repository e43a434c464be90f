//! Pins: Pin and Unpin.
//!
//! The ledger has the pin at once, so that nothing evicts the payload meanwhile; the answer waits for the row.

use payload_manager_catalog::{Change, Durability, Outcome};
use payload_manager_core::Refusal;
use payload_manager_core::facts::Pin;
use payload_manager_types::PayloadId;

use super::metadata::lasting;
use super::{Engine, Error};

impl Engine {
    /// Keeps a payload's fastest copy where it is, for so many milliseconds or until it is unpinned. The last call
    /// counts. Once answered it survives SIGKILL of the daemon.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Catalog`]; then it is pinned as it was before.
    pub async fn pin(&self, id: PayloadId, duration_ms: Option<u64>) -> Result<(), Error> {
        let pin = match duration_ms {
            None => Pin::UntilUnpinned,
            Some(duration_ms) => {
                let end = self.now().wall.checked_add(duration_ms);
                Pin::Until(end.ok_or(Refusal::PinTooLong { id, duration_ms })?)
            }
        };
        self.set_pin(id, Some(pin)).await
    }

    /// Ends a pin; what is not pinned, or not there, is fine.
    ///
    /// # Errors
    /// [`Error::Catalog`]; then it is pinned as it was before.
    pub async fn unpin(&self, id: PayloadId) -> Result<(), Error> {
        match self.set_pin(id, None).await {
            Err(Error::Refused(Refusal::NotFound { .. } | Refusal::NotCommitted { .. })) => Ok(()),
            other => other,
        }
    }

    async fn set_pin(&self, id: PayloadId, pin: Option<Pin>) -> Result<(), Error> {
        let engine = self.clone();
        self.detached("pin", async move {
            let pass = engine.0.gate.pass().await?;
            let (pending, before) = {
                let (mut ledger, now) = (engine.ledger(), engine.now());
                let before = ledger.payload(id, now)?.facts().pin;
                ledger.pin(id, pin, now)?;
                let durability = ledger.payload(id, now).map(lasting)?;
                (engine.0.gate.submit(pass, Change::SetPin { id, pin }, durability), before)
            };
            match pending.done().await {
                Ok(Outcome::Refused(_)) => Err(Refusal::NotFound { id }.into()),
                Ok(_) => Ok(()),
                Err(error) => {
                    engine.undo_pin(id, pin, before).await;
                    Err(error)
                }
            }
        })
        .await
    }

    /// The row could not be written: what was not answered does not hold, unless somebody has pinned it anew since. A row
    /// that somebody else has written meanwhile may say otherwise, and is set right as soon as it can be.
    async fn undo_pin(&self, id: PayloadId, failed: Option<Pin>, before: Option<Pin>) {
        let Ok(pass) = self.0.gate.pass().await else { return };
        let (mut ledger, now) = (self.ledger(), self.now());
        let unchanged = ledger.payload(id, now).is_ok_and(|payload| payload.facts().pin == failed);
        if unchanged && ledger.pin(id, before, now).is_ok() {
            drop(self.0.gate.submit(pass, Change::SetPin { id, pin: before }, Durability::Soon));
        }
    }
}
