//! A payload's whole life, as its clients see it.

use payload_manager_api::convert::from_json;
use payload_manager_api::core::v1::{EvictionPolicy, EvictionPriority, PayloadState, Tier};
use payload_manager_api::runtime::v1::{AllocatePayloadRequest, GetPayloadRequest, GetPayloadResponse};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, eventually, v1};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_version_grows_at_every_change_of_placement_or_state_and_at_nothing_else() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let allocated = rpc.allocate(Tier::Ram, 1000).await.unwrap();
    let id = id_of(&allocated);
    v1::write(&allocated, &v1::pattern(1, 1000)).unwrap();
    let mut last = rpc.commit(id.clone()).await.unwrap().version;
    assert!(last > allocated.version);
    for step in 0..4 {
        let lease = rpc.lease(id.clone()).await.unwrap();
        rpc.release(&lease).await.unwrap();
        rpc.commit(id.clone()).await.unwrap_err();
        rpc.promote(id.clone(), Tier::Gpu).await.unwrap_err();
        assert_eq!(rpc.descriptor(id.clone()).await.unwrap().version, last, "step {step}: nothing has changed");
        let moved = if step % 2 == 0 { rpc.spill(id.clone()).await } else { rpc.promote(id.clone(), Tier::Ram).await };
        let version = moved.unwrap().version;
        assert!(version > last, "step {step}: {version} after {last} (promise: monotonic)");
        last = version;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_producer_said_stays_with_a_payload_through_moves_and_kills() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let policy =
        EvictionPolicy { priority: EvictionPriority::High as i32, require_durable: true, ..Default::default() };
    let request = AllocatePayloadRequest {
        preferred_tier: Tier::Ram as i32,
        no_evict: true,
        eviction_policy: Some(policy),
        dataset: "kitti".to_owned(),
        producer: "camera \u{1f4f7}".to_owned(),
        tags: [("shot".to_owned(), "7".to_owned())].into(),
        ..Default::default()
    };
    let id = id_of(&rpc.put_with(request.clone(), &v1::pattern(1, 10_000)).await.unwrap());
    let said = async |rpc: &mut Rpc| -> GetPayloadResponse {
        rpc.catalog.get_payload(GetPayloadRequest { id: Some(id.clone()) }).await.unwrap().into_inner()
    };
    let check = |answer: &GetPayloadResponse| {
        assert_eq!(
            (&answer.dataset, &answer.producer, &answer.tags),
            (&request.dataset, &request.producer, &request.tags)
        );
        assert_eq!(
            (answer.no_evict, answer.payload_descriptor.as_ref().unwrap().eviction_policy),
            (true, Some(policy))
        );
    };
    check(&said(&mut rpc).await);
    daemon.restart();
    check(&said(&mut daemon.rpc().await).await);
    let spilled = daemon.rpc().await.spill(id.clone()).await.unwrap();
    daemon.restart();
    check(&said(&mut daemon.rpc().await).await);

    // And the archive beside the file tells it all, for a catalog to be made again.
    let beside = v1::place(&spilled).0.with_extension("meta.json");
    let archive = from_json(&std::fs::read(beside).unwrap()).unwrap();
    assert_eq!((archive.dataset, archive.producer, archive.tags), (request.dataset, request.producer, request.tags));
    assert_eq!((archive.uuid, archive.no_evict), (Some(id.clone()), true));
    let integrity = spilled.integrity.unwrap();
    assert_eq!(archive.integrity.unwrap().checksum, integrity.value, "16 bytes of XXH3 (promise: verified-tiers)");
    assert_eq!(integrity.value.len(), 16);
    let promoted = daemon.rpc().await.promote(id, Tier::Ram).await.unwrap();
    assert_eq!(promoted.integrity, Some(integrity), "the bytes are what they were");
}
