//! What a lease keeps, for how long, and what it is worth.

use payload_manager_core::Refusal;
use payload_manager_core::ledger::{AcquireRequest, Acquired, AllocateRequest, Limits};
use payload_manager_types::{LeaseDeadline, LeaseId, Place, Protection, Tier, UnixMillis};

use crate::board::Room;
use crate::world::{Did, ROOM, World, id, limits, request};

#[test]
fn lease_pins_copy_until_released() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Ram);
    let lease = w.lease(1);
    assert_eq!(w.spill(1, Tier::Disk), Ok(Did::Copying));
    w.settle();
    assert_eq!(w.tier(1), Some(Tier::Disk), "tiering does not wait for a reader");
    assert!(w.has_bytes(1, Tier::Ram), "and the reader does not notice");
    assert_eq!((w.used(Tier::Ram), w.ledger.stats().backlog_bytes), (40, 40), "honest: that memory is not free");
    assert!(w.ledger.is_leaving(id(1), Tier::Ram));
    w.release(lease);
    w.settle();
    assert_eq!((w.used(Tier::Ram), w.has_bytes(1, Tier::Ram)), (0, false));
    assert!(!w.ledger.is_leaving(id(1), Tier::Ram));
}

#[test]
fn a_copy_is_kept_until_its_last_lease_ends_however_it_ends() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Ram);
    let (released, _runs_out, renewed) = (w.lease(1), w.lease_for(1, 50_000).unwrap(), w.lease_for(1, 10_000).unwrap());
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    assert_eq!(w.ledger.renew(renewed.lease, 60_000, w.now), Ok(UnixMillis(1_060_000)));
    w.release(released);
    w.tick(50_000);
    w.settle();
    assert!(w.has_bytes(1, Tier::Ram));
    w.tick(10_000);
    w.settle();
    assert!(!w.has_bytes(1, Tier::Ram));
    assert_eq!(w.ledger.renew(renewed.lease, 60_000, w.now), Err(Refusal::LeaseOver));
}

#[test]
fn a_lease_that_a_client_gave_back_by_itself_is_found_by_a_look() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Ram);
    let index = w.pages().entry_of(id(1)).unwrap();
    let lease = w.ledger.board_mut().take(index, LeaseDeadline(6_000)).unwrap();
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    w.tick(1_000_000);
    assert_eq!(w.ledger.stats().leases, 0, "its claim has ended");
    let free = w.ledger.sweep_backlog();
    assert!(free.is_empty() && w.has_bytes(1, Tier::Ram), "its bytes stay: nobody can unmap another process");
    w.ledger.board_mut().pages.slots.remove(&lease);
    let free = w.ledger.sweep_backlog();
    w.free(free, false);
    w.settle();
    assert_eq!(w.used(Tier::Ram), 0);
}

#[test]
fn release_of_an_unknown_lease_is_nothing() {
    let mut w = World::new([0, 100, 0, 0]);
    w.create(1, 40, Tier::Ram);
    let lease = w.lease(1);
    w.release(lease);
    w.release(lease);
    w.release(LeaseId::from_words(9, 9));
    assert!(w.jobs.is_empty());
    w.check();
}

#[test]
fn a_lease_lasts_as_long_as_it_is_allowed_to() {
    let mut w = World::new([0, 100, 0, 0]);
    w.create(1, 40, Tier::Ram);
    for (asked, given) in [(0, 20_000), (1, 1), (120_000, 120_000), (u64::MAX, 120_000)] {
        let grant = w.lease_for(1, asked).unwrap();
        assert_eq!((grant.lasts_ms, grant.expires), (given, UnixMillis(1_000_000 + given)));
    }
    let grant = w.lease_for(1, 60_000).unwrap();
    assert_eq!(w.ledger.renew(grant.lease, 1, w.now), Ok(UnixMillis(1_060_000)), "never shortened");
}

#[test]
fn clocks_near_their_end_do_not_overflow() {
    let mut w = World::with(Limits { lease_max_ms: u64::MAX, ..limits([0, 100, 0, 0]) }, ROOM);
    w.create(1, 40, Tier::Ram);
    w.now.monotonic = u64::MAX - 1;
    w.now.wall = UnixMillis(u64::MAX - 1);
    let grant = w.lease_for(1, u64::MAX).unwrap();
    assert_eq!(grant.expires, UnixMillis(u64::MAX));
    assert!(w.ledger.renew(grant.lease, u64::MAX, w.now).is_ok());
}

#[test]
fn a_lease_is_refused_when_no_slot_is_free() {
    let mut w = World::with(limits([0, 100, 0, 0]), Room { leases: 1, ..ROOM });
    w.create(1, 40, Tier::Ram);
    let lease = w.lease(1);
    assert_eq!(w.lease_for(1, 0).map(|g| g.lease), Err(Refusal::LeaseLimit { limit: 1 }));
    w.release(lease);
    w.lease(1);
}

#[test]
fn a_lease_that_needs_a_faster_copy_says_which() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 40, Tier::Disk);
    let mut ask =
        |min_tier| w.ledger.acquire(AcquireRequest { id: id(1), min_tier, duration_ms: 0, takes_part: false }, w.now);
    assert_eq!(ask(Some(Tier::Ram)), Ok(Acquired::TooSlow { have: Tier::Disk, to: Tier::Ram }));
    assert_eq!(ask(Some(Tier::Gpu)), Err(Refusal::NotConfigured { tier: Tier::Gpu }));
    for tier in [None, Some(Tier::Disk), Some(Tier::Object)] {
        assert!(matches!(ask(tier), Ok(Acquired::Granted(_))), "{tier:?}");
    }
}

#[test]
fn sealed_memory_is_not_leased_to_who_can_only_be_told_a_name_and_dies_with_the_daemon() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(2, 40, Tier::Ram);
    assert!(!w.ledger.descriptor(id(2), w.now).unwrap().dies_with_daemon());
    let sealed = AllocateRequest { place: Place::SEALED, protection: Protection::Sealed, ..request(1, 40, Tier::Ram) };
    let allocation = w.ledger.allocate(sealed, w.now).unwrap();
    assert!(w.ledger.allocated(allocation, Place::SEALED).dies_with_daemon());
    w.ledger.begin_commit(id(1), w.now).unwrap();
    assert!(w.ledger.finish_commit(id(1), None, w.now).unwrap().descriptor.dies_with_daemon());
    for takes_part in [true, false] {
        let asked = AcquireRequest { id: id(1), min_tier: None, duration_ms: 0, takes_part };
        assert_eq!(w.ledger.acquire(asked, w.now), Err(Refusal::SealedReader { id: id(1) }));
    }
}

#[test]
fn leases_on_old_and_new_copies_are_told_apart() {
    let mut w = World::new([0, 100, 100, 100]);
    w.create(1, 40, Tier::Ram);
    let on_ram = w.lease(1);
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    let on_disk = w.lease(1);
    w.spill(1, Tier::Object).unwrap();
    w.settle();
    assert_eq!(w.ledger.stats().backlog_blocks, 2);
    w.release(on_disk);
    w.settle();
    assert_eq!((w.has_bytes(1, Tier::Ram), w.has_bytes(1, Tier::Disk)), (true, false));
    assert_eq!(w.delete(1, false), Err(Refusal::Leased { id: id(1), leases: 1 }), "a lease on an old copy counts");
    w.release(on_ram);
    w.delete(1, false).unwrap();
    w.settle();
    w.check_nothing_left();
}

#[test]
fn names_of_blocks_wrap_without_meaning_two_things() {
    let mut w = World::new([100, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    // The first block is held by its name all the while: the board fails the test if that name is given out again.
    let held = w.lease_for(1, 120_000).unwrap().lease;
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    let mut last = 0;
    let mut wrapped = 0;
    for _ in 0..300 {
        w.promote(1, Tier::Gpu).unwrap();
        w.settle();
        let face = w.pages().face_of(id(1)).unwrap();
        wrapped += u32::from(face.last_generation < last);
        last = face.last_generation;
        w.spill(1, Tier::Disk).unwrap();
        w.settle();
    }
    assert_eq!(wrapped, 1);
    w.release(held);
    w.settle();
    assert_eq!(w.used(Tier::Ram), 0);
}

#[test]
fn lost_bytes_can_not_be_leased_and_stay_listed() {
    let mut w = World::new([0, 100, 0, 0]);
    w.create(1, 40, Tier::Ram);
    let version = w.get(1).facts.version;
    w.lose(1, Tier::Ram);
    assert_eq!(w.lease_for(1, 0).map(|g| g.lease), Err(Refusal::BytesLost { id: id(1) }));
    assert_eq!(w.promote(1, Tier::Ram), Err(Refusal::BytesLost { id: id(1) }));
    assert_eq!(w.spill(1, Tier::Ram), Err(Refusal::BytesLost { id: id(1) }));
    assert!(w.get(1).placement.is_none() && w.get(1).facts.version > version);
    assert_eq!(w.get(1).facts.copies.fastest(), Some(Tier::Ram), "the row says where they should be");
    w.settle();
    assert_eq!(w.listed(None).len(), 1);
    w.delete(1, false).unwrap();
    w.settle();
    w.check_nothing_left();
}
