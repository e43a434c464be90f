//! Clients that want more than there is: sessions, descriptors, leases.

use std::collections::VecDeque;
use std::time::Duration;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_shm::fdpass::{SeqPacket, Wait};
use payload_manager_shm::{Lease, Wanted};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Setup, eventually, v1};
use tonic::Code;

use super::descriptors;
use crate::client::{Client, Peer, backlog_is_empty, plain, session_socket, sessions_are, why};

const HELLOS: usize = 10_000;
/// Of the quota as it is if nothing is said.
const SESSIONS: usize = 64;
/// Connections that are left open at a time.
const OPEN: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_sessions_a_user_gets_its_share_and_the_others_are_served() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 4096)).await.unwrap());
    let good = Client::of(&daemon);
    let before = descriptors(&daemon).unwrap();
    let (mut held, mut refused) = (Vec::new(), VecDeque::new());
    for n in 0..HELLOS {
        let peer = Peer::of(&daemon);
        match peer.try_hello() {
            Ok(client) => held.push(client),
            Err(connection) => refused.push_back(connection),
        }
        if refused.len() > OPEN {
            refused.pop_front();
        }
        if n % 1000 == 0 {
            let lease = good.take(&id);
            assert_eq!(good.map(&id).len(), 4096, "who is in is served");
            drop(lease);
            // A page, a socket and a process of each session, and a few that are about to be told no.
            assert!(descriptors(&daemon).unwrap() <= before + 4 * SESSIONS, "after {n} hellos");
        }
    }
    assert_eq!((held.len(), rpc.stats().await.unwrap().sessions), (SESSIONS - 1, SESSIONS as u64));
    let pages = daemon.shm().iter().filter(|name| name.contains("-session-")).count();
    assert_eq!(pages, SESSIONS, "no page is made for who is refused");
    drop((held, refused));
    sessions_are(&daemon, &rpc, 1).await;
    eventually("no descriptor is left open", || descriptors(&daemon).unwrap() <= before);
}

/// A connection takes two, of which the first one may be the last there is, or the second.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_descriptor_left_the_daemon_lives_and_serves_again() {
    tokio::join!(lives_with_descriptors(80), lives_with_descriptors(81));
}

async fn lives_with_descriptors(most: usize) {
    // More want to come in than it may have descriptors, whatever else it has open.
    let limit = format!("ulimit -n {most} && exec \"$@\"");
    let few = ["sh", "-c", &limit, "few"];
    let daemon = Setup::new().wrapper(&few).start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 4096)).await.unwrap());
    let good = Client::of(&daemon);
    let lease = good.take(&id);
    let view = good.map(&id);
    let before = descriptors(&daemon).unwrap();
    let crowd: Vec<SeqPacket> = (0..most).map(|_| SeqPacket::connect(&session_socket(&daemon)).unwrap()).collect();
    daemon.wait_for_line("a session's connection can't be taken yet");
    // Each of those who wait is still there, and nobody was hung up on.
    let hung_up = |peer: &SeqPacket| !peer.receive(&mut [0; 16], Wait::No).is_err_and(|error| error.would_block());
    assert!(!crowd.iter().any(hung_up));
    // What needs one is refused, and says why; what needs none goes on.
    let refused = good.allocate(&[4096]).remove(0).unwrap_err();
    assert!(matches!(refused.code(), Code::Internal | Code::ResourceExhausted | Code::Unavailable), "{refused:?}");
    assert!(good.open(&id).is_err());
    assert!(lease.is_valid() && view.len() == 4096);
    drop(good.take(&id));
    drop(crowd);
    eventually("descriptors are free again", || descriptors(&daemon).unwrap() <= before);
    assert_eq!(good.map(&id).len(), 4096);
    assert!(good.allocate(&[4096]).remove(0).is_ok());
    assert!(Peer::of(&daemon).hello().is_ok(), "others come in again");
    drop((lease, view, good));
    sessions_are(&daemon, &rpc, 0).await;
    rpc.delete(id, false).await.unwrap();
    let now = &rpc;
    payload_manager_tests::wait::eventually_async("what it had not committed is given up", || async {
        now.clone().list().await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_on_everything_until_the_end_of_time_end_with_their_session() {
    const LENGTH: u64 = 60_000;
    let daemon = Setup::new()
        .flag("pinned-per-uid", "100")
        .flag("ram", "8MiB")
        .flag("lease-max", "1s")
        .flag("lease-default", "1s")
        .start();
    let mut rpc = daemon.rpc().await;
    let (bad, good) = (Client::of(&daemon), Client::of(&daemon));
    let made: Vec<PayloadId> = (0..2).flat_map(|_| good.allocate(&[LENGTH; 60])).map(|made| made.unwrap().0).collect();
    for some in made.chunks(60) {
        assert!(good.commit(some).into_iter().all(|done| done.is_ok()));
    }
    let for_ever = Wanted { duration: Duration::MAX, min_tier: payload_manager_types::Tier::Ram };
    let on_all = || made.iter().filter_map(|id| bad.table.take(plain(id), for_ever).ok()).collect::<Vec<Lease>>();
    let taken: Vec<Vec<Lease>> = (0..20).map(|_| on_all()).collect();
    let count: usize = taken.iter().map(Vec::len).sum();
    assert!((1000..made.len() * 20).contains(&count), "a page has so many slots and no more: {count}");
    for id in &made {
        rpc.spill(id.clone()).await.unwrap();
    }
    assert_eq!(rpc.stats().await.unwrap().backlog_blocks, made.len() as u64);
    // RAM is full of what nobody may free: an error with numbers, and everything else goes on.
    let full = good.allocate(&[4 << 20]).remove(0).unwrap_err();
    assert_eq!((full.code(), why(&full)), (Code::ResourceExhausted, Some(Reason::TierFull)));
    assert_eq!(rpc.get(made[0].clone()).await.unwrap().len() as u64, LENGTH);
    let taken: Vec<Lease> = taken.into_iter().flatten().collect();
    // It hangs up and keeps them: the page is closed, and their deadlines are the daemon's.
    taken.into_iter().for_each(std::mem::forget);
    drop(bad);
    backlog_is_empty(&mut rpc).await;
    assert!(good.allocate(&[4 << 20]).remove(0).is_ok());
    for id in made {
        rpc.delete(id, false).await.unwrap();
    }
    drop(good);
    sessions_are(&daemon, &rpc, 0).await;
}
