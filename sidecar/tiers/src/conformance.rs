//! One suite over every tier: what any back end must do, whatever it is made of. Each test runs over the reference, RAM,
//! DISK with and without the page cache, a wrapped DISK, and OBJECT in a folder; on a server that speaks S3
//! they run in one go, from OBJECT's own tests.

pub(crate) mod bytes;
mod rigs;
pub(crate) mod space;

use std::os::unix::fs::FileExt;

use payload_manager_types::{Checksum, PayloadId, Place, Tier};

use self::bytes::{checksum_of, new_id, pattern};
pub(crate) use self::rigs::{DiskRig, FolderRig, HeapRig, ObjectRig, RamRig, Rig, WrappedRig};
use crate::copy::{self, Job};
use crate::{HeapTier, TierError, TierStore, Written};

/// Around what is read at once, what direct I/O wants, and where reading and writing begin to overlap.
const SIZES: [usize; 6] = [1, 4095, 4096, 4097, (1 << 20) + 4096, (8 << 20) + 1];

/// Big enough for more than a page, small enough for every test.
const SOME: usize = 10_000;

macro_rules! on_every_tier {
    ($($test:ident),* $(,)?) => {
        mod heap { $(#[test] fn $test() { super::$test(&super::HeapRig::new()); })* }
        mod ram { $(#[test] fn $test() { super::$test(&super::RamRig::new()); })* }
        mod disk_buffered { $(#[test] fn $test() { super::$test(&super::DiskRig::with(u64::MAX)); })* }
        mod disk_direct { $(#[test] fn $test() { super::$test(&super::DiskRig::with(0)); })* }
        mod wrapped { $(#[test] fn $test() { super::$test(&super::WrappedRig::new()); })* }
        mod object_folder { $(#[test] fn $test() { super::$test(&super::FolderRig::new()); })* }

        /// One test of the suite.
        pub(crate) type Test = fn(&dyn Rig);
        /// All of them with their names, for a back end that takes too long to start for each.
        pub(crate) const SUITE: &[(&str, Test)] = &[$((stringify!($test), $test)),*];
    };
}

on_every_tier![
    what_a_producer_wrote_comes_back,
    a_copy_goes_in_and_out_with_one_checksum,
    nobody_can_open_a_sealed_copy_for_writing,
    a_replacement_is_out_of_reach_of_who_wrote_what_it_replaces,
    an_unfinished_sink_leaves_nothing,
    a_sink_that_failed_half_way_leaves_nothing,
    allocating_again_after_a_crash_starts_afresh,
    a_copy_can_be_made_again_after_it_was_freed,
    a_producer_that_resized_its_copy_may_put_it_right,
    a_resized_copy_is_not_opened,
    a_truncation_under_a_reader_is_an_error_with_both_sizes,
    a_copy_that_is_gone_is_missing,
    a_flipped_byte_changes_the_checksum,
    what_lies_beside_a_copy_can_be_written_anew_and_lies_beside_no_other,
    freeing_takes_everything_and_twice_is_fine,
    what_is_set_aside_is_no_copy_any_more,
    what_fits_nowhere_is_full_with_numbers_and_leaves_nothing,
    copies_of_several_payloads_go_on_at_once,
];

/// Allocates, writes and seals as a producer does.
fn commit(rig: &dyn Rig, size: usize) -> (PayloadId, Vec<u8>) {
    let (id, bytes) = (new_id(), pattern(size));
    let place = rig.store().allocate(id, size as u64).unwrap();
    rig.write(id, &bytes);
    let sealed = rig.store().seal(id, place, size as u64, &archive).unwrap();
    let durable = rig.store().tier().is_durable();
    assert_eq!(sealed.checksum, durable.then(|| checksum_of(&bytes)), "a durable tier reads what it seals");
    (id, bytes)
}

fn archive(written: Written) -> Vec<u8> {
    format!("{{\"checksum\":\"{}\"}}", written.checksum).into_bytes()
}

/// Reads a copy back through the port.
fn hash(rig: &dyn Rig, id: PayloadId, size: usize) -> Result<Checksum, TierError> {
    let mut source = rig.store().source(id, Place::OWN, size as u64)?;
    copy::hash(job(rig, id, size), &mut *source, &|_| true)
}

fn job(rig: &dyn Rig, id: PayloadId, size: usize) -> Job {
    Job { id, from: rig.store().tier(), size: size as u64 }
}

fn what_a_producer_wrote_comes_back(rig: &dyn Rig) {
    for size in SIZES {
        let (id, bytes) = commit(rig, size);
        assert_eq!(hash(rig, id, size).unwrap(), checksum_of(&bytes), "{size} bytes");
        assert_eq!(rig.bytes(id).as_deref(), Some(bytes.as_slice()), "{size} bytes");
        let durable = rig.store().tier().is_durable();
        assert_eq!(rig.archive(id), durable.then(|| archive(Written::plain(checksum_of(&bytes)))));
    }
}

fn a_copy_goes_in_and_out_with_one_checksum(rig: &dyn Rig) {
    let heap = HeapTier::new(Tier::Gpu, 1 << 30);
    for size in SIZES {
        let (id, bytes, len) = (new_id(), pattern(size), size as u64);
        heap.allocate(id, len).unwrap();
        heap.write(id, &bytes);

        let mut sink = rig.store().sink(id, len).unwrap();
        let from = Job { id, from: heap.tier(), size: len };
        let mut source = heap.source(id, Place::OWN, len).unwrap();
        let sum = copy::copy(from, &mut *source, &mut *sink, &|_| true).unwrap();
        assert_eq!(sum, checksum_of(&bytes));
        let place = sink.finish(sum, &archive).unwrap();
        assert_eq!(rig.bytes(id).as_deref(), Some(bytes.as_slice()), "{size} bytes");

        let (mut back, mut source) = (heap.sink(id, len).unwrap(), rig.store().source(id, place, len).unwrap());
        assert_eq!(copy::copy(job(rig, id, size), &mut *source, &mut *back, &|_| true).unwrap(), sum);
        back.finish(sum, &archive).unwrap();
        heap.tamper(id, |copy| assert!(*copy == bytes, "{size} bytes"));
        assert_eq!(rig.archive(id).is_some(), rig.store().tier().is_durable());
    }
}

fn nobody_can_open_a_sealed_copy_for_writing(rig: &dyn Rig) {
    let id = new_id();
    rig.store().allocate(id, SOME as u64).unwrap();
    assert!(matches!(rig.mode(id), None | Some(0o600)), "{:?}", rig.mode(id));
    for id in [commit(rig, SOME).0, copied(rig)] {
        assert!(matches!(rig.mode(id), None | Some(0o400)), "{:?}", rig.mode(id));
    }
}

/// A copy that another tier's bytes made.
fn copied(rig: &dyn Rig) -> PayloadId {
    let (id, bytes) = (new_id(), pattern(SOME));
    let mut sink = rig.store().sink(id, SOME as u64).unwrap();
    sink.write_at(0, &bytes).unwrap();
    sink.finish(checksum_of(&bytes), &archive).unwrap();
    id
}

fn a_replacement_is_out_of_reach_of_who_wrote_what_it_replaces(rig: &dyn Rig) {
    let (id, bytes) = (new_id(), pattern(SOME));
    let place = rig.store().allocate(id, SOME as u64).unwrap();
    rig.write(id, &bytes);
    let producer = rig.path(id).map(|_| rig.writable(id));
    let unfinished = rig.store().replacement(id, SOME as u64).unwrap();
    assert_eq!(rig.bytes(id).as_ref(), Some(&bytes), "until it is finished the old bytes are there");
    drop(unfinished);
    assert_eq!((rig.bytes(id).as_ref(), rig.leftovers().len()), (Some(&bytes), 1));

    let mut source = rig.store().source(id, place, SOME as u64).unwrap();
    let mut sink = rig.store().replacement(id, SOME as u64).unwrap();
    let sum = copy::copy(job(rig, id, SOME), &mut *source, &mut *sink, &|_| true).unwrap();
    assert_eq!(sink.finish(sum, &archive).unwrap(), place);
    if let Some(producer) = producer {
        producer.write_all_at(&[0; SOME], 0).unwrap();
        producer.set_len(1).unwrap();
    }
    assert_eq!(hash(rig, id, SOME).unwrap(), checksum_of(&bytes));
    assert!(matches!(rig.mode(id), None | Some(0o400)), "{:?}", rig.mode(id));
    rig.store().free(id, place).unwrap();
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

fn an_unfinished_sink_leaves_nothing(rig: &dyn Rig) {
    let id = new_id();
    let mut sink = rig.store().sink(id, SOME as u64).unwrap();
    sink.write_at(0, &pattern(SOME)).unwrap();
    drop(sink);
    assert_eq!(rig.leftovers(), Vec::<String>::new());
    assert!(matches!(hash(rig, id, SOME), Err(TierError::Missing { .. })));
}

fn a_sink_that_failed_half_way_leaves_nothing(rig: &dyn Rig) {
    let heap = HeapTier::new(Tier::Gpu, 1 << 30);
    let (id, size) = (new_id(), 3 << 20);
    heap.allocate(id, size).unwrap();
    let mut source = heap.source(id, Place::OWN, size).unwrap();
    heap.tamper(id, |copy| copy.truncate(5000));
    let mut sink = rig.store().sink(id, size).unwrap();
    let error = copy::copy(Job { id, from: heap.tier(), size }, &mut *source, &mut *sink, &|_| true).unwrap_err();
    assert!(matches!(error, TierError::WrongSize { found: 5000, .. }), "{error}");
    drop(sink);
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

fn allocating_again_after_a_crash_starts_afresh(rig: &dyn Rig) {
    let id = new_id();
    rig.store().allocate(id, SOME as u64).unwrap();
    rig.write(id, &pattern(SOME));
    let place = rig.store().allocate(id, 100).unwrap();
    if rig.store().tier() == Tier::Object {
        // There is nothing to allocate, so the producer begins afresh with another object.
        rig.resize(id, 0);
        rig.resize(id, 100);
    }
    assert_eq!(rig.bytes(id), Some(vec![0; 100]));
    rig.store().seal(id, place, 100, &archive).unwrap();
    drop(rig.store().sink(id, 50).unwrap());
}

fn a_copy_can_be_made_again_after_it_was_freed(rig: &dyn Rig) {
    let (id, bytes) = commit(rig, SOME);
    rig.store().free(id, Place::OWN).unwrap();
    let mut sink = rig.store().sink(id, SOME as u64).unwrap();
    sink.write_at(0, &bytes).unwrap();
    sink.finish(checksum_of(&bytes), &archive).unwrap();
    assert_eq!(hash(rig, id, SOME).unwrap(), checksum_of(&bytes));
}

fn a_producer_that_resized_its_copy_may_put_it_right(rig: &dyn Rig) {
    for wrong in [0, SOME - 1, SOME + 1] {
        let (id, bytes) = (new_id(), pattern(SOME));
        let place = rig.store().allocate(id, SOME as u64).unwrap();
        rig.resize(id, wrong);
        let error = rig.store().seal(id, place, SOME as u64, &archive).unwrap_err();
        assert!(error.to_string().contains(&format!("was resized: {wrong} bytes instead of {SOME}")), "{error}");
        rig.resize(id, SOME);
        rig.write(id, &bytes);
        rig.store().seal(id, place, SOME as u64, &archive).unwrap();
        assert_eq!(hash(rig, id, SOME).unwrap(), checksum_of(&bytes));
    }
}

fn a_resized_copy_is_not_opened(rig: &dyn Rig) {
    let (id, _) = commit(rig, SOME);
    rig.resize(id, SOME - 1);
    let error = rig.store().source(id, Place::OWN, SOME as u64).map(drop).unwrap_err();
    assert!(matches!(error, TierError::WrongSize { expected: 10_000, found: 9999, .. }), "{error}");
}

fn a_truncation_under_a_reader_is_an_error_with_both_sizes(rig: &dyn Rig) {
    for (size, cut) in [(SOME, 5000), (9 << 20, 6 << 20), (9 << 20, (5 << 20) + 7)] {
        let (id, _) = commit(rig, size);
        let mut source = rig.store().source(id, Place::OWN, size as u64).unwrap();
        rig.resize(id, cut);
        let error = copy::hash(job(rig, id, size), &mut *source, &|_| true).unwrap_err();
        let TierError::WrongSize { expected, found, .. } = error else { panic!("{error}") };
        assert_eq!((expected, found), (size as u64, cut as u64));
    }
}

fn a_copy_that_is_gone_is_missing(rig: &dyn Rig) {
    let id = new_id();
    let place = rig.store().allocate(id, SOME as u64).unwrap();
    rig.store().free(id, place).unwrap();
    let sealed = rig.store().seal(id, place, SOME as u64, &archive).unwrap_err();
    assert!(matches!(sealed, TierError::Missing { .. }), "{sealed}");
    assert!(sealed.to_string().contains(&id.to_string()), "{sealed}");
    assert!(matches!(hash(rig, id, SOME), Err(TierError::Missing { .. })));
}

fn a_flipped_byte_changes_the_checksum(rig: &dyn Rig) {
    let (id, bytes) = commit(rig, SOME);
    rig.flip(id, SOME / 2);
    assert_ne!(hash(rig, id, SOME).unwrap(), checksum_of(&bytes));
    rig.flip(id, SOME / 2);
    assert_eq!(hash(rig, id, SOME).unwrap(), checksum_of(&bytes));
}

fn what_lies_beside_a_copy_can_be_written_anew_and_lies_beside_no_other(rig: &dyn Rig) {
    let durable = rig.store().tier().is_durable();
    let (kept, _) = commit(rig, SOME);
    let before = rig.archive(kept);
    let (id, bytes) = commit(rig, SOME);
    for said in [&b"a longer one than was there before, by far"[..], b"short"] {
        rig.store().describe(id, SOME as u64, &|_| said.to_vec()).unwrap();
        assert_eq!(rig.archive(id), durable.then(|| said.to_vec()));
    }
    assert_eq!((rig.archive(kept), rig.bytes(id)), (before, Some(bytes)));
    rig.store().free(id, Place::OWN).unwrap();
    rig.store().free(kept, Place::OWN).unwrap();
    let uncommitted = new_id();
    let place = rig.store().allocate(uncommitted, SOME as u64).unwrap();
    for id in [id, uncommitted] {
        rig.store().describe(id, SOME as u64, &|_| b"of what is not there".to_vec()).unwrap();
        assert_eq!(rig.archive(id), None);
    }
    rig.store().free(uncommitted, place).unwrap();
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

fn freeing_takes_everything_and_twice_is_fine(rig: &dyn Rig) {
    let (kept, _) = commit(rig, SOME);
    let (id, _) = commit(rig, SOME);
    for _ in 0..2 {
        rig.store().free(id, Place::OWN).unwrap();
        assert_eq!((rig.bytes(id), rig.archive(id)), (None, None));
    }
    assert!(hash(rig, kept, SOME).is_ok(), "another payload's copy went too");
    rig.store().free(kept, Place::OWN).unwrap();
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

fn what_is_set_aside_is_no_copy_any_more(rig: &dyn Rig) {
    let (id, bytes) = commit(rig, SOME);
    rig.store().set_aside(id, Place::OWN).unwrap();
    assert!(matches!(hash(rig, id, SOME), Err(TierError::Missing { .. })));
    assert_eq!((rig.leftovers(), rig.archive(id)), (Vec::new(), None));
    let mut sink = rig.store().sink(id, SOME as u64).unwrap();
    sink.write_at(0, &bytes).unwrap();
    sink.finish(checksum_of(&bytes), &archive).unwrap();
    assert_eq!(hash(rig, id, SOME).unwrap(), checksum_of(&bytes));
}

fn what_fits_nowhere_is_full_with_numbers_and_leaves_nothing(rig: &dyn Rig) {
    let (id, size) = (new_id(), 1 << 50);
    for error in [rig.store().allocate(id, size).unwrap_err(), rig.store().sink(id, size).map(drop).unwrap_err()] {
        let TierError::Full { asked, free, .. } = error else { panic!("{error}") };
        assert!(asked == size && free < size, "{asked} {free}");
    }
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

fn copies_of_several_payloads_go_on_at_once(rig: &dyn Rig) {
    let sums = std::thread::scope(|scope| {
        let one = || {
            let (id, bytes) = commit(rig, 100_000);
            (hash(rig, id, 100_000).unwrap(), checksum_of(&bytes))
        };
        let running: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(sums.iter().all(|(read, written)| read == written));
}
