//! What a start finds lying about: it removes what it knows to be garbage, moves aside what it does not know, and leaves
//! alone what is not its own (promises: no-leak, never-the-only-copy).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use payload_manager_api::core::v1::Tier;
use payload_manager_catalog::{Change, Sqlite, Store};
use payload_manager_tests::Daemon;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::v1;
use payload_manager_types::UnixMillis;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_no_row_names_is_moved_aside_and_never_deleted() {
    let mut daemon = Daemon::start();
    let kept = id_of(&daemon.rpc().await.put(Tier::Disk, b"kept").await.unwrap());
    daemon.kill();
    let id = uuid::Uuid::now_v7().to_string();
    let root = daemon.setup().disk_root();
    let shard = root.join(&id[34..]);
    fs::create_dir_all(&shard).unwrap();
    fs::write(shard.join(format!("{id}.bin")), b"whose?").unwrap();
    fs::write(shard.join(format!("{id}.meta.json")), b"{}").unwrap();
    fs::write(shard.join(format!("{id}.bin.tmp")), b"half").unwrap();
    fs::write(root.join("README"), b"mine").unwrap();

    daemon.start_again();
    let orphans = root.join("orphans");
    assert_eq!(fs::read(orphans.join(format!("{id}.bin"))).unwrap(), b"whose?");
    assert_eq!(fs::read(orphans.join(format!("{id}.meta.json"))).unwrap(), b"{}");
    assert!(!shard.join(format!("{id}.bin.tmp")).exists(), "what is not finished is garbage");
    assert_eq!(fs::read(root.join("README")).unwrap(), b"mine");
    assert!(daemon.log().text().contains(&id), "it says so");
    // It stays there, whatever comes.
    daemon.restart();
    assert_eq!(fs::read(orphans.join(format!("{id}.bin"))).unwrap(), b"whose?");
    assert_eq!(daemon.rpc().await.get(kept).await.unwrap(), b"kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_somebody_else_under_the_prefix_is_left_alone() {
    let mut daemon = Daemon::start();
    let foreign = format!("/{}-{}", daemon.setup().prefix, uuid::Uuid::now_v7());
    fs::write(format!("/dev/shm{foreign}"), b"somebody's").unwrap();
    daemon.restart();
    assert!(daemon.shm().contains(&foreign), "a start deletes only what it knows");
    assert!(daemon.stop().success());
    let wiped = daemon.setup().command("wipe", false).arg("--yes").output().unwrap();
    assert!(wiped.status.success());
    assert_eq!(daemon.shm().into_iter().collect::<Vec<_>>(), [foreign], "and so does a wipe");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_clock_was_set_back_dates_and_the_order_of_the_listing_go_on() {
    const HOUR_MS: u64 = 3_600_000;
    let mut daemon = Daemon::start();
    let old = id_of(&daemon.rpc().await.put(Tier::Disk, b"old").await.unwrap());
    assert!(daemon.stop().success());
    // The last run had a clock that was an hour ahead of the one there is now.
    let mut catalog = Sqlite::open(&daemon.setup().data_dir().join("catalog.sqlite")).unwrap().unwrap();
    let mut rows = Vec::new();
    catalog.reader().unwrap().payloads(&mut |row| rows.push(row)).unwrap();
    let mut row = rows.pop().unwrap();
    let ahead = UnixMillis(row.created.0 + HOUR_MS);
    row.created = ahead;
    catalog.apply(&[Change::Put { facts: Box::new(row), doomed: None }], true).unwrap();
    drop(catalog);

    daemon.start_again();
    let mut rpc = daemon.rpc().await;
    let new = id_of(&rpc.put(Tier::Ram, b"new").await.unwrap());
    let listed = rpc.list().await.unwrap();
    let order: Vec<_> = listed.iter().map(|row| row.id.clone().unwrap()).collect();
    assert_eq!(order, [new.clone(), old], "newest first");
    assert!(listed[0].created_at_ms >= ahead.0, "{} after {}", listed[0].created_at_ms, ahead.0);
    // Leases go by the other clock.
    let lease = rpc.lease(new.clone()).await.unwrap();
    assert_eq!(v1::read(lease.payload_descriptor.as_ref().unwrap()).unwrap(), b"new");
    rpc.release(&lease).await.unwrap();
    daemon.restart();
    assert_eq!(daemon.rpc().await.get(new).await.unwrap(), b"new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_closed_to_writing_is_refused_with_its_name() {
    let mut daemon = Daemon::start();
    let root = daemon.setup().disk_root();
    let kept = id_of(&daemon.rpc().await.put(Tier::Disk, b"kept").await.unwrap());
    daemon.kill();
    // Root writes whatever the mode says: so no folder of that name, but a file.
    let away = root.with_extension("away");
    fs::rename(&root, &away).unwrap();
    fs::write(&root, b"").unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o400)).unwrap();
    let refused = daemon.try_start_again().expect_err("that is no folder");
    assert!(refused.log.contains(&root.display().to_string()), "{}", refused.log);
    fs::remove_file(&root).unwrap();
    fs::rename(&away, &root).unwrap();
    daemon.start_again();
    assert_eq!(daemon.rpc().await.get(kept).await.unwrap(), b"kept");
}
