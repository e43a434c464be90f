//! Promote and spill: what they write, drop, keep, and who wins a race.

use payload_manager_core::Refusal;
use payload_manager_core::board::BlockState;
use payload_manager_core::ledger::AllocateRequest;
use payload_manager_types::{EvictionPolicy, PayloadState, Place, Priority, Tier, TierSet};

use crate::board::Room;
use crate::world::{Did, Job, ROOM, SUM, World, id, limits, request};

fn tiers(of: &[Tier]) -> TierSet {
    of.iter().copied().collect()
}

#[test]
fn a_twin_that_is_gone_is_made_again_and_costs_no_bytes() {
    let mut w = World { looks_later: true, ..World::new([0, 100, 100, 0]) };
    w.create(1, 10, Tier::Disk);
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    let before = w.get(1);
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Checking));
    assert_eq!(w.get(1), before, "nothing is shown of it");
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Busy), "one at a time");
    w.work(0, false);
    w.settle();
    assert_eq!((w.tier(1), w.get(1).copies.iter().collect::<Vec<_>>()), (Some(Tier::Ram), vec![Tier::Ram]));
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Copying), "it is written again");
    w.settle();
    assert_eq!(w.tier(1), Some(Tier::Disk));
}

#[test]
fn a_payload_that_is_deleted_while_its_twin_is_looked_at_is_gone() {
    let mut w = World { looks_later: true, ..World::new([0, 100, 100, 0]) };
    w.create(1, 10, Tier::Disk);
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    w.spill(1, Tier::Disk).unwrap();
    w.delete(1, false).unwrap();
    w.settle();
    w.check_nothing_left();
}

#[test]
fn a_twin_that_was_deleted_with_its_payload_is_not_lost() {
    let mut w = World { looks_later: true, ..World::new([0, 100, 100, 0]) };
    w.create(1, 10, Tier::Disk);
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    w.spill(1, Tier::Disk).unwrap();
    let Job::Check(check) = w.jobs.remove(0) else { panic!("it is not looked for") };
    w.delete(1, false).unwrap();
    assert!(w.ledger.twin_lost(check).is_none(), "there is nothing to be told or to be set aside");
    w.settle();
    w.check_nothing_left();
}

#[test]
fn spill_drops_the_faster_copy_and_shows_durable() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Ram);
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Copying));
    assert_eq!((w.get(1).state, w.get(1).facts.version), (PayloadState::Spilling, 3));
    assert_eq!((w.used(Tier::Ram), w.used(Tier::Disk)), (40, 40), "both, until it is done");
    w.lease(1);
    w.settle();
    let now = w.get(1);
    assert_eq!((now.state, now.copies, now.facts.version), (PayloadState::Durable, tiers(&[Tier::Disk]), 4));
    assert_eq!(now.facts.checksum, Some(SUM));
    assert_eq!(w.outside.rows[&id(1)].version, 4, "the row that was written says the same");
}

#[test]
fn promote_keeps_the_slower_copy_and_a_second_spill_writes_nothing() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Disk);
    assert_eq!(w.promote(1, Tier::Ram), Ok(Did::Copying));
    assert_eq!((w.get(1).state, w.get(1).facts.version), (PayloadState::Durable, 2), "nothing to see yet");
    w.settle();
    let now = w.get(1);
    assert_eq!((now.copies, now.facts.version), (tiers(&[Tier::Ram, Tier::Disk]), 3));
    assert_eq!(now.state, PayloadState::Durable, "its durable copy is still there");
    assert_eq!(w.promote(1, Tier::Ram), Ok(Did::There));
    assert_eq!(w.get(1).facts.version, 3);
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Dropped));
    assert!(w.jobs.iter().all(|job| matches!(job, Job::Free(..))));
    w.settle();
    assert_eq!((w.tier(1), w.get(1).facts.version, w.used(Tier::Ram)), (Some(Tier::Disk), 4, 0));
}

#[test]
fn one_transfer_a_payload_at_a_time_and_the_second_asker_finds_it_done() {
    let mut w = World::new([0, 100, 100, 100]);
    w.create(1, 40, Tier::Ram);
    w.spill(1, Tier::Disk).unwrap();
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Busy));
    assert_eq!(w.spill(1, Tier::Object), Ok(Did::Busy));
    w.settle();
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::There));
    w.promote(1, Tier::Ram).unwrap();
    assert_eq!(w.promote(1, Tier::Ram), Ok(Did::Busy));
    assert_eq!(w.spill(1, Tier::Object), Ok(Did::Busy));
    w.settle();
}

#[test]
fn directions_and_policies_are_respected() {
    let mut w = World::new([0, 100, 100, 100]);
    let policy = EvictionPolicy { min_residency: Some(Tier::Disk), ..EvictionPolicy::default() };
    w.create_as(AllocateRequest { policy, ..request(1, 10, Tier::Disk) });
    let (id, have) = (id(1), Tier::Disk);
    assert_eq!(w.spill(1, Tier::Ram), Err(Refusal::SpillToFaster { id, have, want: Tier::Ram }));
    assert_eq!(w.promote(1, Tier::Object), Err(Refusal::PromoteToSlower { id, have, want: Tier::Object }));
    assert_eq!(w.promote(1, Tier::Gpu), Err(Refusal::NotConfigured { tier: Tier::Gpu }));
    assert_eq!(w.spill(1, Tier::Object), Err(Refusal::MinResidency { id, floor: Tier::Disk }));
    assert_eq!(w.promote(1, Tier::Ram), Ok(Did::Copying));
    w.settle();
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Dropped), "down to the floor");
    w.settle();
}

#[test]
fn what_eviction_may_never_take_can_be_spilled_by_hand() {
    let mut w = World::new([0, 100, 100, 0]);
    let policy = EvictionPolicy { priority: Priority::Never, ..EvictionPolicy::default() };
    w.create_as(AllocateRequest { policy, no_evict: true, ..request(1, 10, Tier::Ram) });
    assert!(w.make_room(Tier::Ram, 100).is_err());
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Copying));
    w.settle();
    assert_eq!(w.tier(1), Some(Tier::Disk));
}

#[test]
fn a_full_target_refuses_and_nothing_changes() {
    let mut w = World::with(limits([100, 100, 30, 0]), Room { records: 1, ..ROOM });
    w.create(1, 40, Tier::Ram);
    let before = w.get(1);
    let full = Refusal::TierFull { tier: Tier::Disk, asked: 40, free: 30, capacity: 30 };
    assert_eq!(w.spill(1, Tier::Disk), Err(full));
    assert_eq!((w.get(1), w.used(Tier::Disk)), (before, 0));
    w.create(2, 10, Tier::Disk);
    let before = w.get(2);
    assert_eq!(w.promote(2, Tier::Ram), Err(Refusal::PayloadLimit { limit: 1 }), "no record left");
    assert_eq!((w.get(2), w.used(Tier::Ram)), (before, 40));
    w.check();
}

#[test]
fn a_transfer_that_fails_restores_what_was() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Ram);
    for stage in [0, 1] {
        let version = w.get(1).facts.version;
        w.spill(1, Tier::Disk).unwrap();
        (0..stage).for_each(|_| w.work(0, true));
        w.work(0, false);
        let now = w.get(1);
        assert_eq!((now.state, now.copies), (PayloadState::Active, tiers(&[Tier::Ram])));
        assert_eq!(now.facts.version, version + 2, "SPILLING was shown, and is no more");
        assert_eq!(w.used(Tier::Disk), 0);
        w.check();
    }
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    w.promote(1, Tier::Ram).unwrap();
    let version = w.get(1).facts.version;
    w.work(0, false);
    assert_eq!((w.get(1).facts.version, w.pages().records.len()), (version, 0), "nothing was ever shown");
    w.check();
}

#[test]
fn a_transfer_raced_by_delete_leaves_nothing() {
    for (from, to, spill) in [(Tier::Ram, Tier::Disk, true), (Tier::Disk, Tier::Ram, false)] {
        for (stages, well) in [(0, true), (1, true), (2, true), (0, false), (1, false)] {
            let mut w = World::new([0, 100, 100, 0]);
            w.create(1, 40, from);
            if spill { w.spill(1, to) } else { w.promote(1, to) }.unwrap();
            (0..stages).for_each(|_| w.work(0, true));
            w.delete(1, false).unwrap();
            let Some(Job::Bury(deletion)) = w.jobs.last() else { panic!("a deletion") };
            assert!(deletion.files.iter().any(|f| f.tier == Tier::Disk), "the file in the making, too");
            w.work(0, well);
            w.settle();
            w.check_nothing_left();
        }
    }
}

#[test]
fn a_transfer_raced_by_expiry_leaves_nothing() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create_as(AllocateRequest { ttl_ms: 10, ..request(1, 40, Tier::Ram) });
    w.spill(1, Tier::Disk).unwrap();
    w.work(0, true);
    w.tick(10);
    w.settle();
    w.check_nothing_left();
}

#[test]
fn promote_takes_back_a_block_that_a_lease_still_keeps() {
    let mut w = World::new([0, 40, 100, 0]);
    w.create(1, 40, Tier::Ram);
    let lease = w.lease(1);
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    assert_eq!(w.promote(1, Tier::Ram), Ok(Did::There), "never blocked by leases, and no room needed");
    let now = w.get(1);
    assert_eq!((now.copies, now.facts.version), (tiers(&[Tier::Ram, Tier::Disk]), 5));
    assert_eq!((w.used(Tier::Ram), w.ledger.stats().backlog_blocks), (40, 0));
    w.release(lease);
    w.settle();
    assert!(w.has_bytes(1, Tier::Ram), "it is a copy again, lease or not");
    w.check();
}

#[test]
fn promote_waits_for_a_block_that_is_being_freed() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Disk);
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    w.spill(1, Tier::Disk).unwrap();
    assert_eq!(w.promote(1, Tier::Ram), Ok(Did::Busy), "its object has the same name");
    w.settle();
    assert_eq!(w.promote(1, Tier::Ram), Ok(Did::Copying));
    w.settle();
}

#[test]
fn bad_bytes_are_not_taken_back() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Disk);
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    let lease = w.lease(1);
    w.lose(1, Tier::Ram);
    assert_eq!(w.tier(1), Some(Tier::Disk));
    assert_eq!(w.get(1).facts.copies, tiers(&[Tier::Disk]), "memory is not owed: the file has it all");
    assert_eq!(w.promote(1, Tier::Ram), Ok(Did::Busy));
    w.release(lease);
    w.settle();
    assert_eq!(w.promote(1, Tier::Ram), Ok(Did::Copying));
    w.settle();
}

#[test]
fn a_spill_between_volatile_tiers_has_its_record_live() {
    let mut w = World::new([100, 100, 0, 0]);
    w.create(1, 40, Tier::Gpu);
    w.spill(1, Tier::Ram).unwrap();
    w.settle();
    let (state, record) = w.pages().records.values().next().unwrap();
    assert_eq!((*state, record.version), (BlockState::Live, w.get(1).facts.version));
    let lease = w.lease(1);
    w.promote(1, Tier::Gpu).unwrap();
    w.settle();
    w.spill(1, Tier::Ram).unwrap();
    w.settle();
    w.release(lease);
    w.check();
}

#[test]
fn a_copy_is_made_beside_the_faster_one_so_that_something_outlives_it() {
    let mut w = World::new([100, 100, 100, 0]);
    w.create(1, 40, Tier::Gpu);
    assert!(w.get(1).dies_with_daemon());
    assert_eq!(w.ledger.on_cards().len(), 1);
    for (to, dies) in [(Tier::Disk, false), (Tier::Ram, false)] {
        assert_eq!(w.back_up(1, to), Ok(Did::Copying));
        assert!(w.ledger.on_cards().is_empty(), "something is done with it");
        w.settle();
        assert_eq!((w.tier(1), w.get(1).dies_with_daemon()), (Some(Tier::Gpu), dies));
        assert_eq!(w.back_up(1, to), Ok(Did::There));
    }
    assert_eq!(w.get(1).copies, tiers(&[Tier::Gpu, Tier::Ram, Tier::Disk]));
    w.spill(1, Tier::Ram).unwrap();
    w.settle();
    assert!(matches!(w.back_up(1, Tier::Gpu), Err(Refusal::SpillToFaster { .. })));
    w.check();
}

#[test]
fn a_spill_takes_back_a_held_block_in_the_tier_it_goes_to() {
    let mut w = World::new([100, 100, 100, 0]);
    w.create(1, 40, Tier::Ram);
    w.lease(1);
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    w.promote(1, Tier::Gpu).unwrap();
    w.settle();
    let version = w.get(1).facts.version;
    assert_eq!(w.spill(1, Tier::Ram), Ok(Did::Dropped));
    w.settle();
    assert_eq!((w.get(1).copies, w.get(1).facts.version), (tiers(&[Tier::Ram, Tier::Disk]), version + 1));
}

#[test]
fn losing_the_source_of_a_spill_does_not_lose_what_it_wrote() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Ram);
    w.spill(1, Tier::Disk).unwrap();
    w.work(0, true);
    w.lose(1, Tier::Ram);
    w.check();
    w.settle();
    assert_eq!((w.tier(1), w.get(1).state), (Some(Tier::Disk), PayloadState::Durable));
    w.lease(1);
    w.check();
}

#[test]
fn a_payload_whose_durable_copy_is_lost_stays_durable_and_can_be_written_again() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Disk);
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    w.lose(1, Tier::Disk);
    w.settle();
    let now = w.get(1);
    assert_eq!(
        (now.state, now.copies, now.facts.copies),
        (PayloadState::Durable, tiers(&[Tier::Ram]), tiers(&[Tier::Ram, Tier::Disk]))
    );
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Copying));
    w.settle();
    assert_eq!(w.get(1).copies, tiers(&[Tier::Disk]));
}

#[test]
fn what_is_freed_is_given_back_once() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Ram);
    w.create(2, 40, Tier::Ram);
    w.spill(1, Tier::Disk).unwrap();
    while !matches!(w.jobs[0], Job::Free(..)) {
        w.work(0, true);
    }
    let Job::Free(block, _) = w.jobs[0] else { panic!("a block") };
    w.settle();
    w.ledger.freed(&block);
    assert_eq!(w.used(Tier::Ram), 40);
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    w.ledger.freed(&block);
    w.check();
    w.lease(1);
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    w.ledger.freed(&block);
    w.check();
    assert_eq!(w.used(Tier::Ram), 80, "a block of that tier that a lease keeps is another block");
}

#[test]
fn never_the_only_copy_what_lies_where_others_come_next_has_no_record_once_it_is_freed() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Ram);
    w.spill(1, Tier::Disk).unwrap();
    while !matches!(w.jobs[0], Job::Free(..)) {
        w.work(0, true);
    }
    let Job::Free(block, again) = w.jobs.remove(0) else { panic!("a block") };
    let mut handed_out = block;
    w.ledger.forget_record(&mut handed_out);
    assert!(w.pages().records.is_empty(), "a start would free the bytes of whoever is there by then");
    assert_eq!((handed_out.record, w.used(Tier::Ram)), (None, 40), "the bytes are still there");
    w.ledger.forget_record(&mut handed_out);
    w.jobs.push(Job::Free(handed_out, again));
    w.settle();
    assert_eq!(w.used(Tier::Ram), 0);
    w.ledger.freed(&block);
    w.delete(1, false).unwrap();
    w.settle();
    w.check_nothing_left();
}

#[test]
fn those_that_may_leave_a_segment_lie_in_it_are_committed_and_nobody_reads_them() {
    let mut w = World::new([0, 1000, 1000, 0]);
    let part = |unit, n: u64| Place { unit, offset: n * 64 };
    for (n, unit) in [(1, 7), (2, 7), (3, 7), (4, 8), (5, 7), (6, 9)] {
        w.allocate(AllocateRequest { place: part(unit, n), ..request(n, 40, Tier::Ram) }).unwrap();
    }
    w.create(7, 40, Tier::Ram);
    w.settle();
    (1..=5).for_each(|n| w.commit(n).unwrap());
    w.settle();
    let lease = w.lease(2);
    w.spill(3, Tier::Disk).unwrap();
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let (ids, next) = w.ledger.movable(&[7, 9], 2, after);
        all.extend(ids);
        match next {
            Some(cursor) => after = Some(cursor),
            None => break,
        }
    }
    assert_eq!(all, [id(5), id(1)], "2 is read, 3 on its way, 4 elsewhere, 6 not committed, 7 in no segment");
    w.release(lease);
    assert_eq!(w.ledger.movable(&[7], 100, None), (vec![id(5), id(2), id(1)], None));
    w.settle();
}
