//! How sessions end, and that nothing is left of them (promise: no-leak).

use payload_manager_api::core::v1::Tier;
use payload_manager_api::session::v1::{Bye, Request, request::Verb};
use payload_manager_shm::fdpass::Wait;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, eventually, v1};
use prost::Message as _;

use crate::client::{Client, backlog_is_empty, session_socket, sessions_are};
use crate::others::Holder;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_killed_keeps_nothing_even_if_a_child_of_it_has_the_socket() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    for heir in [false, true] {
        let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 1 << 20)).await.unwrap());
        let mut holder = Holder::start(session_socket(&daemon), &id, heir);
        rpc.spill(id.clone()).await.unwrap();
        assert_eq!(rpc.stats().await.unwrap().backlog_blocks, 1);
        assert!(rpc.delete(id.clone(), false).await.is_err(), "it is leased");
        holder.kill();
        backlog_is_empty(&mut rpc).await;
        sessions_are(&daemon, &rpc, 0).await;
        rpc.delete(id, false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_takes_no_new_lease_and_keeps_what_it_looks_at_until_it_lets_go() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, 1 << 20);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let client = Client::of(&daemon);
    let lease = client.take(&id);
    let view = client.map(&id);
    let Client { peer, table, .. } = client;
    drop(peer);
    eventually("its page is closed", || !table.is_open());
    rpc.spill(id.clone()).await.unwrap();
    let stats = rpc.stats().await.unwrap();
    assert_eq!((stats.backlog_blocks, stats.sessions), (1, 0), "this process may still look at the bytes");
    assert_eq!(&view[..], &bytes[..]);
    drop((lease, view));
    backlog_is_empty(&mut rpc).await;
    sessions_are(&daemon, &rpc, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goodbye_ends_a_session() {
    let daemon = Daemon::start();
    let rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    sessions_are(&daemon, &rpc, 1).await;
    let bye = Request { number: 9, verb: Some(Verb::Bye(Bye {})), ..Request::default() };
    client.peer.socket.send(&bye.encode_to_vec(), &[], Wait::Yes).unwrap();
    client.peer.wait_for_hang_up();
    sessions_are(&daemon, &rpc, 0).await;
    assert!(!client.table.is_open());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_has_not_committed_is_given_up_with_it() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    let made: Vec<_> = client.allocate(&[100, 1 << 20, 100]).into_iter().map(|made| made.unwrap().0).collect();
    assert!(client.commit(&made[..1])[0].is_ok());
    rpc.commit(made[1].clone()).await.unwrap();
    assert_eq!(rpc.list().await.unwrap().len(), 3);
    drop(client);
    let now = &rpc;
    eventually_async("only what is committed is left", || async { now.clone().list().await.unwrap().len() == 2 }).await;
    for id in &made[..2] {
        rpc.delete(id.clone(), false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_order_leaves_the_pages_for_the_next_start_and_no_socket() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 1 << 20)).await.unwrap());
    let client = Client::of(&daemon);
    let lease = client.take(&id);
    let socket = session_socket(&daemon);
    assert!(daemon.stop().success());
    client.peer.wait_for_hang_up();
    assert!(!socket.exists());
    assert!(lease.is_valid(), "it outlives the daemon");
    daemon.start_again();
    let rpc = daemon.rpc().await;
    let again = crate::client::Peer::of(&daemon).attach(&client.welcome).unwrap();
    assert_eq!(again.welcome.session_id, client.welcome.session_id);
    drop((lease, client, again));
    sessions_are(&daemon, &rpc, 0).await;
}
