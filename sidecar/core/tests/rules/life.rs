//! Allocate, commit, abort, delete, expire, pin.

use payload_manager_core::Refusal;
use payload_manager_core::board::BlockState;
use payload_manager_core::facts::{Phase, Pin};
use payload_manager_core::ledger::AllocateRequest;
use payload_manager_types::{EvictionPolicy, PayloadState, Priority, SpillTarget, Tier, UnixMillis, YEAR_9999_END};

use crate::board::Room;
use crate::world::{Did, Job, ROOM, World, id, limits, request};

#[test]
fn a_payload_lives_from_allocation_to_nothing_left() {
    for tier in [Tier::Ram, Tier::Disk, Tier::Object] {
        let mut w = World::new([0, 100, 100, 100]);
        w.allocate(request(1, 40, tier)).unwrap();
        assert_eq!(w.ledger.descriptor(id(1), w.now), Err(Refusal::NotFound { id: id(1) }), "not made yet");
        assert_eq!(w.used(tier), 40, "counted at reservation");
        w.settle();
        assert_eq!((w.get(1).state, w.get(1).facts.version), (PayloadState::Allocated, 1));
        w.commit(1).unwrap();
        w.settle();
        let committed = if tier == Tier::Ram { PayloadState::Active } else { PayloadState::Durable };
        assert_eq!((w.get(1).state, w.get(1).facts.version, w.tier(1)), (committed, 2, Some(tier)));
        w.delete(1, false).unwrap();
        assert_eq!(w.ledger.descriptor(id(1), w.now), Err(Refusal::NotFound { id: id(1) }));
        w.settle();
        w.check_nothing_left();
    }
}

#[test]
fn what_is_refused_at_allocation_takes_nothing() {
    let mut w = World::with(limits([0, 100, 0, 0]), Room { records: 2, ..ROOM });
    let full = Refusal::TierFull { tier: Tier::Ram, asked: 101, free: 100, capacity: 100 };
    assert_eq!(w.allocate(request(1, 101, Tier::Ram)), Err(full));
    assert_eq!(w.allocate(request(1, 1, Tier::Disk)), Err(Refusal::NotConfigured { tier: Tier::Disk }));
    let too_late = AllocateRequest { ttl_ms: u64::MAX, ..request(1, 1, Tier::Ram) };
    assert_eq!(w.allocate(too_late), Err(Refusal::TimeTooLate { ttl_ms: u64::MAX }));
    let too_large = Refusal::SizeLimit { asked: (1 << 40) + 1, limit: 1 << 40 };
    assert_eq!(w.allocate(request(1, (1 << 40) + 1, Tier::Ram)), Err(too_large));
    w.create(1, 10, Tier::Ram);
    w.create(2, 10, Tier::Ram);
    assert_eq!(w.allocate(request(3, 10, Tier::Ram)), Err(Refusal::PayloadLimit { limit: 2 }), "no record left");
    assert_eq!(w.used(Tier::Ram), 20);
    w.check();
}

#[test]
fn allocations_under_way_count_as_payloads() {
    let mut w = World::with(payload_manager_core::ledger::Limits { max_payloads: 2, ..limits([0, 100, 0, 0]) }, ROOM);
    w.allocate(request(1, 1, Tier::Ram)).unwrap();
    w.allocate(request(2, 1, Tier::Ram)).unwrap();
    assert_eq!(w.allocate(request(3, 1, Tier::Ram)), Err(Refusal::PayloadLimit { limit: 2 }));
    w.work(0, false);
    w.allocate(request(3, 1, Tier::Ram)).unwrap();
    w.settle();
}

#[test]
fn space_that_can_not_be_made_leaves_nothing() {
    let mut w = World::new([0, 100, 100, 0]);
    for tier in [Tier::Ram, Tier::Disk] {
        w.allocate(request(1, 60, tier)).unwrap();
        w.work(0, false);
        w.check_nothing_left();
    }
}

#[test]
fn a_payload_is_committed_once() {
    let mut w = World::new([0, 100, 0, 0]);
    w.allocate(request(1, 10, Tier::Ram)).unwrap();
    w.settle();
    w.commit(1).unwrap();
    let during = Refusal::AlreadyCommitted { id: id(1), state: PayloadState::Allocated };
    assert_eq!(w.commit(1), Err(during), "while its commit is carried out");
    w.settle();
    let after = Refusal::AlreadyCommitted { id: id(1), state: PayloadState::Active };
    assert_eq!(w.commit(1), Err(after));
    assert_eq!(w.ledger.finish_commit(id(1), None, w.now), Err(after), "a commit that nobody began");
    assert_eq!(w.commit(2), Err(Refusal::NotFound { id: id(2) }));
}

#[test]
fn a_commit_that_fails_can_be_tried_again() {
    let mut w = World::new([0, 100, 0, 0]);
    w.allocate(request(1, 10, Tier::Ram)).unwrap();
    w.settle();
    w.commit(1).unwrap();
    let before = w.get(1);
    w.work(0, false);
    assert_eq!(w.get(1), before);
    w.commit(1).unwrap();
    w.settle();
    assert_eq!(w.get(1).state, PayloadState::Active);
}

#[test]
fn a_commit_that_finds_the_directory_full_changes_nothing() {
    let mut w = World::with(limits([0, 100, 0, 0]), Room { entries: 1, ..ROOM });
    w.create(1, 10, Tier::Ram);
    w.allocate(request(2, 10, Tier::Ram)).unwrap();
    w.settle();
    let before = w.get(2);
    let (_, _, _) = w.ledger.begin_commit(id(2), w.now).unwrap();
    let sum = Some(crate::world::SUM);
    assert_eq!(w.ledger.finish_commit(id(2), sum, w.now), Err(Refusal::PayloadLimit { limit: 1 }));
    assert!(w.ledger.abort_commit(id(2)).is_none());
    assert_eq!(w.get(2), before, "checksum, version and time of reclaim, too");
    w.check();
    w.tick(600_000);
    assert!(w.ledger.descriptor(id(2), w.now).is_err(), "and it is still reclaimed if nobody tries again");
}

#[test]
fn the_record_is_live_before_the_entry_is_open() {
    let mut w = World::new([0, 100, 0, 0]);
    w.create(1, 10, Tier::Ram);
    // The board checks the order at every write.
    let (state, record) = w.pages().records.values().next().unwrap();
    assert_eq!((*state, record.version, record.reclaim_at), (BlockState::Live, 2, None));
    assert_eq!(record.block.map(|b| b.generation), Some(1));
}

#[test]
fn an_abandoned_allocation_is_reclaimed() {
    for tier in [Tier::Ram, Tier::Disk] {
        let mut w = World::new([0, 100, 100, 0]);
        w.allocate(request(1, 10, tier)).unwrap();
        w.settle();
        w.tick(599_999);
        assert!(w.jobs.is_empty());
        w.tick(1);
        w.settle();
        w.check_nothing_left();
    }
}

#[test]
fn an_allocation_is_not_abandoned_while_its_commit_is_carried_out() {
    let mut w = World::new([0, 100, 0, 0]);
    for (n, well) in [(1, true), (2, false)] {
        w.allocate(request(n, 10, Tier::Ram)).unwrap();
        w.settle();
        w.commit(n).unwrap();
        w.tick(600_000);
        assert_eq!(w.jobs.len(), 1, "nothing but the commit");
        w.work(0, well);
        w.tick(0);
        w.settle();
    }
    assert_eq!(w.get(1).state, PayloadState::Active);
    assert!(w.ledger.descriptor(id(2), w.now).is_err(), "its commit failed, and its time was over");
    w.check();
}

#[test]
fn a_time_of_reclaim_beyond_all_times_is_the_last_of_them() {
    let mut w = World::new([0, 100, 0, 0]);
    w.allocate(AllocateRequest { reclaim_after_ms: u64::MAX, ..request(1, 10, Tier::Ram) }).unwrap();
    w.settle();
    assert_eq!(w.get(1).facts.reclaim_at, Some(YEAR_9999_END), "none at all would say: filled by the daemon");
}

#[test]
fn a_payload_expires_at_its_time_to_the_millisecond() {
    let mut w = World::new([0, 100, 0, 0]);
    w.create_as(AllocateRequest { ttl_ms: 500, ..request(1, 10, Tier::Ram) });
    w.tick(499);
    assert_eq!(w.get(1).facts.expires, Some(UnixMillis(1_000_500)));
    w.now.wall.0 += 1;
    assert!(w.ledger.descriptor(id(1), w.now).is_err(), "from that moment on, swept or not");
    assert_eq!(w.delete(1, true), Err(Refusal::NotFound { id: id(1) }));
    let page = w.ledger.page(None, 10, None, w.now);
    assert_eq!((page.rows.len(), page.total), (0, 0));
    w.tick(0);
    w.settle();
    w.check_nothing_left();
}

#[test]
fn expiry_and_reclaim_at_the_same_moment_are_two_timers() {
    let mut w = World::new([0, 100, 0, 0]);
    w.create_as(AllocateRequest { ttl_ms: 600_000, ..request(1, 10, Tier::Ram) });
    w.tick(600_000);
    w.settle();
    w.check_nothing_left();
}

#[test]
fn a_payload_that_expires_during_its_commit_is_not_freed_under_the_seal() {
    for tier in [Tier::Ram, Tier::Disk] {
        let mut w = World::new([0, 100, 100, 0]);
        w.allocate(AllocateRequest { ttl_ms: 5, ..request(1, 10, tier) }).unwrap();
        w.settle();
        w.commit(1).unwrap();
        w.tick(5);
        w.work(1, true);
        assert!(w.has_bytes(1, tier) && w.used(tier) == 10);
        w.settle();
        w.check_nothing_left();
    }
}

#[test]
fn a_payload_deleted_during_its_commit_is_gone_with_its_row() {
    for (stages, tier) in [(0, Tier::Ram), (0, Tier::Disk), (1, Tier::Disk)] {
        let mut w = World::new([0, 100, 100, 0]);
        w.allocate(request(1, 10, tier)).unwrap();
        w.settle();
        w.commit(1).unwrap();
        (0..stages).for_each(|_| w.work(0, true));
        w.delete(1, false).unwrap();
        let Some(Job::Bury(deletion)) = w.jobs.last() else { panic!("a deletion") };
        assert_eq!(deletion.durable, tier.is_durable(), "the commit may have written its row");
        assert!(deletion.free.is_empty(), "a tier is still at it");
        w.settle();
        w.check_nothing_left();
    }
}

#[test]
fn a_deleted_file_that_was_never_committed_is_doomed_until_it_is_gone() {
    let mut w = World::new([0, 0, 100, 0]);
    w.allocate(request(1, 10, Tier::Disk)).unwrap();
    w.settle();
    w.delete(1, false).unwrap();
    let Some(Job::Bury(deletion)) = w.jobs.last() else { panic!("a deletion") };
    assert_eq!((deletion.files.len(), deletion.files[0].block), (1, None));
    w.settle();
    w.check_nothing_left();
}

#[test]
fn delete_without_force_is_refused_under_a_lease_and_changes_nothing() {
    let mut w = World::new([0, 100, 0, 0]);
    w.create(1, 10, Tier::Ram);
    let lease = w.lease(1);
    let (before, face) = (w.get(1), *w.pages().face_of(id(1)).unwrap());
    assert_eq!(w.delete(1, false), Err(Refusal::Leased { id: id(1), leases: 1 }));
    assert_eq!((w.get(1), *w.pages().face_of(id(1)).unwrap()), (before, face), "open again, same version");
    w.lease(1);
    w.release(lease);
    assert_eq!(w.delete(1, false), Err(Refusal::Leased { id: id(1), leases: 1 }));
    w.tick(20_000);
    w.delete(1, false).unwrap();
    w.settle();
    w.check_nothing_left();
}

#[test]
fn delete_with_force_ends_every_claim_and_keeps_the_bytes_until_they_are_given_back() {
    let mut w = World::new([0, 100, 0, 0]);
    w.create(1, 10, Tier::Ram);
    let (first, second) = (w.lease(1), w.lease(1));
    w.delete(1, true).unwrap();
    assert_eq!(w.ledger.stats().leases, 0);
    assert_eq!(w.ledger.renew(first, 0, w.now), Err(Refusal::LeaseOver));
    w.settle();
    w.release(first);
    w.settle();
    assert!(w.has_bytes(1, Tier::Ram) && w.used(Tier::Ram) == 10, "the other one still reads");
    assert_eq!(w.ledger.stats().backlog_bytes, 10);
    w.release(second);
    w.settle();
    w.check_nothing_left();
}

#[test]
fn an_expired_payload_keeps_its_bytes_until_its_leases_end() {
    let mut w = World::new([0, 100, 0, 0]);
    w.create_as(AllocateRequest { ttl_ms: 1_000, ..request(1, 10, Tier::Ram) });
    let lease = w.lease_for(1, 5_000).unwrap().lease;
    w.tick(1_000);
    w.settle();
    assert!(w.has_bytes(1, Tier::Ram));
    assert!(w.ledger.renew(lease, 6_000, w.now).is_ok(), "a live lease runs to its end");
    w.tick(6_000);
    w.settle();
    w.check_nothing_left();
}

#[test]
fn a_pin_keeps_the_fastest_copy_and_changes_no_version() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    let row = w.ledger.pin(id(1), Some(Pin::Until(UnixMillis(1_000_100))), w.now).unwrap();
    assert_eq!((row.pin, row.version, row.phase), (Some(Pin::Until(UnixMillis(1_000_100))), 2, Phase::Committed));
    assert_eq!(w.spill(1, Tier::Disk), Err(Refusal::Pinned { id: id(1) }));
    assert_eq!(w.ledger.check_void(id(1), w.now), Err(Refusal::Pinned { id: id(1) }));
    assert!(w.make_room(Tier::Ram, 100).is_err());
    w.tick(100);
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Copying));
    w.settle();
    w.ledger.pin(id(1), Some(Pin::UntilUnpinned), w.now).unwrap();
    assert_eq!(w.promote(1, Tier::Ram), Ok(Did::Copying), "a faster copy is welcome");
    w.settle();
    assert_eq!(w.spill(1, Tier::Disk), Err(Refusal::Pinned { id: id(1) }));
    assert_eq!(w.ledger.pin(id(1), None, w.now).unwrap().pin, None);
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Dropped));
    assert_eq!(w.ledger.pin(id(2), None, w.now), Err(Refusal::NotFound { id: id(2) }));
    w.settle();
}

#[test]
fn what_is_not_committed_can_not_be_moved_leased_or_pinned() {
    let mut w = World::new([0, 100, 100, 0]);
    w.allocate(request(1, 10, Tier::Ram)).unwrap();
    w.settle();
    let refusal = Refusal::NotCommitted { id: id(1) };
    assert_eq!(w.spill(1, Tier::Disk), Err(refusal));
    assert_eq!(w.promote(1, Tier::Gpu), Err(refusal));
    assert_eq!(w.lease_for(1, 0).map(|g| g.lease), Err(refusal));
    assert_eq!(w.ledger.pin(id(1), None, w.now), Err(refusal));
    assert_eq!(w.ledger.check_committed(id(1), w.now), Err(refusal));
    assert_eq!(w.ledger.check_void(id(1), w.now), Err(refusal));
}

#[test]
fn void_is_refused_by_a_policy_that_keeps_the_payload() {
    let mut w = World::new([0, 100, 0, 0]);
    let void = EvictionPolicy { spill_target: Some(SpillTarget::Void), ..EvictionPolicy::default() };
    let durable = EvictionPolicy { require_durable: true, ..void };
    let floor = EvictionPolicy { min_residency: Some(Tier::Object), ..void };
    for (n, policy, refusal) in [
        (1, void, Ok(())),
        (2, durable, Err(Refusal::RequireDurable { id: id(2) })),
        (3, floor, Err(Refusal::MinResidency { id: id(3), floor: Tier::Object })),
        (4, EvictionPolicy { priority: Priority::Never, ..void }, Ok(())),
    ] {
        w.create_as(AllocateRequest { policy, ..request(n, 10, Tier::Ram) });
        assert_eq!(w.ledger.check_void(id(n), w.now), refusal);
    }
}

#[test]
fn a_spare_takes_what_a_payload_would_and_gives_it_back() {
    let mut world = World::new([0, 1000, 1000, 0]);
    world.create(1, 700, Tier::Ram);
    let used = world.used(Tier::Ram);
    let spare = world.ledger.spare(Tier::Ram, 200).unwrap();
    assert_eq!(world.used(Tier::Ram), used + 200);
    let capacity = world.ledger.limits().capacity[Tier::Ram.index()].unwrap();
    let refused = world.ledger.spare(Tier::Ram, capacity - used).unwrap_err();
    let full = Refusal::TierFull { tier: Tier::Ram, asked: capacity - used, free: capacity - used - 200, capacity };
    assert_eq!(refused, full);
    world.ledger.give_back(spare);
    assert_eq!(world.used(Tier::Ram), used);
}
