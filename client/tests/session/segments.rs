//! Payloads that lie in segments: read without a word once the segment is mapped (promise: no-round-trip).

use payload_manager_client::{
    Checksum, EvictionPolicy, Location, PayloadId, PayloadState, Priority, Protection, Tier, TierSet, UnixMillis,
};
use payload_manager_shm::Details;

use super::{FakeSession, by_call, connected, filled, until};

const UNIT: u32 = 5;

pub(super) fn details() -> Details {
    Details {
        created: UnixMillis(1_700_000_000_000),
        policy: EvictionPolicy { priority: Priority::High, ..EvictionPolicy::default() },
        protection: Protection::Shared,
        checksum: Some(Checksum([3; 16])),
    }
}

/// Payloads at every 8 KiB of a segment.
fn moved(session: &FakeSession, ids: &[PayloadId]) {
    for (at, id) in (0u64..).zip(ids) {
        session.move_into(*id, UNIT, 8192 * at, &details());
    }
}

/// What was asked of the daemon to read: segments, objects, leases.
fn asked(session: &FakeSession, fake: &super::Fake) -> (usize, usize, usize) {
    (session.asked("segments"), session.asked("open"), by_call(fake))
}

#[tokio::test]
async fn no_round_trip_the_first_read_of_a_payload_in_a_mapped_segment_asks_nobody() {
    let (session, fake, client) = connected().await;
    let ids = [filled(&client, b"hello").await, filled(&client, &[7; 5000]).await, filled(&client, b"third").await];
    moved(&session, &ids);
    let first = client.read(ids[0]).await.unwrap();
    assert_eq!((&*first, asked(&session, &fake)), (&b"hello"[..], (1, 0, 0)));
    let (second, third) = (client.read(ids[1]).await.unwrap(), client.read(ids[2]).await.unwrap());
    assert_eq!((&*second, &*third, asked(&session, &fake)), (&[7; 5000][..], &b"third"[..], (1, 0, 0)));
    assert_eq!((session.live(), first.is_valid(), second.is_valid()), (3, true, true));
    drop((first, second));
    assert_eq!(session.pinning(), 1);
    let many = client.read_many(&ids).await;
    assert!(many.unwrap().into_iter().all(|view| view.is_ok()));
    assert_eq!(asked(&session, &fake), (1, 0, 0));
}

#[tokio::test]
async fn its_descriptor_is_what_the_directory_says() {
    let (session, _fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    session.move_into(id, UNIT, 8192, &details());
    let view = client.read(id).await.unwrap();
    let shown = view.descriptor();
    let said = details();
    assert_eq!((shown.id, shown.tier, shown.state, shown.size), (id, Tier::Ram, PayloadState::Active, 5));
    assert_eq!((shown.created, shown.policy, shown.checksum), (said.created, said.policy, said.checksum));
    assert_eq!((shown.version, shown.copies), (2, TierSet::EMPTY.with(Tier::Ram)));
    let Some(Location::Ram { unit, offset, segment, length, name }) = &shown.location else { panic!("{shown:?}") };
    assert_eq!((*unit, *offset, *segment, *length), (UNIT, 8192, 1 << 20, 5));
    assert!(name.ends_with("-segment-5"), "{name}");
}

#[tokio::test]
async fn views_outlive_a_restart_and_segments_are_asked_for_anew_after_it() {
    let (session, fake, client) = connected().await;
    let ids = [filled(&client, b"hello").await, filled(&client, b"other").await];
    moved(&session, &ids);
    let view = client.read(ids[0]).await.unwrap();
    session.restart();
    session.wait_for("attach", 1);
    until(|| session.asked("hang-up") == 1).await;
    assert_eq!((&*view, view.is_valid()), (&b"hello"[..], true));
    let other = loop {
        let other = client.read(ids[1]).await.unwrap();
        if session.asked("segments") == 2 {
            break other;
        }
        // It was read by what was still at hand, or by a call.
        other.release().await.unwrap();
    };
    assert_eq!((&*other, &*view), (&b"other"[..], &b"hello"[..]));
    let before = by_call(&fake);
    assert_eq!((client.read(ids[0]).await.unwrap().len(), by_call(&fake)), (5, before));
}

#[tokio::test]
async fn a_segment_that_is_not_what_was_said_is_not_read() {
    let (session, fake, client) = connected().await;
    let ids = [filled(&client, b"hello").await, filled(&client, b"other").await];
    session.state(|state| state.exaggerates = true);
    moved(&session, &ids);
    let by_a_call = client.read(ids[0]).await.unwrap();
    assert_eq!((&*by_a_call, asked(&session, &fake).2), (&b"hello"[..], 1));
    session.state(|state| state.exaggerates = false);
    assert_eq!((&*client.read(ids[0]).await.unwrap(), asked(&session, &fake).2), (&b"hello"[..], 1));
    // What is shown does not fit what was mapped.
    session.move_into(ids[1], UNIT, (1 << 20) - 2, &details());
    let other = client.read(ids[1]).await.unwrap();
    assert_eq!((&*other, asked(&session, &fake).2), (&b"other"[..], 2));
    assert_eq!(session.pinning(), 0);
}

#[tokio::test]
async fn a_view_of_a_segment_outlives_its_client() {
    let (session, _fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    moved(&session, &[id]);
    let view = client.read(id).await.unwrap();
    drop(client);
    assert_eq!((&*view, view.is_valid(), session.live()), (&b"hello"[..], true, 1));
    drop(view);
    session.wait_for("bye", 1);
}

#[tokio::test]
async fn a_view_outlives_the_name_of_its_segment_and_its_payload() {
    let (session, fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    moved(&session, &[id]);
    let view = client.read(id).await.unwrap();
    session.unlink_segment(UNIT);
    assert_eq!(session.delete_by_force(id), 1);
    assert_eq!((&*view, view.is_valid(), session.pinning(), by_call(&fake)), (&b"hello"[..], false, 1, 0));
    drop(view);
    assert_eq!(session.pinning(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_threads_read_from_segments_that_are_asked_for_as_often_as_there_are_threads_at_the_most() {
    let (session, fake, client) = connected().await;
    let mut ids = Vec::new();
    for n in 0..48u8 {
        let id = filled(&client, &[n; 5_000]).await;
        session.move_into(id, 1 + u32::from(n) % 3, 8192 * u64::from(n), &details());
        ids.push(id);
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
    let (segments, objects, calls) = asked(&session, &fake);
    assert!((3..=3 * 8).contains(&segments), "{segments}");
    assert_eq!((objects, calls, session.pinning()), (0, 0, 0));
}

#[tokio::test]
async fn a_producer_writes_into_its_segment_and_asks_for_it_once() {
    let (session, fake, client) = connected().await;
    session.state(|state| state.produces_in = Some(UNIT));
    filled(&client, b"hello").await;
    assert_eq!(session.bytes_at(UNIT, 0, 6), b"hello\0");
    filled(&client, b"other").await;
    assert_eq!((session.bytes_at(UNIT, 0, 6), session.asked("segments")), (b"other\0".to_vec(), 1));
    assert_eq!((session.asked("allocate"), session.asked("commit"), by_call(&fake)), (2, 2, 0));
}

#[tokio::test]
async fn immutable_memory_that_is_still_written_to_is_not_taken_for_another_payload() {
    let (session, _fake, client) = connected().await;
    session.state(|state| state.produces_in = Some(UNIT));
    let mut late = client.create(5).await.unwrap();
    late.copy_from_slice(b"later");
    // To this daemon it was there for too long, and its memory is free.
    let mut next = client.create(5).await.unwrap();
    next.copy_from_slice(b"other");
    assert_eq!((session.bytes_at(UNIT, 0, 5), session.asked("allocate")), (b"later".to_vec(), 2));
    session.wait_for("abort", 1);
    next.commit().await.unwrap();
    assert_eq!((&*late, session.asked("commit")), (&b"later"[..], 0), "it was made by a call");
    late.commit().await.unwrap();
    filled(&client, b"third").await;
    assert_eq!((session.bytes_at(UNIT, 0, 5), session.asked("commit")), (b"third".to_vec(), 2));
}

#[tokio::test]
async fn a_producer_whose_segment_is_not_what_was_said_makes_its_payload_by_a_call() {
    let (session, _fake, client) = connected().await;
    session.state(|state| (state.produces_in, state.exaggerates) = (Some(UNIT), true));
    let id = filled(&client, b"hello").await;
    session.wait_for("abort", 1);
    assert_eq!((session.asked("segments"), session.asked("commit")), (1, 0));
    assert_eq!(&*client.read(id).await.unwrap(), b"hello");
}
