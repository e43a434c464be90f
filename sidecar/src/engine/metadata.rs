//! What users say about payloads: opaque metadata, and a history of events. Kept by the catalog alone; nothing of it is in
//! the ledger, in records or in pages.
//!
//! A change is submitted under the ledger's lock while the payload is in it. So it comes before the payload's end, and
//! goes with it, or after, and is told that there is no such payload.

use payload_manager_catalog::{
    Change, Durability, Limit, MetadataEvent, MetadataRecord, MetadataUpdate, NewMetadataEvent, Outcome, Page, Refusal,
};
use payload_manager_core::facts::Facts;
use payload_manager_core::payload::Payload;
use payload_manager_types::{PayloadId, PayloadState, Tier, UnixMillis};

use super::write::put;
use super::{Engine, Error};

impl Engine {
    /// Sets a payload's metadata, committed or not; answers what is stored then.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not there, [`Error::Catalog`].
    pub async fn set_metadata(&self, id: PayloadId, update: MetadataUpdate) -> Result<MetadataRecord, Error> {
        let engine = self.clone();
        self.detached("set-metadata", async move {
            let change = |at| Change::SetMetadata { id, update: Box::new(update), at };
            match engine.say(id, change).await? {
                (Outcome::Metadata(record), _) => Ok(*record),
                (other, _) => Err(Error::Bug(format!("metadata came back as {other:?}"))),
            }
        })
        .await
    }

    /// Adds to a payload's history; answers when that was.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not there, [`Error::Catalog`].
    pub async fn append_metadata_event(&self, id: PayloadId, event: NewMetadataEvent) -> Result<UnixMillis, Error> {
        let engine = self.clone();
        self.detached("append-metadata-event", async move {
            let change = |at| Change::AppendMetadataEvent { id, event: Box::new(event), at };
            engine.say(id, change).await.map(|(_, at)| at)
        })
        .await
    }

    /// A payload's metadata; `None` if it was never set.
    ///
    /// # Errors
    /// [`Error::Refused`] if the payload is not there, [`Error::Catalog`].
    pub async fn metadata(&self, id: PayloadId) -> Result<Option<MetadataRecord>, Error> {
        self.descriptor(id)?;
        let found = self.read_catalog(move |reader| reader.metadata(id)).await?;
        // Deleted meanwhile: then what was not found says nothing.
        self.descriptor(id)?;
        Ok(found)
    }

    /// A page of a payload's history, oldest first, from after the event numbered `after` on.
    ///
    /// # Errors
    /// [`Error::Refused`] if the payload is not there, [`Error::Catalog`].
    pub async fn metadata_events(
        &self,
        id: PayloadId,
        after: Option<u64>,
        limit: Limit,
    ) -> Result<Page<MetadataEvent>, Error> {
        self.descriptor(id)?;
        let found = self.read_catalog(move |reader| reader.metadata_events(id, after, limit)).await?;
        self.descriptor(id)?;
        Ok(found)
    }

    /// Writes what is said about a payload, behind its row; answers once that is as durable as the payload is, and with
    /// the time that `change` was told.
    pub(super) async fn say(
        &self,
        id: PayloadId,
        change: impl FnOnce(UnixMillis) -> Change,
    ) -> Result<(Outcome, UnixMillis), Error> {
        let (first, second) = self.0.gate.two_passes().await?;
        let (pending, at) = {
            let (ledger, now) = (self.ledger(), self.now());
            let payload = ledger.payload(id, now)?;
            if let Some(row) = unwritten(payload) {
                drop(self.0.gate.submit(first, put(row), Durability::Soon));
            }
            (self.0.gate.submit(second, change(now.wall), lasting(payload)), now.wall)
        };
        let outcome = pending.done().await?;
        self.ring_archivist();
        match outcome {
            Outcome::Refused(Refusal::NoSuchPayload) => Err(payload_manager_core::Refusal::NotFound { id }.into()),
            outcome => Ok((outcome, at)),
        }
    }
}

/// What is said about a payload lasts as long as its bytes: as long as this host is up, or through a loss of power.
pub(super) fn lasting(payload: &Payload) -> Durability {
    if payload.tiers().any_durable() { Durability::Synced } else { Durability::Committed }
}

/// The row of a payload that has none yet: of an allocation in memory the record says everything, and a row is written
/// only once something refers to it. All others were submitted before the payload was seen here.
fn unwritten(payload: &Payload) -> Option<Facts> {
    let facts = payload.facts();
    let recorded = facts.preferred == Tier::Ram && facts.labels.is_empty();
    (recorded && payload.state() == PayloadState::Allocated).then_some(facts)
}
