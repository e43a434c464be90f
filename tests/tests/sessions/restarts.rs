//! Sessions outlive the daemon (promise: survives-kill).

use payload_manager_api::Reason;
use payload_manager_api::core::v1::Tier;
use payload_manager_api::session::v1::Welcome;
use payload_manager_shm::object;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, v1};
use tonic::Code;

use crate::client::{Client, Peer, backlog_is_empty, session_socket, sessions_are, why};
use crate::others::Holder;

#[tokio::test(flavor = "multi_thread")]
async fn leases_outlive_a_daemon_that_is_killed_and_their_session_is_taken_up_again() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, 1 << 20);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let gone = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let client = Client::of(&daemon);
    let leases = [client.take(&id), client.take(&gone)];
    let view = client.map(&gone);
    rpc.spill(gone.clone()).await.unwrap();
    daemon.restart();
    let mut rpc = daemon.rpc().await;
    assert!(leases.iter().all(payload_manager_shm::Lease::is_valid));
    assert_eq!(&view[..], &bytes[..]);
    let stats = rpc.stats().await.unwrap();
    assert_eq!((stats.sessions, stats.live_leases, stats.backlog_blocks), (1, 2, 1));
    let refused = rpc.delete(id.clone(), false).await.unwrap_err();
    assert_eq!(why(&refused), Some(Reason::Leased));

    let wrong = Welcome { secret: vec![0; 16], ..client.welcome.clone() };
    let refused = Peer::of(&daemon).attach(&wrong).err().unwrap();
    assert_eq!((refused.code(), why(&refused)), (Code::PermissionDenied, Some(Reason::SessionSecret)));
    let unknown = Welcome { session_id: 77, ..client.welcome.clone() };
    let refused = Peer::of(&daemon).attach(&unknown).err().unwrap();
    assert_eq!((refused.code(), why(&refused)), (Code::NotFound, Some(Reason::SessionNotFound)));

    let again = Peer::of(&daemon).attach(&client.welcome).unwrap();
    assert_eq!(again.welcome.session_id, client.welcome.session_id);
    assert_eq!(&again.map(&gone)[..], &bytes[..], "the leases of before are its own");
    let twice = Peer::of(&daemon).attach(&client.welcome).err().unwrap();
    assert_eq!(why(&twice), Some(Reason::SessionNotFound), "it is in use");
    drop((leases, view));
    backlog_is_empty(&mut rpc).await;
    rpc.delete(id, false).await.unwrap();
    drop((client, again));
    sessions_are(&daemon, &rpc, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_while_there_is_no_daemon_or_before_it_comes_back_keeps_nothing() {
    let mut daemon = Daemon::start();
    for dies_first in [true, false] {
        let mut rpc = daemon.rpc().await;
        let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 1 << 20)).await.unwrap());
        let mut holder = Holder::start(session_socket(&daemon), &id, false);
        rpc.spill(id.clone()).await.unwrap();
        daemon.kill();
        if dies_first {
            holder.kill();
        }
        daemon.start_again();
        let mut rpc = daemon.rpc().await;
        if !dies_first {
            assert_eq!(rpc.stats().await.unwrap().backlog_blocks, 1, "it may still look at the bytes");
            holder.kill();
        }
        backlog_is_empty(&mut rpc).await;
        sessions_are(&daemon, &rpc, 0).await;
        rpc.delete(id, false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_page_is_set_aside_with_a_word_and_the_others_live_on() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 1 << 20)).await.unwrap());
    let (torn, whole) = (Client::of(&daemon), Client::of(&daemon));
    let lease = whole.take(&id);
    daemon.kill();
    torn.page.set_len(100).unwrap();
    daemon.start_again();
    daemon.wait_for_line("is not to be trusted");
    let rpc = daemon.rpc().await;
    assert!(lease.is_valid());
    let refused = Peer::of(&daemon).attach(&torn.welcome).err().unwrap();
    assert_eq!(refused.code(), Code::NotFound);
    let again = Peer::of(&daemon).attach(&whole.welcome).unwrap();
    assert!(again.table.in_use() == 1);
    drop((lease, whole, again));
    let now = &rpc;
    payload_manager_tests::wait::eventually_async("no session", || async {
        now.clone().stats().await.unwrap().sessions == 0
    })
    .await;
    let left: Vec<String> = daemon.shm().into_iter().filter(|name| name.contains("-session-")).collect();
    assert_eq!(left.len(), 1, "the torn page is left for a person to look at");
    assert!(object::unlink(&left[0]).unwrap());
}
