//! Payloads that sessions make.

use payload_manager_api::Reason;
use payload_manager_api::core::v1::PayloadId;
use payload_manager_api::session::v1::{Abort, Delete, request::Verb};
use payload_manager_tests::{Daemon, Setup, v1};
use tonic::Code;

use crate::client::{Client, backlog_is_empty, why};

/// Small enough to be made at once, and not.
const SIZES: [u64; 3] = [4096, 1, 1 << 20];

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_writes_and_commits_everybody_reads() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    for sizes in [&SIZES[..2], &SIZES[..]] {
        let made: Vec<(PayloadId, _)> = client.allocate(sizes).into_iter().map(Result::unwrap).collect();
        let ids: Vec<PayloadId> = made.iter().map(|(id, _)| id.clone()).collect();
        for ((_, room), size) in made.iter().zip(sizes) {
            room.write(&v1::pattern(*size, usize::try_from(*size).unwrap()));
        }
        assert!(client.commit(&ids).into_iter().all(|done| done.is_ok()));
        for (id, size) in ids.iter().zip(sizes) {
            let bytes = v1::pattern(*size, usize::try_from(*size).unwrap());
            assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
            let lease = client.take(id);
            assert_eq!(&client.map(id)[..], &bytes[..]);
            assert!(lease.is_valid());
        }
        let again = client.commit(&ids[..1]).remove(0).unwrap_err();
        assert_eq!(why(&again), Some(Reason::AlreadyCommitted));
        let ids_to_go = Delete { ids, force: false };
        assert!(client.done(Verb::Delete(ids_to_go)).into_iter().all(|done| done.is_ok()));
    }
    backlog_is_empty(&mut rpc).await;
    assert_eq!(rpc.list().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_gives_up_what_it_allocated_and_nothing_else() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (client, other) = (Client::of(&daemon), Client::of(&daemon));
    let made: Vec<PayloadId> = client.allocate(&SIZES).into_iter().map(|made| made.unwrap().0).collect();
    let abort = |ids: &[PayloadId]| Verb::Abort(Abort { ids: ids.to_vec() });
    let refused = other.done(abort(&made[..1])).remove(0).unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "it is another's");
    assert!(client.commit(&made[..1])[0].is_ok());
    assert!(client.done(abort(&made[..1]))[0].is_err(), "it is committed");
    assert!(client.done(abort(&made[1..])).into_iter().all(|done| done.is_ok()));
    assert_eq!(rpc.list().await.unwrap().len(), 1);
    rpc.delete(made[0].clone(), false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_tier_is_made_room_in_while_others_are_served() {
    let daemon = Setup::new().flag("ram", "4MiB").start();
    let mut rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    for seed in 0..20 {
        client.put(&v1::pattern(seed, 1 << 20));
    }
    let small: Vec<_> = (0..64).map(|_| 60_000).collect();
    let small: Vec<PayloadId> = client.allocate(&small).into_iter().map(|made| made.unwrap().0).collect();
    assert!(client.commit(&small).into_iter().all(|done| done.is_ok()));
    assert_eq!(rpc.list().await.unwrap().len(), 84);
    let too_large = client.allocate(&[8 << 20]).remove(0).unwrap_err();
    assert_eq!((too_large.code(), why(&too_large)), (Code::ResourceExhausted, Some(Reason::TierFull)));
}
