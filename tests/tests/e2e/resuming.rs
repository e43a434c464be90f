//! The client crate's subscriptions over restarts of the daemon: no entry is missed, none comes twice.

use std::time::Duration;

use futures_util::StreamExt as _;
use payload_manager_client::{Client, Error, NewEntry, PayloadId, Reason, Start, StreamName, SubscribeOptions};
use payload_manager_tests::{Daemon, within};

async fn put(client: &Client) -> PayloadId {
    client.create(1).await.unwrap().commit().await.unwrap().id
}

fn frames() -> StreamName {
    StreamName::new("", "frames").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_goes_on_after_kill_and_after_a_stop() {
    let mut daemon = Daemon::start();
    let client = Client::connect(daemon.socket()).await.unwrap();
    let id = put(&client).await;
    client.create_stream(&frames(), Default::default()).await.unwrap();
    client.append(&frames(), vec![id; 10]).await.unwrap();
    let mut old = client.subscribe(&frames(), Start::Beginning).await.unwrap();
    let mut latest = client.subscribe(&frames(), Start::Latest).await.unwrap();
    let mut consumer = client.consume(&frames(), "g").await.unwrap();
    for expected in 0..5 {
        assert_eq!(within("an entry", old.next()).await.unwrap().unwrap().offset, expected);
        let entry = within("an entry", consumer.next()).await.unwrap();
        consumer.commit(&entry).await.unwrap();
    }
    for round in 0..2 {
        if round == 0 {
            daemon.kill();
        } else {
            assert!(daemon.stop().success());
        }
        daemon.start_again();
        // While the subscribers are still on their way back.
        let other = Client::connect(daemon.socket()).await.unwrap();
        other.append(&frames(), vec![id; 3]).await.unwrap();
    }
    for expected in 5..16 {
        assert_eq!(within("an entry", old.next()).await.unwrap().unwrap().offset, expected);
        assert_eq!(within("an entry", consumer.next()).await.unwrap().offset, expected);
    }
    for expected in 10..16 {
        assert_eq!(within("an entry", latest.next()).await.unwrap().unwrap().offset, expected);
    }
    let mut again = client.consume(&frames(), "g").await.unwrap();
    assert_eq!(within("an entry", again.next()).await.unwrap().offset, 5, "from what was committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_again_meanwhile_is_another_one() {
    let mut daemon = Daemon::start();
    let client = Client::connect(daemon.socket()).await.unwrap();
    let id = put(&client).await;
    client.create_stream(&frames(), Default::default()).await.unwrap();
    client.append(&frames(), [id]).await.unwrap();
    let mut entries = client.subscribe(&frames(), Start::Beginning).await.unwrap();
    assert_eq!(within("an entry", entries.next()).await.unwrap().unwrap().offset, 0);
    daemon.restart();
    let other = Client::connect(daemon.socket()).await.unwrap();
    other.delete_stream(&frames()).await.unwrap();
    other.create_stream(&frames(), Default::default()).await.unwrap();
    other.append(&frames(), vec![NewEntry::from(id); 5]).await.unwrap();
    let error = within("the end", entries.next()).await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::StreamNotFound), "{error}");
    assert!(error.to_string().contains("made again"), "{error}");
    assert!(entries.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_patience_a_lost_daemon_is_an_error_at_once() {
    let mut daemon = Daemon::start();
    let client = Client::connect(daemon.socket()).await.unwrap();
    client.create_stream(&frames(), Default::default()).await.unwrap();
    let patience = [Duration::ZERO, Duration::from_millis(50)];
    let mut followers = Vec::new();
    for patience in patience {
        let options = SubscribeOptions { patience, ..Start::Beginning.into() };
        followers.push(client.subscribe(&frames(), options).await.unwrap());
    }
    daemon.kill();
    for mut entries in followers {
        let error = within("the end", entries.next()).await.unwrap().unwrap_err();
        assert!(matches!(&error, Error::Unreachable { .. }) && error.is_retryable(), "{error:?}");
    }
}
