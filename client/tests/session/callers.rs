//! Answers that callers receive on their own threads, and many in one frame.

use payload_manager_client::{Client, Code, DataPath, Reason, blocking};

use super::fake::Fake;
use super::fake_session::FakeSession;
use super::{connected, filled, until};

fn connected_here() -> (FakeSession, Fake, blocking::Client) {
    let fake = Fake::start();
    let session = FakeSession::start(&fake);
    let client = blocking::Client::connect(fake.socket()).unwrap();
    assert_eq!(client.path(), DataPath::Session);
    (session, fake, client)
}

fn put(client: &blocking::Client, bytes: &[u8]) -> payload_manager_client::Result<payload_manager_client::PayloadId> {
    let mut payload = client.create(bytes.len() as u64)?;
    payload.copy_from_slice(bytes);
    Ok(payload.commit()?.id)
}

#[test]
fn eight_threads_that_wait_get_each_its_own_answers() {
    let (session, fake, client) = connected_here();
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let client = &client;
            scope.spawn(move || {
                for round in 0..25u8 {
                    let bytes = [thread, round, thread ^ round];
                    let id = put(client, &bytes).unwrap();
                    assert_eq!(*client.read(id).unwrap(), bytes);
                    drop(client.create(5).unwrap());
                }
            });
        }
    });
    client.flush();
    assert_eq!((session.asked("commit"), session.asked("abort"), session.asked("hello")), (200, 200, 1));
    assert_eq!((fake.script(|script| script.payloads.len()), session.pinning()), (200, 0));
}

#[test]
fn a_caller_that_receives_keeps_its_deadline_and_goes_on_after_a_late_answer() {
    let (session, _fake, client) = connected_here();
    put(&client, b"first").unwrap();
    session.state(|state| state.mute = true);
    let hasty = client.with_deadline(Some(std::time::Duration::from_millis(50)));
    assert_eq!(hasty.create(5).unwrap_err().reason(), Some(Reason::Deadline));
    session.answer_late();
    session.wait_for("abort", 1);
    session.state(|state| state.mute = false);
    put(&client, b"again").unwrap();
}

#[test]
fn callers_find_a_hang_up_and_the_session_comes_back() {
    let (session, _fake, client) = connected_here();
    for restarts in 1..=3 {
        put(&client, b"before").unwrap();
        session.restart();
        // By a call, as long as it is not back; nothing is lost.
        put(&client, b"meanwhile").unwrap();
        session.wait_for("attach", restarts);
        let before = session.asked("commit");
        while session.asked("commit") == before {
            put(&client, b"after").unwrap();
        }
    }
    assert_eq!(session.asked("hello"), 1);
}

#[tokio::test]
async fn many_are_made_and_committed_64_a_frame_and_one_that_fails_stops_no_other() {
    let (session, fake, client) = connected().await;
    let mut lens = vec![5; 130];
    lens[70] = 2 << 20;
    let mut made = client.create_many(&lens).await;
    assert_eq!((made.len(), session.asked("allocate")), (130, 3));
    let failed = made.remove(70).unwrap_err();
    assert_eq!(failed.code(), Some(Code::ResourceExhausted));
    let mut payloads: Vec<_> = made.into_iter().map(|made| made.unwrap()).collect();
    let mut ids = Vec::new();
    for (at, payload) in (0u8..).zip(&mut payloads) {
        payload.copy_from_slice(&[at; 5]);
        ids.push(payload.id());
    }
    let kept = payloads.pop().unwrap();
    let committed = client.commit_many(payloads).await;
    assert_eq!((committed.len(), session.asked("commit")), (128, 2));
    for (at, (committed, id)) in (0u8..).zip(committed.into_iter().zip(&ids)) {
        assert_eq!((committed.unwrap().id, &*client.read(*id).await.unwrap()), (*id, &[at; 5][..]));
    }
    drop(kept);
    client.flush().await;
    assert_eq!((session.asked("abort"), fake.script(|script| script.payloads.len())), (1, 128));
}

#[tokio::test]
async fn without_a_session_many_are_made_by_calls() {
    let fake = Fake::start();
    let client = Client::connect(fake.socket()).await.unwrap();
    let mut payloads: Vec<_> = client.create_many(&[5; 70]).await.into_iter().map(|made| made.unwrap()).collect();
    payloads.iter_mut().for_each(|payload| payload.copy_from_slice(b"hello"));
    let committed = client.commit_many(payloads).await;
    let id = committed[69].as_ref().unwrap().id;
    assert_eq!((&*client.read(id).await.unwrap(), committed.len()), (&b"hello"[..], 70));
}

#[tokio::test]
async fn many_whose_connection_broke_are_committed_by_calls() {
    let (session, _fake, client) = connected().await;
    let payloads: Vec<_> = client.create_many(&[5; 3]).await.into_iter().map(|made| made.unwrap()).collect();
    session.restart();
    session.wait_for("attach", 1);
    assert!(client.commit_many(payloads).await.iter().all(Result::is_ok));
    until(|| session.asked("hang-up") == 1).await;
    filled(&client, b"next").await;
}
