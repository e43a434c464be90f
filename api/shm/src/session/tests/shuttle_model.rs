//! A session while everything else goes on: two threads of a client that read, a daemon that moves and deletes the
//! payload, sweeps, is restarted, and sees the session end by hang-up or by its process's death. In whatever order
//! shuttle chooses, over the code that ships and real pages. (Stale reads are loom's: see `slot::loom_model`.)
//!
//! The bytes are one word a place: the payload's name while they are its bytes, something else once the place was free.
//! Promises stable-lease and no-leak: a holder finds its payload's bytes, and in the end no place is held back.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Arc, Mutex, MutexGuard};
use shuttle::thread;

use super::*;

/// How many orders are tried of each test.
const ORDERS: usize = 2_000;
/// Places for the payload's bytes.
const PLACES: u64 = 6;
/// What is in a place whose bytes are nobody's.
const NOBODYS: u64 = 0;

/// What the daemon does wrong, for the tests that show that it would be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Daemons {
    /// Nothing.
    Right,
    /// A hang-up counts as the process's death: its page goes, with the leases on it.
    DropPagesAtHangUp,
    /// What was held back is free at the next sweep, without a look for leases.
    SweepWithoutLook,
    /// A restart forgets the pages that were there.
    ForgetPagesAtRestart,
}

/// How the session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    HangUp,
    Death,
}

/// The daemon, and what it knows beside its pages. One lock, as its ledger has.
struct World {
    daemon: Daemon,
    bytes: Arc<[AtomicU64]>,
    free: Vec<u64>,
    backlog: Vec<(BlockName, u64)>,
    session: u32,
    wrong: Daemons,
    /// How many payloads there were: each is other bytes.
    payloads: u64,
}

impl World {
    fn new(base: &str, wrong: Daemons) -> (Self, LeaseTable) {
        let mut daemon = Daemon::named(Names::within(base), 0);
        let (session, table) = daemon.session();
        let bytes = (0..PLACES).map(|_| AtomicU64::new(NOBODYS)).collect();
        let free = (0..PLACES).collect();
        let mut world = Self { daemon, bytes, free, backlog: Vec::new(), session, wrong, payloads: 0 };
        world.insert();
        (world, table)
    }

    /// Fills a place with the payload's bytes.
    fn fill(&mut self) -> Option<u64> {
        let place = self.free.pop()?;
        word(&self.bytes, place).store(self.payloads, Ordering::SeqCst);
        Some(place)
    }

    fn set_free(&mut self, place: u64) {
        word(&self.bytes, place).store(NOBODYS, Ordering::SeqCst);
        // First in, first out of use: what was free longest is used next.
        self.free.insert(0, place);
    }

    /// A new payload under the same id. Its length says which it is.
    fn insert(&mut self) {
        self.payloads += 1;
        let Some(place) = self.fill() else { return };
        let (_, last) = self.daemon.directory.next_entry().unwrap();
        let shown = Face { length: self.payloads, ..at(place, last.wrapping_add(1)) };
        self.daemon.directory.insert(&shown).unwrap();
    }

    fn shown(&self) -> Option<(BlockName, Face)> {
        let (index, face, _) = self.daemon.directory.lookup(id(0))?;
        Some((BlockName { index, generation: face.generation() }, face))
    }

    /// Another copy in place of this one.
    fn move_away(&mut self) {
        let Some((old, face)) = self.shown() else { return };
        let Some(place) = self.fill() else { return };
        let next = Face { length: face.length, ..at(place, face.last_generation.wrapping_add(1)) };
        self.daemon.directory.publish(old.index, &next);
        self.retire(old, face.place.offset);
    }

    /// A forced delete, and another payload with this entry.
    fn delete(&mut self) {
        let Some((block, face)) = self.shown() else { return };
        self.daemon.directory.close(block.index);
        self.daemon.pages.revoke(block.index);
        self.daemon.directory.remove(block.index);
        self.retire(block, face.place.offset);
        self.insert();
    }

    fn is_pinned(&self, block: BlockName) -> bool {
        self.daemon.pages.holders(&[block], monotonic_ms())[0].pinning > 0
    }

    fn retire(&mut self, block: BlockName, place: u64) {
        if self.is_pinned(block) {
            self.backlog.push((block, place));
        } else {
            self.set_free(place);
        }
    }

    /// As of `now_ms`, which runs ahead of the client's clock where its process was stopped.
    fn sweep(&mut self, now_ms: u64) {
        self.daemon.pages.sweep(now_ms, latest());
        for number in self.daemon.pages.over(monotonic_ms()) {
            self.daemon.pages.remove(number).unwrap();
        }
        for (block, place) in std::mem::take(&mut self.backlog) {
            if self.wrong == Daemons::SweepWithoutLook {
                self.set_free(place);
            } else {
                self.retire(block, place);
            }
        }
    }

    fn restart(&mut self) {
        if self.wrong == Daemons::ForgetPagesAtRestart {
            self.daemon.pages.remove(self.session).unwrap();
        }
        assert!(self.daemon.restart().is_empty(), "nothing is torn");
        self.daemon.directory = Directory::open(&self.daemon.names.name("dir"), &US).unwrap();
    }

    /// The session's connection is gone; its process may live.
    fn hang_up(&mut self) {
        if self.wrong == Daemons::DropPagesAtHangUp {
            self.daemon.pages.remove(self.session).unwrap();
        } else if let Some(page) = self.daemon.pages.get_mut(self.session) {
            page.close(monotonic_ms(), latest());
        }
    }
}

/// A place's bytes.
fn word(bytes: &[AtomicU64], place: u64) -> &AtomicU64 {
    &bytes[usize::try_from(place).unwrap()]
}

/// The payload as it is shown, with its bytes here.
fn at(place: u64, generation: u8) -> Face {
    let generations = [0, generation, 0, 0];
    Face { place: Place { unit: 1, offset: place }, generations, last_generation: generation, ..face(0) }
}

/// Reads, as views do: the bytes while the lease is held, and whether it is valid. As long as the daemon has work: one of
/// its scans is hundreds of steps, a lease a dozen.
fn read(table: &LeaseTable, bytes: &[AtomicU64], busy: &AtomicU64) {
    while busy.load(Ordering::SeqCst) > 0 {
        let Ok(lease) = table.take(id(0), RAM) else {
            thread::yield_now();
            continue;
        };
        for _ in 0..thread_rng().gen_range(1..100) {
            let found = word(bytes, lease.face().place.offset).load(Ordering::SeqCst);
            assert_eq!(found, lease.face().length, "the bytes under a lease are another's");
            let before = lease.state();
            let renewed = lease.renew(MINUTE);
            if before != Some(SlotState::Live) {
                assert!(renewed.is_err() && !lease.is_valid(), "what was over is not any more: {before:?}");
            }
        }
    }
}

/// Shuttle's threads are one to the system, so that where one panics the locks of all are poisoned. What it found is told.
fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All of it at once; then the process ends, and nothing is left.
fn live(base: &str, end: End, wrong: Daemons) {
    let (world, table) = World::new(base, wrong);
    let (bytes, busy) = (Arc::clone(&world.bytes), Arc::new(AtomicU64::new(3)));
    let world = Arc::new(Mutex::new(world));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (table, bytes, busy) = (table.clone(), Arc::clone(&bytes), Arc::clone(&busy));
            thread::spawn(move || read(&table, &bytes, &busy))
        })
        .collect();
    let daemon = |times: u32, work: fn(&mut World, u32)| {
        let (world, busy) = (Arc::clone(&world), Arc::clone(&busy));
        thread::spawn(move || {
            (0..times).for_each(|nth| work(&mut lock(&world), nth));
            busy.fetch_sub(1, Ordering::SeqCst);
        })
    };
    let moves = daemon(3, |world, _| if thread_rng().gen_bool(0.7) { world.move_away() } else { world.delete() });
    let sweeps = daemon(3, |world, _| {
        let ahead = if thread_rng().gen_bool(0.2) { 61_000 } else { 0 };
        world.sweep(monotonic_ms() + ahead);
    });
    let life = match end {
        End::HangUp => daemon(3, |world, nth| if nth == 1 { world.hang_up() } else { world.restart() }),
        End::Death => daemon(1, |world, _| world.restart()),
    };
    readers.into_iter().chain([moves, sweeps, life]).for_each(|thread| thread.join().unwrap());
    let mut world = lock(&world);
    if end == End::Death {
        let session = world.session;
        world.daemon.pages.remove(session).unwrap();
    }
    world.sweep(monotonic_ms());
    assert_eq!(
        (world.backlog.len(), world.free.len() as u64),
        (0, PLACES - 1),
        "places that nobody uses are held back"
    );
    assert_eq!(world.daemon.pages.iter().count(), 0, "the session's page is left");
}

fn try_orders(end: End, wrong: Daemons) {
    // Where an order fails, not everything in it is dropped: these go all the same.
    let names = Names::new();
    let base = names.base().to_owned();
    shuttle::check_random(move || live(&base, end, wrong), ORDERS);
}

#[test]
fn stable_lease_a_session_that_hangs_up_holds_what_it_held_until_it_gives_it_back() {
    try_orders(End::HangUp, Daemons::Right);
}

#[test]
fn no_leak_a_session_whose_process_dies_leaves_nothing_after_restarts_and_sweeps() {
    try_orders(End::Death, Daemons::Right);
}

#[test]
#[should_panic(expected = "are another's")]
fn a_hang_up_taken_for_a_death_loses_the_bytes_under_a_lease() {
    try_orders(End::HangUp, Daemons::DropPagesAtHangUp);
}

#[test]
#[should_panic(expected = "are another's")]
fn a_sweep_that_does_not_look_loses_the_bytes_under_a_lease() {
    try_orders(End::Death, Daemons::SweepWithoutLook);
}

#[test]
#[should_panic(expected = "are another's")]
fn a_restart_that_forgets_pages_loses_the_bytes_under_a_lease() {
    try_orders(End::Death, Daemons::ForgetPagesAtRestart);
}
