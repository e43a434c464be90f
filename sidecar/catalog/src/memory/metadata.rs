//! What users say about payloads, in memory.

use payload_manager_types::{PayloadId, UnixMillis};

use super::State;
use crate::change::{Outcome, Refusal};
use crate::metadata::{MetadataEvent, MetadataRecord, MetadataUpdate, NewMetadataEvent};

/// What is said about one payload.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) metadata: Option<MetadataRecord>,
    pub(super) events: Vec<MetadataEvent>,
}

impl State {
    pub(super) fn set_metadata(&mut self, id: PayloadId, update: &MetadataUpdate, at: UnixMillis) -> Outcome {
        let Some(notes) = self.notes_of(id) else { return Outcome::Refused(Refusal::NoSuchPayload) };
        let record = update.apply(notes.metadata.take().map(|record| record.metadata), at);
        notes.metadata = Some(record.clone());
        Outcome::Metadata(Box::new(record))
    }

    pub(super) fn add_event(&mut self, id: PayloadId, what: &NewMetadataEvent, at: UnixMillis) -> Outcome {
        let Some(Notes { events, .. }) = self.notes_of(id) else { return Outcome::Refused(Refusal::NoSuchPayload) };
        events.push(MetadataEvent { number: events.len() as u64, at, what: what.clone() });
        Outcome::Done
    }

    fn notes_of(&mut self, id: PayloadId) -> Option<&mut Notes> {
        self.payloads.contains_key(&id).then(|| self.notes.entry(id).or_default())
    }
}
