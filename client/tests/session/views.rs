//! Views while the daemon is there.

use std::time::Duration;

use payload_manager_client::{PayloadId, PayloadState, ReadOptions, Reason, Tier, blocking};

use super::fake::Fake;
use super::fake_session::FakeSession;
use super::{by_call, connected, filled, mapped, until};

#[tokio::test]
async fn a_view_of_the_session_is_read_without_a_lease_by_call() {
    let (session, fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    assert_eq!((&*view, view.is_valid(), by_call(&fake), session.live()), (&b"hello"[..], true, 0, 1));
    let shown = view.descriptor();
    assert_eq!((shown.id, shown.tier, shown.state, shown.size), (id, Tier::Ram, PayloadState::Active, 5));
    assert!(view.time_left() <= Duration::from_secs(20) && view.time_left() > Duration::from_secs(10));
    view.renew().await.unwrap();
    view.clone().release().await.unwrap();
    assert_eq!(session.pinning(), 1, "a clone has the lease too");
    view.release().await.unwrap();
    assert_eq!(session.pinning(), 0);
}

#[tokio::test]
async fn views_of_a_block_that_live_at_the_same_time_share_its_mapping() {
    let (session, fake, client) = connected().await;
    let id = filled(&client, &[7; 10_000]).await;
    assert_eq!(mapped(&fake, id), 0, "the producer has unmapped it");
    let one = client.read(id).await.unwrap();
    let other = client.read(id).await.unwrap();
    assert_eq!((mapped(&fake, id), session.asked("open"), session.live()), (1, 1, 2));
    assert!(std::ptr::eq(&*one, &*other));
    drop(one);
    assert_eq!((mapped(&fake, id), other[9_999]), (1, 7));
    drop(other);
    assert_eq!((mapped(&fake, id), session.pinning()), (0, 0));
    assert_eq!((client.read(id).await.unwrap()[0], session.asked("open")), (7, 2));
}

#[tokio::test]
async fn a_view_keeps_its_block_when_the_payload_moves_and_the_next_one_gets_the_new() {
    let (session, fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    let before = client.read(id).await.unwrap();
    session.move_away(id);
    let after = client.read(id).await.unwrap();
    assert!(!std::ptr::eq(&*before, &*after) && before.is_valid());
    assert_eq!((&*before, &*after, session.asked("open"), by_call(&fake)), (&b"hello"[..], &b"hello"[..], 2, 0));
    assert_eq!((before.descriptor().version, after.descriptor().version), (1, 2));
}

#[tokio::test]
async fn a_forced_delete_is_seen_at_once_and_the_bytes_stay() {
    let (session, _fake, client) = connected().await;
    let (id, other) = (filled(&client, b"hello").await, filled(&client, b"other").await);
    let (view, other) = (client.read(id).await.unwrap(), client.read(other).await.unwrap());
    assert_eq!(session.delete_by_force(id), 1);
    assert_eq!((&*view, view.is_valid(), view.time_left()), (&b"hello"[..], false, Duration::ZERO));
    assert_eq!(view.renew().await.unwrap_err().reason(), Some(Reason::LeaseOver));
    assert!(other.is_valid());
    assert_eq!(session.pinning(), 2, "it pins its block until it is dropped");
    drop(view);
    assert_eq!(session.pinning(), 1);
}

#[tokio::test]
async fn a_lease_is_prolonged_for_as_long_as_its_view_lives() {
    let (session, _fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    let options = ReadOptions { lease: Some(Duration::from_millis(400)), ..ReadOptions::default() };
    let long = client.read(id).await.unwrap();
    let deadlines = || {
        session.state(|state| {
            let now = payload_manager_shm::boot::monotonic_ms();
            let mut all: Vec<_> = state.pages.all(now).map(|held| held.held.deadline.0).collect();
            all.sort_unstable();
            all
        })
    };
    // A machine that stands still for half of so short a lease is no fault of the client's.
    let mut prolonged = false;
    for _ in 0..20 {
        let view = client.read_with(id, options).await.unwrap();
        let first = deadlines()[0];
        until(|| deadlines()[0] > first + 800 || !view.is_valid()).await;
        prolonged |= view.is_valid();
        if prolonged {
            break;
        }
    }
    assert!(prolonged && long.is_valid());
    drop(long);
    assert_eq!(session.pinning(), 0);
}

#[tokio::test]
async fn many_are_read_at_once_whatever_their_way() {
    let (session, fake, client) = connected().await;
    let mut ids = Vec::new();
    for n in 0..70u8 {
        ids.push(filled(&client, &[n; 10]).await);
    }
    let unknown = PayloadId::from_bytes([9; 16]);
    let held = client.read(ids[3]).await.unwrap();
    let before = session.asked("open");
    // Those that the directory does not show are asked for by call, which this fake does not know for many.
    let views = client.read_many(&ids).await.unwrap();
    for (n, view) in (0u8..).zip(&views) {
        assert_eq!(&**view.as_ref().unwrap(), &[n; 10]);
    }
    assert_eq!((session.asked("open") - before, by_call(&fake)), (2, 0), "64 in a frame");
    assert!(std::ptr::eq(&*held, &**views[3].as_ref().unwrap()));
    assert!(client.read_many(&[unknown]).await.is_err());
}

#[tokio::test]
async fn a_program_without_a_runtime_has_the_same() {
    let fake = Fake::start();
    let session = FakeSession::start(&fake);
    let client = blocking::Client::connect(fake.socket()).unwrap();
    assert_eq!(client.path(), payload_manager_client::DataPath::Session);
    let mut payload = client.create(5).unwrap();
    payload.copy_from_slice(b"hello");
    let id = payload.commit().unwrap().id;
    let (view, other) = (client.read(id).unwrap(), client.read(id).unwrap());
    assert_eq!((&*view, &*other, session.asked("open"), session.live()), (&b"hello"[..], &b"hello"[..], 1, 2));
    view.renew().unwrap();
    drop(client);
    assert!(view.is_valid(), "a view keeps the session");
    drop((view, other));
    session.wait_for("hang-up", 1);
    assert_eq!((session.asked("bye"), session.pinning()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_threads_read_what_was_written_and_leave_nothing() {
    let (session, fake, client) = connected().await;
    let mut ids = Vec::new();
    for n in 0..16u8 {
        ids.push(filled(&client, &[n; 5_000]).await);
    }
    let threads: Vec<_> = (0..8usize)
        .map(|thread| {
            let (client, ids, runtime) = (client.clone(), ids.clone(), tokio::runtime::Handle::current());
            std::thread::spawn(move || {
                let mut kept = std::collections::VecDeque::new();
                for round in 0..400 {
                    let n = (round * 7 + thread * 3) % ids.len();
                    let view = runtime.block_on(client.read(ids[n])).unwrap();
                    assert!(view.is_valid() && view.iter().all(|byte| usize::from(*byte) == n));
                    kept.push_back(view);
                    kept.truncate(4 + thread);
                    if round % 3 == 0 {
                        kept.pop_front();
                    }
                }
            })
        })
        .collect();
    tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| thread.join().unwrap())).await.unwrap();
    assert_eq!((session.pinning(), by_call(&fake)), (0, 0));
    assert!(ids.iter().all(|id| mapped(&fake, *id) == 0));
}
