//! Promise honest-full: when the tmpfs is full, growing is an error with a number, nothing is lost, and no signal comes.
//!
//! The test runs itself again in a mount namespace of its own, on a tmpfs of 2 MiB. Where the kernel allows no such
//! namespace to this user, it says so and tests nothing.

#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(not(loom))]

use std::path::Path;
use std::process::Command;

use payload_manager_shm::{
    Directory, EntryState, Face, Full, Identity, ObjectError, Record, Records, RpcLeases, object,
};
use payload_manager_types::{
    BlockName, EntryIndex, EvictionPolicy, InstanceId, LeaseDeadline, PayloadId, PayloadState, Place, Protection, Tier,
    UnixMillis,
};

const FOLDER: &str = "PM_TEST_SMALL_TMPFS";
const US: Identity = Identity { instance: InstanceId::from_bytes([7; 16]), boot: [9; 16] };

/// Runs this file's tests again under `script`'s small tmpfs. Whether that could be done here.
fn run_on_a_small_tmpfs(unshare: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let may = Command::new("unshare").args([unshare, "true"]).output().is_ok_and(|run| run.status.success());
    if !may {
        return false;
    }
    let script = r#"mount -t tmpfs -o size=2m none "$0" || exit 99; exec "$1" --exact honest_full --nocapture"#;
    let run = Command::new("unshare")
        .args([unshare, "sh", "-c", script])
        .args([folder.path(), std::env::current_exe().unwrap().as_path()])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() || run.status.code() == Some(99), "{said}");
    run.status.success()
}

#[test]
fn honest_full() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = Path::new(&folder);
        directory_is_honest(folder);
        records_are_honest(folder);
        leases_are_honest(folder);
    } else if !["-m", "-Urm"].into_iter().any(run_on_a_small_tmpfs) {
        eprintln!("not tested: no mount namespace for this user");
    }
}

fn name(folder: &Path, part: &str) -> String {
    folder.join(part).display().to_string()
}

/// Fills what is left of the tmpfs, to the last page.
fn fill(folder: &Path) -> String {
    let filler = name(folder, "filler");
    let mut size = 2 << 20;
    while object::create(&filler, size, 0o600).is_err() {
        size -= 4096;
    }
    filler
}

fn face(n: u64) -> Face {
    Face {
        id: PayloadId::from_words(1, n),
        version: 1,
        tier: Tier::Ram,
        place: Place::OWN,
        length: n,
        state: EntryState::Shown(PayloadState::Active),
        expires: None,
        generations: [0, 1, 0, 0],
        last_generation: 1,
    }
}

fn directory_is_honest(folder: &Path) {
    let name = name(folder, "dir");
    let refused = Directory::create(&name, &US, 1_000_000);
    assert!(matches!(refused, Err(ObjectError::Full { .. })), "{refused:?}");
    assert_eq!(object::list(&name).unwrap(), [], "nothing is left of it");
    let mut directory = Directory::create(&name, &US, 60_000).unwrap();
    let filler = fill(folder);
    let refused = directory.insert(&face(1));
    assert!(matches!(refused, Err(Full::Memory { bytes, .. }) if bytes > 0), "{refused:?}");
    object::unlink(&filler).unwrap();
    directory.insert(&face(1)).unwrap();
    fill(folder);
    let held = (2..60_000).take_while(|n| directory.insert(&face(*n)).is_ok()).count() + 1;
    assert!((1..20_000).contains(&held), "{held} entries in 2 MiB");
    drop(directory);
    let directory = Directory::open(&name, &US).unwrap();
    assert!((1..=held as u64).all(|n| directory.lookup(face(n).id).is_some_and(|(_, shown, _)| shown == face(n))));
    object::unlink(&name).unwrap();
    object::unlink(&filler).unwrap();
}

fn records_are_honest(folder: &Path) {
    let name = name(folder, "records");
    let mut records = Records::create(&name, &US, 100_000).unwrap();
    let filler = fill(folder);
    let record = Record {
        id: PayloadId::from_words(1, 1),
        length: 1,
        created: UnixMillis(1),
        expires: None,
        policy: EvictionPolicy::default(),
        no_evict: false,
        protection: Protection::Shared,
        preferred: Tier::Ram,
        place: Place::OWN,
        block: None,
        checksum: None,
        version: 1,
        reclaim_at: None,
    };
    assert!(matches!(records.reserve(&record), Err(Full::Memory { .. })));
    assert_eq!((records.len(), records.iter().count()), (0, 0));
    object::unlink(&filler).unwrap();
    let ix = records.reserve(&record).unwrap();
    assert_eq!(records.read(ix).unwrap().map(|found| found.record), Some(record));
    object::unlink(&name).unwrap();
}

fn leases_are_honest(folder: &Path) {
    let base = name(folder, "pm");
    let mut leases = RpcLeases::open(&base, &US, 0, 10_000, 1, LeaseDeadline(120_000)).unwrap();
    let filler = fill(folder);
    let block = BlockName { index: EntryIndex::new(1).unwrap(), generation: 1 };
    let mut given = Vec::new();
    let full = loop {
        match leases.grant(block, LeaseDeadline(10)) {
            Ok(lease) => given.push(lease),
            Err(full) => break full,
        }
    };
    assert!(matches!(full, Full::Memory { .. }) && given.len() == 4096, "{full} after {}", given.len());
    assert!(given.iter().all(|lease| leases.release(*lease) == Some(block)));
    object::unlink(&filler).unwrap();
    assert_eq!(object::list(&base).unwrap().len(), 1, "no half-made page stays");
}
