//! What a lease costs: take and give back over hot payloads, over random ones, on two threads, and how long a scan takes;
//! each beside a floor measured in the same run.
//!
//! `cargo run --release --example lease_cost -p payload-manager-shm`
//!
//! Figures are medians over batches. Nothing here is a test: on a busy machine they are what they are.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement, not a program")]

use std::fs::File;
use std::hint::black_box;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use payload_manager_shm::boot::monotonic_ms;
use payload_manager_shm::{
    Clock, Directory, DirectoryReader, EntryState, Face, Identity, LeaseTable, Segment, SegmentMap, SessionPages,
    Wanted, object,
};
use payload_manager_types::{BlockName, EntryIndex, InstanceId, LeaseDeadline, PayloadId, PayloadState, Place, Tier};

const MANY: u64 = 100_000;
const HOT: u64 = 1_000;
const US: Identity = Identity { instance: InstanceId::from_bytes([7; 16]), boot: [9; 16] };
const RAM: Wanted = Wanted { duration: Duration::from_secs(20), min_tier: Tier::Ram };

/// Unlinks what was made, also when something here fails.
struct Base(String);

impl Drop for Base {
    fn drop(&mut self) {
        for left in object::list(&self.0).unwrap_or_default() {
            let _ = object::unlink(&left.name);
        }
    }
}

fn id(n: u64) -> PayloadId {
    PayloadId::from_words(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, n)
}

fn face(n: u64) -> Face {
    Face {
        id: id(n),
        version: 1,
        tier: Tier::Ram,
        place: Place { unit: 1, offset: n * 4096 },
        length: 4096,
        state: EntryState::Shown(PayloadState::Active),
        expires: None,
        generations: [1; 4],
        last_generation: 1,
    }
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Nanoseconds for one of `each`, the median over batches.
fn median(batches: usize, per_batch: u32, mut each: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..batches)
        .map(|_| {
            let start = Instant::now();
            (0..per_batch).for_each(|_| each());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(per_batch)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Reads of 64 bytes, each of which says where the next one is; in shared memory, as the directory is, so that both have
/// pages of one size.
fn dependent_reads(base: &str, lines: u64) -> f64 {
    let mut order: Vec<usize> = (0..usize::try_from(lines).unwrap()).collect();
    let mut state = 88_172_645_463_325_252;
    for at in (1..order.len()).rev() {
        order.swap(at, usize::try_from(random(&mut state) % (at as u64 + 1)).unwrap());
    }
    let segment = Segment::create(&format!("{base}-reads"), lines * 64).unwrap();
    object::reserve(segment.file(), 0, lines * 64).unwrap();
    let map = Arc::new(SegmentMap::writable(segment.file()).unwrap());
    let mut part = map.write(0, lines * 64).unwrap();
    for (n, at) in order.iter().enumerate() {
        part[at * 64..at * 64 + 8].copy_from_slice(&order[(n + 1) % order.len()].to_ne_bytes());
    }
    drop(part);
    let bytes = map.bytes(0, lines * 64).unwrap();
    let mut at = 0;
    median(2_000, 500, || at = usize::from_ne_bytes(black_box(bytes)[at * 64..at * 64 + 8].try_into().unwrap()))
}

fn take_and_give_back(table: &LeaseTable, ids: &[PayloadId]) -> f64 {
    let mut next = ids.iter().cycle();
    median(2_000, 500, || drop(black_box(table.take(*next.next().unwrap(), RAM).unwrap())))
}

fn shuffled(count: u64) -> Vec<PayloadId> {
    let mut state = 1_234_567;
    (0..MANY).map(|_| id(random(&mut state) % count)).collect()
}

/// The same loop on memory that nobody shares: a store, a fence, a load, a store.
fn on_private_memory() -> f64 {
    use std::sync::atomic::{AtomicU64, Ordering, fence};
    let (slot, seq) = (AtomicU64::new(0), AtomicU64::new(2));
    median(2_000, 500, || {
        black_box(&slot).store(1, Ordering::Release);
        fence(Ordering::SeqCst);
        black_box(seq.load(Ordering::Relaxed));
        slot.store(0, Ordering::Release);
    })
}

fn two_at_once(work: impl Fn() -> f64 + Sync) -> f64 {
    std::thread::scope(|scope| {
        let both = [scope.spawn(&work), scope.spawn(&work)];
        both.into_iter().map(|thread| thread.join().unwrap()).fold(0.0, f64::max)
    })
}

fn main() {
    let base = Base(format!("/pm-lease-cost-{}", std::process::id()));
    let name = format!("{}-dir", base.0);
    let mut directory = Directory::create(&name, &US, 1 << 17).unwrap();
    for n in 0..MANY {
        directory.insert(&face(n)).unwrap();
    }
    let now = monotonic_ms();
    let latest = LeaseDeadline(now + 120_000);
    let open = |base: &str| SessionPages::open(base, &US, directory.epoch_ms(), 1 << 17, now, latest).unwrap().0;
    let mut pages = open(&base.0);
    let mut session = || {
        let page = pages.create(1024).unwrap();
        let file = File::from(page.descriptor().as_fd().try_clone_to_owned().unwrap());
        let reader = DirectoryReader::of_file(object::open_read_only(&name).unwrap()).unwrap();
        LeaseTable::new(reader, file, Clock::with_offset(0), ()).unwrap()
    };
    let table = session();
    let (hot, many) = (shuffled(HOT), shuffled(MANY));
    let say = |what: &str, figure: f64| println!("{what:<66} {figure:>9.1} ns");
    say("take + give back, 1,000 hot payloads", take_and_give_back(&table, &hot));
    say("  store, fence, load, store on private memory", on_private_memory());
    say("take + give back, 100,000 payloads at random", take_and_give_back(&table, &many));
    say("  dependent random 64-byte reads, 100,000 of them", dependent_reads(&base.0, MANY));
    say("take + give back, hot, two threads of one session", two_at_once(|| take_and_give_back(&table, &hot)));
    say("  store, fence, load, store on private memory, two threads", two_at_once(on_private_memory));
    let lease = table.take(id(5), RAM).unwrap();
    say("is it still valid", median(2_000, 500, || assert!(black_box(lease.is_valid()))));
    say("renew", median(2_000, 500, || assert!(black_box(lease.renew(RAM.duration).is_ok()))));

    let sessions: Vec<_> = (1..100).map(|_| session()).collect();
    let block = BlockName { index: EntryIndex::new(7).unwrap(), generation: 1 };
    let scan = || median(200, 1, || drop(black_box(pages.holders(&[block], monotonic_ms()))));
    say("scan of 100 sessions that hold nothing", scan());
    let held: Vec<_> = sessions.iter().flat_map(|table| (0..1024).map(|n| table.take(id(n), RAM).unwrap())).collect();
    say("scan of 100 sessions that hold 1,024 leases each", scan());
    let blocks: Vec<_> = (0..10_000).map(|n| BlockName { index: EntryIndex::new(n).unwrap(), generation: 1 }).collect();
    let batch = median(20, 1, || drop(black_box(pages.holders(&blocks, monotonic_ms()))));
    say("  the same, about 10,000 blocks at once", batch);
    drop(held);
}
