//! Loom over what a session adds to the moves: a page's state beside the entry's, threads that share a line, how far a
//! scan looks, and a daemon that marks slots which their holder gives back meanwhile.
//!
//! Built and run as `loom_model` is, and like there each race is also run with one ordering weakened, and must fail.

use ::loom::sync::Arc;
use ::loom::{model, thread};

use super::line::{Orders, Shipped, claim, free_slot, give_up, raise_reach, slots_within_reach};
use super::loom_model::{World, at, lease};
use super::*;
use crate::sync::AtomicU64;

/// Orders that are not enough.
struct Relaxed;

impl Orders for Relaxed {
    const FREE: Ordering = Ordering::Relaxed;
    const CLAIM: Ordering = Ordering::Relaxed;
    const GIVE: Ordering = Ordering::Relaxed;
}

/// The daemon moves block 0 away, and then closes the page and looks at it for the last time before it drops block 1.
#[test]
fn stable_lease_take_against_retire_and_then_close() {
    model(|| {
        let world = World::new();
        let client = Arc::clone(&world);
        let client = thread::spawn(move || {
            if client.take_and_read::<Full>().is_some() {
                give_back(&client.slot);
            }
        });
        world.entry.publish([1]);
        world.free_if_unheld();
        close_page(&world.page);
        if look(&world.slot).is_none() {
            world.reuse(1);
        }
        client.join().unwrap();
    });
}

/// One thread gives back, and the thread whose line it is takes another payload in the same slot.
fn one_slot_two_threads<O: Orders>() {
    model(|| {
        let world = World::new();
        world.slot.store(lease(0).bits(), Ordering::SeqCst);
        world.entry.publish([1]);
        let (holder, owner) = (Arc::clone(&world), Arc::clone(&world));
        let holder = thread::spawn(move || {
            holder.read(0);
            give_back(&holder.slot);
        });
        let owner = thread::spawn(move || {
            // In the order of the code that ships: what comes before the look must not make up for a weak one.
            let Some(found) = owner.entry.read() else { return };
            if free_slot::<_, O>(std::slice::from_ref(&owner.slot)).is_some() {
                take(&owner.slot, owner.entry.seq_word(), &owner.page, lease(1), found.seq).unwrap();
                owner.read(1);
            }
        });
        before_scan::<AtomicU64>();
        world.free_if_unheld();
        holder.join().unwrap();
        owner.join().unwrap();
    });
}

#[test]
fn stable_lease_a_slot_given_back_on_one_thread_and_taken_on_another() {
    one_slot_two_threads::<Shipped>();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_look_for_a_free_slot_loses_the_reads_of_another_thread() {
    one_slot_two_threads::<Relaxed>();
}

/// A thread takes in its line and gives the line up; the next one must not take in the same slot.
fn one_line_two_owners<O: Orders>() {
    model(|| {
        let line = Arc::new(([AtomicU64::new(0), AtomicU64::new(0)], AtomicU64::new(1)));
        let next = Arc::clone(&line);
        let next = thread::spawn(move || {
            let (slots, owned) = &*next;
            if claim::<_, O>(owned, 1) {
                let free = free_slot::<_, O>(slots).unwrap();
                slots[free].store(lease(1).bits(), Ordering::Release);
            }
        });
        let (slots, owned) = &*line;
        slots[0].store(lease(0).bits(), Ordering::Relaxed);
        give_up::<_, O>(owned, 1);
        next.join().unwrap();
        assert_eq!(look(&slots[0]), Some(lease(0)), "two leases in one slot");
    });
}

#[test]
fn stable_lease_a_line_goes_from_thread_to_thread() {
    one_line_two_owners::<Shipped>();
}

#[test]
#[should_panic(expected = "two leases in one slot")]
fn a_line_handed_over_relaxed_has_two_leases_in_one_slot() {
    one_line_two_owners::<Relaxed>();
}

/// Two threads want the same line: one gets it.
#[test]
fn a_line_has_one_owner() {
    model(|| {
        let owned = Arc::new(AtomicU64::new(0));
        let other = Arc::clone(&owned);
        let other = thread::spawn(move || claim::<AtomicU64, Shipped>(&other, 1));
        let first = claim::<AtomicU64, Shipped>(&owned, 1);
        assert!(first ^ other.join().unwrap());
    });
}

/// The first lease on a line, against a scan that looks no further than it is told.
fn reach_against_scan(client: fn(&World, &AtomicU64)) {
    model(move || {
        let (world, reach) = (World::new(), Arc::new(AtomicU64::new(0)));
        let (other, told) = (Arc::clone(&world), Arc::clone(&reach));
        let other = thread::spawn(move || client(&other, &told));
        world.entry.publish([1]);
        if slots_within_reach(&*reach) > 0 {
            world.free_if_unheld();
        } else {
            world.reuse(0);
        }
        other.join().unwrap();
    });
}

#[test]
fn stable_lease_first_use_of_a_line_against_scan() {
    reach_against_scan(|world, reach| {
        raise_reach(reach, 1);
        world.take_and_read::<Full>();
    });
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_line_that_is_announced_after_its_first_lease_is_not_seen() {
    reach_against_scan(|world, reach| {
        if world.take_and_read::<Full>().is_some() {
            raise_reach(reach, 1);
        }
    });
}

/// The daemon marks a slot while its holder gives it back: the holder's reads are over all the same before the block is
/// anyone else's. That the mark does not bring the lease back is in `tests`: loom puts no order on two stores by
/// themselves, and so can't tell what a slot holds last.
fn mark_against_give_back(mark: fn(&AtomicU64)) {
    model(move || {
        let world = World::new();
        world.slot.store(lease(0).bits(), Ordering::SeqCst);
        let client = Arc::clone(&world);
        let client = thread::spawn(move || {
            client.read(0);
            give_back(&client.slot);
        });
        mark(&world.slot);
        world.entry.publish([1]);
        world.free_if_unheld();
        client.join().unwrap();
    });
}

#[test]
fn stable_lease_expiry_against_give_back() {
    mark_against_give_back(|slot| assert!(expire(slot, at(20)).is_none_or(|word| word.block() == lease(0).block())));
}

#[test]
fn stable_lease_lowering_against_give_back() {
    mark_against_give_back(|slot| assert!(lower_deadline(slot, at(5)).is_none_or(|word| word.deadline() == at(5))));
}

/// By a thread of the client that does not hold the lease.
#[test]
fn stable_lease_prolonging_against_give_back() {
    mark_against_give_back(|slot| assert!(prolong(slot, slot, lease(0), at(30)).is_err(), "the slot is no open page"));
}

/// Lowering a deadline and renewing it: whichever comes last stands, and the lease with it.
#[test]
fn a_lease_outlives_lowering_against_renewal() {
    model(|| {
        let world = World::new();
        world.slot.store(lease(0).with_deadline(at(100)).bits(), Ordering::SeqCst);
        let client = Arc::clone(&world);
        let client = thread::spawn(move || renew(&client.slot, &client.page, at(30)));
        let lowered = lower_deadline(&world.slot, at(50));
        assert!(client.join().unwrap().is_ok());
        let word = look(&world.slot).unwrap();
        assert_eq!((word.state(), word.deadline()), (SlotState::Live, at(30)));
        assert!(lowered.is_none_or(|word| word.deadline() == at(50)));
    });
}
