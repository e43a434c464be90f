//! What is done by call, and payloads that are written by way of the session.

use payload_manager_client::{Client, Code, DataPath, PayloadState, Reason};

use super::fake::Fake;
use super::fake_session::FakeSession;
use super::{by_call, connected, filled};

/// Why there is no session; nothing where there is one.
async fn why(client: &Client) -> String {
    match client.path().await {
        DataPath::Calls { why } => why,
        _ => String::new(),
    }
}

#[tokio::test]
async fn without_a_session_socket_every_lease_is_a_call() {
    let fake = Fake::start();
    let client = Client::connect(fake.socket()).await.unwrap();
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    assert_eq!((&*view, view.is_valid(), by_call(&fake)), (&b"hello"[..], true, 1));
    assert!(why(&client).await.contains("no session socket"));
}

#[tokio::test]
async fn pages_that_can_not_be_read_are_a_reason_for_calls() {
    let fake = Fake::start();
    let session = FakeSession::start(&fake);
    session.state(|state| state.torn_directory = true);
    let client = Client::connect(fake.socket()).await.unwrap();
    assert!(why(&client).await.contains("shared pages"), "{}", client.path().await);
    let id = filled(&client, b"hello").await;
    assert_eq!((&*client.read(id).await.unwrap(), by_call(&fake)), (&b"hello"[..], 1));
    session.wait_for("hang-up", 1);
}

#[tokio::test]
async fn what_the_directory_does_not_show_is_asked_for_by_call() {
    let (session, fake, client) = connected().await;
    let slow = Client::connect(fake.socket()).await.unwrap();
    let id = filled(&client, b"hello").await;
    session.state(|state| {
        let (index, ..) = state.directory.lookup(id).unwrap();
        state.directory.remove(index);
    });
    let (one, other) = (client.read(id).await.unwrap(), slow.read(id).await.unwrap());
    assert_eq!((&*one, &*other, by_call(&fake), session.pinning()), (&b"hello"[..], &b"hello"[..], 2, 0));
    assert!(one.is_valid() && one.descriptor().id == id);
}

#[tokio::test]
async fn payloads_are_made_by_the_session_and_refusals_are_errors() {
    let (session, fake, client) = connected().await;
    let mut payload = client.create(5).await.unwrap();
    payload.copy_from_slice(b"hello");
    let committed = payload.commit().await.unwrap();
    assert_eq!((committed.state, session.asked("allocate"), session.asked("commit")), (PayloadState::Active, 1, 1));
    let error = client.create(2 << 20).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::ResourceExhausted));
    drop(client.create(5).await.unwrap());
    client.create(5).await.unwrap().abort().await.unwrap();
    client.flush().await;
    assert_eq!((session.asked("abort"), fake.script(|script| script.payloads.len())), (2, 1));
}

#[tokio::test]
async fn what_was_allocated_for_nobody_is_given_back() {
    let (session, fake, client) = connected().await;
    session.state(|state| state.mute = true);
    let hasty = client.with_deadline(Some(std::time::Duration::from_millis(50)));
    assert_eq!(hasty.create(5).await.unwrap_err().reason(), Some(Reason::Deadline));
    session.answer_late();
    session.wait_for("abort", 1);
    assert!(fake.script(|script| script.payloads.is_empty()));
}

#[tokio::test]
async fn a_commit_whose_connection_broke_is_made_by_call() {
    let (session, _fake, client) = connected().await;
    let mut payload = client.create(5).await.unwrap();
    payload.copy_from_slice(b"hello");
    session.restart();
    session.wait_for("attach", 1);
    let id = payload.commit().await.unwrap().id;
    assert_eq!(&*client.read(id).await.unwrap(), b"hello");
}
