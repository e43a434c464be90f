//! What a user's sessions may keep from being freed.

use std::time::Duration;

use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_shm::{Lease, Wanted};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Setup, v1};

use crate::client::{Client, backlog_is_empty, plain};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_too_much_from_being_freed_loses_its_session_and_its_blocks_go_at_their_deadlines() {
    let daemon = Setup::new().flag("ram", "16MiB").flag("pinned-per-uid", "25").start();
    let mut rpc = daemon.rpc().await;
    let (greedy, modest) = (Client::of(&daemon), Client::of(&daemon));
    let mut made: Vec<PayloadId> = Vec::new();
    for seed in 0..6 {
        made.push(id_of(&rpc.put(Tier::Ram, &v1::pattern(seed, MIB)).await.unwrap()));
    }
    let wanted = Wanted { duration: Duration::from_millis(1500), min_tier: payload_manager_types::Tier::Ram };
    let greedily: Vec<Lease> = made[1..].iter().map(|id| greedy.table.take(plain(id), wanted).unwrap()).collect();
    let one = modest.take(&made[0]);
    for id in &made[..4] {
        rpc.spill(id.clone()).await.unwrap();
    }
    assert!(greedy.table.is_open(), "4 MiB of 16 may wait, one of them for another session");
    for id in &made[4..] {
        rpc.spill(id.clone()).await.unwrap();
    }
    greedy.peer.wait_for_hang_up();
    assert!(!greedy.table.is_open(), "it takes no lease any more");
    assert!(modest.table.is_open() && one.is_valid(), "the other one keeps less");
    // Not given back: they go with their deadlines.
    let (rpc, what) = (&rpc, "only the other one's block waits");
    payload_manager_tests::wait::eventually_async(what, || async {
        rpc.clone().stats().await.unwrap().backlog_blocks == 1
    })
    .await;
    assert!(greedily.iter().all(|lease| !lease.is_valid()));
    drop((one, greedily));
    backlog_is_empty(&mut rpc.clone()).await;
}
