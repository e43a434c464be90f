//! Pins: what is pinned stays where it is, through everything, until it is not pinned any more.

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::reason::detail;
use payload_manager_api::runtime::v1::{
    GetPayloadRequest, GetPayloadResponse, PinRequest, PrefetchRequest, UnpinRequest,
};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc, Setup, v1};
use tonic::{Code, Status};

const MIB: usize = 1 << 20;

async fn pin(rpc: &mut Rpc, id: &PayloadId, duration_ms: u64) {
    rpc.catalog.pin(PinRequest { id: Some(id.clone()), duration_ms }).await.unwrap();
}

async fn unpin(rpc: &mut Rpc, id: &PayloadId) {
    rpc.catalog.unpin(UnpinRequest { id: Some(id.clone()) }).await.unwrap();
}

async fn info(rpc: &mut Rpc, id: &PayloadId) -> GetPayloadResponse {
    rpc.catalog.get_payload(GetPayloadRequest { id: Some(id.clone()) }).await.unwrap().into_inner()
}

async fn tier(rpc: &mut Rpc, id: &PayloadId) -> Tier {
    rpc.descriptor(id.clone()).await.unwrap().tier()
}

fn why(error: &Status) -> Option<Reason> {
    detail(error).and_then(|detail| detail.known())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pinned_is_not_evicted_until_it_is_unpinned() {
    let daemon = Setup::new().flag("ram", "4MiB").start();
    let mut rpc = daemon.rpc().await;
    let mut ids = Vec::new();
    for seed in 0..4 {
        let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(seed, MIB)).await.unwrap());
        pin(&mut rpc, &id, if seed % 2 == 0 { 0 } else { 3_600_000 }).await;
        ids.push(id);
    }
    let full = rpc.allocate(Tier::Ram, MIB as u64).await.unwrap_err();
    assert_eq!(why(&full), Some(Reason::TierFull));
    for id in &ids {
        assert_eq!(tier(&mut rpc, id).await, Tier::Ram);
        let refused = rpc.spill(id.clone()).await.unwrap_err();
        assert_eq!((refused.code(), why(&refused)), (Code::FailedPrecondition, Some(Reason::Pinned)));
    }
    unpin(&mut rpc, &ids[2]).await;
    rpc.put(Tier::Ram, &v1::pattern(9, MIB)).await.unwrap();
    assert_eq!(tier(&mut rpc, &ids[2]).await, Tier::Disk);
    for kept in [0, 1, 3] {
        assert_eq!(tier(&mut rpc, &ids[kept]).await, Tier::Ram);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_has_run_out_is_not_shown_and_keeps_nothing() {
    let daemon = Setup::new().flag("ram", "4MiB").start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 4 * MIB)).await.unwrap());
    pin(&mut rpc, &id, 0).await;
    assert!(info(&mut rpc, &id).await.pinned);
    pin(&mut rpc, &id, 150).await;
    let shared = rpc.clone();
    let over = || async { !info(&mut shared.clone(), &id).await.pinned };
    eventually_async("the last call counts, and its time is over", over).await;
    assert_eq!(info(&mut rpc, &id).await.pinned_until, None);
    rpc.put(Tier::Ram, &v1::pattern(2, MIB)).await.unwrap();
    assert_eq!(tier(&mut rpc, &id).await, Tier::Disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_and_their_ends_survive_a_kill_right_after_the_answer() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    for preferred in [Tier::Ram, Tier::Disk] {
        let id = id_of(&rpc.put(preferred, &v1::pattern(1, 1000)).await.unwrap());
        for (duration_ms, pinned) in [(Some(0), true), (None, false), (Some(3_600_000), true)] {
            match duration_ms {
                Some(duration_ms) => pin(&mut rpc, &id, duration_ms).await,
                None => unpin(&mut rpc, &id).await,
            }
            let before = info(&mut rpc, &id).await;
            daemon.kill();
            daemon.start_again();
            rpc = daemon.rpc().await;
            let after = info(&mut rpc, &id).await;
            assert_eq!((after.pinned, after.pinned_until), (pinned, before.pinned_until));
            assert_eq!(after.pinned_until.is_some(), duration_ms.is_some_and(|ms| ms > 0));
        }
        daemon.restart();
        rpc = daemon.rpc().await;
        assert!(info(&mut rpc, &id).await.pinned);
        unpin(&mut rpc, &id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_file_is_promoted_and_then_stays_in_memory_and_a_prefetch_comes_by_itself() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Disk, &v1::pattern(1, 1000)).await.unwrap());
    pin(&mut rpc, &id, 0).await;
    let version = rpc.descriptor(id.clone()).await.unwrap().version;
    rpc.catalog
        .prefetch(PrefetchRequest { id: Some(id.clone()), target_tier: Tier::Ram as i32, ..Default::default() })
        .await
        .unwrap();
    let shared = rpc.clone();
    let there = || async { tier(&mut shared.clone(), &id).await == Tier::Ram };
    eventually_async("the copy is there", there).await;
    assert_eq!(rpc.descriptor(id.clone()).await.unwrap().version, version + 1, "a pin is no change of place or state");
    assert_eq!(why(&rpc.spill(id.clone()).await.unwrap_err()), Some(Reason::Pinned));
    daemon.kill();
    daemon.start_again();
    rpc = daemon.rpc().await;
    assert_eq!(why(&rpc.spill(id.clone()).await.unwrap_err()), Some(Reason::Pinned));
    unpin(&mut rpc, &id).await;
    assert_eq!(rpc.spill(id).await.unwrap().tier(), Tier::Disk);
}
