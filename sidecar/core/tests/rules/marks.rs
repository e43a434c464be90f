//! Eviction by itself: when it begins, when it ends, and that it sleeps when there is nothing for it to do.

use payload_manager_core::facts::Pin;
use payload_manager_core::ledger::{AllocateRequest, Limits, Watermarks};
use payload_manager_types::{EvictionPolicy, Priority, SpillTarget, Tier, UnixMillis};

use crate::plain::{self, NOW};
use crate::world::{Job, ROOM, World, id, limits, marked, request};

const VOID: EvictionPolicy = EvictionPolicy {
    priority: Priority::Normal,
    require_durable: false,
    spill_target: Some(SpillTarget::Void),
    min_residency: None,
};

fn world(capacity: [u64; 4]) -> World {
    World::with(marked(capacity), ROOM)
}

/// Lets eviction run by itself until it has nothing to do.
fn run(w: &mut World) {
    while w.ledger.eviction_due() || !w.jobs.is_empty() {
        w.evict_some(2);
        w.settle();
    }
}

#[test]
fn it_begins_above_the_high_mark_and_ends_at_the_low_one() {
    let mut w = world([0, 100, 1_000, 0]);
    for n in 1..=9 {
        w.create(n, 10, Tier::Ram);
        assert!(!w.ledger.eviction_due(), "{} of 100 is not above 90", n * 10);
    }
    w.create(10, 10, Tier::Ram);
    assert!(w.ledger.eviction_due());
    run(&mut w);
    assert_eq!(w.used(Tier::Ram), 80);
    w.create(11, 10, Tier::Ram);
    assert!(!w.ledger.eviction_due(), "between the marks it waits for the high one again");
}

#[test]
fn what_is_on_its_way_out_is_not_evicted_for_again() {
    let mut w = world([0, 100, 1_000, 0]);
    (1..=10).for_each(|n| w.create(n, 10, Tier::Ram));
    assert_eq!(w.evict_some(1), 1, "no more at once than the shell can carry out");
    assert!(w.ledger.eviction_due());
    assert_eq!(w.evict_some(5), 1, "two make eighty of a hundred");
    assert!(!w.ledger.eviction_due());
    w.settle();
    assert_eq!(w.used(Tier::Ram), 80);
}

#[test]
fn a_copy_that_came_to_nothing_is_made_up_for() {
    let mut w = world([0, 100, 1_000, 0]);
    (1..=10).for_each(|n| w.create(n, 10, Tier::Ram));
    w.evict_some(5);
    w.work(0, false);
    assert!(w.ledger.eviction_due());
    run(&mut w);
    assert_eq!(w.used(Tier::Ram), 80);
}

#[test]
fn a_full_tier_below_is_not_evicted_to_and_a_tier_without_a_way_out_is_left_alone() {
    let mut w = world([0, 100, 40, 0]);
    (1..=4).for_each(|n| w.create(n, 10, Tier::Disk));
    (5..=14).for_each(|n| w.create(n, 10, Tier::Ram));
    run(&mut w);
    assert_eq!((w.used(Tier::Ram), w.used(Tier::Disk)), (100, 40));
    let looks = w.ledger.looks();
    for _ in 0..100 {
        assert!(!w.ledger.eviction_due(), "there is nobody to look at");
        assert_eq!(w.evict_some(5), 0);
    }
    assert_eq!(w.ledger.looks(), looks);
    w.delete(1, false).unwrap();
    w.settle();
    run(&mut w);
    assert_eq!((w.used(Tier::Ram), w.used(Tier::Disk)), (90, 40), "one had room to go to");
}

#[test]
fn a_full_disk_deletes_only_what_its_policy_lets_go() {
    let mut w = world([0, 100, 100, 0]);
    for n in 1..=10 {
        let policy = if n % 2 == 0 { VOID } else { EvictionPolicy::default() };
        w.create_as(AllocateRequest { policy, ..request(n, 10, Tier::Disk) });
    }
    run(&mut w);
    let left: Vec<u64> = (1..=10).filter(|n| w.ledger.descriptor(id(*n), w.now).is_ok()).collect();
    assert_eq!(left, [1, 3, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn it_sleeps_until_a_lease_ends() {
    let mut w = world([0, 100, 1_000, 0]);
    (1..=10).for_each(|n| w.create(n, 10, Tier::Ram));
    let leases: Vec<_> = (1..=10).map(|n| w.lease(n)).collect();
    run(&mut w);
    assert_eq!(w.used(Tier::Ram), 100);
    w.release(leases[3]);
    assert!(w.ledger.eviction_due());
    run(&mut w);
    assert_eq!((w.used(Tier::Ram), w.tier(4)), (90, Some(Tier::Disk)));
    w.tick(1_000_000);
    run(&mut w);
    assert_eq!(w.used(Tier::Ram), 80, "leases that run out are leases that end");
}

#[test]
fn it_sleeps_until_a_pin_is_over() {
    let mut w = world([0, 100, 1_000, 0]);
    (1..=10).for_each(|n| w.create(n, 10, Tier::Ram));
    w.pin(1, Some(Pin::UntilUnpinned)).unwrap();
    (2..=10).for_each(|n| w.pin(n, Some(Pin::Until(UnixMillis(w.now.wall.0 + n * 1_000)))).unwrap());
    run(&mut w);
    assert_eq!(w.used(Tier::Ram), 100);
    assert_eq!(w.ledger.next_timer(), Some(UnixMillis(w.now.wall.0 + 2_000)), "the first pin's end wakes the shell");
    w.tick(2_000);
    run(&mut w);
    assert_eq!(w.tier(2), Some(Tier::Disk));
    w.pin(1, None).unwrap();
    run(&mut w);
    assert_eq!((w.used(Tier::Ram), w.tier(1)), (80, Some(Tier::Disk)));
}

#[test]
fn a_pin_that_is_made_longer_holds_longer() {
    let mut w = world([0, 100, 1_000, 0]);
    (1..=10).for_each(|n| w.create(n, 10, Tier::Ram));
    (1..=10).for_each(|n| w.pin(n, Some(Pin::Until(UnixMillis(w.now.wall.0 + 1_000)))).unwrap());
    run(&mut w);
    (1..=10).for_each(|n| w.pin(n, Some(Pin::Until(UnixMillis(w.now.wall.0 + 5_000)))).unwrap());
    w.tick(1_000);
    run(&mut w);
    assert_eq!(w.used(Tier::Ram), 100);
    w.tick(4_000);
    run(&mut w);
    assert_eq!(w.used(Tier::Ram), 80);
}

#[test]
fn a_payload_that_is_committed_later_wakes_it() {
    let mut w = world([0, 100, 1_000, 0]);
    (1..=9).for_each(|n| w.create(n, 10, Tier::Ram));
    for n in 1..=9 {
        w.lease(n);
    }
    w.allocate(request(10, 10, Tier::Ram)).unwrap();
    w.settle();
    run(&mut w);
    assert_eq!(w.used(Tier::Ram), 100);
    w.commit(10).unwrap();
    w.settle();
    assert!(w.ledger.eviction_due());
    run(&mut w);
    assert_eq!(w.tier(10), Some(Tier::Disk));
}

#[test]
fn evicting_what_has_a_twin_writes_nothing() {
    let mut w = world([0, 100, 1_000, 0]);
    (1..=10).for_each(|n| w.create(n, 10, Tier::Disk));
    for n in 1..=10 {
        w.promote(n, Tier::Ram).unwrap();
        w.settle();
    }
    w.evict_some(10);
    assert!(w.jobs.iter().all(|job| matches!(job, Job::Free(..))), "bytes only go: {:?}", w.jobs);
    run(&mut w);
    assert_eq!(w.used(Tier::Ram), 80);
}

/// The counting test: what an event costs when a hundred thousand payloads are kept.
#[test]
fn an_event_costs_a_look_at_whom_it_is_about_not_at_all_that_are_kept() {
    const MANY: u64 = 100_000;
    let limits = Limits { watermarks: Watermarks { high: 50, low: 1 }, ..limits([0, MANY * 10, MANY * 100, 0]) };
    let mut ledger = plain::ledger(limits);
    let mut leases = Vec::new();
    for n in 1..=MANY - 10 {
        plain::create(&mut ledger, request(n, 10, Tier::Ram));
        let request = payload_manager_core::ledger::AcquireRequest {
            id: id(n),
            min_tier: None,
            duration_ms: 0,
            takes_part: false,
        };
        let payload_manager_core::ledger::Acquired::Granted(grant) = ledger.acquire(request, NOW).unwrap() else {
            panic!("any tier will do")
        };
        leases.push(grant.lease);
    }
    assert!(ledger.eviction_due());
    assert!(ledger.plan_eviction(4, NOW).is_empty(), "everybody is read");
    assert!(!ledger.eviction_due());
    let all = ledger.looks();
    assert!(all <= 3 * MANY, "{all} looks to find out about {MANY}");
    for (n, lease) in leases.into_iter().take(1_000).enumerate() {
        ledger.release(lease);
        assert!(ledger.eviction_due());
        assert_eq!(ledger.plan_eviction(4, NOW).len(), 1);
        assert!(!ledger.eviction_due(), "after event {n}");
    }
    let looks = ledger.looks() - all;
    assert!(looks <= 3 * 1_000, "{looks} looks for a thousand leases that ended");
    let before = ledger.looks();
    for _ in 0..1_000 {
        assert!(ledger.plan_room(Tier::Ram, MANY * 9, NOW).is_err(), "a huge one finds no room");
    }
    assert_eq!(ledger.looks(), before, "and bothers nobody");
}
