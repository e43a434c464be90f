//! Promise survives-kill, for the pages themselves: a daemon killed at any instant leaves pages that open, of which
//! every record is whole, every torn entry says so, and nothing is lost to later use.
//!
//! The test runs itself again as the daemon, which works on the pages until it is killed; the moment is chosen by how
//! much it has said, not by a clock.

#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(not(loom))]

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use payload_manager_shm::{
    BlockState, Directory, EntryState, Face, Identity, Record, Records, RpcLeases, StoredRecord, object,
};
use payload_manager_types::{
    BlockName, Checksum, EvictionPolicy, InstanceId, LeaseDeadline, PayloadId, PayloadState, Place, Protection, Tier,
    UnixMillis,
};

const BASE: &str = "PM_TEST_KILL_BASE";
const US: Identity = Identity { instance: InstanceId::from_bytes([7; 16]), boot: [9; 16] };
const PAYLOADS: u32 = 8;
const NOW: u64 = 1_000;
const UNTIL: LeaseDeadline = LeaseDeadline(20_000);

/// Unlinks what the test made, failed or not.
struct Base(String);

impl Drop for Base {
    fn drop(&mut self) {
        for left in object::list(&self.0).unwrap_or_default() {
            let _ = object::unlink(&left.name);
        }
    }
}

struct Pages {
    directory: Directory,
    records: Records,
    leases: RpcLeases,
}

impl Pages {
    fn create(base: &str) -> Self {
        let directory = Directory::create(&format!("{base}-dir"), &US, PAYLOADS).unwrap();
        let records = Records::create(&format!("{base}-records"), &US, PAYLOADS * 2).unwrap();
        let leases = open_leases(base, &directory);
        Self { directory, records, leases }
    }

    fn open(base: &str) -> Self {
        let directory = Directory::open(&format!("{base}-dir"), &US).unwrap();
        let records = Records::open(&format!("{base}-records"), &US).unwrap();
        let leases = open_leases(base, &directory);
        Self { directory, records, leases }
    }
}

fn open_leases(base: &str, directory: &Directory) -> RpcLeases {
    RpcLeases::open(base, &US, directory.epoch_ms(), 100, NOW, UNTIL).unwrap()
}

/// All numbers in it are `n` or follow from it, so that a mixture shows.
fn face(id: u32, n: u64, state: EntryState) -> Face {
    let generation = n.to_le_bytes()[0];
    Face {
        id: PayloadId::from_words(1, id.into()),
        version: n,
        tier: Tier::Ram,
        place: Place { unit: 0, offset: n },
        length: n,
        state,
        expires: None,
        generations: [generation; 4],
        last_generation: generation,
    }
}

fn record(id: u32, n: u64) -> Record {
    Record {
        id: PayloadId::from_words(1, id.into()),
        length: n,
        created: UnixMillis(n),
        expires: Some(UnixMillis(n)),
        policy: EvictionPolicy::default(),
        no_evict: false,
        protection: Protection::Shared,
        preferred: Tier::Ram,
        place: Place { unit: 0, offset: n },
        block: None,
        checksum: Some(Checksum(u128::from(n).to_be_bytes())),
        version: n,
        reclaim_at: None,
    }
}

/// Says a dot after every so many steps, a number that no payload's life divides: so dots come after every step of it,
/// and a kill that follows a dot at once finds the daemon there.
#[derive(Default)]
struct Steps(u32);

impl Steps {
    fn done(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(101) {
            let mut out = std::io::stdout();
            out.write_all(b".").and_then(|()| out.flush()).unwrap();
        }
    }
}

/// Payloads come, are leased, move, and go, for ever.
fn daemon(base: &str) {
    let Pages { mut directory, mut records, mut leases } = Pages::open(base);
    let shown = EntryState::Shown(PayloadState::Active);
    let mut steps = Steps::default();
    for n in 1u64.. {
        let id = u32::try_from(n % u64::from(PAYLOADS)).unwrap();
        let first = records.reserve(&record(id, n)).unwrap();
        steps.done();
        let index = directory.insert(&face(id, n, shown)).unwrap();
        steps.done();
        let block = BlockName { index, generation: n.to_le_bytes()[0] };
        assert!(records.set_live(first, &Record { block: Some(block), ..record(id, n) }));
        steps.done();
        let lease = leases.grant(block, UNTIL).unwrap();
        steps.done();
        let second = records.reserve(&record(id, n + 1)).unwrap();
        assert!(records.set_live(second, &record(id, n + 1)));
        directory.publish(index, &face(id, n + 1, shown));
        steps.done();
        assert!(records.mark(first, BlockState::Retired) && records.free(first));
        steps.done();
        leases.release(lease).unwrap();
        directory.close(index);
        steps.done();
        assert!(records.mark(second, BlockState::Deleting) && records.free(second));
        steps.done();
        directory.remove(index);
        steps.done();
    }
}

#[test]
fn survives_kill() {
    if let Ok(base) = std::env::var(BASE) {
        return daemon(&base);
    }
    let base = Base(format!("/pm-test-{}", uuid::Uuid::now_v7()));
    drop(Pages::create(&base.0));
    let mut in_the_middle = 0;
    for round in 0..60 {
        run_and_kill(&base.0, 1 + round * 7 % 50);
        in_the_middle += u32::from(check_and_mend(&base.0));
    }
    assert!(in_the_middle > 10, "only {in_the_middle} kills came in the middle of anything");
}

/// Lets a daemon work until it has said so much, then kills it with SIGKILL.
fn run_and_kill(base: &str, so_much: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "survives_kill", "--nocapture"])
        .env(BASE, base)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = child.stdout.take().unwrap();
    // What the test harness says comes first; dots are the daemon's.
    let mut dots = 0;
    let mut byte = [0];
    while dots < so_much && said.read(&mut byte).unwrap() == 1 {
        dots += usize::from(byte == *b".");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(dots, so_much, "the daemon ended by itself");
}

/// Whether the kill came in the middle of a payload's life. Afterwards nothing is left of it.
fn check_and_mend(base: &str) -> bool {
    let Pages { mut directory, mut records, mut leases } = Pages::open(base);
    let found: Vec<_> = records.iter().collect();
    let busy = !found.is_empty() || !directory.is_empty();
    for (ix, found) in found {
        let StoredRecord { state, record: said } = found.unwrap();
        let id = u32::try_from(said.id.to_words().1).unwrap();
        assert_ne!(state, BlockState::Free);
        assert_eq!(Record { block: None, ..said }, record(id, said.version));
        records.free(ix);
    }
    for entry in directory.entries().collect::<Vec<_>>() {
        let whole = directory.read(entry.index).map(|(face, _)| face);
        assert_eq!(whole.is_none(), entry.torn);
        if let Some(shown) = whole {
            let id = u32::try_from(shown.id.to_words().1).unwrap();
            assert_eq!(shown, face(id, shown.version, shown.state));
        }
        directory.remove(entry.index);
    }
    leases.expire_due(UNTIL.0);
    assert_eq!((leases.all(NOW).len(), leases.live_count()), (0, 0));
    let shown = EntryState::Shown(PayloadState::Active);
    let full: Vec<_> = (0..PAYLOADS).map(|id| directory.insert(&face(id, 1, shown)).unwrap()).collect();
    full.into_iter().for_each(|index| directory.remove(index));
    assert!(directory.is_empty() && records.is_empty());
    busy
}
