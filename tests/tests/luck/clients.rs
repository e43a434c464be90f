//! Clients that vanish in the middle: their calls come to an end without them, and what they held is given back in time
//! (promise: no-leak).

use std::task::Poll;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadState, Tier};
use payload_manager_api::runtime::v1::{AcquireReadLeaseRequest, CommitPayloadRequest, SpillRequest};
use payload_manager_tests::crash::machine::payload_objects;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Setup, eventually, v1};
use tonic::Code;

use super::ground::fails;

#[tokio::test(flavor = "multi_thread")]
async fn an_allocation_that_nobody_commits_is_reclaimed_also_by_the_next_daemon() {
    for (restart, tier) in [(false, Tier::Ram), (false, Tier::Disk), (true, Tier::Ram), (true, Tier::Disk)] {
        let mut daemon = Setup::new().flag("allocation-timeout", "1s").start();
        let left = daemon.rpc().await.allocate(tier, 100_000).await.unwrap();
        if restart {
            daemon.restart();
        }
        let mut rpc = daemon.rpc().await;
        // Committed in time it is nobody's any more to reclaim.
        let kept = id_of(&rpc.put(tier, b"kept").await.unwrap());
        eventually_async("it is reclaimed", || {
            let (mut rpc, id) = (rpc.clone(), id_of(&left));
            async move { rpc.descriptor(id).await.is_err_and(|status| status.code() == Code::NotFound) }
        })
        .await;
        fails(rpc.commit(id_of(&left)).await, Code::NotFound, Reason::PayloadNotFound);
        eventually("its space is free", || !v1::place(&left).0.exists());
        eventually_async("only what was kept counts", || {
            let mut rpc = rpc.clone();
            // Memory is given out in pages.
            let taken = if tier == Tier::Ram { 4096 } else { 4 };
            async move {
                let used =
                    rpc.stats().await.unwrap().tiers.iter().map(|t| t.capacity_bytes - t.free_bytes).sum::<u64>();
                used == taken
            }
        })
        .await;
        assert_eq!(rpc.get(kept).await.unwrap(), b"kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_caller_hangs_up_comes_to_its_end_without_it() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, 8 << 20);
    let allocated = rpc.allocate(Tier::Ram, bytes.len() as u64).await.unwrap();
    v1::write(&allocated, &bytes).unwrap();
    let id = id_of(&allocated);

    let commit = CommitPayloadRequest { id: Some(id.clone()) };
    let spill = SpillRequest { ids: vec![id.clone()], fsync: true, ..Default::default() };
    // Whether the call was on its way when its caller hung up is a matter of luck: so until it was.
    for looks in 1.. {
        let mut gone = daemon.rpc().await;
        hang_up(looks, gone.catalog.commit_payload(commit.clone())).await;
        if rpc.descriptor(id.clone()).await.unwrap().state() == PayloadState::Active {
            break;
        }
    }
    for looks in 1.. {
        let mut gone = daemon.rpc().await;
        hang_up(looks, gone.catalog.spill(spill.clone())).await;
        if rpc.descriptor(id.clone()).await.unwrap().state() != PayloadState::Active {
            break;
        }
    }
    eventually_async("the spill comes to its end", || {
        let (mut rpc, id) = (rpc.clone(), id.clone());
        async move { rpc.descriptor(id).await.unwrap().state() == PayloadState::Durable }
    })
    .await;
    assert_eq!(rpc.get(id).await.unwrap(), bytes);
}

/// Looks at a call so many times, and drops it.
async fn hang_up(looks: usize, call: impl Future) {
    let mut call = std::pin::pin!(call);
    for _ in 0..looks {
        let done = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await;
        if done {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_holder_is_gone_runs_out_and_the_memory_under_it_is_free() {
    for restart in [false, true] {
        let mut daemon = Daemon::start();
        let mut rpc = daemon.rpc().await;
        let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 100_000)).await.unwrap());
        let gone = daemon.rpc().await;
        let request =
            AcquireReadLeaseRequest { id: Some(id.clone()), min_lease_duration_ms: 1500, ..Default::default() };
        gone.data.clone().acquire_read_lease(request).await.unwrap();
        drop(gone);
        rpc.spill(id.clone()).await.unwrap();
        if restart {
            daemon.restart();
            rpc = daemon.rpc().await;
        }
        eventually("the memory is free", || payload_objects(&daemon).is_empty());
        eventually_async("nothing is held any more", || {
            let mut rpc = rpc.clone();
            async move {
                let stats = rpc.stats().await.unwrap();
                (stats.live_leases, stats.backlog_blocks, stats.backlog_bytes) == (0, 0, 0)
            }
        })
        .await;
        rpc.delete(id, false).await.unwrap();
    }
}
