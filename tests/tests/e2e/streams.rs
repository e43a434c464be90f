//! Streams as their readers see them: every entry once, in order, no gap between what was and what comes.

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::reason::detail;
use payload_manager_api::runtime::v1::subscribe_request::Start;
use payload_manager_api::runtime::v1::{
    AppendItem, DeleteStreamRequest, ReadRequest, StreamEntry, StreamId, SubscribeRequest, SubscribeResponse,
};
use payload_manager_tests::rpc::{id_of, stream};
use payload_manager_tests::wire::framed;
use payload_manager_tests::{Daemon, Rpc, named, within};
use prost::Message;
use tonic::{Code, Status, Streaming};

async fn payload(rpc: &mut Rpc) -> PayloadId {
    id_of(&rpc.put(Tier::Ram, b"bytes").await.unwrap())
}

async fn follow(rpc: &mut Rpc, start: Option<Start>) -> Streaming<SubscribeResponse> {
    let request = SubscribeRequest { stream: Some(stream("s")), start, max_inflight: 0 };
    rpc.stream.subscribe(request).await.unwrap().into_inner()
}

async fn next(entries: &mut Streaming<SubscribeResponse>) -> Result<StreamEntry, Status> {
    let message = within("the next entry", entries.message()).await?;
    message.and_then(|message| message.entry).ok_or_else(|| Status::unknown("ended"))
}

async fn offsets(entries: &mut Streaming<SubscribeResponse>, count: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push(next(entries).await.unwrap().offset);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_runs_into_live_without_a_gap_or_a_repeat() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    for _ in 0..50 {
        rpc.append("s", &[id.clone(), id.clone()]).await.unwrap();
    }
    let appending = {
        let (mut rpc, id) = (rpc.clone(), id.clone());
        tokio::spawn(async move {
            for _ in 0..50 {
                rpc.append("s", &[id.clone(), id.clone(), id.clone()]).await.unwrap();
            }
        })
    };
    // Each begins somewhere else between what was and what comes.
    let mut readers = Vec::new();
    for start in [
        None,
        Some(Start::FromBeginning(true)),
        Some(Start::Offset(99)),
        Some(Start::Offset(100)),
        Some(Start::Offset(249)),
    ] {
        let from = match start {
            Some(Start::Offset(offset)) => offset,
            _ => 0,
        };
        let mut entries = follow(&mut rpc, start).await;
        readers.push(tokio::spawn(async move { (from, offsets(&mut entries, 250 - from).await) }));
    }
    appending.await.unwrap();
    for reader in readers {
        let (from, seen) = reader.await.unwrap();
        assert_eq!(seen, (from..250).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_latest_is_from_the_next_append_on_and_an_offset_to_come_is_waited_for() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    rpc.append("s", &[id.clone(), id.clone()]).await.unwrap();
    let mut latest = follow(&mut rpc, Some(Start::FromLatest(true))).await;
    let mut later = follow(&mut rpc, Some(Start::Offset(4))).await;
    for _ in 0..3 {
        rpc.append("s", std::slice::from_ref(&id)).await.unwrap();
    }
    assert_eq!(offsets(&mut latest, 3).await, [2, 3, 4]);
    assert_eq!(offsets(&mut later, 1).await, [4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_does_not_read_slows_nobody_else() {
    let daemon = Daemon::start();
    let (wire, mut rpc) = (daemon.wire().await, daemon.rpc().await);
    let id = payload(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    let request = SubscribeRequest { stream: Some(stream("s")), start: None, max_inflight: 1 };
    let body = framed(&request.encode_to_vec());
    // Its answers fill its own window and are left lying there.
    let mut slow = wire.open(&named::path("Subscribe"), body, &[]).await;
    let mut quick = follow(&mut rpc, None).await;
    let tags = [("k".to_owned(), "x".repeat(64 << 10))].into();
    let item = AppendItem { payload_id: Some(id), tags, ..Default::default() };
    for _ in 0..50 {
        let append = payload_manager_api::runtime::v1::AppendRequest {
            stream: Some(stream("s")),
            items: vec![item.clone(), item.clone()],
        };
        rpc.stream.append(append).await.unwrap();
    }
    assert_eq!(offsets(&mut quick, 100).await, (0..100).collect::<Vec<_>>());
    for expected in 0..100 {
        let message = SubscribeResponse::decode(slow.next().await.unwrap()).unwrap();
        assert_eq!(message.entry.unwrap().offset, expected, "what it did not read has not been dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_ends_its_subscriptions_with_not_found() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    rpc.append("s", std::slice::from_ref(&id)).await.unwrap();
    let mut entries = follow(&mut rpc, None).await;
    assert_eq!(offsets(&mut entries, 1).await, [0]);
    rpc.stream.delete_stream(DeleteStreamRequest { stream: Some(stream("s")) }).await.unwrap();
    let end = next(&mut entries).await.unwrap_err();
    assert_eq!(end.code(), Code::NotFound);
    assert_eq!(detail(&end).unwrap().known(), Some(Reason::StreamNotFound));
    // One of the same name is another stream.
    rpc.create_stream("s").await.unwrap();
    assert_eq!(rpc.append("s", std::slice::from_ref(&id)).await.unwrap(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_survives_kill_with_its_entries_and_goes_on_counting() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    assert_eq!(rpc.append("s", &[id.clone(), id.clone()]).await.unwrap(), (0, 1));
    daemon.restart();
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.append("s", std::slice::from_ref(&id)).await.unwrap(), (2, 2));
    let mut entries = follow(&mut rpc, None).await;
    assert_eq!(offsets(&mut entries, 3).await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_back_with_all_that_was_said_and_namespaces_are_apart() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    let here = StreamId { name: "s".into(), namespace: "here".into() };
    for stream in [here.clone(), stream("s")] {
        let create =
            payload_manager_api::runtime::v1::CreateStreamRequest { stream: Some(stream), ..Default::default() };
        rpc.stream.create_stream(create).await.unwrap();
    }
    let item = AppendItem {
        payload_id: Some(id.clone()),
        event_time: Some(payload_manager_api::Timestamp { seconds: -1, nanos: 5 }),
        duration_ns: u64::MAX,
        tags: [("ключ".to_owned(), "値".to_owned()), (String::new(), String::new())].into(),
    };
    let append =
        payload_manager_api::runtime::v1::AppendRequest { stream: Some(here.clone()), items: vec![item.clone()] };
    rpc.stream.append(append).await.unwrap();
    let mut read = async |stream: StreamId| {
        let request = ReadRequest { stream: Some(stream), ..Default::default() };
        rpc.stream.read(request).await.unwrap().into_inner().entries
    };
    assert!(read(stream("s")).await.is_empty());
    let entries = read(here.clone()).await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((entry.stream.as_ref(), entry.payload_id.as_ref()), (Some(&here), Some(&id)));
    assert_eq!((entry.event_time, entry.duration_ns), (item.event_time, u64::MAX));
    assert_eq!(entry.tags, item.tags);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stops_tells_its_subscribers_and_does_not_wait_for_them() {
    let mut daemon = Daemon::start();
    let (wire, mut rpc) = (daemon.wire().await, daemon.rpc().await);
    let id = payload(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    rpc.append("s", std::slice::from_ref(&id)).await.unwrap();
    let mut entries = follow(&mut rpc, None).await;
    assert_eq!(offsets(&mut entries, 1).await, [0]);
    // One that does not read must not keep it waiting, either.
    let body = framed(&SubscribeRequest { stream: Some(stream("s")), start: None, max_inflight: 1 }.encode_to_vec());
    let _deaf = wire.open(&named::path("Subscribe"), body, &[]).await;
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let end = next(&mut entries).await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
    assert_eq!(detail(&end).unwrap().known(), Some(Reason::ShuttingDown));
    assert!(daemon.wait().success());
    assert!(!daemon.log_of_last_run().contains("stopped with work under way"));
}
