//! The reference: the catalog in plain memory. It says what the words of the port mean, in the fewest lines.
//!
//! Nothing outlives the last clone of a [`Memory`]; its clones share one state, as openings of one file would.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use payload_manager_core::facts::Facts;
use payload_manager_types::{InstanceId, NewEntry, PayloadId, Retention, StreamEntry, StreamName, Tier, UnixMillis};

use crate::change::{Change, DoomedFile, Outcome, Refusal};
use crate::store::{Reader, Store, StoreError, StreamInfo};

/// A catalog in memory.
#[derive(Debug, Clone)]
pub struct Memory {
    instance: InstanceId,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    payloads: BTreeMap<PayloadId, Facts>,
    doomed: BTreeMap<(PayloadId, Tier), DoomedFile>,
    streams: BTreeMap<StreamName, Log>,
}

#[derive(Debug)]
struct Log {
    retention: Retention,
    created: UnixMillis,
    next: u64,
    entries: BTreeMap<u64, StreamEntry>,
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

    fn entries(
        &mut self,
        stream: &StreamName,
        from: u64,
        max: usize,
        not_before: Option<UnixMillis>,
    ) -> Result<Vec<StreamEntry>, StoreError> {
        let state = self.state.lock();
        let Some(log) = state.streams.get(stream) else { return Ok(Vec::new()) };
        let kept = log.entries.range(from..).map(|(_, entry)| entry);
        Ok(kept.filter(|e| not_before.is_none_or(|t| e.append_time >= t)).take(max).cloned().collect())
    }
}

impl State {
    fn apply(&mut self, change: &Change) -> Outcome {
        match change {
            Change::Put { facts, doomed } => {
                self.payloads.insert(facts.id, Facts::clone(facts));
                self.doom(doomed.as_slice());
            }
            Change::Delete { id, doomed } => {
                self.payloads.remove(id);
                self.doom(doomed);
            }
            Change::Doom(file) => self.doom(std::slice::from_ref(file)),
            Change::Undoom { id, tier } => {
                self.doomed.remove(&(*id, *tier));
            }
            Change::CreateStream { name, retention, at } => return self.create(name, *retention, *at),
            Change::DeleteStream { name } => {
                self.streams.remove(name);
            }
            Change::Append { stream, entries, at } => return self.append(stream, entries, *at),
        }
        Outcome::Done
    }

    fn doom(&mut self, files: &[DoomedFile]) {
        self.doomed.extend(files.iter().map(|file| ((file.id, file.tier), *file)));
    }

    fn create(&mut self, name: &StreamName, retention: Retention, created: UnixMillis) -> Outcome {
        if self.streams.contains_key(name) {
            return Outcome::Refused(Refusal::StreamExists);
        }
        self.streams.insert(name.clone(), Log { retention, created, next: 0, entries: BTreeMap::new() });
        Outcome::Done
    }

    fn append(&mut self, stream: &StreamName, entries: &[NewEntry], at: UnixMillis) -> Outcome {
        let Some(log) = self.streams.get_mut(stream) else { return Outcome::Refused(Refusal::NoSuchStream) };
        let first = log.next;
        for what in entries {
            log.entries.insert(log.next, StreamEntry { offset: log.next, append_time: at, what: what.clone() });
            log.next += 1;
        }
        if entries.is_empty() { Outcome::Done } else { Outcome::Appended { first, last: log.next - 1 } }
    }
}

impl Log {
    fn info(&self, name: &StreamName) -> StreamInfo {
        StreamInfo {
            name: name.clone(),
            retention: self.retention,
            first: self.entries.keys().next().copied().unwrap_or(self.next),
            next: self.next,
            created: self.created,
        }
    }
}
