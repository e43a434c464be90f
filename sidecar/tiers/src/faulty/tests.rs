//! That the faulty tier fails as it is told to, and as a real one would.

use std::sync::Arc;
use std::sync::mpsc;

use nix::errno::Errno;
use parking_lot::Mutex;
use payload_manager_types::{Checksum, Place, Tier};

use super::{Faulty, Op, Verdict};
use crate::conformance::bytes::{checksum_of, new_id, pattern};
use crate::copy::{self, Job};
use crate::{HeapTier, TierError, TierStore};

const SIZE: u64 = 5000;

fn heap() -> HeapTier {
    HeapTier::new(Tier::Disk, 1 << 20)
}

fn archive(_: crate::Written) -> Vec<u8> {
    Vec::new()
}

#[test]
fn every_call_can_fail_and_then_it_is_not_made() {
    let (heap, id, chosen) = (heap(), new_id(), Arc::new(Mutex::new(Op::Allocate)));
    let hook = Arc::clone(&chosen);
    let tier = Faulty::new(Arc::new(heap.clone()), move |_, op| {
        if op == *hook.lock() { Verdict::Os(Errno::EIO as i32) } else { Verdict::Pass }
    });
    let all = || -> Result<(), TierError> {
        let place = tier.allocate(id, SIZE)?;
        tier.seal(id, place, SIZE, &archive)?;
        tier.source(id, place, SIZE)?.read_at(0, &mut [0; 10])?;
        let mut sink = tier.sink(new_id(), SIZE)?;
        sink.write_at(0, &[0; 10])?;
        sink.finish(Checksum([0; 16]), &archive)?;
        tier.set_aside(id, place)?;
        tier.free(id, place)
    };
    use Op::{Allocate, Finish, Free, Read, Seal, SetAside, Sink, Source, Write};
    for op in [Allocate, Seal, Source, Sink, Free, SetAside, Read(0), Write(0), Finish] {
        *chosen.lock() = op;
        let error = all().unwrap_err();
        assert!(error.to_string().contains(&format!("injected at {op:?}")), "{error}");
    }
    *chosen.lock() = Read(77);
    all().unwrap();
}

#[test]
fn full_and_missing_look_like_the_real_ones() {
    let tier = Faulty::new(Arc::new(heap()), |_, op| if op == Op::Allocate { Verdict::Full } else { Verdict::Missing });
    let id = new_id();
    assert!(matches!(tier.allocate(id, 9), Err(TierError::Full { asked: 9, tier: Tier::Disk, .. })));
    assert!(matches!(tier.source(id, Place::OWN, 9).map(drop), Err(TierError::Missing { .. })));
}

#[test]
fn a_flip_on_the_way_in_or_out_shows_in_the_checksum() {
    let (heap, bytes) = (heap(), pattern(5000));
    let flips_at = |at| {
        let hook = move |_, op| if op == at { Verdict::Flip } else { Verdict::Pass };
        Faulty::new(Arc::new(heap.clone()), hook)
    };
    let sum_of_a_copy = |through: &Faulty| {
        let id = new_id();
        let mut sink = through.sink(id, SIZE).unwrap();
        sink.write_at(0, &bytes).unwrap();
        sink.finish(checksum_of(&bytes), &archive).unwrap();
        let mut source = through.source(id, Place::OWN, SIZE).unwrap();
        copy::hash(Job { id, from: Tier::Disk, size: SIZE }, &mut *source, &|_| true).unwrap()
    };
    for (at, harmed) in [(Op::Write(0), true), (Op::Read(0), true), (Op::Finish, false)] {
        assert_eq!(sum_of_a_copy(&flips_at(at)) != checksum_of(&bytes), harmed, "{at:?}");
    }
}

#[test]
fn a_hook_that_waits_makes_the_tier_slow_for_as_long_as_the_test_wants() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let tier = Faulty::new(Arc::new(heap()), move |_, _| {
        wait.lock().recv().unwrap();
        Verdict::Pass
    });
    std::thread::scope(|scope| {
        let call = scope.spawn(|| tier.allocate(new_id(), SIZE));
        assert!(!call.is_finished());
        go.send(()).unwrap();
        call.join().unwrap().unwrap();
    });
}
