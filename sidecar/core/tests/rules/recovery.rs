//! What a start makes of what it finds, case by case; `property` crashes anywhere.

use payload_manager_core::backlog::Retired;
use payload_manager_core::board::{BlockState, Board};
use payload_manager_core::facts::{Facts, Phase};
use payload_manager_core::ledger::{Adopted, AllocateRequest};
use payload_manager_types::{BlockName, PayloadState, Place, Tier, TierSet};

use crate::board::Room;
use crate::world::{ROOM, World, id, limits, own, request};

/// Facts of a committed payload in these tiers.
fn facts(n: u64, copies: &[Tier]) -> Facts {
    let mut w = World::new([100, 100, 100, 100]);
    w.create(n, 10, Tier::Disk);
    Facts { copies: copies.iter().copied().collect(), version: 9, ..w.get(n).facts }
}

fn bare(facts: Facts) -> Adopted {
    Adopted { facts, ram: None, found: TierSet::EMPTY, entry: None }
}

#[test]
fn a_ram_payload_and_its_leases_survive_a_kill() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    let (lease, before) = (w.lease(1), w.get(1));
    let mut w = w.crash();
    w.check();
    assert_eq!(w.get(1), before, "the same to the version, row or no row");
    assert!(w.ledger.delete(id(1), false, w.now).is_err(), "the lease is live");
    assert!(w.ledger.renew(lease, 0, w.now).is_ok());
    w.release(lease);
    w.delete(1, false).unwrap();
    w.settle();
    w.check_nothing_left();
}

#[test]
fn a_block_that_a_lease_kept_is_kept_after_a_kill() {
    for delete in [false, true] {
        let mut w = World::new([0, 100, 100, 0]);
        w.create(1, 10, Tier::Ram);
        let lease = w.lease(1);
        w.spill(1, Tier::Disk).unwrap();
        w.settle();
        if delete {
            w.delete(1, true).unwrap();
            w.settle();
        }
        let mut w = w.crash();
        w.settle();
        assert!(w.has_bytes(1, Tier::Ram) && w.ledger.stats().backlog_bytes == 10);
        w.release(lease);
        w.settle();
        assert_eq!((w.has_bytes(1, Tier::Ram), w.used(Tier::Ram)), (false, 0));
        if !delete {
            w.delete(1, false).unwrap();
        }
        w.settle();
        w.check_nothing_left();
    }
}

#[test]
fn a_kill_at_any_stage_of_anything_leaves_it_done_or_undone() {
    for (from, to) in [(Tier::Ram, Tier::Disk), (Tier::Disk, Tier::Ram), (Tier::Disk, Tier::Object)] {
        for stages in 0..12 {
            let mut w = World::new([0, 100, 100, 100]);
            w.create(1, 10, from);
            let version = w.get(1).facts.version;
            if to < from { w.promote(1, to) } else { w.spill(1, to) }.unwrap();
            for _ in 0..stages {
                if !w.jobs.is_empty() {
                    w.work(0, true);
                }
            }
            let mut w = w.crash();
            w.settle();
            let now = w.get(1);
            assert!(now.placement.is_some() && now.facts.version >= version, "{now:?}");
            w.lease(1);
            w.tick(20_000);
            w.delete(1, false).unwrap();
            w.settle();
            w.check_nothing_left();
        }
    }
}

#[test]
fn a_deletion_that_had_begun_is_finished() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    w.outside.flush();
    w.delete(1, false).unwrap();
    let mut w = w.crash();
    assert!(w.ledger.descriptor(id(1), w.now).is_err(), "its record said so");
    w.settle();
    w.check_nothing_left();
}

#[test]
fn what_ran_out_while_nobody_was_there_ends_at_the_start() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create_as(AllocateRequest { ttl_ms: 10, ..request(1, 10, Tier::Ram) });
    w.allocate(request(2, 10, Tier::Disk)).unwrap();
    w.settle();
    w.now.wall.0 += 600_000;
    let mut w = w.crash();
    w.settle();
    w.check_nothing_left();
}

#[test]
fn a_row_that_says_deleting_is_carried_out() {
    let mut w = World::new([0, 100, 100, 0]);
    let row = Facts { phase: Phase::Deleting, ..facts(1, &[Tier::Disk]) };
    let found = TierSet::EMPTY.with(Tier::Disk);
    w.ledger.adopt(Adopted { found, ..bare(row) }).unwrap();
    assert!(w.ledger.descriptor(id(1), w.now).is_err());
    let ended = w.ledger.adopt_ended(w.now);
    assert_eq!((ended.len(), ended[0].files.len(), ended[0].free.len()), (1, 1, 1));
    w.ledger.freed(&ended[0].free[0]);
    assert_eq!(w.used(Tier::Disk), 0);
}

#[test]
fn a_payload_without_any_copy_is_listed_as_lost() {
    for copies in [&[Tier::Ram][..], &[Tier::Disk], &[Tier::Ram, Tier::Object]] {
        let mut w = World::new([0, 100, 100, 100]);
        w.ledger.adopt(bare(facts(1, copies))).unwrap();
        let now = w.get(1);
        assert_eq!(
            (now.placement, now.copies, now.facts.copies),
            (None, TierSet::EMPTY, copies.iter().copied().collect())
        );
        let durable = copies.iter().any(|t| t.is_durable());
        assert_eq!(now.state, if durable { PayloadState::Durable } else { PayloadState::Active }, "monotonic");
        w.delete(1, false).unwrap();
        w.settle();
        w.check_nothing_left();
    }
}

#[test]
fn memory_that_is_gone_is_not_owed_where_a_file_is_left() {
    let mut w = World::new([0, 100, 100, 100]);
    let found = TierSet::EMPTY.with(Tier::Disk);
    w.ledger.adopt(Adopted { found, ..bare(facts(1, &[Tier::Ram, Tier::Disk])) }).unwrap();
    assert_eq!((w.tier(1), w.get(1).facts.copies), (Some(Tier::Disk), found));
}

#[test]
fn more_than_the_capacity_is_adopted_and_nothing_given_out() {
    let mut w = World::new([0, 0, 15, 0]);
    let found = TierSet::EMPTY.with(Tier::Disk);
    for n in [1, 2] {
        w.ledger.adopt(Adopted { found, ..bare(facts(n, &[Tier::Disk])) }).unwrap();
    }
    assert_eq!(w.used(Tier::Disk), 15, "full");
    assert!(w.allocate(request(3, 1, Tier::Disk)).is_err());
}

#[test]
fn a_copy_that_is_gone_since_the_entry_was_written_is_another_version() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Disk);
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    let version = w.get(1).facts.version;
    w.outside.bytes.remove(&own(id(1), Tier::Ram));
    let w = w.crash();
    assert_eq!((w.tier(1), w.get(1).facts.version), (Some(Tier::Disk), version + 1));
}

#[test]
fn a_directory_made_anew_gives_leases_the_entry_that_they_name() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    w.create(2, 10, Tier::Ram);
    let lease = w.lease(2);
    let name = w.pages().slots[&lease].block;
    w.ledger.board_mut().pages.entries.clear();
    let mut w = w.crash();
    w.check();
    assert_eq!(w.pages().entry_of(id(2)), Some(name.index));
    w.spill(2, Tier::Disk).unwrap();
    w.settle();
    assert!(w.has_bytes(2, Tier::Ram), "the lease still keeps it");
    w.release(lease);
    w.settle();
    assert!(!w.has_bytes(2, Tier::Ram));
}

#[test]
fn what_a_payload_still_has_is_no_garbage_whoever_says_so() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    w.create(2, 10, Tier::Disk);
    let (_, record) = *w.pages().records.values().next().unwrap();
    let stale =
        w.ledger.board_mut().reserve_record(&payload_manager_core::board::BlockRecord { block: None, ..record });
    w.ledger.board_mut().mark(stale.unwrap(), BlockState::Retired);
    let block = |n, tier, record| Retired { id: id(n), tier, place: Place::OWN, size: 10, block: None, record };
    assert!(w.ledger.adopt_retired(block(1, Tier::Ram, stale.ok())).is_empty());
    assert!(w.ledger.adopt_retired(block(2, Tier::Disk, None)).is_empty());
    w.check();
    assert_eq!((w.pages().records.len(), w.used(Tier::Disk)), (1, 10), "but a second record is");
}

#[test]
fn a_stale_name_does_not_take_away_the_entry_of_another() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Disk);
    let index = w.pages().entry_of(id(1)).unwrap();
    let mut w = w.crash();
    let block = Some(BlockName { index, generation: 1 });
    let stale = Retired { id: id(9), tier: Tier::Disk, place: Place::OWN, size: 5, block, record: None };
    let free = w.ledger.adopt_retired(stale);
    free.iter().for_each(|block| w.ledger.freed(block));
    assert_eq!(w.pages().entry_of(id(1)), Some(index));
    w.check();
}

#[test]
fn a_full_directory_keeps_the_payload_and_says_so() {
    let mut w = World::with(limits([0, 0, 100, 0]), Room { entries: 1, ..ROOM });
    let found = TierSet::EMPTY.with(Tier::Disk);
    w.ledger.adopt(Adopted { found, ..bare(facts(1, &[Tier::Disk])) }).unwrap();
    assert!(w.ledger.adopt(Adopted { found, ..bare(facts(2, &[Tier::Disk])) }).is_err());
    assert_eq!(w.tier(2), Some(Tier::Disk), "never the only copy");
    w.ledger.delete(id(2), false, w.now).unwrap();
}

#[test]
fn bytes_are_kept_until_the_row_is_gone_even_if_their_last_lease_ends_before() {
    for tier in [Tier::Ram, Tier::Disk] {
        let mut w = World::new([0, 100, 100, 0]);
        w.create(1, 10, tier);
        w.outside.flush();
        let lease = w.lease(1);
        w.delete(1, true).unwrap();
        w.release(lease);
        assert_eq!(w.jobs.len(), 1, "the row goes first");
        let mut w = w.crash();
        w.settle();
        if tier == Tier::Disk {
            assert!(w.get(1).placement.is_some(), "nobody was told that it is deleted, and it is not lost");
            w.delete(1, true).unwrap();
            w.settle();
        }
        w.check_nothing_left();
    }
}
