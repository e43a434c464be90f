//! What a lease promises, whatever happens to the payload meanwhile (promise: stable-lease).

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadId, PromotionPolicy, Tier};
use payload_manager_api::reason::detail;
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AcquireReadLeaseResponse, AllocatePayloadRequest, RenewLeaseRequest, SpillRequest,
};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc, Setup, eventually, v1};
use tonic::{Code, Status};

fn descriptor(lease: &AcquireReadLeaseResponse) -> &payload_manager_api::core::v1::PayloadDescriptor {
    lease.payload_descriptor.as_ref().unwrap()
}

async fn renew(rpc: &mut Rpc, lease: &AcquireReadLeaseResponse, ms: u64) -> Result<(), Status> {
    let request = RenewLeaseRequest { lease_id: lease.lease_id.clone(), min_lease_duration_ms: ms };
    rpc.data.renew_lease(request).await.map(|_| ())
}

fn why(error: &Status) -> Option<Reason> {
    detail(error).and_then(|detail| detail.known())
}

/// A payload in RAM with a megabyte of bytes.
async fn in_ram(rpc: &mut Rpc, seed: u64) -> (PayloadId, Vec<u8>) {
    let bytes = v1::pattern(seed, 1 << 20);
    (id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap()), bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leased_copy_keeps_its_name_and_its_bytes_through_spill_and_promotion() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (id, bytes) = in_ram(&mut rpc, 1).await;
    let lease = rpc.lease(id.clone()).await.unwrap();
    let mapped = v1::map(descriptor(&lease)).unwrap();

    rpc.spill(id.clone()).await.unwrap();
    assert_eq!(&mapped[..], &bytes[..], "what was mapped before");
    assert_eq!(v1::read(descriptor(&lease)).unwrap(), bytes, "its name opens still");
    assert_eq!(rpc.stats().await.unwrap().backlog_bytes, 1 << 20, "that memory is counted");

    rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    assert_eq!(v1::read(descriptor(&lease)).unwrap(), bytes);
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes, "and the new copy is right, too");

    rpc.release(&lease).await.unwrap();
    assert_eq!(&mapped[..], &bytes[..]);
    rpc.delete(id, false).await.unwrap();
    let empty = || async { daemon.rpc().await.stats().await.unwrap().backlog_blocks == 0 };
    eventually_async("nothing is left of it", empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_on_disk_outlives_the_payload_s_promotion_and_forced_deletion() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(2, 300_000);
    let id = id_of(&rpc.put(Tier::Disk, &bytes).await.unwrap());
    let lease = rpc.lease(id.clone()).await.unwrap();
    rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    let mapped = v1::map(descriptor(&lease)).unwrap();
    rpc.delete(id.clone(), true).await.unwrap();
    assert_eq!(rpc.descriptor(id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(&mapped[..], &bytes[..], "an existing mapping stays");
    rpc.release(&lease).await.unwrap();
    eventually("its files are gone", || daemon.disk_files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_deletion_ends_every_lease_at_once_and_keeps_the_bytes_until_they_are_given_back() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let own = daemon.shm();
    let (id, bytes) = in_ram(&mut rpc, 3).await;
    let lease = rpc.lease(id.clone()).await.unwrap();
    let mapped = v1::map(descriptor(&lease)).unwrap();
    rpc.delete(id.clone(), true).await.unwrap();

    assert_eq!(rpc.descriptor(id.clone()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(rpc.lease(id.clone()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(why(&renew(&mut rpc, &lease, 0).await.unwrap_err()), Some(Reason::LeaseOver));
    assert_eq!(rpc.delete(id, true).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(&mapped[..], &bytes[..]);
    assert_eq!(rpc.stats().await.unwrap().backlog_bytes, 1 << 20, "not to be used again yet");

    rpc.release(&lease).await.unwrap();
    eventually("its memory is gone", || daemon.shm() == own);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_runs_out_no_longer_stands_in_the_way() {
    let daemon = Setup::new().flag("lease-default", "1ms").start();
    let mut rpc = daemon.rpc().await;
    let own = daemon.shm();
    let (id, _) = in_ram(&mut rpc, 4).await;
    let lease = rpc.lease(id.clone()).await.unwrap();
    let over = || async { daemon.rpc().await.stats().await.unwrap().live_leases == 0 };
    eventually_async("the lease runs out", over).await;
    assert_eq!(why(&renew(&mut rpc, &lease, 0).await.unwrap_err()), Some(Reason::LeaseOver));
    rpc.release(&lease).await.unwrap();
    rpc.delete(id, false).await.unwrap();
    eventually("its memory is gone", || daemon.shm() == own);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_whose_time_is_over_is_not_found_and_its_leases_run_to_their_end() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let own = daemon.shm();
    let bytes = v1::pattern(5, 100_000);
    let request = AllocatePayloadRequest { preferred_tier: Tier::Ram as i32, ttl_ms: 700, ..Default::default() };
    let id = id_of(&rpc.put_with(request, &bytes).await.unwrap());
    let lease = rpc.lease(id.clone()).await.unwrap();
    let gone = || {
        let (id, daemon) = (id.clone(), &daemon);
        async move { daemon.rpc().await.descriptor(id).await.is_err() }
    };
    eventually_async("its time is over", gone).await;
    assert!(rpc.list().await.unwrap().is_empty());
    assert_eq!(rpc.lease(id.clone()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(v1::read(descriptor(&lease)).unwrap(), bytes, "the lease runs to its end");
    renew(&mut rpc, &lease, 60_000).await.unwrap();
    assert_ne!(daemon.shm(), own);
    rpc.release(&lease).await.unwrap();
    eventually("then the bytes go", || daemon.shm() == own);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_slow_for_a_lease_is_promoted_for_the_next_one() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(6, 200_000);
    let id = id_of(&rpc.put(Tier::Disk, &bytes).await.unwrap());
    let fast = AcquireReadLeaseRequest {
        id: Some(id.clone()),
        min_tier: Tier::Ram as i32,
        promotion_policy: PromotionPolicy::BestEffort as i32,
        ..Default::default()
    };
    let refused = rpc.data.acquire_read_lease(fast.clone()).await.unwrap_err();
    assert_eq!((refused.code(), why(&refused)), (Code::FailedPrecondition, Some(Reason::MinTierNotMet)));
    let there = || {
        let (fast, daemon) = (fast.clone(), &daemon);
        async move { daemon.rpc().await.data.acquire_read_lease(fast).await.is_ok() }
    };
    eventually_async("a later one is granted", there).await;
    assert_eq!(rpc.descriptor(id.clone()).await.unwrap().tier(), Tier::Ram);
    assert_eq!(rpc.get(id).await.unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spill_that_waits_for_leases_answers_when_the_memory_is_free() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let own = daemon.shm();
    let (id, _) = in_ram(&mut rpc, 7).await;
    let lease = rpc.lease(id.clone()).await.unwrap();
    let request = SpillRequest { ids: vec![id.clone()], wait_for_leases: true, ..Default::default() };
    let mut other = rpc.clone();
    let spill = tokio::spawn(async move { other.spill_all(request).await });
    let moved = || {
        let (id, daemon) = (id.clone(), &daemon);
        async move { daemon.rpc().await.descriptor(id).await.unwrap().tier() == Tier::Disk }
    };
    eventually_async("the payload is in DISK", moved).await;
    assert!(!spill.is_finished(), "the memory is not free while the lease lives");
    rpc.release(&lease).await.unwrap();
    assert!(spill.await.unwrap().unwrap()[0].ok);
    assert_eq!(daemon.shm(), own, "it is free when the answer comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_outlasts_the_wait_fails_its_own_result_only() {
    let daemon = Setup::new().flag("lease-max", "1500ms").flag("lease-default", "1500ms").start();
    let mut rpc = daemon.rpc().await;
    let ((held, _), (free, _)) = (in_ram(&mut rpc, 8).await, in_ram(&mut rpc, 9).await);
    let lease = rpc.lease(held.clone()).await.unwrap();
    let request = SpillRequest { ids: vec![held.clone(), free], wait_for_leases: true, ..Default::default() };
    let mut other = rpc.clone();
    let spill = tokio::spawn(async move { other.spill_all(request).await });
    while !spill.is_finished() {
        renew(&mut rpc, &lease, 1500).await.unwrap();
    }
    let results = spill.await.unwrap().unwrap();
    assert!(!results[0].ok && results[0].error_message.starts_with("ABORTED: "), "{results:?}");
    assert!(results[1].ok, "{results:?}");
    assert_eq!(rpc.descriptor(held).await.unwrap().tier(), Tier::Disk, "it has moved all the same");
}
