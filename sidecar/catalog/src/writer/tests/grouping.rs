//! What becomes one transaction, what is left out of it, and in which order the answers come.

use payload_manager_types::Tier;

use super::gate::{Batch, Gate};
use crate::conformance::content;
use crate::conformance::samples::{
    add_event, append, create, doomed, entry, event, facts, id, longer, metadata, put, set, strange_facts, stream,
};
use crate::{Change, Durability, MetadataMode, Outcome, Refusal};

#[test]
fn answers_come_in_the_order_of_submission() {
    let mut gate = Gate::new(64);
    let name = stream("", "s");
    gate.occupy();
    gate.submit(append(&name, vec![entry(1)], 1), Durability::Committed);
    gate.submit(create(&name), Durability::Soon);
    gate.submit(append(&name, vec![entry(1); 2], 1), Durability::Synced);
    let (_, answers) = gate.finish();
    let refused = Outcome::Refused(Refusal::NoSuchStream);
    let expected = [Outcome::Done, refused, Outcome::Done, Outcome::Appended { first: 0, last: 1, oldest: 0 }];
    assert_eq!(answers, (0..).zip(expected.map(Ok)).collect::<Vec<_>>());
}

#[test]
fn what_is_queued_becomes_one_transaction() {
    let mut gate = Gate::new(64);
    gate.occupy();
    let changes: Vec<_> = (0..10).map(|n| put(facts(n))).collect();
    for change in &changes {
        gate.submit(change.clone(), Durability::Committed);
    }
    assert_eq!(gate.catalog.depth(), 11);
    gate.verdict(None);
    assert_eq!(gate.batch(), Batch { changes, sync: false });
    let (memory, answers) = gate.finish();
    assert_eq!((content(&memory).payloads.len(), answers.len()), (11, 11));
}

#[test]
fn one_change_that_must_be_synced_syncs_its_batch() {
    for (durability, sync) in [(Durability::Soon, false), (Durability::Committed, false), (Durability::Synced, true)] {
        let mut gate = Gate::new(64);
        gate.occupy();
        gate.submit(put(facts(1)), Durability::Committed);
        gate.submit(put(facts(2)), durability);
        gate.verdict(None);
        assert_eq!(gate.batch().sync, sync);
        gate.finish();
    }
}

#[test]
fn a_transaction_is_bounded_in_changes_and_in_bytes() {
    let mut gate = Gate::new(4096);
    gate.occupy();
    for n in 0..513 {
        gate.submit(put(facts(n)), Durability::Soon);
    }
    // More than a megabyte alone.
    let large = append(&stream("", "s"), vec![entry(0); 20_000], 1);
    gate.submit(large, Durability::Soon);
    for n in 0..20 {
        gate.submit(put(strange_facts(n)), Durability::Soon);
    }
    let mut sizes = vec![];
    for _ in 0..5 {
        gate.verdict(None);
        sizes.push(gate.batch().changes.len());
    }
    assert_eq!(sizes, [512, 1, 1, 10, 10]);
    gate.finish();
}

#[test]
fn what_comes_and_goes_between_two_transactions_writes_nothing() {
    let mut gate = Gate::new(64);
    gate.occupy();
    let file = doomed(1, Tier::Ram, 1);
    let delete = Change::Delete { id: id(1), doomed: vec![file] };
    let gone = Change::Undoom { id: id(1), tier: Tier::Ram };
    for change in [put(facts(1)), put(strange_facts(1)), delete, gone.clone()] {
        gate.submit(change, Durability::Soon);
    }
    gate.verdict(None);
    let left = vec![Change::Delete { id: id(1), doomed: vec![] }, gone];
    assert_eq!(
        gate.batch().changes,
        left,
        "which remove what an earlier transaction may have written, and add nothing"
    );
    let (_, answers) = gate.finish();
    assert_eq!(answers.len(), 5, "everyone is answered");
}

#[test]
fn a_row_overwritten_in_its_batch_is_not_written_and_its_doomed_file_is() {
    let mut gate = Gate::new(64);
    gate.occupy();
    let (ram, disk) = (doomed(1, Tier::Ram, 1), doomed(1, Tier::Disk, 2));
    gate.submit(Change::Put { facts: Box::new(facts(1)), doomed: Some(ram) }, Durability::Soon);
    let last = Change::Put { facts: Box::new(longer(1)), doomed: Some(disk) };
    gate.submit(last.clone(), Durability::Soon);
    gate.verdict(None);
    assert_eq!(gate.batch().changes, [Change::Doom(ram), last]);
    gate.finish();
}

#[test]
fn what_is_said_about_a_payload_finds_its_row_although_it_is_overwritten_in_its_batch() {
    let mut gate = Gate::new(64);
    gate.occupy();
    let changes = [
        put(facts(1)),
        set(1, metadata(b"x", ""), MetadataMode::Replace),
        put(strange_facts(1)),
        add_event(1, event("y"), 1),
        put(facts(1)),
    ];
    for change in &changes {
        gate.submit(change.clone(), Durability::Committed);
    }
    gate.verdict(None);
    assert_eq!(gate.batch().changes, changes);
    let (memory, answers) = gate.finish();
    assert!(answers.iter().all(|(_, answer)| !matches!(answer, Ok(Outcome::Refused(_)) | Err(_))), "{answers:?}");
    assert_eq!(content(&memory).payloads.first(), Some(&facts(1)));
}

#[test]
fn starts_are_counted_from_1() {
    let gate = Gate::new(64);
    drop(gate.verdicts);
    assert_eq!((gate.catalog.next_start(), gate.catalog.next_start()), (Ok(1), Ok(2)));
}
