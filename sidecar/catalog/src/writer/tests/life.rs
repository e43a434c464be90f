//! Waiting for room, resting, reading, stopping, and the end of a writer that panicked.

use std::sync::mpsc::channel;
use std::sync::{Arc, Weak};
use std::thread;

use payload_manager_types::InstanceId;

use super::gate::{Gate, broken};
use crate::conformance::content;
use crate::conformance::samples::{facts, put};
use crate::faulty::{Call, Faulty};
use crate::{Catalog, CatalogError, Durability, Memory, Outcome, Store};

#[test]
fn at_capacity_submitting_waits_for_room() {
    let mut gate = Gate::new(2);
    gate.occupy();
    gate.submit(put(facts(1)), Durability::Soon);
    thread::scope(|scope| {
        let (sender, submitted) = channel();
        let catalog = &gate.catalog;
        scope.spawn(move || {
            catalog.submit(put(facts(2)), Durability::Soon, Box::new(|_| ()));
            sender.send(()).unwrap();
        });
        assert!(submitted.try_recv().is_err(), "two are waiting: there is no room");
        gate.verdict(None);
        submitted.recv().unwrap();
    });
    let (memory, _) = gate.finish();
    assert_eq!(content(&memory).payloads.len(), 3);
}

#[test]
fn an_answer_may_submit_even_at_capacity() {
    let gate = Gate::new(1);
    let catalog = Arc::new(gate.catalog);
    let (again, (sender, done)) = (Arc::downgrade(&catalog), channel());
    let submit_again = move |_: Result<Outcome, CatalogError>| {
        let catalog = Weak::upgrade(&again).unwrap();
        catalog.submit(put(facts(2)), Durability::Soon, Box::new(|_| ()));
        catalog.submit(put(facts(3)), Durability::Soon, Box::new(move |_| sender.send(()).unwrap()));
    };
    catalog.submit(put(facts(1)), Durability::Soon, Box::new(submit_again));
    drop(gate.verdicts);
    done.recv().unwrap();
    assert_eq!(content(&gate.memory).payloads.len(), 3);
}

#[test]
fn stopping_writes_what_is_queued_and_refuses_what_comes_later() {
    let mut gate = Gate::new(64);
    gate.occupy();
    for n in 0..10 {
        gate.submit(put(facts(n)), Durability::Soon);
    }
    let (verdicts, _) = channel();
    drop(std::mem::replace(&mut gate.verdicts, verdicts));
    gate.catalog.stop();
    assert_eq!((content(&gate.memory).payloads.len(), gate.catalog.depth()), (11, 0));
    let late = gate.submit(put(facts(77)), Durability::Soon);
    let (_, answers) = gate.finish();
    assert_eq!(answers.last(), Some(&(late, Err(CatalogError::Stopped))));
}

#[test]
fn stopping_ends_even_if_the_store_never_succeeds() {
    let mut gate = Gate::new(64);
    for n in 0..3 {
        gate.submit(put(facts(n)), Durability::Soon);
    }
    for _ in 0..100 {
        gate.verdict(Some(broken()));
    }
    gate.catalog.stop();
    let answers: Vec<_> = gate.answers.try_iter().collect();
    assert_eq!(answers, (0..3).map(|n| (n, Err(CatalogError::Store(broken())))).collect::<Vec<_>>());
    assert_eq!(gate.catalog.depth(), 0);
}

#[test]
fn the_last_owner_may_be_an_answer() {
    let gate = Gate::new(64);
    let (sender, done) = channel();
    let catalog = Arc::new(gate.catalog);
    let last = Arc::clone(&catalog);
    let owner = move |_: Result<Outcome, CatalogError>| {
        drop(last);
        sender.send(()).unwrap();
    };
    catalog.submit(put(facts(1)), Durability::Soon, Box::new(owner));
    drop(catalog);
    drop(gate.verdicts);
    done.recv().unwrap();
}

#[test]
fn nobody_waits_for_a_writer_that_panicked() {
    let gate = Gate::new(1);
    drop(gate.verdicts);
    gate.catalog.submit(put(facts(1)), Durability::Soon, Box::new(|_| panic!("on purpose")));
    // Whether or not it was still queued when the writer died.
    assert_eq!(gate.catalog.write(put(facts(2)), Durability::Soon), Err(CatalogError::Stopped));
    assert_eq!(gate.catalog.write(put(facts(3)), Durability::Soon), Err(CatalogError::Stopped));
    assert!(!gate.catalog.healthy());
}

#[test]
fn when_nothing_comes_the_store_may_rest() {
    let (sender, rests) = channel();
    let faults = move |call: &Call<'_>| {
        if *call == Call::Rest {
            sender.send(()).unwrap();
        }
        None
    };
    let store: Box<dyn Store> = Box::new(Memory::new(InstanceId::from_bytes([3; 16])));
    let catalog = Catalog::start(Box::new(Faulty::new(store, faults)), 8).unwrap();
    rests.recv().unwrap();
    catalog.write(put(facts(1)), Durability::Soon).unwrap();
    rests.recv().unwrap();
    drop(catalog);
    assert_eq!(rests.iter().count(), 1, "once more at the end; until something is written, once is enough");
}

#[test]
fn a_reader_sees_what_was_answered() {
    let gate = Gate::new(8);
    drop(gate.verdicts);
    for n in 0..3 {
        gate.catalog.write(put(facts(n)), Durability::Committed).unwrap();
        let mut rows = 0;
        gate.catalog.read(|reader| reader.payloads(&mut |_| rows += 1)).unwrap();
        assert_eq!(rows, n + 1);
    }
}
