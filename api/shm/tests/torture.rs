//! Promise stable-lease, by force: a daemon moves payloads from block to block as fast as it can and scribbles over every
//! block that it believes free, while readers in other processes, two threads each, check every word under their leases.
//!
//! Readers are killed and stopped at any moment; the daemon opens its pages anew in between, as after a kill of its own.
//! Leases run out and are taken away all along: the bytes stay even so, until they are given back.
//!
//! `PM_TORTURE_MOVES` sets how many moves the daemon makes; the default takes seconds.

#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(not(loom))]

use std::collections::VecDeque;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use payload_manager_shm::boot::monotonic_ms;
use payload_manager_shm::{
    Clock, Directory, DirectoryReader, EntryState, Face, Fallback, Identity, Lease, LeaseTable, SLOT_STEP, Segment,
    SegmentMap, SessionPages, Wanted, object,
};
use payload_manager_types::{BlockName, EntryIndex, InstanceId, LeaseDeadline, PayloadId, PayloadState, Place, Tier};

const BASE: &str = "PM_TEST_TORTURE_BASE";
const SESSION: &str = "PM_TEST_TORTURE_SESSION";
const US: Identity = Identity { instance: InstanceId::from_bytes([7; 16]), boot: [9; 16] };
const PAYLOADS: u64 = 12;
const BLOCKS: u64 = 64;
const BLOCK_BYTES: u64 = 2048;
const READERS: usize = 3;

fn id(n: u64) -> PayloadId {
    PayloadId::from_words(1, n)
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn latest() -> LeaseDeadline {
    LeaseDeadline(monotonic_ms() + 120_000)
}

/// What every word of a payload's copy says.
fn word(id: PayloadId, version: u64) -> u64 {
    id.to_words().1 << 48 | version
}

// ---- the reader ----

/// Fails on the first word that is not what the lease is on.
fn check(lease: &Lease<SegmentMap>) {
    let face = lease.face();
    let bytes = lease.kept().bytes(face.place.offset, face.length).unwrap();
    let wanted = word(face.id, face.version);
    for found in bytes.chunks_exact(8) {
        assert_eq!(u64::from_ne_bytes(found.try_into().unwrap()), wanted, "bytes changed under a lease");
    }
}

/// Holds a few leases at a time and looks at each again before it gives it back, for ever.
fn read(table: &LeaseTable<SegmentMap>, seed: u64) {
    let (mut held, mut state) = (VecDeque::new(), seed);
    loop {
        let millis = [0, 1, 20, 5_000][usize::try_from(random(&mut state) % 4).unwrap()];
        let wanted = Wanted { duration: Duration::from_millis(millis), min_tier: Tier::Ram };
        match table.take(id(1 + random(&mut state) % PAYLOADS), wanted) {
            Ok(lease) => {
                check(&lease);
                held.push_back(lease);
            }
            Err(Fallback::NotShown | Fallback::Moving) => {}
            Err(Fallback::SessionOver) => return,
            Err(why) => unreachable!("{why:?}"),
        }
        if random(&mut state).is_multiple_of(8)
            && let Some(lease) = held.front()
        {
            let _ = lease.renew(Duration::from_millis(50));
        }
        if held.len() > 5 {
            held.pop_front().iter().for_each(check);
        }
    }
}

fn reader(base: &str, session: &str) {
    let directory = DirectoryReader::of_file(object::open_read_only(&format!("{base}-dir")).unwrap()).unwrap();
    let map = SegmentMap::read_only(&object::open_read_only(&format!("{base}-segment-1")).unwrap()).unwrap();
    let page = object::open(&format!("{base}-session-{session}")).unwrap();
    let table = LeaseTable::new(directory, page, Clock::with_offset(0), map).unwrap();
    std::thread::scope(|scope| {
        for seed in [std::process::id().into(), u64::from(std::process::id()) << 20] {
            let table = &table;
            scope.spawn(move || read(table, seed));
        }
    });
}

// ---- the daemon ----

/// Unlinks what the test made, failed or not.
struct Base(String);

impl Drop for Base {
    fn drop(&mut self) {
        for left in object::list(&self.0).unwrap_or_default() {
            let _ = object::unlink(&left.name);
        }
    }
}

struct Reader {
    process: Child,
    session: u32,
}

impl Reader {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    /// Kills it, and sees that it had not failed before.
    fn kill(&mut self) {
        assert_eq!(self.process.try_wait().unwrap(), None, "a reader failed: see above");
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where a payload is.
#[derive(Clone, Copy)]
struct Copy {
    at: EntryIndex,
    face: Face,
    block: u64,
}

struct Daemon {
    base: String,
    directory: Directory,
    pages: SessionPages,
    map: Arc<SegmentMap>,
    free: VecDeque<u64>,
    /// Blocks that were left, and were held when last looked at.
    backlog: Vec<(BlockName, u64)>,
    copies: Vec<Copy>,
    waited: u64,
    reads: u64,
}

impl Daemon {
    fn new(base: &str) -> Self {
        let mut directory = Directory::create(&format!("{base}-dir"), &US, 64).unwrap();
        let segment = Segment::create(&format!("{base}-segment-1"), BLOCKS * BLOCK_BYTES).unwrap();
        object::reserve(segment.file(), 0, BLOCKS * BLOCK_BYTES).unwrap();
        let map = Arc::new(SegmentMap::writable(segment.file()).unwrap());
        let pages = open_pages(base, &directory);
        let free = (PAYLOADS..BLOCKS).collect();
        let mut copies = Vec::new();
        for block in 0..PAYLOADS {
            let face = face(id(block + 1), 1, block, 1);
            fill(&map, block, word(face.id, 1));
            copies.push(Copy { at: directory.insert(&face).unwrap(), face, block });
        }
        Self { base: base.to_owned(), directory, pages, map, free, backlog: Vec::new(), copies, waited: 0, reads: 0 }
    }

    fn start_reader(&mut self) -> Reader {
        let session = self.pages.create(SLOT_STEP).unwrap().number();
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stable_lease_nothing_wrong_is_ever_read_under_a_lease", "--nocapture"])
            .env(BASE, &self.base)
            .env(SESSION, session.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Reader { process, session }
    }

    /// Moves one payload to another block, and frees the one that it leaves if nobody holds it.
    fn step(&mut self, which: usize) {
        let Some(to) = self.free.pop_front() else { return self.look_at_backlog() };
        let Copy { at, face: old, block } = self.copies[which];
        let new = face(old.id, old.version + 1, to, old.last_generation.wrapping_add(1));
        fill(&self.map, to, word(new.id, new.version));
        self.directory.publish(at, &new);
        self.copies[which] = Copy { at, face: new, block: to };
        let left = BlockName { index: at, generation: old.generation() };
        self.backlog.push((left, block));
        if self.backlog.len() > 4 {
            self.look_at_backlog();
        }
    }

    /// Frees what nobody holds any more, and scribbles over it at once.
    fn look_at_backlog(&mut self) {
        let names: Vec<_> = self.backlog.iter().map(|(name, _)| *name).collect();
        let holders = self.pages.holders(&names, monotonic_ms());
        let mut still = Vec::new();
        for ((name, block), holders) in self.backlog.drain(..).zip(holders) {
            // A name comes round after 256 moves: the copy that has it now may be the one that is held.
            if holders.pinning > 0 {
                still.push((name, block));
                self.waited += 1;
                continue;
            }
            fill(&self.map, block, u64::MAX);
            self.free.push_back(block);
        }
        self.backlog = still;
    }

    /// What a forced delete does to leases, and then the payload is there again.
    fn revoke(&mut self, which: usize) {
        let Copy { at, face, .. } = self.copies[which];
        self.directory.close(at);
        self.pages.revoke(at);
        self.directory.publish(at, &face);
    }

    /// As a daemon that was killed finds things.
    fn restart(&mut self) {
        self.directory = Directory::open(&format!("{}-dir", self.base), &US).unwrap();
        self.pages = open_pages(&self.base, &self.directory);
    }

    fn housekeeping(&mut self) {
        self.pages.sweep(monotonic_ms(), latest());
        let mut reads = 0;
        self.pages.collect_reads(|_| reads += 1);
        self.reads += reads;
    }
}

fn open_pages(base: &str, directory: &Directory) -> SessionPages {
    let entries = directory.max_entries();
    let (pages, aside) =
        SessionPages::open(base, &US, directory.epoch_ms(), entries, monotonic_ms(), latest()).unwrap();
    assert!(aside.is_empty(), "{aside:?}");
    pages
}

fn face(id: PayloadId, version: u64, block: u64, generation: u8) -> Face {
    Face {
        id,
        version,
        tier: Tier::Ram,
        place: Place { unit: 1, offset: block * BLOCK_BYTES },
        length: BLOCK_BYTES,
        state: EntryState::Shown(PayloadState::Active),
        expires: None,
        generations: [0, generation, 0, 0],
        last_generation: generation,
    }
}

fn fill(map: &Arc<SegmentMap>, block: u64, word: u64) {
    let mut part = map.write(block * BLOCK_BYTES, BLOCK_BYTES).unwrap();
    part.chunks_exact_mut(8).for_each(|place| place.copy_from_slice(&word.to_ne_bytes()));
}

#[test]
fn stable_lease_nothing_wrong_is_ever_read_under_a_lease() {
    if let (Ok(base), Ok(session)) = (std::env::var(BASE), std::env::var(SESSION)) {
        return reader(&base, &session);
    }
    let moves: u64 = std::env::var("PM_TORTURE_MOVES").map_or(6_000, |n| n.parse().unwrap());
    let base = Base(format!("/pm-test-{}", uuid::Uuid::now_v7()));
    let mut daemon = Daemon::new(&base.0);
    let mut readers: Vec<_> = (0..READERS).map(|_| daemon.start_reader()).collect();
    let mut state = 42;
    // Not before they read: a process takes longer to start than many moves.
    while daemon.reads == 0 {
        daemon.housekeeping();
        std::thread::yield_now();
    }
    let (mut step, mut stopped) = (0, None);
    while step < moves || daemon.waited == 0 {
        step += 1;
        let which = usize::try_from(random(&mut state) % PAYLOADS).unwrap();
        daemon.step(which);
        match step % 1_000 {
            125 => daemon.revoke(which),
            250 => daemon.restart(),
            375 => stopped = readers.first().inspect(|reader| reader.signal(Signal::SIGSTOP)).map(|r| r.session),
            625 => {
                for reader in readers.iter().filter(|reader| Some(reader.session) == stopped) {
                    reader.signal(Signal::SIGCONT);
                }
            }
            875 => {
                let mut dead = readers.swap_remove(usize::try_from(random(&mut state)).unwrap_or(0) % READERS);
                dead.kill();
                // Its process is dead: nothing on its page counts.
                assert!(daemon.pages.remove(dead.session).unwrap());
                readers.push(daemon.start_reader());
            }
            n if n % 50 == 0 => daemon.housekeeping(),
            _ => {}
        }
        if daemon.free.is_empty() {
            std::thread::yield_now();
        }
    }
    readers.iter_mut().for_each(Reader::kill);
    for reader in readers {
        assert!(daemon.pages.remove(reader.session).unwrap());
    }
    daemon.look_at_backlog();
    assert_eq!((daemon.backlog.len(), daemon.free.len() as u64), (0, BLOCKS - PAYLOADS), "nothing is held by the dead");
    assert!(daemon.waited > 0 && daemon.reads > 0);
}
