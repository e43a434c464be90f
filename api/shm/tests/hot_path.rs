//! Promise no-round-trip, by the kernel's word: a thread that may make no system call takes leases, gives them back,
//! prolongs them and asks whether they hold; and allocates nothing at that. And what a forked child has of them: nothing.

#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(unsafe_code, reason = "counts allocations, gives up system calls, forks")]
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, gettid};
use payload_manager_shm::boot::monotonic_ms;
use payload_manager_shm::{
    Clock, Directory, DirectoryReader, EntryState, Face, Fallback, Identity, LeaseTable, SLOT_STEP, SessionPages,
    Wanted, object,
};
use payload_manager_types::{InstanceId, LeaseDeadline, PayloadId, PayloadState, Place, Tier};

const US: Identity = Identity { instance: InstanceId::from_bytes([7; 16]), boot: [9; 16] };
const RAM: Wanted = Wanted { duration: Duration::from_secs(60), min_tier: Tier::Ram };

/// The system's allocator, with a count for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator as it came; the count allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises us.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn id(n: u64) -> PayloadId {
    PayloadId::from_words(1, n)
}

/// A directory of payloads and one session; unlinked with it.
struct Session {
    base: String,
    pages: SessionPages,
    directory: Directory,
    table: LeaseTable,
}

impl Session {
    fn new() -> Self {
        let base = format!("/pm-test-{}", uuid::Uuid::now_v7());
        let mut directory = Directory::create(&format!("{base}-dir"), &US, 100).unwrap();
        for n in 0..100 {
            directory.insert(&face(n)).unwrap();
        }
        let latest = LeaseDeadline(monotonic_ms() + 120_000);
        let mut pages = SessionPages::open(&base, &US, directory.epoch_ms(), 100, monotonic_ms(), latest).unwrap().0;
        let table = table(&base, &mut pages);
        Self { base, pages, directory, table }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for left in object::list(&self.base).unwrap_or_default() {
            let _ = object::unlink(&left.name);
        }
    }
}

fn table(base: &str, pages: &mut SessionPages) -> LeaseTable {
    let page = pages.create(SLOT_STEP).unwrap();
    let file = File::from(page.descriptor().as_fd().try_clone_to_owned().unwrap());
    let reader = DirectoryReader::of_file(object::open_read_only(&format!("{base}-dir")).unwrap()).unwrap();
    LeaseTable::new(reader, file, Clock::with_offset(0), ()).unwrap()
}

fn face(n: u64) -> Face {
    Face {
        id: id(n),
        version: 1,
        tier: Tier::Ram,
        place: Place { unit: 1, offset: n },
        length: 1,
        state: EntryState::Shown(PayloadState::Active),
        expires: None,
        generations: [1; 4],
        last_generation: 1,
    }
}

/// 32 leases at a time, so that lines are exchanged as well.
fn work(table: &LeaseTable) {
    for round in 0..1_000 {
        let leases: [_; 32] = std::array::from_fn(|n| table.take(id((round * 7 + n as u64) % 100), RAM).unwrap());
        for lease in &leases {
            assert!(lease.is_valid() && lease.renew(RAM.duration).is_ok());
        }
    }
}

const WORKING: u64 = 1;
const DONE: u64 = 2;

#[test]
fn no_round_trip_a_lease_costs_no_system_call_and_no_allocation() {
    let session = Session::new();
    let (table, state, task) = (session.table.clone(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (told, said) = (Arc::clone(&state), Arc::clone(&task));
    // Not joined: it ends by the one system call that is left to it, which skips what the standard library does at last.
    drop(std::thread::spawn(move || {
        // A thread's first lease may do both.
        drop(table.take(id(0), RAM).unwrap());
        said.store(u64::try_from(gettid().as_raw()).unwrap(), Ordering::SeqCst);
        let before = ALLOCATIONS.get();
        told.store(WORKING, Ordering::SeqCst);
        // SAFETY: gives up all system calls of this thread but read, write, exit and sigreturn.
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
        work(&table);
        told.store(DONE + ALLOCATIONS.get() - before, Ordering::SeqCst);
        // SAFETY: ends this thread alone; nobody waits for it by other means than the words above.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }));
    while state.load(Ordering::SeqCst) != WORKING && state.load(Ordering::SeqCst) < DONE {
        std::thread::yield_now();
    }
    let alive = PathBuf::from(format!("/proc/self/task/{}", task.load(Ordering::SeqCst)));
    // The kernel kills a thread for the first call that it may not make: then it is gone and has not said so.
    while state.load(Ordering::SeqCst) < DONE && alive.exists() {
        std::thread::yield_now();
    }
    assert_eq!(state.load(Ordering::SeqCst), DONE, "a system call, or allocations beyond {DONE}");
}

#[test]
fn a_forked_child_has_no_leases_and_gives_none_back() {
    let mut session = Session::new();
    let lease = session.table.take(id(1), RAM).unwrap();
    // SAFETY: the child does nothing but loads and stores, and ends at once.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let refused = session.table.take(id(2), RAM).is_err_and(|why| why == Fallback::Forked);
            let as_it_must = refused && !lease.is_valid() && lease.state().is_none() && !session.table.is_open();
            let renewed = lease.renew(RAM.duration).is_ok();
            drop(lease);
            // SAFETY: ends the child without anything that the parent's threads might have been in the middle of.
            unsafe { libc::_exit(i32::from(!as_it_must || renewed)) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
    assert!(lease.is_valid() && session.table.in_use() == 1);
    let (index, _, _) = session.directory.lookup(id(1)).unwrap();
    assert_eq!(session.pages.count_by_entry(&[index], monotonic_ms()), [1]);
    let next = table(&session.base, &mut session.pages);
    assert!(next.take(id(1), RAM).is_ok(), "a session of its own is another page");
}
