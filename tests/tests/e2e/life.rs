//! A payload's whole life, as its clients see it.

use payload_manager_api::core::v1::{PayloadState, Tier};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, eventually, v1};

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_lives_through_both_tiers_and_leaves_nothing() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let own = daemon.shm();
    let bytes = v1::pattern(1, 1 << 20);

    let committed = rpc.put(Tier::Ram, &bytes).await.unwrap();
    let id = id_of(&committed);
    assert_eq!((committed.tier(), committed.state()), (Tier::Ram, PayloadState::Active));
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);

    let spilled = rpc.spill(id.clone()).await.unwrap();
    assert_eq!((spilled.tier(), spilled.state()), (Tier::Disk, PayloadState::Durable));
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);

    let promoted = rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    assert_eq!((promoted.tier(), promoted.state()), (Tier::Ram, PayloadState::Durable));
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
    let versions = [committed.version, spilled.version, promoted.version];
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");

    rpc.delete(id, false).await.unwrap();
    eventually("its memory is gone", || daemon.shm() == own);
    eventually("its files are gone", || daemon.disk_files().is_empty());
    assert!(daemon.stop().success());
}
