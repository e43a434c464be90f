//! What lies beside durable bytes: all that is said about them, for a catalog to be made again.

use std::path::{Path, PathBuf};

use payload_manager_api::catalog::v1::{GetLineageRequest, PayloadArchiveMetadata};
use payload_manager_api::convert::from_json;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, eventually, v1};

/// Where a payload's archive lies.
async fn beside(rpc: &mut Rpc, id: &PayloadId) -> PathBuf {
    v1::place(&rpc.descriptor(id.clone()).await.unwrap()).0.with_extension("meta.json")
}

fn read(archive: &Path) -> PayloadArchiveMetadata {
    from_json(&std::fs::read(archive).unwrap()).unwrap()
}

/// Whether exactly this was said, in this order, in every way.
fn says(archive: &PayloadArchiveMetadata, words: &[&str]) -> bool {
    let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    archive.metadata.as_ref().map(|metadata| &*metadata.data) == bytes.last().copied()
        && archive.metadata_events.iter().map(|event| &*event.data).eq(bytes.iter().copied())
        && archive.lineage.iter().map(|edge| &*edge.parameters).eq(bytes.iter().copied())
}

async fn on_disk(rpc: &mut Rpc) -> PayloadId {
    id_of(&rpc.put(Tier::Disk, b"bytes").await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_said_of_durable_bytes_comes_to_lie_beside_them() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (id, parent) = (on_disk(&mut rpc).await, on_disk(&mut rpc).await);
    let archive = beside(&mut rpc, &id).await;
    let checksum = read(&archive).integrity;
    assert!(says(&read(&archive), &[]) && checksum.is_some());
    rpc.say(&id, &parent, "once").await;
    eventually("it lies beside the bytes", || says(&read(&archive), &["once"]));
    rpc.say(&id, &parent, "twice").await;
    eventually("all of it does", || says(&read(&archive), &["once", "twice"]));
    let found = read(&archive);
    let lineage = GetLineageRequest { id: Some(id.clone()), upstream: true, ..Default::default() };
    let lineage = rpc.catalog.get_lineage(lineage).await.unwrap().into_inner();
    assert_eq!((found.lineage, found.integrity), (lineage.edges, checksum));
    assert_eq!(found.metadata_events[1].source, "a test");
    rpc.delete(id, false).await.unwrap();
    eventually("nothing is left of it", || daemon.disk_files().len() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_come_to_disk_bring_along_what_was_said_before() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let parent = on_disk(&mut rpc).await;
    let spilled = id_of(&rpc.put(Tier::Ram, b"bytes").await.unwrap());
    rpc.say(&spilled, &parent, "early").await;
    let descriptor = rpc.spill(spilled.clone()).await.unwrap();
    let archive = v1::place(&descriptor).0.with_extension("meta.json");
    assert!(says(&read(&archive), &["early"]), "with the first answer that says so");

    let committed = rpc.allocate(Tier::Disk, 5).await.unwrap();
    v1::write(&committed, b"bytes").unwrap();
    rpc.say(&id_of(&committed), &parent, "earlier").await;
    let committed = rpc.commit(id_of(&committed)).await.unwrap();
    assert!(says(&read(&v1::place(&committed).0.with_extension("meta.json")), &["earlier"]));
}

/// Promise survives-kill.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_comes_to_lie_beside_the_bytes_whenever_the_daemon_dies() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (id, parent) = (on_disk(&mut rpc).await, on_disk(&mut rpc).await);
    let archive = beside(&mut rpc, &id).await;
    let mut said = Vec::new();
    for word in ["one", "two", "three"] {
        said.push(word);
        rpc.say(&id, &parent, word).await;
        daemon.kill();
        daemon.start_again();
        rpc = daemon.rpc().await;
        eventually("the next daemon writes it", || says(&read(&archive), &said));
    }
}
