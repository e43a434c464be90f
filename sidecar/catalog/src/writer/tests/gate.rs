//! A store behind a gate: a test sees each batch, and says what comes of it.

use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;
use payload_manager_types::InstanceId;

use crate::conformance::samples::{facts, put};
use crate::faulty::{Call, Faulty};
use crate::{Catalog, CatalogError, Change, Durability, Memory, Outcome, Store, StoreError};

/// The number of a change, and its answer.
pub(super) type Answer = (u64, Result<Outcome, CatalogError>);

/// A batch that the store was asked to apply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) changes: Vec<Change>,
    pub(super) sync: bool,
}

pub(super) struct Gate {
    /// Dropped before the catalog, which waits for verdicts when it is dropped: a test that fails ends.
    pub(super) verdicts: Sender<Option<StoreError>>,
    pub(super) catalog: Catalog,
    pub(super) memory: Memory,
    pub(super) batches: Receiver<Batch>,
    pub(super) answers: Receiver<Answer>,
    answer: Sender<Answer>,
    submitted: u64,
}

pub(super) fn broken() -> StoreError {
    StoreError::Unavailable("on purpose".to_owned())
}

impl Gate {
    pub(super) fn new(capacity: usize) -> Self {
        let memory = Memory::new(InstanceId::from_bytes([3; 16]));
        let (saw, batches) = channel();
        let (verdicts, verdict) = channel();
        let verdict = Mutex::new(verdict);
        let faults = move |call: &Call<'_>| match call {
            Call::Apply { changes, sync } => {
                let _ = saw.send(Batch { changes: changes.to_vec(), sync: *sync });
                // Once the test says nothing more, everything succeeds.
                verdict.lock().recv().unwrap_or(None)
            }
            Call::Reader | Call::Read | Call::Rest => None,
        };
        let store: Box<dyn Store> = Box::new(memory.clone());
        let catalog = Catalog::start(Box::new(Faulty::new(store, faults)), capacity).unwrap();
        let (answer, answers) = channel();
        Self { verdicts, catalog, memory, batches, answers, answer, submitted: 0 }
    }

    pub(super) fn submit(&mut self, change: Change, durability: Durability) -> u64 {
        let (answer, number) = (self.answer.clone(), self.submitted);
        self.submitted += 1;
        self.catalog.submit(change, durability, Box::new(move |outcome| answer.send((number, outcome)).unwrap()));
        number
    }

    /// The next batch, waiting at the gate.
    pub(super) fn batch(&self) -> Batch {
        self.batches.recv().unwrap()
    }

    pub(super) fn verdict(&self, verdict: Option<StoreError>) {
        self.verdicts.send(verdict).unwrap();
    }

    /// Puts a first change at the gate, so that what is submitted next waits and becomes one batch.
    pub(super) fn occupy(&mut self) {
        self.submit(put(facts(1_000_000)), Durability::Committed);
        self.batch();
    }

    /// The next answer.
    pub(super) fn answer(&self) -> Answer {
        self.answers.recv().unwrap()
    }

    /// Lets everything pass from now on, and waits until all is written.
    pub(super) fn finish(self) -> (Memory, Vec<Answer>) {
        drop(self.verdicts);
        drop(self.catalog);
        drop(self.answer);
        (self.memory, self.answers.iter().collect())
    }
}
