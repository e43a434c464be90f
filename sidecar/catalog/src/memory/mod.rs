//! The reference: the catalog in plain memory. It says what the words of the port mean, in the fewest lines.
//!
//! Nothing outlives the last clone of a [`Memory`]; its clones share one state, as openings of one file would.

mod lineage;
mod metadata;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use payload_manager_core::facts::Facts;
use payload_manager_types::{InstanceId, PayloadId, StreamEntry, StreamName, Tier};

use crate::change::{Change, DoomedFile, Outcome, Refusal};
use crate::lineage::{Lineage, LineageQuery};
use crate::metadata::{MetadataEvent, MetadataRecord};
use crate::page::{Limit, Page};
use crate::store::{ConsumerGroup, Reader, Span, StaleArchive, StaleLog, Store, StoreError, StreamInfo, entry_weight};
use lineage::Edges;
use metadata::Notes;
use streams::Log;

/// A catalog in memory.
#[derive(Debug, Clone)]
pub struct Memory {
    instance: InstanceId,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    starts: u64,
    payloads: BTreeMap<PayloadId, Facts>,
    notes: BTreeMap<PayloadId, Notes>,
    edges: Edges,
    stale: BTreeMap<PayloadId, u64>,
    stale_logs: BTreeMap<StreamName, u64>,
    doomed: BTreeMap<(PayloadId, Tier), DoomedFile>,
    streams: BTreeMap<StreamName, Log>,
}

impl Memory {
    /// An empty catalog of `instance`.
    #[must_use]
    pub fn new(instance: InstanceId) -> Self {
        Self { instance, state: Arc::default() }
    }
}

impl Store for Memory {
    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn apply(&mut self, changes: &[Change], _sync: bool) -> Result<Vec<Outcome>, StoreError> {
        let mut state = self.state.lock();
        Ok(changes.iter().map(|change| state.apply(change)).collect())
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(self.clone()))
    }
}

impl Reader for Memory {
    fn another(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(self.clone()))
    }

    fn payloads(&mut self, each: &mut dyn FnMut(Facts)) -> Result<(), StoreError> {
        // Taken out first: `each` may call the catalog.
        let rows: Vec<Facts> = self.state.lock().payloads.values().cloned().collect();
        rows.into_iter().for_each(each);
        Ok(())
    }

    fn doomed(&mut self) -> Result<Vec<DoomedFile>, StoreError> {
        Ok(self.state.lock().doomed.values().copied().collect())
    }

    fn streams(&mut self) -> Result<Vec<StreamInfo>, StoreError> {
        Ok(self.state.lock().streams.iter().map(|(name, log)| log.info(name)).collect())
    }

    fn streams_after(&mut self, after: Option<&StreamName>, limit: Limit) -> Result<Page<StreamInfo>, StoreError> {
        let state = self.state.lock();
        let later = state.streams.iter().filter(|(name, _)| after.is_none_or(|after| *name > after));
        Ok(Page::of(later.map(|(name, log)| log.info(name)), limit, StreamInfo::weight))
    }

    fn stream(&mut self, name: &StreamName) -> Result<Option<StreamInfo>, StoreError> {
        Ok(self.state.lock().streams.get(name).map(|log| log.info(name)))
    }

    fn entries(&mut self, stream: &StreamName, span: Span, limit: Limit) -> Result<Page<StreamEntry>, StoreError> {
        let state = self.state.lock();
        let entries = state.streams.get(stream).into_iter().flat_map(|log| log.span(span)).cloned();
        Ok(Page::of(entries, limit, |entry| entry_weight(stream, entry)))
    }

    fn committed(&mut self, stream: &StreamName, group: &str) -> Result<Option<u64>, StoreError> {
        let state = self.state.lock();
        let group = state.streams.get(stream).and_then(|log| log.groups.get(group));
        Ok(group.map(|group| group.offset))
    }

    fn groups(
        &mut self,
        stream: &StreamName,
        after: Option<&str>,
        limit: Limit,
    ) -> Result<Page<ConsumerGroup>, StoreError> {
        let state = self.state.lock();
        let all = state.streams.get(stream).into_iter().flat_map(|log| log.groups.values());
        let later = all.filter(|group| after.is_none_or(|after| group.name.as_str() > after));
        Ok(Page::of(later.cloned(), limit, ConsumerGroup::weight))
    }

    fn metadata(&mut self, id: PayloadId) -> Result<Option<MetadataRecord>, StoreError> {
        Ok(self.state.lock().notes.get(&id).and_then(|notes| notes.metadata.clone()))
    }

    fn metadata_events(
        &mut self,
        id: PayloadId,
        after: Option<u64>,
        limit: Limit,
    ) -> Result<Page<MetadataEvent>, StoreError> {
        let state = self.state.lock();
        let all = state.notes.get(&id).into_iter().flat_map(|notes| &notes.events);
        let later = all.filter(|event| after.is_none_or(|after| event.number > after));
        Ok(Page::of(later.cloned(), limit, MetadataEvent::weight))
    }

    fn stale_archives(&mut self, after: Option<PayloadId>, limit: Limit) -> Result<Page<StaleArchive>, StoreError> {
        let state = self.state.lock();
        let later = state.stale.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
        let stale = later.map(|(id, number)| StaleArchive { id: *id, number: *number });
        Ok(Page::of(stale, limit, |_| size_of::<StaleArchive>()))
    }

    fn stale_logs(&mut self, after: Option<&StreamName>, limit: Limit) -> Result<Page<StaleLog>, StoreError> {
        let state = self.state.lock();
        let later = state.stale_logs.iter().filter(|(name, _)| after.is_none_or(|after| *name > after));
        let stale = later.map(|(name, number)| StaleLog { stream: name.clone(), number: *number });
        Ok(Page::of(stale, limit, StaleLog::weight))
    }

    fn lineage(&mut self, query: &LineageQuery) -> Result<Lineage, StoreError> {
        Ok(self.state.lock().edges.walk(query))
    }
}

impl State {
    fn apply(&mut self, change: &Change) -> Outcome {
        match change {
            Change::Put { facts, doomed } => {
                let before = self.payloads.insert(facts.id, Facts::clone(facts));
                let first = !before.is_some_and(|before| before.copies.any_durable());
                if first && self.is_said_of(facts.id) {
                    self.mark(facts.id);
                }
                self.doom(doomed.as_slice());
            }
            Change::Delete { id, doomed } => {
                self.payloads.remove(id);
                self.notes.remove(id);
                self.stale.remove(id);
                self.edges.forget(*id);
                self.doom(doomed);
            }
            Change::Doom(file) => self.doom(std::slice::from_ref(file)),
            Change::Undoom { id, tier } => drop(self.doomed.remove(&(*id, *tier))),
            Change::CreateStream { name, retention, at } => {
                return self.create_stream(name, *retention, 0, *at);
            }
            Change::RestoreStream { name, retention, next, created } => {
                return self.create_stream(name, *retention, *next, *created);
            }
            Change::DeleteStream { name } => self.delete_stream(name),
            Change::LogArchived { stream, number } => unmark(&mut self.stale_logs, stream, *number),
            Change::Append { stream, entries, at } => return self.append(stream, entries, *at),
            Change::Trim { stream, at } => return self.trim(stream, *at),
            Change::CommitOffset { stream, group, offset, at } => return self.commit(stream, group, *offset, *at),
            Change::SetMetadata { id, update, at } => {
                self.mark(*id);
                return self.set_metadata(*id, update, *at);
            }
            Change::AppendMetadataEvent { id, event, at } => {
                self.mark(*id);
                return self.add_event(*id, event, *at);
            }
            Change::AddLineage { child, edges } => {
                self.mark(*child);
                return self.add_lineage(*child, edges);
            }
            Change::Archived { id, number } => unmark(&mut self.stale, id, *number),
            Change::SetPin { id, pin } => match self.payloads.get_mut(id) {
                Some(facts) => facts.pin = *pin,
                None => return Outcome::Refused(Refusal::NoSuchPayload),
            },
            Change::CountStart => {
                self.starts += 1;
                return Outcome::Start(self.starts);
            }
            Change::CountStartsFrom(start) => self.starts = self.starts.max(*start),
        }
        Outcome::Done
    }

    /// What lies beside its durable copies, if it has any, is behind.
    fn mark(&mut self, id: PayloadId) {
        if self.payloads.get(&id).is_some_and(|facts| facts.copies.any_durable()) {
            *self.stale.entry(id).or_default() += 1;
        }
    }

    fn mark_log(&mut self, stream: &StreamName) {
        *self.stale_logs.entry(stream.clone()).or_default() += 1;
    }

    fn is_said_of(&self, id: PayloadId) -> bool {
        let notes = self.notes.get(&id).is_some_and(|notes| notes.metadata.is_some() || !notes.events.is_empty());
        notes || self.edges.has_parents(id)
    }

    fn doom(&mut self, files: &[DoomedFile]) {
        self.doomed.extend(files.iter().map(|file| ((file.id, file.tier), *file)));
    }
}

/// Takes a mark away, unless there is a later one.
fn unmark<K: Ord>(marks: &mut BTreeMap<K, u64>, of: &K, number: u64) {
    if marks.get(of) == Some(&number) {
        marks.remove(of);
    }
}
