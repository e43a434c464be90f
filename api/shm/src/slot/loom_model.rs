//! Loom explores every interleaving, and every stale read that the memory model allows, of the moves as they ship.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p payload-manager-shm --lib loom`.
//!
//! The bytes of a block are a cell that loom watches: a reader touches it under its lease, the daemon touches it when it
//! gives the block to somebody else, and if the two are not ordered, loom fails the test. Each race is also run with one
//! ordering weakened, and must then fail: that is what shows that the model can see what it is there for.

use std::array::from_fn;

use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::{model, thread};
use payload_manager_types::{BlockName, LeaseDeadline};

use super::*;
use crate::entry::Entry;
use crate::sync::AtomicU64;

/// Barriers that are not enough.
struct Weak;

impl Barrier for Weak {
    fn raise<A: Atomic64>() {
        A::fence(Ordering::AcqRel);
    }
}

const CLOSED: u64 = 1 << 8;

pub(super) fn at(ms: u64) -> Tick {
    Tick::new(LeaseDeadline(ms), 0)
}

pub(super) fn lease(generation: u8) -> Word {
    let index = EntryIndex::new(0).unwrap();
    Word::live(BlockName { index, generation }, at(10))
}

/// One entry that shows block 0 at first, one client with one slot, two blocks.
pub(super) struct World {
    pub(super) entry: Entry<AtomicU64, 1>,
    pub(super) slot: AtomicU64,
    pub(super) page: AtomicU64,
    bytes: [UnsafeCell<()>; 2],
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            entry: Entry { seq: AtomicU64::new(2), body: [AtomicU64::new(0)] },
            slot: AtomicU64::new(0),
            page: AtomicU64::new(PAGE_OPEN),
            bytes: from_fn(|_| UnsafeCell::new(())),
        })
    }

    /// A client: look up, take, and if that holds, read the bytes. What it holds then.
    pub(super) fn take_and_read<B: Barrier>(&self) -> Option<u8> {
        let found = self.entry.read()?;
        let generation = u8::try_from(found.words[0]).ok()?; // None: closed
        take_with::<_, B>(&self.slot, self.entry.seq_word(), &self.page, lease(generation), found.seq).ok()?;
        self.read(generation);
        Some(generation)
    }

    pub(super) fn read(&self, generation: u8) {
        self.bytes[usize::from(generation)].with(|_| ());
    }

    /// The daemon gives a block to somebody else, who writes.
    pub(super) fn reuse(&self, generation: u8) {
        self.bytes[usize::from(generation)].with_mut(|_| ());
    }

    /// The daemon frees block 0 if no slot names it.
    pub(super) fn free_if_unheld(&self) {
        if look(&self.slot).is_none_or(|word| word.block() != lease(0).block()) {
            self.reuse(0);
        }
    }
}

/// A client that reads under a lease and gives it back, against whatever the daemon does.
fn reader_against<B: Barrier>(daemon: fn(&World)) {
    model(move || {
        let world = World::new();
        let client = Arc::clone(&world);
        let client = thread::spawn(move || {
            if client.take_and_read::<B>().is_some() {
                give_back(&client.slot);
            }
        });
        daemon(&world);
        client.join().unwrap();
    });
}

fn retire(world: &World) {
    world.entry.publish([1]);
    world.free_if_unheld();
}

fn reopen_then_retire(world: &World) {
    world.entry.publish([CLOSED]);
    look(&world.slot);
    world.entry.publish([0]);
    retire(world);
}

fn retire_and_look_again(world: &World) {
    world.entry.publish([1]);
    if look(&world.slot).is_some() {
        world.free_if_unheld();
    } else {
        world.reuse(0);
    }
}

/// Closes the page, notes what is held, and never looks at the page again.
fn close_then_retire(world: &World) {
    close_page(&world.page);
    let held = look(&world.slot).is_some();
    world.entry.publish([1]);
    if !held {
        world.reuse(0);
    }
}

/// The first daemon is killed when the entry is written and nothing after; the next one scans before it frees.
fn publish_then_killed(world: &World) {
    world.entry.write([1]);
    before_scan::<AtomicU64>();
    world.free_if_unheld();
}

/// The first daemon is killed in the middle of writing; the next one mends the entry and scans.
fn killed_while_publishing(world: &World) {
    world.entry.seq.store(3, Ordering::Relaxed);
    AtomicU64::fence(Ordering::Release);
    world.entry.body[0].store(1, Ordering::Relaxed);
    retire(world);
}

#[test]
fn stable_lease_take_against_retire() {
    reader_against::<Full>(retire);
}

#[test]
fn stable_lease_give_back_against_a_second_scan() {
    reader_against::<Full>(retire_and_look_again);
}

#[test]
fn stable_lease_reopen_then_retire() {
    reader_against::<Full>(reopen_then_retire);
}

#[test]
fn stable_lease_take_against_page_close() {
    reader_against::<Full>(close_then_retire);
}

#[test]
fn survives_kill_publish_and_kill_before_free() {
    reader_against::<Full>(publish_then_killed);
}

#[test]
fn survives_kill_in_the_middle_of_publishing() {
    reader_against::<Full>(killed_while_publishing);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_weaker_fence_in_take_loses_against_retire() {
    reader_against::<Weak>(retire);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_weaker_fence_in_take_loses_against_page_close() {
    reader_against::<Weak>(close_then_retire);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_scan_without_its_fence_loses_against_take() {
    reader_against::<Full>(|world| {
        world.entry.write([1]);
        world.free_if_unheld();
    });
}

#[test]
fn stable_lease_forced_delete_misses_nobody() {
    model(|| {
        let world = World::new();
        let client = Arc::clone(&world);
        let client = thread::spawn(move || client.take_and_read::<Full>());
        world.entry.publish([CLOSED]);
        let revoked = revoke(&world.slot, lease(0).block().index);
        world.free_if_unheld();
        if client.join().unwrap().is_some() {
            assert!(revoked.is_some(), "a lease that holds was seen");
            assert_eq!(look(&world.slot).map(Word::state), Some(SlotState::Revoked));
        }
    });
}

/// What a scan without acquire, or a release without release, would do to the last reads under a lease.
fn release_against_scan(release: fn(&AtomicU64)) {
    model(move || {
        let world = World::new();
        world.slot.store(lease(0).bits(), Ordering::SeqCst);
        let client = Arc::clone(&world);
        let client = thread::spawn(move || {
            client.read(0);
            release(&client.slot);
        });
        world.entry.publish([1]);
        world.free_if_unheld();
        client.join().unwrap();
    });
}

#[test]
fn stable_lease_release_against_scan() {
    release_against_scan(give_back);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_release_loses_against_scan() {
    release_against_scan(|slot| slot.store(0, Ordering::Relaxed));
}

#[test]
fn stable_lease_renew_against_expiry() {
    model(|| {
        let world = World::new();
        world.slot.store(lease(0).bits(), Ordering::SeqCst);
        let client = Arc::clone(&world);
        let client = thread::spawn(move || renew(&client.slot, &client.page, at(30)));
        let expired = expire(&world.slot, at(20));
        let renewed = client.join().unwrap();
        let word = look(&world.slot).unwrap();
        match renewed {
            Ok(_) => assert_eq!((expired, word.state(), word.deadline()), (None, SlotState::Live, at(30))),
            Err(why) => {
                assert_eq!(why, NotRenewed::Over(SlotState::Expired));
                assert_eq!((Some(word), word.deadline()), (expired, at(10)));
            }
        }
    });
}

/// Whoever renews on a page that is being closed is told, or is seen with the new deadline.
fn renew_against_close<B: Barrier>() {
    model(|| {
        let world = World::new();
        world.slot.store(lease(0).bits(), Ordering::SeqCst);
        let client = Arc::clone(&world);
        let client = thread::spawn(move || renew_with::<_, B>(&client.slot, &client.page, at(30)));
        close_page(&world.page);
        let seen = look(&world.slot).unwrap();
        if client.join().unwrap().is_ok() {
            assert_eq!(seen.deadline(), at(30), "renewed and not seen");
        }
    });
}

#[test]
fn stable_lease_renew_against_page_close() {
    renew_against_close::<Full>();
}

#[test]
#[should_panic(expected = "renewed and not seen")]
fn a_weaker_fence_in_renew_loses_against_page_close() {
    renew_against_close::<Weak>();
}

/// What is there by then is another lease, or none: it is left as it is.
#[test]
fn a_lease_is_prolonged_only_while_it_is_the_one_that_was_seen() {
    model(|| {
        let world = World::new();
        let refused = |seen| prolong(&world.slot, &world.page, seen, at(30)).unwrap_err();
        assert_eq!(refused(lease(0)), NotRenewed::Free);
        world.slot.store(lease(1).bits(), Ordering::SeqCst);
        assert_eq!((refused(lease(0)), look(&world.slot)), (NotRenewed::Over(SlotState::Live), Some(lease(1))));
        assert_eq!(prolong(&world.slot, &world.page, lease(1), at(30)), Ok(lease(1).with_deadline(at(30))));
    });
}

/// A reader of an entry of two words that are always written equal.
fn read_against(write: fn(&Entry<AtomicU64, 2>, u64)) {
    model(move || {
        let entry: Entry<AtomicU64, 2> = Entry { seq: AtomicU64::new(0), body: [AtomicU64::new(0), AtomicU64::new(0)] };
        let entry = Arc::new(entry);
        let reader = Arc::clone(&entry);
        let reader = thread::spawn(move || reader.read());
        write(&entry, 1);
        write(&entry, 2);
        if let Some(found) = reader.join().unwrap() {
            assert_eq!(found.words, [found.seq / 2; 2], "words of another number");
        }
    });
}

#[test]
fn entries_are_read_whole() {
    read_against(|entry, n| entry.publish([n; 2]));
}

#[test]
#[should_panic(expected = "words of another number")]
fn a_writer_without_its_fence_is_read_in_pieces() {
    read_against(|entry, n| {
        entry.seq.store(entry.seq() | 1, Ordering::Relaxed);
        entry.body.iter().for_each(|word| word.store(n, Ordering::Relaxed));
        entry.seq.store(entry.seq() + 1, Ordering::Release);
    });
}
