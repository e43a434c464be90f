//! What a client does when the daemon misbehaves or goes away; against a daemon that does so on demand.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

mod support {
    #[allow(dead_code, reason = "the other test program uses the rest")]
    pub(crate) mod fake;
    mod fake_services;
}

use std::time::Duration;

use payload_manager_client::{Client, Error, PayloadState, Reason};
use support::fake::Fake;

async fn connected() -> (Fake, Client) {
    let fake = Fake::start();
    let client = Client::connect(fake.socket()).await.unwrap();
    (fake, client)
}

async fn filled(client: &Client, bytes: &[u8]) -> payload_manager_client::PayloadId {
    let mut payload = client.create(bytes.len() as u64).await.unwrap();
    payload.copy_from_slice(bytes);
    payload.commit().await.unwrap().id
}

#[tokio::test]
async fn bytes_are_read_where_they_were_written() {
    let (_fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    assert_eq!((&*view, view.is_valid()), (&b"hello"[..], true));
}

#[tokio::test]
async fn a_payload_dropped_before_commit_is_deleted() {
    let (fake, client) = connected().await;
    drop(client.create(10).await.unwrap());
    client.flush().await;
    assert!(fake.script(|script| script.payloads.is_empty()));
}

#[tokio::test]
async fn clones_share_a_lease_and_the_last_gives_it_back() {
    let (fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    let other = view.clone();
    drop(view);
    client.flush().await;
    assert_eq!(fake.script(|script| script.leases.len()), 1);
    assert_eq!(client.delete(id).await.unwrap_err().reason(), Some(Reason::Leased));
    let bytes = other.to_vec();
    other.release().await.unwrap();
    assert_eq!((fake.script(|script| script.leases.len()), bytes), (0, b"hello".to_vec()));
}

#[tokio::test]
async fn a_lease_is_renewed_for_as_long_as_its_view_lives() {
    let (fake, client) = connected().await;
    fake.script(|script| script.lease = Duration::from_millis(400));
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    fake.wait_until(|script| script.renewed >= 4).await;
    assert!(view.is_valid() && !view.time_left().is_zero());
    drop(view);
    client.flush().await;
    assert_eq!(fake.script(|script| script.leases.len()), 0);
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again() {
    let (fake, client) = connected().await;
    fake.script(|script| (script.lease, script.fail_renewals) = (Duration::from_secs(2), 3));
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    fake.wait_until(|script| script.fail_renewals == 0 && script.renewed >= 1).await;
    assert!(view.is_valid());
}

#[tokio::test]
async fn a_renewal_that_hangs_is_given_up_in_time_to_try_again() {
    let (fake, client) = connected().await;
    fake.script(|script| (script.lease, script.hang_renewals) = (Duration::from_secs(2), 1));
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    fake.wait_until(|script| script.hang_renewals == 0 && script.renewed >= 1).await;
    assert!(view.is_valid());
}

#[tokio::test]
async fn a_lease_outlives_a_restart_of_the_daemon() {
    let (fake, client) = connected().await;
    fake.script(|script| script.lease = Duration::from_secs(1));
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    fake.restart();
    fake.wait_until(|script| script.renewed >= 1).await;
    assert_eq!((&*view, view.is_valid()), (&b"hello"[..], true));
}

#[tokio::test]
async fn a_lease_that_the_daemon_ended_is_not_valid_and_its_bytes_stay() {
    let (fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    client.delete_by_force(id).await.unwrap();
    assert_eq!(view.renew().await.unwrap_err().reason(), Some(Reason::LeaseOver));
    assert_eq!((&*view, view.is_valid(), view.time_left()), (&b"hello"[..], false, Duration::ZERO));
    drop(view);
    client.flush().await;
    assert!(fake.script(|script| script.leases.is_empty()));
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_to_be_done() {
    let (fake, client) = connected().await;
    fake.script(|script| script.lose_commits = 1);
    let payload = client.create(10).await.unwrap();
    let descriptor = payload.commit().await.unwrap();
    assert_eq!(descriptor.state, PayloadState::Active);
    client.flush().await;
    assert!(fake.script(|script| script.payloads.contains_key(descriptor.id.as_bytes().as_slice())));
}

#[tokio::test]
async fn a_lease_on_bytes_that_cannot_be_opened_is_given_back() {
    let (fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    fake.script(|script| script.wrong_name = true);
    assert!(matches!(client.read(id).await, Err(Error::Place { .. })));
    client.flush().await;
    assert!(fake.script(|script| script.leases.is_empty()));
}

#[tokio::test]
async fn a_daemon_that_is_gone_is_out_of_reach_and_worth_another_try() {
    let (fake, client) = connected().await;
    let socket = fake.socket();
    drop(fake);
    let error = client.create(1).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_retryable(), "{error:?}");
    let error = Client::connect(socket).await.unwrap_err();
    assert!(error.to_string().contains("payload-manager serve"), "{error}");
}

#[tokio::test]
async fn views_and_payloads_may_be_dropped_outside_the_runtime() {
    let (fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    let (view, payload) = (client.read(id).await.unwrap(), client.create(1).await.unwrap());
    std::thread::spawn(move || drop((view, payload))).join().unwrap();
    client.flush().await;
    fake.script(|script| assert_eq!((script.leases.len(), script.payloads.len()), (0, 1)));
}

#[test]
fn a_blocking_program_leaves_no_lease_behind_when_it_drops_its_last_handle() {
    let fake = Fake::start();
    let client = payload_manager_client::blocking::Client::connect(fake.socket()).unwrap();
    let mut payload = client.create(5).unwrap();
    payload.copy_from_slice(b"hello");
    let id = payload.commit().unwrap().id;
    let (view, unfinished) = (client.read(id).unwrap(), client.create(5).unwrap());
    drop(client);
    assert_eq!(&*view, b"hello");
    drop((view, unfinished));
    fake.script(|script| assert_eq!((script.leases.len(), script.payloads.len()), (0, 1)));
}

#[tokio::test]
async fn a_blocking_client_works_inside_a_runtime_too() {
    let fake = Fake::start();
    let client = payload_manager_client::blocking::Client::connect(fake.socket()).unwrap();
    let id = client.create(5).unwrap().commit().unwrap().id;
    assert_eq!(client.read(id).unwrap().len(), 5);
}
