//! Making room: who goes, in which order, and who never does.

use std::collections::BTreeSet;

use payload_manager_core::Refusal;
use payload_manager_core::facts::Pin;
use payload_manager_core::ledger::AllocateRequest;
use payload_manager_types::{EvictionPolicy, LeaseDeadline, Priority, SpillTarget, Tier};

use crate::world::{Did, Job, World, id, request};

const NORMAL: EvictionPolicy =
    EvictionPolicy { priority: Priority::Normal, require_durable: false, spill_target: None, min_residency: None };
const VOID: EvictionPolicy = EvictionPolicy { spill_target: Some(SpillTarget::Void), ..NORMAL };

/// Payloads 1, 2, … of 10 bytes each with these policies, in RAM.
fn filled(capacity: [u64; 4], policies: &[EvictionPolicy]) -> World {
    let mut w = World::new(capacity);
    for (n, policy) in (1..).zip(policies) {
        w.create_as(AllocateRequest { policy: *policy, ..request(n, 10, Tier::Ram) });
    }
    w
}

/// Who left RAM.
fn gone(w: &World, of: u64) -> BTreeSet<u64> {
    (1..=of).filter(|n| !w.has_bytes(*n, Tier::Ram)).collect()
}

/// Makes room and waits for it.
fn evict(w: &mut World, bytes: u64) {
    while w.make_room(Tier::Ram, bytes).unwrap() > 0 {
        w.settle();
    }
}

fn full(free: u64, asked: u64, capacity: u64) -> Refusal {
    Refusal::TierFull { tier: Tier::Ram, asked, free, capacity }
}

#[test]
fn low_goes_before_normal_before_high_and_never_not_at_all() {
    let of = |priority| EvictionPolicy { priority, ..NORMAL };
    let mut w =
        filled([0, 40, 100, 0], &[of(Priority::Never), of(Priority::High), of(Priority::Normal), of(Priority::Low)]);
    for (bytes, left) in [(10, vec![4]), (20, vec![3, 4]), (30, vec![2, 3, 4])] {
        evict(&mut w, bytes);
        assert_eq!(gone(&w, 4), left.into_iter().collect());
    }
    assert_eq!(w.make_room(Tier::Ram, 40), Err(full(30, 40, 40)));
}

#[test]
fn first_in_goes_first_but_what_was_read_gets_a_second_chance() {
    let mut w = filled([0, 40, 100, 0], &[NORMAL; 4]);
    let lease = w.lease(1);
    w.release(lease);
    evict(&mut w, 10);
    assert_eq!(gone(&w, 4), [2].into());
    evict(&mut w, 20);
    assert_eq!(gone(&w, 4), [2, 3].into());
    evict(&mut w, 40);
    assert_eq!(gone(&w, 4), [1, 2, 3, 4].into(), "a second chance is not a third");
}

#[test]
fn when_everything_was_read_the_oldest_goes() {
    let mut w = filled([0, 30, 100, 0], &[NORMAL; 3]);
    for n in 1..=3 {
        let lease = w.lease(n);
        w.release(lease);
    }
    evict(&mut w, 10);
    assert_eq!(gone(&w, 3), [1].into());
}

#[test]
fn what_is_leased_or_pinned_stays_and_never_stops_the_others() {
    let mut w = filled([0, 50, 100, 0], &[NORMAL; 5]);
    w.lease(1);
    w.ledger.pin(id(2), Some(Pin::UntilUnpinned), w.now).unwrap();
    let index = w.pages().entry_of(id(3)).unwrap();
    w.ledger.board_mut().take(index, LeaseDeadline(6_000)).unwrap();
    evict(&mut w, 20);
    assert_eq!(gone(&w, 5), [4, 5].into());
    assert_eq!(w.make_room(Tier::Ram, 30), Err(full(20, 30, 50)));
    w.tick(1_000_000);
    assert_eq!(w.make_room(Tier::Ram, 40), Err(full(20, 40, 50)), "a client's lease keeps its bytes beyond its claim");
    evict(&mut w, 30);
    assert_eq!(gone(&w, 5), [1, 4, 5].into());
}

#[test]
fn a_thousand_leased_payloads_are_passed_over_in_a_few_looks() {
    let mut w = World::with(
        payload_manager_core::ledger::Limits { max_payloads: 400, ..crate::world::limits([0, 4_000, 100, 0]) },
        crate::board::Room { entries: 400, records: 400, leases: 400 },
    );
    for n in 1..=300 {
        w.allocate(request(n, 10, Tier::Ram)).unwrap();
        while !w.jobs.is_empty() {
            w.work(0, true);
        }
        w.commit(n).unwrap();
        w.work(0, true);
    }
    for n in 1..300 {
        let index = w.pages().entry_of(id(n)).unwrap();
        w.ledger.board_mut().take(index, LeaseDeadline(6_000)).unwrap();
    }
    w.ledger.board().scans.set(0);
    assert_eq!(w.make_room(Tier::Ram, 1_010), Ok(1), "the only one that nobody reads");
    let scans = w.ledger.board().scans.get();
    assert!(scans < 15, "{scans} looks through the lease pages");
    w.settle();
    assert_eq!(w.make_room(Tier::Ram, 1_020), Err(full(1_010, 1_020, 4_000)));
}

#[test]
fn a_twin_in_a_slower_tier_costs_no_write() {
    let mut w = World::new([0, 20, 100, 0]);
    w.create(1, 10, Tier::Disk);
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    assert_eq!(w.make_room(Tier::Ram, 20), Ok(1));
    assert!(matches!(w.jobs[..], [Job::Free(..)]));
    w.settle();
    assert_eq!(w.tier(1), Some(Tier::Disk));
}

#[test]
fn void_deletes_what_nobody_reads_anywhere() {
    let mut w = filled([0, 30, 100, 0], &[VOID; 3]);
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    w.lease(1);
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    w.lose(1, Tier::Disk);
    w.settle();
    w.lease(2);
    evict(&mut w, 10);
    assert!(w.ledger.descriptor(id(3), w.now).is_err(), "deleted");
    assert_eq!(w.make_room(Tier::Ram, 20), Err(full(10, 20, 30)), "a lease on an old copy is a lease");
    w.check();
    assert_eq!((w.get(1).copies.fastest(), w.get(2).copies.fastest()), (Some(Tier::Ram), Some(Tier::Ram)));
}

#[test]
fn a_policy_that_wants_a_durable_copy_or_a_floor_is_kept_to() {
    let durable = EvictionPolicy { require_durable: true, ..NORMAL };
    let floor = |tier| EvictionPolicy { min_residency: Some(tier), ..NORMAL };
    let mut w = filled(
        [0, 50, 100, 0],
        &[
            EvictionPolicy { require_durable: true, ..VOID },
            EvictionPolicy { min_residency: Some(Tier::Disk), ..VOID },
            floor(Tier::Ram),
            floor(Tier::Disk),
            durable,
        ],
    );
    assert_eq!(w.make_room(Tier::Ram, 30), Err(full(0, 30, 50)));
    evict(&mut w, 20);
    assert_eq!(gone(&w, 5), [4, 5].into());
    assert_eq!((w.tier(4), w.tier(5)), (Some(Tier::Disk), Some(Tier::Disk)));
}

#[test]
fn a_durable_copy_is_made_before_device_memory_is_dropped() {
    let mut w = World::new([20, 100, 100, 0]);
    let to = |tier| EvictionPolicy { require_durable: true, spill_target: Some(SpillTarget::Tier(tier)), ..NORMAL };
    w.create_as(AllocateRequest { policy: to(Tier::Ram), ..request(1, 10, Tier::Gpu) });
    w.create_as(AllocateRequest { policy: to(Tier::Disk), ..request(2, 10, Tier::Ram) });
    w.promote(2, Tier::Gpu).unwrap();
    w.settle();
    assert!(matches!(w.make_room(Tier::Gpu, 20), Err(Refusal::TierFull { .. })), "memory is not durable");
    assert_eq!(w.make_room(Tier::Gpu, 10), Ok(1));
    w.settle();
    assert_eq!(w.get(2).copies.iter().collect::<Vec<_>>(), [Tier::Disk], "its twin in memory did not do");
    assert_eq!(w.tier(1), Some(Tier::Gpu));
}

#[test]
fn a_full_tier_below_stops_only_who_must_go_there() {
    let mut w = filled([0, 40, 15, 0], &[NORMAL, NORMAL, VOID, NORMAL]);
    assert_eq!(w.make_room(Tier::Ram, 30), Err(full(0, 30, 40)), "one fits below, one is deleted");
    assert!(w.jobs.is_empty(), "and nothing has begun");
    w.check();
    assert_eq!(w.make_room(Tier::Ram, 20), Ok(2));
    w.settle();
    assert_eq!(gone(&w, 4), [1, 3].into());
}

#[test]
fn room_on_its_way_is_waited_for() {
    let mut w = filled([0, 20, 100, 0], &[NORMAL; 2]);
    assert_eq!(w.make_room(Tier::Ram, 10), Ok(1));
    assert_eq!(w.make_room(Tier::Ram, 10), Ok(0), "a second asker waits for the same");
    assert_eq!(w.jobs.len(), 1);
    assert_eq!(w.make_room(Tier::Ram, 20), Ok(1), "one who needs more begins more");
    w.settle();
    assert_eq!((w.used(Tier::Ram), gone(&w, 2)), (0, [1, 2].into()));
}

#[test]
fn room_that_a_lease_takes_away_again_is_looked_for_elsewhere() {
    let mut w = filled([0, 20, 100, 0], &[NORMAL; 2]);
    assert_eq!(w.make_room(Tier::Ram, 10), Ok(1));
    w.lease(1);
    w.settle();
    assert_eq!((w.tier(1), w.used(Tier::Ram)), (Some(Tier::Disk), 20), "a read beats an eviction");
    evict(&mut w, 10);
    assert_eq!(gone(&w, 2), [2].into());
}

#[test]
fn more_than_the_tier_has_is_refused_at_once() {
    let mut w = filled([0, 20, 100, 0], &[NORMAL; 2]);
    assert_eq!(w.make_room(Tier::Ram, 21), Err(full(0, 21, 20)));
    assert_eq!(w.make_room(Tier::Gpu, 1), Err(Refusal::NotConfigured { tier: Tier::Gpu }));
    assert!(w.jobs.is_empty());
}

#[test]
fn what_something_is_under_way_with_is_not_evicted() {
    let mut w = World::new([100, 30, 100, 0]);
    w.allocate(request(1, 10, Tier::Ram)).unwrap();
    w.settle();
    w.create_as(AllocateRequest { no_evict: true, ..request(2, 10, Tier::Ram) });
    w.create(3, 10, Tier::Ram);
    w.promote(3, Tier::Gpu).unwrap();
    assert_eq!(w.make_room(Tier::Ram, 10), Err(full(0, 10, 30)), "an allocation, one excluded, one moving");
    w.work(0, false);
    assert_eq!(w.make_room(Tier::Ram, 10), Ok(1));
    w.settle();
}

#[test]
fn payloads_that_come_and_go_leave_no_places_behind() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    for n in 2..1_000 {
        w.create(n, 10, Tier::Ram);
        w.delete(n, false).unwrap();
        w.settle();
    }
    assert!(w.ledger.places(Tier::Ram) < 200, "{} places for one payload", w.ledger.places(Tier::Ram));
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Copying));
    w.settle();
}

#[test]
fn an_eviction_that_failed_is_no_longer_waited_for() {
    let mut w = filled([0, 20, 100, 0], &[NORMAL; 2]);
    assert_eq!(w.make_room(Tier::Ram, 10), Ok(1));
    w.work(0, false);
    assert_eq!(w.make_room(Tier::Ram, 10), Ok(1), "another begins");
    assert_eq!(w.jobs.len(), 1);
    w.settle();
}

#[test]
fn who_was_looked_at_and_not_needed_keeps_its_place() {
    let mut w = filled([0, 70, 100, 0], &[NORMAL; 7]);
    for n in 1..=3 {
        let index = w.pages().entry_of(id(n)).unwrap();
        w.ledger.board_mut().take(index, LeaseDeadline(6_000)).unwrap();
    }
    for (bytes, left) in [(10, vec![4]), (20, vec![4, 5]), (30, vec![4, 5, 6])] {
        evict(&mut w, bytes);
        assert_eq!(gone(&w, 7), left.into_iter().collect());
    }
}

#[test]
fn payloads_that_move_up_and_down_leave_no_places_behind() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    for _ in 0..500 {
        w.spill(1, Tier::Disk).unwrap();
        w.settle();
        w.promote(1, Tier::Ram).unwrap();
        w.settle();
    }
    for tier in [Tier::Ram, Tier::Disk] {
        assert!(w.ledger.places(tier) < 200, "{} places in {tier} for one payload", w.ledger.places(tier));
    }
}
