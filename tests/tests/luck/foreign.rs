//! Belongings that do not fit together: refused, nothing touched, and the message says what to do (promise:
//! never-the-only-copy).

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadId, PayloadState, Tier};
use payload_manager_tests::crash::belief::name_of;
use payload_manager_tests::crash::machine::payload_objects;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, v1};
use tonic::Code;

use super::ground::{Picture, can_mount, fails, on_own_mounts};

/// A daemon that has stopped, with one payload in RAM and one on DISK.
async fn stopped() -> (Daemon, PayloadId, PayloadId) {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let ram = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 50_000)).await.unwrap());
    let disk = id_of(&rpc.put(Tier::Disk, &v1::pattern(2, 50_000)).await.unwrap());
    assert!(daemon.stop().success());
    (daemon, ram, disk)
}

/// It does not start, says each of `words`, and has changed nothing.
fn refuses(daemon: &mut Daemon, words: &[&str]) {
    let before = Picture::of(daemon.setup());
    let refused = daemon.try_start_again().expect_err("should have been refused");
    assert_eq!(refused.code, Some(3), "{}", refused.log);
    for word in words {
        assert!(refused.log.contains(word), "does not say {word:?}: {}", refused.log);
    }
    assert!(Picture::of(daemon.setup()) == before, "a refused start has changed something");
}

/// Started again with `--fresh`, once.
fn start_fresh(daemon: &mut Daemon) {
    daemon.change(|setup| setup.switch("fresh"));
    daemon.start_again();
    daemon.change(|setup| setup.without("fresh"));
}

async fn both_are_there(daemon: &Daemon, ram: PayloadId, disk: PayloadId) {
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.get(ram).await.unwrap(), v1::pattern(1, 50_000));
    assert_eq!(rpc.get(disk).await.unwrap(), v1::pattern(2, 50_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_catalog_a_folder_of_payloads_is_not_touched() {
    let (mut daemon, ram, disk) = stopped().await;
    let catalog = daemon.setup().data_dir().join("catalog.sqlite");
    let away = daemon.setup().folder.path().join("away");
    fs::rename(&catalog, &away).unwrap();
    refuses(&mut daemon, &["is missing", "--fresh", "backup", &catalog.display().to_string()]);
    assert!(!catalog.exists());
    // Restored, everything is there.
    fs::rename(&away, &catalog).unwrap();
    daemon.start_again();
    both_are_there(&daemon, ram, disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_begins_a_new_catalog_and_moves_the_files_aside() {
    let (mut daemon, ram, disk) = stopped().await;
    fs::remove_file(daemon.setup().data_dir().join("catalog.sqlite")).unwrap();
    start_fresh(&mut daemon);
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.list().await.unwrap(), []);
    for id in [&ram, &disk] {
        fails(rpc.lease(id.clone()).await, Code::NotFound, Reason::PayloadNotFound);
    }
    let orphan = daemon.setup().disk_root().join("orphans").join(format!("{}.bin", name_of(&disk)));
    assert_eq!(fs::read(orphan).unwrap(), v1::pattern(2, 50_000));
    assert!(payload_objects(&daemon).is_empty(), "what only RAM held is dropped");
    let new = id_of(&rpc.put(Tier::Disk, b"new").await.unwrap());
    daemon.restart();
    assert_eq!(daemon.rpc().await.get(new).await.unwrap(), b"new");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_another_instance_is_not_touched() {
    let (mut one, ram, disk) = stopped().await;
    let (mut two, other_ram, other_disk) = stopped().await;
    let swap = |a: &Daemon, b: &Daemon| {
        let (a, b) = (a.setup().disk_root(), b.setup().disk_root());
        let between = a.with_extension("between");
        fs::rename(&a, &between).unwrap();
        fs::rename(&b, &a).unwrap();
        fs::rename(&between, &b).unwrap();
    };
    swap(&one, &two);
    let root = one.setup().disk_root().display().to_string();
    refuses(&mut one, &["belongs to instance", "--fresh", "catalog.sqlite", &root]);
    refuses(&mut two, &["belongs to instance", "--fresh", "catalog.sqlite"]);
    swap(&one, &two);
    one.start_again();
    two.start_again();
    both_are_there(&one, ram, disk).await;
    both_are_there(&two, other_ram, other_disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_its_mark_is_not_taken_for_an_empty_one() {
    let (mut daemon, ram, disk) = stopped().await;
    // As after a mount that did not come: an empty folder in its place.
    let root = daemon.setup().disk_root();
    let away = root.with_extension("away");
    fs::rename(&root, &away).unwrap();
    fs::create_dir(&root).unwrap();
    refuses(&mut daemon, &["is not its folder", "mount", "--fresh", &root.display().to_string()]);
    fs::remove_dir_all(&root).unwrap();
    fs::rename(&away, &root).unwrap();
    // As after a restore without it: only the mark is gone.
    fs::remove_file(root.join("instance")).unwrap();
    refuses(&mut daemon, &["is not its folder", "--fresh"]);
    start_fresh(&mut daemon);
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.get(disk).await.unwrap(), v1::pattern(2, 50_000), "the catalog knows the files that are there");
    fails(rpc.lease(ram).await, Code::DataLoss, Reason::BytesLost);
    daemon.restart();
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_memory_under_another_prefix_is_not_overlooked() {
    let (mut daemon, ram, disk) = stopped().await;
    let prefix = daemon.setup().prefix.clone();
    daemon.change(|setup| setup.prefix("pmt-other"));
    let refused = daemon.try_start_again().expect_err("under another prefix");
    assert_eq!(refused.code, Some(3), "{}", refused.log);
    assert!(refused.log.contains("--shm-prefix") && refused.log.contains(&prefix), "{}", refused.log);
    daemon.change(|setup| setup.prefix(&prefix));
    daemon.start_again();
    both_are_there(&daemon, ram, disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (mut daemon, ram, disk) = stopped().await;
    let path = daemon.setup().data_dir().join("catalog.sqlite");
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut known = [0; 4];
    // SQLite's user_version.
    file.read_exact_at(&mut known, 60).unwrap();
    file.write_all_at(&9999u32.to_be_bytes(), 60).unwrap();
    refuses(&mut daemon, &["9999", "newer", &path.display().to_string()]);
    file.write_all_at(&known, 60).unwrap();
    daemon.start_again();
    both_are_there(&daemon, ram, disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_catalog_of_ours_is_refused_and_left_as_it_is() {
    let (mut daemon, ..) = stopped().await;
    let path = daemon.setup().data_dir().join("catalog.sqlite");
    fs::write(&path, b"a poem, and no catalog").unwrap();
    refuses(&mut daemon, &["not a usable catalog", &path.display().to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_is_read_only_is_refused_and_nothing_is_lost() {
    if !can_mount() {
        let name = "a_data_folder_that_is_read_only_is_refused_and_nothing_is_lost";
        return payload_manager_tests::skip(name, "leave to mount");
    }
    let (mut daemon, ram, disk) = stopped().await;
    let before = Picture::of(daemon.setup());
    let data = daemon.setup().data_dir();
    let script = format!("mount --bind {0} {0} && mount -o remount,ro,bind {0}", data.display());
    daemon.change(|setup| on_own_mounts(setup, &script));
    let refused = daemon.try_start_again().expect_err("it can't write");
    assert!(matches!(refused.code, Some(1 | 3)), "{refused:?}");
    assert!(refused.log.contains(&data.display().to_string()), "{}", refused.log);
    assert!(Picture::of(daemon.setup()) == before);
    daemon.change(|setup| setup.wrapper::<&str>(&[]));
    daemon.start_again();
    both_are_there(&daemon, ram, disk).await;
    let mut rpc = daemon.rpc().await;
    assert!(rpc.list().await.unwrap().iter().all(|row| row.state() != PayloadState::Allocated));
}
