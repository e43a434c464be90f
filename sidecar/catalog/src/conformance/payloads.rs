//! Rows and files to be removed.

use payload_manager_core::facts::{Facts, Phase, Pin};
use payload_manager_types::{Protection, Tier, TierSet, UnixMillis};

use super::samples::{doomed, facts, id, put, strange_facts};
use super::{Case, Subject, apply, content, done, payloads, sure};
use crate::change::{Change, Outcome, Refusal};

pub(super) const CASES: &[Case] = &[
    ("a row reads back as it was written", a_row_reads_back_as_it_was_written),
    ("a row is replaced whole", a_row_is_replaced_whole),
    ("a pin changes nothing else of a row", a_pin_changes_nothing_else_of_a_row),
    ("a deleted row is gone and its files are doomed", a_deleted_row_is_gone_and_its_files_are_doomed),
    ("a doomed file is remembered until it is gone", a_doomed_file_is_remembered_until_it_is_gone),
    ("a batch is applied in order", a_batch_is_applied_in_order),
    ("what was applied is there when it is opened again", what_was_applied_is_there_when_it_is_opened_again),
    ("a reader sees what was applied before it asks", a_reader_sees_what_was_applied_before_it_asks),
    ("an empty batch is fine", an_empty_batch_is_fine),
];

fn a_row_reads_back_as_it_was_written(subject: &dyn Subject) {
    let phases = [Phase::Allocated, Phase::Committed, Phase::Deleting].map(|phase| Facts { phase, ..facts(0) });
    let pins = [None, Some(Pin::UntilUnpinned)].map(|pin| Facts { pin, ..strange_facts(0) });
    let sets = [TierSet::EMPTY, TierSet::EMPTY.with(Tier::Gpu)].map(|copies| Facts { copies, ..facts(0) });
    let strict = Facts { protection: Protection::Strict, ..facts(0) };
    let all = [phases.as_slice(), &pins, &sets, &[strict, facts(0), strange_facts(0)]].concat();
    let rows: Vec<Facts> = (1..).zip(all).map(|(n, row)| Facts { id: id(n), ..row }).collect();
    let mut store = subject.open();
    done(&mut *store, &rows.iter().cloned().map(put).collect::<Vec<_>>());
    assert_eq!(content(&*store).payloads, rows);
}

fn a_row_is_replaced_whole(subject: &dyn Subject) {
    let mut store = subject.open();
    for row in [facts(1), strange_facts(1), facts(1)] {
        done(&mut *store, &[put(facts(2)), put(row.clone())]);
        assert_eq!(content(&*store).payloads, [row, facts(2)]);
    }
}

fn a_pin_changes_nothing_else_of_a_row(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1)), put(strange_facts(2))]);
    for pin in [Some(Pin::UntilUnpinned), Some(Pin::Until(UnixMillis(u64::MAX))), None] {
        done(&mut *store, &[set_pin(2, pin)]);
        assert_eq!(content(&*store).payloads, [facts(1), Facts { pin, ..strange_facts(2) }]);
    }
    let nobody = Outcome::Refused(Refusal::NoSuchPayload);
    assert_eq!(apply(&mut *store, &[set_pin(3, None), set_pin(1, Some(Pin::UntilUnpinned))]), [nobody, Outcome::Done]);
    assert_eq!(content(&*store).payloads.len(), 2, "a pin makes no row");
}

fn set_pin(n: u64, pin: Option<Pin>) -> Change {
    Change::SetPin { id: id(n), pin }
}

fn a_deleted_row_is_gone_and_its_files_are_doomed(subject: &dyn Subject) {
    let mut store = subject.open();
    done(&mut *store, &[put(facts(1)), put(facts(2))]);
    let files = vec![doomed(1, Tier::Ram, 3), doomed(1, Tier::Disk, 4)];
    for _ in 0..2 {
        done(&mut *store, &[Change::Delete { id: id(1), doomed: files.clone() }]);
        let content = content(&*store);
        assert_eq!((content.payloads, content.doomed), (vec![facts(2)], files.clone()));
    }
    done(&mut *store, &[Change::Delete { id: id(9), doomed: vec![] }]);
}

fn a_doomed_file_is_remembered_until_it_is_gone(subject: &dyn Subject) {
    let mut store = subject.open();
    let (ram, disk) = (doomed(1, Tier::Ram, 1), doomed(1, Tier::Disk, 2));
    let changes = [
        Change::Put { facts: Box::new(facts(1)), doomed: Some(ram) },
        Change::Doom(disk),
        Change::Doom(doomed(2, Tier::Disk, 9)),
        Change::Doom(doomed(2, Tier::Disk, 3)),
    ];
    done(&mut *store, &changes);
    assert_eq!(content(&*store).doomed, [ram, disk, doomed(2, Tier::Disk, 3)], "named twice: the last one counts");
    let gone = |n, tier| Change::Undoom { id: id(n), tier };
    done(&mut *store, &[gone(1, Tier::Disk), gone(2, Tier::Ram), gone(7, Tier::Gpu)]);
    assert_eq!(content(&*store).doomed, [ram, doomed(2, Tier::Disk, 3)]);
    assert_eq!(content(&*store).payloads, [facts(1)], "the row is left alone");
}

fn a_batch_is_applied_in_order(subject: &dyn Subject) {
    let mut store = subject.open();
    let (file, delete) = (doomed(1, Tier::Ram, 1), Change::Delete { id: id(1), doomed: vec![] });
    let undoom = Change::Undoom { id: id(1), tier: Tier::Ram };
    done(&mut *store, &[put(strange_facts(1)), delete.clone(), put(facts(1)), Change::Doom(file), undoom.clone()]);
    let after = content(&*store);
    assert_eq!((after.payloads, after.doomed), (vec![facts(1)], vec![]));
    done(&mut *store, &[undoom, Change::Doom(file), put(facts(1)), delete]);
    let after = content(&*store);
    assert_eq!((after.payloads, after.doomed), (vec![], vec![file]));
}

fn what_was_applied_is_there_when_it_is_opened_again(subject: &dyn Subject) {
    let mut store = subject.open();
    let instance = store.instance();
    done(&mut *store, &[put(strange_facts(1)), put(facts(2)), Change::Doom(doomed(3, Tier::Disk, 0))]);
    let before = content(&*store);
    drop(store);
    let store = subject.open();
    assert_eq!((store.instance(), content(&*store)), (instance, before));
}

fn a_reader_sees_what_was_applied_before_it_asks(subject: &dyn Subject) {
    let mut store = subject.open();
    let mut reader = sure(|| store.reader());
    for n in 1..=3 {
        assert_eq!(apply(&mut *store, &[put(facts(n))]), [Outcome::Done]);
        let seen = std::thread::scope(|scope| scope.spawn(|| payloads(&mut *reader).len()).join().unwrap());
        assert_eq!(seen as u64, n);
    }
    let mut other = sure(|| reader.another());
    assert_eq!(payloads(&mut *other).len(), 3);
}

fn an_empty_batch_is_fine(subject: &dyn Subject) {
    let mut store = subject.open();
    for sync in [false, true] {
        assert_eq!(sure(|| store.apply(&[], sync)), []);
    }
    sure(|| store.rest());
}
