//! Subscribers that lag, sleep or never read: each is told the truth, costs little, and troubles nobody.

use std::time::{Duration, Instant};

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::runtime::v1::{
    AppendItem, AppendRequest, CreateStreamRequest, DeleteStreamRequest, ReadRequest, SubscribeRequest,
    SubscribeResponse,
};
use payload_manager_tests::rpc::{id_of, stream};
use payload_manager_tests::wire::{Open, framed};
use payload_manager_tests::{Answer, Daemon, Rpc, Wire, eventually, named, within};
use prost::Message;
use tonic::Code;

/// More than the windows of a connection and of a subscriber let through at once.
const FAT: usize = 64 << 10;

async fn payload(rpc: &mut Rpc) -> PayloadId {
    id_of(&rpc.put(Tier::Ram, b"bytes").await.unwrap())
}

fn item(id: &PayloadId, tag: usize) -> AppendItem {
    let tags = [("k".to_owned(), "x".repeat(tag))].into();
    AppendItem { payload_id: Some(id.clone()), tags, ..Default::default() }
}

async fn append(rpc: &mut Rpc, items: Vec<AppendItem>) {
    rpc.stream.append(AppendRequest { stream: Some(stream("s")), items }).await.unwrap();
}

/// A subscriber from the beginning who reads only when the test says so.
async fn lagging(wire: &Wire) -> Open {
    let request = SubscribeRequest { stream: Some(stream("s")), start: None, max_inflight: 1 };
    wire.open(&named::path("Subscribe"), framed(&request.encode_to_vec()), &[]).await
}

/// What a subscriber still gets, by offset, and how it ends.
async fn rest(mut open: Open) -> (Vec<u64>, Answer) {
    let mut seen = Vec::new();
    while let Some(message) = open.next().await {
        seen.push(SubscribeResponse::decode(message).unwrap().entry.unwrap().offset);
    }
    (seen, Answer { status: open.status().await, messages: Vec::new() })
}

async fn delete(rpc: &mut Rpc) {
    rpc.stream.delete_stream(DeleteStreamRequest { stream: Some(stream("s")) }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_retention_overtakes_is_told_what_is_kept() {
    let daemon = Daemon::start();
    let (wire, mut rpc) = (daemon.wire().await, daemon.rpc().await);
    let id = payload(&mut rpc).await;
    let request =
        CreateStreamRequest { stream: Some(stream("s")), retention_max_entries: 10, retention_max_age_sec: 0 };
    rpc.stream.create_stream(request).await.unwrap();
    append(&mut rpc, vec![item(&id, FAT); 10]).await;
    let slow = lagging(&wire).await;
    for _ in 0..10 {
        append(&mut rpc, vec![item(&id, FAT); 10]).await;
    }
    let (seen, end) = rest(slow).await;
    assert!(seen.len() < 100, "it was not overtaken");
    assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>(), "what it had before has no gap");
    let detail = end.detail().unwrap();
    assert_eq!((end.code(), detail.known()), (Code::OutOfRange, Some(Reason::OffsetRemoved)));
    assert_eq!((detail.metadata["first"].as_str(), detail.metadata["next"].as_str()), ("100", "110"));
    assert!(end.status.message().contains("100"), "{}", end.status.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_behind_hears_of_the_deletion_and_nothing_of_the_next_stream() {
    let daemon = Daemon::start();
    let (wire, mut rpc) = (daemon.wire().await, daemon.rpc().await);
    let id = payload(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    append(&mut rpc, vec![item(&id, FAT); 40]).await;
    let slow = lagging(&wire).await;
    delete(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    append(&mut rpc, vec![item(&id, 0); 200]).await;
    let (seen, end) = rest(slow).await;
    assert!(seen.len() < 40, "it was not behind");
    assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>());
    assert_eq!((end.code(), end.detail().unwrap().known()), (Code::NotFound, Some(Reason::StreamNotFound)));
}

/// What one subscriber has seen of one stream: whose entry stood at each offset.
type Seen = Vec<String>;

async fn follow_one_stream(mut rpc: Rpc) -> Seen {
    let request = SubscribeRequest { stream: Some(stream("s")), start: None, max_inflight: 3 };
    let Ok(entries) = rpc.stream.subscribe(request).await else { return Seen::new() };
    let (mut entries, mut seen) = (entries.into_inner(), Seen::new());
    loop {
        match within("an entry", entries.message()).await {
            Ok(message) => {
                let mut entry = message.unwrap().entry.unwrap();
                assert_eq!(entry.offset, seen.len() as u64);
                seen.push(entry.tags.remove("who").unwrap());
            }
            Err(end) => {
                assert_eq!(end.code(), Code::NotFound, "{end:?}");
                return seen;
            }
        }
    }
}

async fn append_until_told(mut rpc: Rpc, id: PayloadId, who: usize, stop: std::sync::Arc<tokio::sync::Notify>) {
    let stopped = stop.notified();
    tokio::pin!(stopped);
    for number in 0.. {
        let mut items = vec![item(&id, 8 << 10); 3];
        for (at, item) in items.iter_mut().enumerate() {
            item.tags.insert("who".to_owned(), format!("{who}:{number}:{at}"));
        }
        let appending = rpc.stream.append(AppendRequest { stream: Some(stream("s")), items });
        tokio::select! {
            () = &mut stopped => return,
            done = appending => assert!(done.is_ok() || done.unwrap_err().code() == Code::NotFound),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_made_again_under_its_name_is_never_mixed_with_the_old_one() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    let stop = std::sync::Arc::new(tokio::sync::Notify::new());
    let appenders: Vec<_> =
        (0..3).map(|who| tokio::spawn(append_until_told(rpc.clone(), id.clone(), who, stop.clone()))).collect();
    let mut followers = tokio::task::JoinSet::new();
    for _ in 0..25 {
        for _ in 0..4 {
            // Each on a connection of its own, so that none waits for another's window.
            followers.spawn(follow_one_stream(daemon.rpc().await));
        }
        delete(&mut rpc).await;
        rpc.create_stream("s").await.unwrap();
    }
    stop.notify_waiters();
    for appender in appenders {
        appender.await.unwrap();
    }
    delete(&mut rpc).await;
    let all = followers.join_all().await;
    assert!(all.iter().any(|seen| !seen.is_empty()), "nobody saw anything");
    for (at, seen) in all.iter().enumerate() {
        let whole: Vec<&[String]> = seen.chunks_exact(3).collect();
        assert!(whole.iter().all(|append| append[0].strip_suffix(":0") == append[2].strip_suffix(":2")), "{seen:?}");
        for other in &all[at + 1..] {
            // Of the same stream, if they begin alike: then one is a part of the other; else they share nothing.
            let same = seen.iter().zip(other).take_while(|(a, b)| a == b).count();
            let shared = if same == 0 { 0 } else { seen.len().min(other.len()) };
            assert_eq!(same, shared, "{seen:?}\n{other:?}");
            assert!(same > 0 || !seen.iter().any(|entry| other.contains(entry)), "{seen:?}\n{other:?}");
        }
    }
}

/// Resident memory of a process in bytes.
fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_that_never_read_cost_little_while_a_hundred_thousand_entries_arrive() {
    const ENTRIES: u64 = 100_000;
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    let (mut wires, mut deaf) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let wire = daemon.wire().await;
        deaf.push(lagging(&wire).await);
        wires.push(wire);
    }
    let mut other = daemon.rpc().await;
    let counting = tokio::spawn(async move {
        let request = SubscribeRequest { stream: Some(stream("s")), start: None, max_inflight: 0 };
        let mut entries = other.stream.subscribe(request).await.unwrap().into_inner();
        for expected in 0..ENTRIES {
            let message = within("the next entry", entries.message()).await.unwrap().unwrap();
            assert_eq!(message.entry.unwrap().offset, expected);
        }
    });
    let batch = vec![item(&id, 100); 1000];
    let mut settled = 0;
    for arrived in (0..ENTRIES).step_by(batch.len()) {
        append(&mut rpc, batch.clone()).await;
        if arrived == ENTRIES / 5 {
            settled = resident(&daemon);
        }
    }
    counting.await.unwrap();
    // What arrived since takes some 70 MB in memory, for each that would be given a copy.
    let grown = resident(&daemon).saturating_sub(settled);
    assert!(grown < 40 << 20, "{grown} bytes more");
    for open in &mut deaf {
        let first = SubscribeResponse::decode(open.next().await.unwrap()).unwrap();
        assert_eq!(first.entry.unwrap().offset, 0, "and nothing was thrown away for it");
    }
}

/// How often the threads of a process were given a processor.
fn switches(daemon: &Daemon) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let of_task = |task: std::fs::DirEntry| {
        // One that has just ended counts no more.
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>()
    };
    tasks.flatten().map(of_task).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_that_wait_do_not_wake_the_daemon() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    rpc.create_stream("s").await.unwrap();
    append(&mut rpc, vec![item(&id, 0)]).await;
    let mut idle = Vec::new();
    for _ in 0..16 {
        let request = SubscribeRequest { stream: Some(stream("s")), start: None, max_inflight: 0 };
        let mut entries = daemon.rpc().await.stream.subscribe(request).await.unwrap().into_inner();
        within("the first entry", entries.message()).await.unwrap().unwrap();
        idle.push(entries);
    }
    // What was begun before settles, such as the catalog's housekeeping; then it is quiet for a second at some time.
    let mut quiet = (Instant::now(), switches(&daemon));
    eventually("a second in which the daemon is woken fewer than once for each that waits", || {
        let now = switches(&daemon);
        if now - quiet.1 >= 16 {
            quiet = (Instant::now(), now);
        }
        quiet.0.elapsed() > Duration::from_secs(1)
    });
    append(&mut rpc, vec![item(&id, 0)]).await;
    for entries in &mut idle {
        let message = within("the entry after a pause", entries.message()).await.unwrap().unwrap();
        assert_eq!(message.entry.unwrap().offset, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_outlive_the_payloads_that_they_name() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (gone, stays) = (payload(&mut rpc).await, payload(&mut rpc).await);
    rpc.create_stream("s").await.unwrap();
    rpc.append("s", &[gone.clone(), stays.clone()]).await.unwrap();
    rpc.delete(gone.clone(), false).await.unwrap();
    assert_eq!(rpc.append("s", std::slice::from_ref(&gone)).await.unwrap_err().code(), Code::NotFound);
    for _ in 0..2 {
        let read = rpc.stream.read(ReadRequest { stream: Some(stream("s")), ..Default::default() }).await.unwrap();
        let named: Vec<_> = read.into_inner().entries.into_iter().map(|entry| entry.payload_id.unwrap()).collect();
        assert_eq!(named, [gone.clone(), stays.clone()]);
        let request = SubscribeRequest { stream: Some(stream("s")), ..Default::default() };
        let mut entries = rpc.stream.subscribe(request).await.unwrap().into_inner();
        for wanted in &named {
            let message = within("an entry", entries.message()).await.unwrap().unwrap();
            assert_eq!(message.entry.unwrap().payload_id.as_ref(), Some(wanted));
        }
        daemon.restart();
        rpc = daemon.rpc().await;
    }
}
