//! Streams of a catalog that is lost: their logs lie beside the payloads, and a rebuild makes them again.

use std::fs;
use std::path::{Path, PathBuf};

use payload_manager_api::Timestamp;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::runtime::v1::{
    AppendItem, AppendRequest, CreateStreamRequest, DeleteStreamRequest, GetStreamResponse, ListStreamsRequest,
    ReadRequest, StreamEntry,
};
use payload_manager_tests::rpc::{id_of, stream};
use payload_manager_tests::{Daemon, Rpc, Setup};

use crate::rebuild::{lose_the_catalog, rebuild, said, uri_of};

/// All that a daemon says of its streams.
async fn picture(rpc: &mut Rpc) -> Vec<(GetStreamResponse, Vec<StreamEntry>)> {
    let all = rpc.stream.list_streams(ListStreamsRequest::default()).await.unwrap().into_inner();
    let mut picture = Vec::new();
    for info in all.streams {
        let name = info.stream.unwrap().name;
        let mut entries: Vec<StreamEntry> = Vec::new();
        loop {
            let start_offset = entries.last().map_or(0, |entry| entry.offset + 1);
            let request = ReadRequest { stream: Some(stream(&name)), start_offset, max_entries: 2, not_before: None };
            let request = ReadRequest { max_entries: if name == "wordy" { 2 } else { 0 }, ..request };
            let read = rpc.stream.read(request).await.unwrap().into_inner().entries;
            if read.is_empty() {
                break;
            }
            entries.extend(read);
        }
        picture.push((rpc.stream_info(&name).await.unwrap(), entries));
    }
    picture
}

async fn append(rpc: &mut Rpc, name: &str, id: &PayloadId, count: u64, tag: &str) {
    let item = |n: u64| AppendItem {
        payload_id: Some(id.clone()),
        event_time: n.is_multiple_of(2).then_some(Timestamp { seconds: 1_700_000_000, nanos: 7 }),
        duration_ns: n,
        tags: if tag.is_empty() { Default::default() } else { [(n.to_string(), tag.to_owned())].into() },
    };
    let items = (0..count).map(item).collect();
    rpc.stream.append(AppendRequest { stream: Some(stream(name)), items }).await.unwrap();
}

async fn delete(rpc: &mut Rpc, name: &str) {
    rpc.stream.delete_stream(DeleteStreamRequest { stream: Some(stream(name)) }).await.unwrap();
}

/// Streams of every kind, and one that is gone.
async fn fill(rpc: &mut Rpc) {
    let id = id_of(&rpc.put(Tier::Disk, b"bytes").await.unwrap());
    for name in ["long", "empty", "wordy", "gone", "again"] {
        rpc.create_stream(name).await.unwrap();
    }
    let short =
        CreateStreamRequest { stream: Some(stream("short")), retention_max_entries: 600, retention_max_age_sec: 3600 };
    rpc.stream.create_stream(short).await.unwrap();
    for name in ["long", "short", "gone", "again"] {
        append(rpc, name, &id, 700, "").await;
        append(rpc, name, &id, 600, "a tag").await;
    }
    for _ in 0..3 {
        append(rpc, "wordy", &id, 1, &"x".repeat(900_000)).await;
    }
    rpc.commit_offset("long", "a group", 1300).await.unwrap();
    rpc.commit_offset("long", "another", 7).await.unwrap();
    delete(rpc, "gone").await;
    delete(rpc, "again").await;
    rpc.create_stream("again").await.unwrap();
    append(rpc, "again", &id, 3, "new").await;
}

/// The parts of logs below a shelf's folder.
fn parts(shelf: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in fs::read_dir(shelf.join("streams")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if !path.ends_with("head.json") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn places(daemon: &Daemon) -> [String; 2] {
    [daemon.setup().disk_root().display().to_string(), uri_of(&daemon.setup().object_folder())]
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_as_they_were_from_either_shelf_and_deleted_ones_do_not_come_back() {
    let mut daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    fill(&mut rpc).await;
    let before = picture(&mut rpc).await;
    assert_eq!(before.iter().map(|(_, entries)| entries.len()).collect::<Vec<_>>(), [3, 0, 1300, 600, 3]);
    // Whatever was not written yet is, by the next start.
    daemon.kill();
    daemon.start_again();
    assert!(daemon.stop().success());
    // 1300 entries and the last 600 of as many; three long ones; three short ones; nothing of what is gone.
    let shelves = [daemon.setup().disk_root(), daemon.setup().object_folder()];
    for shelf in &shelves {
        assert_eq!(parts(shelf).len(), 3 + 2 + 3 + 1, "{:?}", parts(shelf));
    }

    let both = places(&daemon);
    for from in [&both[..], &both[..1], &both[1..]] {
        lose_the_catalog(&daemon);
        let rebuilt = rebuild(daemon.setup(), from);
        assert!(rebuilt.status.success(), "{}", said(&rebuilt));
        assert!(said(&rebuilt).contains("5 streams, 1906 entries\n0 left"), "{}", said(&rebuilt));
        daemon.start_again();
        rpc = daemon.rpc().await;
        assert_eq!(picture(&mut rpc).await, before);
        assert!(daemon.stop().success());
    }
    daemon.start_again();
    rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Disk, b"more").await.unwrap());
    assert_eq!(rpc.append("long", &[id]).await.unwrap(), (1300, 1300));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_of_a_log_is_said_and_what_comes_after_it_keeps_its_offsets() {
    let mut daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Disk, b"bytes").await.unwrap());
    rpc.create_stream("s").await.unwrap();
    append(&mut rpc, "s", &id, 1300, "").await;
    assert!(daemon.stop().success());
    let (disk, object) = (parts(&daemon.setup().disk_root()), parts(&daemon.setup().object_folder()));
    assert_eq!((disk.len(), object.len()), (3, 3));
    // One part is left on one shelf only; another is spoilt on both.
    fs::remove_file(&disk[2]).unwrap();
    fs::write(&disk[1], b"{").unwrap();
    fs::write(&object[1], b"{}").unwrap();
    lose_the_catalog(&daemon);
    let rebuilt = rebuild(daemon.setup(), &places(&daemon));
    assert!(rebuilt.status.success(), "{}", said(&rebuilt));
    let lines = said(&rebuilt);
    for line in ["left: stream s: entries 512 to 1023: ", "left: stream s: entries 0 to 1023: a log has no holes"] {
        assert!(lines.contains(line), "{line:?} in {lines}");
    }
    assert!(lines.contains("1 streams, 276 entries"), "{lines}");
    daemon.start_again();
    let mut rpc = daemon.rpc().await;
    let info = rpc.stream_info("s").await.unwrap().info.unwrap();
    assert_eq!((info.first_offset, info.next_offset), (1024, 1300));
    assert_eq!(rpc.append("s", &[id]).await.unwrap(), (1300, 1300));
}
