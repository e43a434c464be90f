//! Shared memory, memory and disk run out: an error with numbers, never a signal (promise: honest-full).

use std::fs;
use std::path::{Path, PathBuf};

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadDescriptor, PayloadState, Tier};
use payload_manager_api::reason::detail;
use payload_manager_api::runtime::v1::AllocatePayloadRequest;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, Setup, skip, v1};
use tonic::Code;

use super::ground::{Filler, as_it_sees, can_mount, fails, on_own_mounts, place};

/// Allocates and writes where the daemon's eyes see it, and commits.
async fn put(daemon: &Daemon, rpc: &mut Rpc, tier: Tier, bytes: &[u8]) -> PayloadDescriptor {
    let allocated = rpc.allocate(tier, bytes.len() as u64).await.unwrap();
    fs::write(place(daemon, &allocated), bytes).unwrap();
    rpc.commit(id_of(&allocated)).await.unwrap()
}

fn numbers(status: &tonic::Status) -> (String, u64, u64) {
    let facts = detail(status).unwrap().metadata;
    (facts["tier"].clone(), facts["asked_bytes"].parse().unwrap(), facts["free_bytes"].parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn full_shared_memory_is_an_error_with_numbers_and_harms_nobody() {
    if !can_mount() {
        return skip("full_shared_memory_is_an_error_with_numbers_and_harms_nobody", "leave to mount");
    }
    let setup = on_own_mounts(Setup::new(), "mount -t tmpfs -o size=24m tmpfs /dev/shm");
    let daemon = setup.start();
    assert!(daemon.log().text().contains("/dev/shm"), "says what binds: {}", daemon.log().text());
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, 1 << 20);
    let kept = put(&daemon, &mut rpc, Tier::Ram, &bytes).await;
    let waiting = rpc.allocate(Tier::Ram, 300_000).await.unwrap();
    fs::write(place(&daemon, &waiting), v1::pattern(2, 300_000)).unwrap();

    let filler = Filler::fill(as_it_sees(&daemon, Path::new("/dev/shm/filler")));
    let objects = objects(&daemon);
    let status = fails(rpc.allocate(Tier::Ram, 2 << 20).await, Code::ResourceExhausted, Reason::TierFull);
    let (tier, asked, free) = numbers(&status);
    assert_eq!((tier.as_str(), asked), ("RAM", 2 << 20));
    assert!(free < 2 << 20, "{free}");
    assert_eq!(self::objects(&daemon), objects, "nothing is left of it");
    // What has its space goes on: commit, lease, bytes.
    rpc.commit(id_of(&waiting)).await.unwrap();
    let lease = rpc.lease(id_of(&kept)).await.unwrap();
    assert_eq!(fs::read(place(&daemon, lease.payload_descriptor.as_ref().unwrap())).unwrap(), bytes);
    rpc.release(&lease).await.unwrap();
    // It can even make room.
    rpc.spill(id_of(&kept)).await.unwrap();

    drop(filler);
    put(&daemon, &mut rpc, Tier::Ram, &bytes).await;
    assert_eq!(rpc.list().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn room_that_somebody_else_took_is_made_by_eviction() {
    if !can_mount() {
        return skip("room_that_somebody_else_took_is_made_by_eviction", "leave to mount");
    }
    let daemon = on_own_mounts(Setup::new(), "mount -t tmpfs -o size=24m tmpfs /dev/shm").start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, 2 << 20);
    let mut kept = Vec::new();
    for _ in 0..2 {
        kept.push(id_of(&put(&daemon, &mut rpc, Tier::Ram, &bytes).await));
    }
    let disk = id_of(&put(&daemon, &mut rpc, Tier::Disk, &bytes).await);
    let _filler = Filler::fill(as_it_sees(&daemon, Path::new("/dev/shm/filler")));

    // The budget has room, shared memory has not: each of these takes the place of one that goes.
    let new = put(&daemon, &mut rpc, Tier::Ram, &bytes).await;
    assert_eq!(rpc.descriptor(kept[0].clone()).await.unwrap().tier(), Tier::Disk);
    assert_eq!(rpc.promote(disk, Tier::Ram).await.unwrap().tier(), Tier::Ram);
    assert_eq!(rpc.descriptor(kept[1].clone()).await.unwrap().tier(), Tier::Disk);
    assert_eq!(fs::read(place(&daemon, &new)).unwrap(), bytes);
}

fn objects(daemon: &Daemon) -> Vec<PathBuf> {
    let folder = fs::read_dir(as_it_sees(daemon, Path::new("/dev/shm"))).unwrap();
    let mut names: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

/// A cgroup of version 1 or 2 with this memory limit; gone with the value.
struct Cgroup(PathBuf);

impl Cgroup {
    fn limited(bytes: u64) -> Option<Self> {
        let name = format!("pmt-{}", uuid::Uuid::now_v7());
        for (root, limit) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
            let group = Self(Path::new(root).join(&name));
            if fs::create_dir(&group.0).is_ok() && fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_memory_limit_is_an_error_with_numbers_and_not_the_daemons_death() {
    const LIMIT: u64 = 64 << 20;
    const SIZE: u64 = 4 << 20;
    let Some(group) = Cgroup::limited(LIMIT) else {
        let name = "a_small_memory_limit_is_an_error_with_numbers_and_not_the_daemons_death";
        return skip(name, "leave to make a cgroup with a memory limit");
    };
    let join = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", group.0.display());
    let setup = Setup::new().flag("ram", "1GiB").wrapper(&["sh", "-c", &join]);
    let mut daemon = setup.start();
    assert!(daemon.log().text().contains("cgroup"), "says what binds: {}", daemon.log().text());
    let mut rpc = daemon.rpc().await;
    let mut made = Vec::new();
    let request = AllocatePayloadRequest { preferred_tier: Tier::Ram as i32, no_evict: true, ..Default::default() };
    let status = loop {
        let bytes = v1::pattern(made.len() as u64, SIZE.try_into().unwrap());
        match rpc.put_with(request.clone(), &bytes).await {
            Ok(descriptor) => made.push((id_of(&descriptor), bytes)),
            Err(status) => break status,
        }
        assert!((made.len() as u64) * SIZE < LIMIT, "more than the limit");
    };
    fails(Err::<(), _>(status.clone()), Code::ResourceExhausted, Reason::TierFull);
    assert_eq!(numbers(&status).1, SIZE);
    assert!(made.len() > 2, "only {} fit", made.len());
    for (id, bytes) in made {
        assert_eq!(rpc.get(id).await.unwrap(), bytes);
    }
    assert!(daemon.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_the_move_and_leaves_the_payload_where_it_was() {
    if !can_mount() {
        return skip("a_full_disk_fails_the_move_and_leaves_the_payload_where_it_was", "leave to mount");
    }
    let setup = Setup::new();
    let root = setup.disk_root();
    let script = format!("mkdir -p {0} && mount -t tmpfs -o size=8m tmpfs {0}", root.display());
    let daemon = on_own_mounts(setup, &script).start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, 1 << 20);
    let ram = put(&daemon, &mut rpc, Tier::Ram, &bytes).await;
    let filler = Filler::fill(as_it_sees(&daemon, &root.join("filler")));

    let status = fails(rpc.spill(id_of(&ram)).await, Code::ResourceExhausted, Reason::TierFull);
    assert_eq!(numbers(&status).0, "DISK");
    fails(rpc.allocate(Tier::Disk, 1 << 20).await, Code::ResourceExhausted, Reason::TierFull);
    let after = rpc.descriptor(id_of(&ram)).await.unwrap();
    assert_eq!((after.tier(), after.state(), after.copies.len()), (Tier::Ram, PayloadState::Active, 1));
    assert_eq!(fs::read(place(&daemon, &after)).unwrap(), bytes);
    let names = |folder: &Path| payload_manager_tests::remains::files_under(folder);
    let left = names(&as_it_sees(&daemon, &root));
    assert_eq!(left, [PathBuf::from("filler"), PathBuf::from("instance")], "nothing is left of it");

    drop(filler);
    let spilled = rpc.spill(id_of(&ram)).await.unwrap();
    assert_eq!((spilled.tier(), spilled.state()), (Tier::Disk, PayloadState::Durable));
    assert_eq!(fs::read(place(&daemon, &spilled)).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_on_a_full_disk_fails_what_needs_it_and_nothing_else() {
    if !can_mount() {
        return skip("a_catalog_on_a_full_disk_fails_what_needs_it_and_nothing_else", "leave to mount");
    }
    let setup = Setup::new();
    let data = setup.data_dir();
    let elsewhere = setup.folder.path().join("payloads");
    let script = format!("mkdir -p {0} && mount -t tmpfs -o size=2m tmpfs {0}", data.display());
    let daemon = on_own_mounts(setup.flag("disk-root", elsewhere), &script).start();
    let mut rpc = daemon.rpc().await;
    rpc.create_stream("log").await.unwrap();
    let before = rpc.put(Tier::Ram, b"before").await.unwrap();
    let filler = Filler::fill(as_it_sees(&daemon, &data.join("filler")));

    // Rows go into pages of the log that are there already; sooner or later there are none.
    let mut appended = 0;
    let status = loop {
        match rpc.append("log", &vec![id_of(&before); 200]).await {
            Ok(_) => appended += 200,
            Err(status) => break status,
        }
        assert!(appended < 100_000, "the disk is not full");
    };
    fails(Err::<(), _>(status), Code::Unavailable, Reason::CatalogUnavailable);
    // RAM needs no catalog to answer.
    let meanwhile = rpc.put(Tier::Ram, b"meanwhile").await.unwrap();
    assert_eq!(rpc.get(id_of(&meanwhile)).await.unwrap(), b"meanwhile");

    drop(filler);
    let (first, _) = rpc.append("log", &[id_of(&meanwhile)]).await.unwrap();
    assert_eq!(first, appended, "what was refused was not written");
    rpc.create_stream("another").await.unwrap();
}
