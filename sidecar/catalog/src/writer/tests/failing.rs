//! A store that fails: who hears of it, and what is tried again.

use payload_manager_types::Tier;

use super::gate::{Batch, Gate, broken};
use crate::conformance::content;
use crate::conformance::samples::{facts, id, longer, put};
use crate::{CatalogError, Change, Durability, Outcome};

#[test]
fn what_is_soon_is_tried_until_it_succeeds_and_the_others_hear_of_the_error() {
    let mut gate = Gate::new(64);
    gate.occupy();
    let soon = [gate.submit(put(facts(1)), Durability::Soon), gate.submit(put(facts(3)), Durability::Soon)];
    let others = [gate.submit(put(facts(2)), Durability::Committed), gate.submit(put(facts(2)), Durability::Synced)];
    gate.verdict(None);
    assert_eq!(gate.answer(), (0, Ok(Outcome::Done)));
    for _ in 0..2 {
        gate.batch();
        gate.verdict(Some(broken()));
    }
    for number in others {
        assert_eq!(gate.answer(), (number, Err(CatalogError::Store(broken()))));
    }
    assert_eq!(gate.batch(), Batch { changes: vec![put(facts(1)), put(facts(3))], sync: false });
    assert!(!gate.catalog.healthy());
    assert_eq!(gate.catalog.depth(), 2);
    gate.verdict(None);
    for number in soon {
        assert_eq!(gate.answer(), (number, Ok(Outcome::Done)));
    }
    assert!(gate.catalog.healthy());
    gate.finish();
}

#[test]
fn later_changes_of_a_payload_queue_behind_what_failed() {
    let mut gate = Gate::new(64);
    gate.submit(put(facts(1)), Durability::Soon);
    assert_eq!(gate.batch().changes.len(), 1);
    gate.submit(put(longer(1)), Durability::Soon);
    gate.submit(Change::Undoom { id: id(1), tier: Tier::Gpu }, Durability::Committed);
    gate.verdict(Some(broken()));
    assert_eq!(gate.batch().changes, [put(longer(1)), Change::Undoom { id: id(1), tier: Tier::Gpu }]);
    gate.verdict(Some(broken()));
    gate.submit(Change::Delete { id: id(1), doomed: vec![] }, Durability::Committed);
    let (memory, answers) = gate.finish();
    assert_eq!(content(&memory).payloads, []);
    let order: Vec<u64> = answers.iter().map(|(number, _)| *number).collect();
    assert_eq!(order, [2, 0, 1, 3]);
}

#[test]
fn an_earlier_row_is_written_when_the_change_that_overwrote_it_fails() {
    let mut gate = Gate::new(64);
    gate.occupy();
    gate.submit(put(facts(1)), Durability::Soon);
    gate.submit(Change::Delete { id: id(1), doomed: vec![] }, Durability::Committed);
    gate.verdict(None);
    assert_eq!(gate.batch().changes.len(), 1, "the row is left out");
    gate.verdict(Some(broken()));
    assert_eq!(gate.batch().changes, [put(facts(1))], "and is there again");
    gate.finish();
}
