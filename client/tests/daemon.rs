//! What only a real daemon can show: waiting, refusing, paging, following. The plain good cases are the doc examples.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

// Every test has a worker beside it: a daemon that stops waits until its clients have seen the end, and a test that drops
// one blocks its own thread.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use payload_manager::testing::Daemon;
use payload_manager_client::{
    Client, Code, CreateOptions, DataPath, Error, ListOptions, Location, PayloadId, PayloadMut, PayloadState,
    PayloadView, Promotion, ReadOptions, Reason, SpillOptions, Start, StreamName, Subscription, Tier,
};

async fn daemon(settings: &'static [(&'static str, &'static str)]) -> (Daemon, Client) {
    // Starting one blocks, which is no good on this thread.
    let daemon = std::thread::spawn(|| Daemon::start_with(settings)).join().unwrap().unwrap();
    let client = Client::connect(daemon.socket()).await.unwrap();
    (daemon, client)
}

async fn put(client: &Client, len: u64, tier: Tier) -> PayloadId {
    let mut payload = client.create_with(len, CreateOptions { tier, ..CreateOptions::default() }).await.unwrap();
    payload.fill(7);
    payload.commit().await.unwrap().id
}

#[test]
fn handles_may_go_to_other_threads() {
    fn free<T: Send + Sync + 'static>() {}
    free::<Client>();
    free::<PayloadMut>();
    free::<PayloadView>();
    free::<Error>();
    fn goes<T: Send + 'static>() {}
    goes::<Subscription>();
    goes::<payload_manager_client::Payloads>();
    goes::<payload_manager_client::blocking::Subscription>();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_that_waits_ends_at_its_deadline() {
    let (_daemon, client) = daemon(&[]).await;
    let id = put(&client, 4096, Tier::Ram).await;
    let view = client.read(id).await.unwrap();
    let hasty = client.with_deadline(Some(Duration::from_millis(200)));
    let options = SpillOptions { wait_for_leases: true, ..SpillOptions::default() };
    let error = match hasty.spill_with(&[id], options).await {
        Ok(results) => results.into_iter().next().unwrap().unwrap_err(),
        Err(error) => error,
    };
    assert_eq!((error.code(), error.is_retryable()), (Some(Code::DeadlineExceeded), true), "{error:?}");
    assert_eq!((view.is_valid(), view[4095]), (true, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_tier_says_how_much_is_free() {
    let (_daemon, client) = daemon(&[]).await;
    let error = client.create(65 << 20).await.unwrap_err();
    assert_eq!((error.reason(), error.code()), (Some(Reason::TierFull), Some(Code::ResourceExhausted)));
    let facts = &error.refusal().unwrap().facts;
    assert_eq!(facts["tier"], "RAM", "{facts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_view_keeps_its_bytes_while_its_payload_is_spilled_and_promoted() {
    let (_daemon, client) = daemon(&[]).await;
    let id = put(&client, 1 << 20, Tier::Ram).await;
    let view = client.read(id).await.unwrap();
    client.spill(id).await.unwrap();
    assert_eq!(client.resolve(id).await.unwrap().tier, Tier::Disk);
    client.promote(id, Tier::Ram).await.unwrap();
    assert!(view.is_valid() && view.iter().all(|byte| *byte == 7));
    view.renew().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_read_that_does_not_wait_is_refused_until_the_copy_is_there() {
    let (_daemon, client) = daemon(&[]).await;
    let id = put(&client, 4096, Tier::Disk).await;
    let options = ReadOptions { min_tier: Some(Tier::Ram), promotion: Promotion::Background, ..ReadOptions::default() };
    let view = loop {
        match client.read_with(id, options).await {
            Ok(view) => break view,
            Err(error) => assert_eq!((error.reason(), error.is_retryable()), (Some(Reason::MinTierNotMet), true)),
        }
    };
    assert_eq!((view.descriptor().tier, view[0]), (Tier::Ram, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_short_lease_is_renewed_in_time_by_the_daemons_word() {
    let (_daemon, client) = daemon(&[]).await;
    let id = put(&client, 4096, Tier::Ram).await;
    let options = ReadOptions { lease: Some(Duration::from_millis(300)), ..ReadOptions::default() };
    let view = client.read_with(id, options).await.unwrap();
    // Longer than the lease, and however slow the machine is: the daemon is asked, not a clock.
    tokio::time::timeout(Duration::from_millis(900), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(client.get(id).await.unwrap().active_leases, 1);
    view.renew().await.unwrap();
    assert!(view.is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_page_is_asked_for_and_every_payload_comes_once() {
    let (_daemon, client) = daemon(&[]).await;
    let mut made = HashSet::new();
    for _ in 0..25 {
        made.insert(put(&client, 10, Tier::Ram).await);
    }
    let unfinished = client.create(10).await.unwrap();
    let options = ListOptions { page_size: 4, ..ListOptions::default() };
    let listed: Vec<_> = client.list(options).try_collect().await.unwrap();
    assert_eq!((listed[0].id, listed[0].state), (unfinished.id(), PayloadState::Allocated));
    assert_eq!(listed.len(), 26);
    assert_eq!(listed[1..].iter().map(|row| row.id).collect::<HashSet<_>>(), made);
    let error = client.list_page(options, "nonsense").await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::BadPageToken));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_subscription_sees_what_was_there_and_what_comes_without_a_gap() {
    let (_daemon, client) = daemon(&[]).await;
    let id = put(&client, 10, Tier::Ram).await;
    let name = StreamName::new("ns", "s").unwrap();
    client.create_stream(&name, Default::default()).await.unwrap();
    client.append(&name, vec![id; 100]).await.unwrap();
    let entries = client.subscribe(&name, Start::Offset(50)).await.unwrap();
    let producer = client.clone();
    let (stream, late) = (
        name.clone(),
        tokio::spawn(async move {
            for _ in 0..100 {
                producer.append(&name, [id]).await.unwrap();
            }
        }),
    );
    let offsets: Vec<u64> =
        futures_util::StreamExt::take(entries, 150).map_ok(|entry| entry.offset).try_collect().await.unwrap();
    assert_eq!(offsets, (50..200).collect::<Vec<_>>());
    late.await.unwrap();
    assert_eq!(client.append(&stream, [] as [PayloadId; 0]).await.unwrap().count(), 0);
    let missing = client.subscribe(&StreamName::new("", "none").unwrap(), Start::Beginning).await;
    let error = match missing {
        Ok(mut entries) => entries.try_next().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.reason(), Some(Reason::StreamNotFound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_subscription_that_is_refused_ends_after_saying_so() {
    let (_daemon, client) = daemon(&[]).await;
    let name = StreamName::new("", "gone").unwrap();
    let Ok(mut entries) = client.subscribe(&name, Start::Latest).await else { return };
    assert!(entries.try_next().await.is_err());
    assert!(entries.try_next().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn dropped_payloads_give_their_memory_back() {
    let (_daemon, client) = daemon(&[]).await;
    for _ in 0..4 {
        // Two of these do not fit side by side.
        let mut payload = client.create(40 << 20).await.unwrap();
        payload[40 << 19] = 1;
        drop(payload);
        client.flush().await;
    }
    let stats = client.stats().await.unwrap();
    assert_eq!((stats.tier(Tier::Ram).payloads, stats.tier(Tier::Ram).bytes), (0, 0));
    // Memory is freed after the answer to a delete: soon, and all of it.
    while client.stats().await.unwrap().backlog_blocks > 0 {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_tier_that_is_not_there_is_an_error_and_nothing_is_left_allocated() {
    let (_daemon, client) = daemon(&[]).await;
    for tier in [Tier::Gpu, Tier::Object] {
        let options = CreateOptions { tier, ..CreateOptions::default() };
        let error = client.create_with(10, options).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::TierNotConfigured), "{error}");
    }
    assert_eq!(client.create(0).await.unwrap_err().reason(), Some(Reason::SizeZero));
    assert_eq!(client.create(1 << 63).await.unwrap_err().reason(), Some(Reason::SizeLimit));
    let rows: Vec<_> = client.list(ListOptions::default()).try_collect().await.unwrap();
    assert!(rows.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn loopback_works_as_the_socket_does() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen: &'static str = Box::leak(format!("127.0.0.1:{port}").into_boxed_str());
    let settings: &'static [(&str, &str)] = Box::leak(Box::new([("listen", listen)]));
    let (_daemon, over_socket) = daemon(settings).await;
    let client = Client::connect(format!("http://{listen}")).await.unwrap();
    assert!(matches!(client.path().await, DataPath::Calls { why } if why.contains("file system")));
    let id = put(&client, 10, Tier::Ram).await;
    assert_eq!(&*over_socket.read(id).await.unwrap(), &[7; 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn payloads_in_ram_are_read_and_written_by_the_session() {
    let (_daemon, client) = daemon(&[]).await;
    assert_eq!(client.path().await, DataPath::Session);
    let id = put(&client, 4096, Tier::Ram).await;
    let (one, other) = (client.read(id).await.unwrap(), client.read(id).await.unwrap());
    assert!(std::ptr::eq(&*one, &*other) && one.is_valid(), "one mapping");
    assert_eq!(*one.descriptor(), client.resolve(id).await.unwrap());
    assert_eq!(client.delete(id).await.unwrap_err().reason(), Some(Reason::Leased));
    client.delete_by_force(id).await.unwrap();
    assert_eq!((one.is_valid(), other.is_valid(), one[4095]), (false, false, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_session_makes_lies_in_its_segments_and_their_memory_is_used_again() {
    let (_daemon, client) = daemon(&[]).await;
    let place = |payload: &PayloadMut| match &payload.descriptor().location {
        Some(Location::Ram { unit, offset, .. }) => (*unit, *offset),
        other => panic!("not in RAM: {other:?}"),
    };
    let (mut one, mut other) = (client.create(5000).await.unwrap(), client.create(5000).await.unwrap());
    let places = [place(&one), place(&other)];
    assert!(places[0].0 != 0 && places[0].0 == places[1].0 && places[0].1 != places[1].1, "{places:?}");
    one.fill(1);
    other.fill(2);
    let ids = [one.commit().await.unwrap().id, other.commit().await.unwrap().id];
    for (id, byte) in ids.iter().zip([1, 2]) {
        assert!(client.read(*id).await.unwrap().iter().all(|b| *b == byte));
    }
    client.delete(ids[0]).await.unwrap();
    // It is freed a moment after the answer.
    let mut kept = Vec::new();
    while kept.last().map(place) != Some(places[0]) {
        kept.push(client.create(5000).await.unwrap());
    }
    assert_eq!(client.read(ids[1]).await.unwrap()[4999], 2);
}
