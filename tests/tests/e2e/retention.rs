//! What streams keep, and that a death in the middle of anything leaves no half of it.

use std::collections::BTreeMap;

use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::runtime::v1::{
    AppendItem, AppendRequest, CreateStreamRequest, GetCommittedRequest, GetRangeRequest, ListStreamsRequest, StreamId,
    StreamInfo,
};
use payload_manager_tests::rpc::{id_of, stream};
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc};
use tokio::sync::mpsc;

async fn payload(rpc: &mut Rpc) -> PayloadId {
    id_of(&rpc.put(Tier::Disk, b"bytes").await.unwrap())
}

async fn create(rpc: &mut Rpc, retention_max_entries: u64, retention_max_age_sec: u64) {
    let request = CreateStreamRequest { stream: Some(stream("s")), retention_max_entries, retention_max_age_sec };
    rpc.stream.create_stream(request).await.unwrap();
}

async fn bounds(rpc: &mut Rpc) -> (u64, u64) {
    let StreamInfo { first_offset, next_offset, .. } = rpc.stream_info("s").await.unwrap().info.unwrap();
    (first_offset, next_offset)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_goes_without_an_append_and_its_offsets_are_never_used_again() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    create(&mut rpc, 0, 1).await;
    // More than one change removes.
    rpc.append("s", &vec![id.clone(); 5000]).await.unwrap();
    for restarted in [false, true] {
        let cut = || async {
            let (first, next) = bounds(&mut rpc.clone()).await;
            first == next
        };
        eventually_async("what is too old is removed", cut).await;
        let (first, next) = bounds(&mut rpc).await;
        assert_eq!(first, next);
        assert_eq!(rpc.append("s", std::slice::from_ref(&id)).await.unwrap(), (next, next));
        if !restarted {
            daemon.restart();
            rpc = daemon.rpc().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_kept_at_every_append() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    create(&mut rpc, 10, 0).await;
    for number in 1..=5 {
        rpc.append("s", &vec![id.clone(); 7]).await.unwrap();
        assert_eq!(bounds(&mut rpc).await, ((7u64 * number).saturating_sub(10), 7 * number));
    }
    let range = GetRangeRequest { stream: Some(stream("s")), start_offset: 25, end_offset: u64::MAX };
    assert_eq!(rpc.stream.get_range(range).await.unwrap().into_inner().entries.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_go_forth_and_back_and_survive_kill() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    create(&mut rpc, 0, 0).await;
    rpc.append("s", &vec![id; 5]).await.unwrap();
    for (group, offset) in [("b", 5), ("a", 3), ("a", 0), ("ä/b", 2)] {
        rpc.commit_offset("s", group, offset).await.unwrap();
    }
    daemon.restart();
    let mut rpc = daemon.rpc().await;
    let groups = rpc.stream_info("s").await.unwrap().groups;
    assert!(groups.iter().all(|group| group.committed_at.is_some()));
    let found: Vec<_> = groups.iter().map(|group| (group.name.as_str(), group.committed_offset)).collect();
    assert_eq!(found, [("a", 0), ("b", 5), ("ä/b", 2)]);
    for (group, offset, has_commit) in [("a", 0, true), ("b", 5, true), ("c", 0, false)] {
        let request = GetCommittedRequest { stream: Some(stream("s")), consumer_group: group.into() };
        let answer = rpc.stream.get_committed(request).await.unwrap().into_inner();
        assert_eq!((answer.offset, answer.has_commit), (offset, has_commit), "{group}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stream_is_listed_once_whatever_its_name() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let mut made = Vec::new();
    for namespace in ["", "a", "a/b", "ключ"] {
        for name in ["b/c", "a", "c", " ", &"x".repeat(255)] {
            let id = StreamId { name: name.into(), namespace: namespace.into() };
            let request = CreateStreamRequest { stream: Some(id.clone()), ..Default::default() };
            rpc.stream.create_stream(request).await.unwrap();
            made.push((id.namespace, id.name));
        }
    }
    made.sort();
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListStreamsRequest { page_size: 3, page_token };
        let page = rpc.stream.list_streams(request).await.unwrap().into_inner();
        assert!(page.streams.len() <= 3);
        listed.extend(page.streams.into_iter().filter_map(|info| info.stream).map(|id| (id.namespace, id.name)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, made);
}

/// Appends batches, each with its number, and tells of those that were answered.
async fn append_batches(mut rpc: Rpc, id: PayloadId, who: usize, answered: mpsc::Sender<(String, u64)>) {
    for number in 0.. {
        let batch = format!("{who}:{number}");
        let tags = [("batch".to_owned(), batch.clone())].into();
        let item = AppendItem { payload_id: Some(id.clone()), tags, ..Default::default() };
        let request = AppendRequest { stream: Some(stream("s")), items: vec![item; BATCH] };
        let Ok(answer) = rpc.stream.append(request).await else { return };
        if answered.send((batch, answer.into_inner().first_offset)).await.is_err() {
            return;
        }
    }
}

const BATCH: usize = 7;

#[tokio::test(flavor = "multi_thread")]
async fn appends_that_a_kill_interrupts_are_there_whole_or_not_at_all() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = payload(&mut rpc).await;
    create(&mut rpc, 0, 0).await;
    let (mut known, mut end): (BTreeMap<String, u64>, u64) = (BTreeMap::new(), 0);
    for round in 0..6 {
        let (sender, mut answers) = mpsc::channel(1);
        for who in 0..4 {
            tokio::spawn(append_batches(daemon.rpc().await, id.clone(), round * 10 + who, sender.clone()));
        }
        drop(sender);
        for _ in 0..=round * 5 {
            known.extend(answers.recv().await);
        }
        daemon.kill();
        // What was answered before it died.
        while let Some(answered) = answers.recv().await {
            known.extend([answered]);
        }
        daemon.start_again();
        rpc = daemon.rpc().await;
        let range = GetRangeRequest { stream: Some(stream("s")), start_offset: 0, end_offset: u64::MAX };
        let entries = rpc.stream.get_range(range).await.unwrap().into_inner().entries;
        let mut found = BTreeMap::new();
        for (at, batch) in entries.chunks(BATCH).enumerate() {
            let first = (at * BATCH) as u64;
            assert!(batch.iter().map(|entry| entry.offset).eq(first..first + BATCH as u64), "contiguous and whole");
            let name = &batch[0].tags["batch"];
            assert!(batch.iter().all(|entry| &entry.tags["batch"] == name), "one append, undivided");
            assert_eq!(found.insert(name.clone(), first), None, "written once");
        }
        assert!(known.iter().all(|(batch, first)| found.get(batch) == Some(first)), "what was answered is there");
        assert!(entries.len() as u64 >= end, "nothing is lost");
        (known, end) = (found, entries.len() as u64);
        assert_eq!(bounds(&mut rpc).await, (0, end));
    }
}
