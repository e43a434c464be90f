//! Bytes that somebody has changed, cut off or taken away under the daemon: never shown as good where they were checked,
//! and the payload stays listed, to be seen and deleted (promises: verified-tiers, never-the-only-copy).

use std::fs;
use std::path::PathBuf;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadId, PayloadState, Tier};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc, eventually, v1};
use tonic::Code;

use super::ground::{fails, flip, resize};

const SIZE: usize = 300_000;

/// A payload that is on DISK alone, its file, and its bytes.
async fn on_disk(rpc: &mut Rpc) -> (PayloadId, PathBuf, Vec<u8>) {
    let bytes = v1::pattern(1, SIZE);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let descriptor = rpc.spill(id.clone()).await.unwrap();
    (id, v1::place(&descriptor).0, bytes)
}

/// It is listed, can't be read, and can be deleted without a trace but for what was set aside.
async fn is_lost_but_listed(daemon: &Daemon, rpc: &mut Rpc, id: PayloadId, aside: bool) {
    let lost = rpc.descriptor(id.clone()).await.unwrap();
    assert_eq!((lost.state(), lost.copies.len(), lost.location), (PayloadState::Durable, 0, None));
    assert_eq!(rpc.list().await.unwrap().len(), 1);
    fails(rpc.lease(id.clone()).await, Code::DataLoss, Reason::BytesLost);
    fails(rpc.promote(id.clone(), Tier::Ram).await, Code::DataLoss, Reason::BytesLost);
    let is_aside = |file: &PathBuf| file.starts_with("set-aside");
    eventually("it is set aside", || daemon.disk_files().iter().any(is_aside) == aside);
    rpc.delete(id, false).await.unwrap();
    eventually("all else is gone", || daemon.disk_files().iter().all(is_aside));
    let stats = rpc.stats().await.unwrap();
    assert_eq!((stats.payloads_ram, stats.payloads_disk), (0, 0));
    eventually_async("all space is free", || {
        let mut rpc = rpc.clone();
        async move { rpc.stats().await.unwrap().tiers.iter().all(|tier| tier.free_bytes == tier.capacity_bytes) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_on_disk_is_found_by_the_promotion_and_set_aside() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (id, file, _) = on_disk(&mut rpc).await;
    flip(&file, 123_456);
    let before = rpc.descriptor(id.clone()).await.unwrap();
    let status = fails(rpc.promote(id.clone(), Tier::Ram).await, Code::DataLoss, Reason::ChecksumMismatch);
    assert!(status.message().contains(&payload_manager_tests::crash::belief::name_of(&id)), "{status:?}");
    assert!(rpc.descriptor(id.clone()).await.unwrap().version > before.version);
    eventually("only the bad copy is gone", || !file.exists());
    // A restart finds the same.
    daemon.restart();
    let mut rpc = daemon.rpc().await;
    is_lost_but_listed(&daemon, &mut rpc, id, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_cut_off_under_the_daemon_is_data_loss_and_stays_listed() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (id, file, _) = on_disk(&mut rpc).await;
    resize(&file, 1000);
    fails(rpc.promote(id.clone(), Tier::Ram).await, Code::DataLoss, Reason::BytesLost);
    is_lost_but_listed(&daemon, &mut rpc, id, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_taken_away_under_the_daemon_is_data_loss_and_stays_listed() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (id, file, _) = on_disk(&mut rpc).await;
    fs::remove_file(&file).unwrap();
    fails(rpc.promote(id.clone(), Tier::Ram).await, Code::DataLoss, Reason::BytesLost);
    daemon.restart();
    let mut rpc = daemon.rpc().await;
    let aside = daemon.disk_files().iter().any(|file| file.starts_with("set-aside"));
    is_lost_but_listed(&daemon, &mut rpc, id, aside).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_cut_off_while_nobody_looked_is_found_at_the_next_start_and_kept() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (id, file, _) = on_disk(&mut rpc).await;
    daemon.kill();
    resize(&file, 1000);
    daemon.start_again();
    let mut rpc = daemon.rpc().await;
    let lost = rpc.descriptor(id.clone()).await.unwrap();
    assert_eq!((lost.state(), lost.copies.len()), (PayloadState::Durable, 0));
    assert_eq!(fs::metadata(&file).unwrap().len(), 1000, "what is left of it is kept");
    rpc.delete(id, false).await.unwrap();
    eventually("it can be deleted", || daemon.disk_files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_memory_serves_while_its_twin_on_disk_is_bad() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (id, file, bytes) = on_disk(&mut rpc).await;
    rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
    daemon.restart();
    let mut rpc = daemon.rpc().await;
    let descriptor = rpc.descriptor(id.clone()).await.unwrap();
    assert_eq!((descriptor.tier(), descriptor.state()), (Tier::Ram, PayloadState::Durable));
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
    // And can be made durable once more.
    rpc.spill(id.clone()).await.unwrap();
    assert_eq!(fs::read(&file).unwrap(), bytes);
    assert_eq!(rpc.get(id).await.unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_resized_by_its_producer_before_commit_is_the_producers_mistake() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    for tier in [Tier::Ram, Tier::Disk] {
        for length in [0, 1000, 400_000] {
            let allocated = rpc.allocate(tier, SIZE as u64).await.unwrap();
            let id = id_of(&allocated);
            resize(&v1::place(&allocated).0, length);
            fails(rpc.commit(id.clone()).await, Code::FailedPrecondition, Reason::SizeMismatch);
            assert_eq!(rpc.descriptor(id.clone()).await.unwrap().state(), PayloadState::Allocated);
            // It can put that right: nothing was changed.
            let bytes = v1::pattern(length, SIZE);
            v1::write(&allocated, &bytes).unwrap();
            rpc.commit(id.clone()).await.unwrap();
            assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
        }
        // Or take it away altogether.
        let allocated = rpc.allocate(tier, SIZE as u64).await.unwrap();
        fs::remove_file(v1::place(&allocated).0).unwrap();
        fails(rpc.commit(id_of(&allocated)).await, Code::FailedPrecondition, Reason::SizeMismatch);
        rpc.delete(id_of(&allocated), false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_cut_off_by_its_producer_after_commit_is_data_loss_and_no_bus_error() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let mut ids = Vec::new();
    for length in [0, 4096, 400_000] {
        let committed = rpc.put(Tier::Ram, &v1::pattern(1, SIZE)).await.unwrap();
        resize(&v1::place(&committed).0, length);
        fails(rpc.spill(id_of(&committed)).await, Code::DataLoss, Reason::BytesLost);
        fails(rpc.lease(id_of(&committed)).await, Code::DataLoss, Reason::BytesLost);
        ids.push(id_of(&committed));
    }
    assert_eq!(daemon.disk_files(), Vec::<PathBuf>::new());
    daemon.restart();
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.list().await.unwrap().len(), ids.len(), "listed until they are deleted");
    for id in ids {
        fails(rpc.lease(id.clone()).await, Code::DataLoss, Reason::BytesLost);
        rpc.delete(id, false).await.unwrap();
    }
    let own = payload_manager_tests::crash::machine::payload_objects;
    eventually("nothing is left", || own(&daemon).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_cut_off_while_nobody_looked_is_kept_until_its_payload_is_deleted() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let alone = rpc.put(Tier::Ram, &v1::pattern(1, SIZE)).await.unwrap();
    let (twin, ..) = on_disk(&mut rpc).await;
    let promoted = rpc.promote(twin.clone(), Tier::Ram).await.unwrap();
    daemon.kill();
    let (only, cache) = (v1::place(&alone).0, v1::place(&promoted).0);
    resize(&only, 4096);
    resize(&cache, 4096);
    daemon.start_again();
    let mut rpc = daemon.rpc().await;
    fails(rpc.lease(id_of(&alone)).await, Code::DataLoss, Reason::BytesLost);
    assert_eq!(fs::metadata(&only).unwrap().len(), 4096, "what is left may be all there is");
    assert!(!cache.exists(), "of this there is a file");
    assert_eq!(rpc.get(twin).await.unwrap(), v1::pattern(1, SIZE));
    rpc.delete(id_of(&alone), false).await.unwrap();
    eventually("it goes with its payload", || !only.exists());
}
