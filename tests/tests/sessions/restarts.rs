//! Sessions outlive the daemon (promise: survives-kill).

use std::os::unix::fs::FileExt;

use nix::unistd::{Uid, fchown};
use payload_manager_api::Reason;
use payload_manager_api::core::v1::Tier;
use payload_manager_api::session::v1::Welcome;
use payload_manager_shm::object;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, skip, v1};
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
async fn torn_pages_are_removed_with_a_word_and_the_others_live_on() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 1 << 20)).await.unwrap());
    let whole = Client::of(&daemon);
    let lease = whole.take(&id);
    let spoil: [fn(&Client); 5] = [
        |torn| torn.page.set_len(0).unwrap(),
        |torn| torn.page.set_len(100).unwrap(),
        |torn| torn.page.set_len(1 << 20).unwrap(),
        |torn| torn.page.write_all_at(&[0xff; 4096], 0).unwrap(),
        // Behind magic, layout and kind: the instance that it says it belongs to.
        |torn| torn.page.write_all_at(&[0xff; 16], 16).unwrap(),
    ];
    let torn: Vec<Client> = spoil.iter().map(|_| Client::of(&daemon)).collect();
    // Never given back: who has cut its own page short gets SIGBUS there.
    torn.iter().for_each(|torn| std::mem::forget(torn.take(&id)));
    daemon.kill();
    torn.iter().zip(spoil).for_each(|(torn, spoil)| spoil(torn));
    daemon.start_again();
    let words = daemon.log().text().matches("is not to be trusted: its leases are lost, and it is removed").count();
    assert_eq!(words, torn.len());
    assert!(lease.is_valid());
    for torn in &torn {
        let refused = Peer::of(&daemon).attach(&torn.welcome).err().unwrap();
        assert_eq!(refused.code(), Code::NotFound);
    }
    let again = Peer::of(&daemon).attach(&whole.welcome).unwrap();
    assert!(again.table.in_use() == 1);
    sessions_are(&daemon, &daemon.rpc().await, 1).await;
    drop((lease, whole, again));
    sessions_are(&daemon, &daemon.rpc().await, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_user_is_not_trusted_and_not_removed() {
    if !nix::unistd::geteuid().is_root() {
        return skip("a_page_of_another_user_is_not_trusted_and_not_removed", "only root can give a page away");
    }
    let mut daemon = Daemon::start();
    let client = Client::of(&daemon);
    let name = daemon.shm().into_iter().find(|name| name.contains("-session-")).unwrap();
    daemon.kill();
    fchown(&client.page, Some(Uid::from_raw(65_534)), None).unwrap();
    daemon.start_again();
    daemon.wait_for_line("Remove the object once it has been looked at");
    let refused = Peer::of(&daemon).attach(&client.welcome).err().unwrap();
    assert_eq!(refused.code(), Code::NotFound);
    assert!(object::unlink(&name).unwrap(), "it is left where it was");
}
