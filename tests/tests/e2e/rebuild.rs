//! A catalog that is lost is made again from what lies beside the bytes, and says of everything durable what the lost one said.

use std::path::Path;
use std::process::Output;

use payload_manager_api::catalog::v1::{
    GetLineageRequest, GetPayloadMetadataRequest, LineageEdge, ListPayloadMetadataEventsRequest, PayloadMetadata,
    PayloadMetadataEvent,
};
use payload_manager_api::core::v1::{EvictionPolicy, EvictionPriority, PayloadId, Tier};
use payload_manager_api::runtime::v1::{AllocatePayloadRequest, GetPayloadRequest, GetPayloadResponse};
use payload_manager_tests::remains::unlink_shm;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, Setup, v1};
use tonic::Code;

/// All that a daemon says of a payload, less where its bytes are and how often they moved.
#[derive(Debug, PartialEq)]
struct Picture {
    payload: GetPayloadResponse,
    durable: Vec<i32>,
    metadata: Option<PayloadMetadata>,
    events: Vec<PayloadMetadataEvent>,
    lineage: Vec<LineageEdge>,
}

async fn picture(rpc: &mut Rpc, id: &PayloadId) -> Picture {
    let id = || Some(id.clone());
    let mut payload = rpc.catalog.get_payload(GetPayloadRequest { id: id() }).await.unwrap().into_inner();
    let descriptor = payload.payload_descriptor.as_mut().unwrap();
    let mut durable = std::mem::take(&mut descriptor.copies);
    durable.retain(|tier| *tier != Tier::Ram as i32);
    (descriptor.location, descriptor.version, descriptor.tier, descriptor.state) = (None, 0, 0, 0);
    let metadata = rpc.catalog.get_payload_metadata(GetPayloadMetadataRequest { id: id() }).await.unwrap().into_inner();
    let events = ListPayloadMetadataEventsRequest { id: id(), ..Default::default() };
    let events = rpc.catalog.list_payload_metadata_events(events).await.unwrap().into_inner();
    let lineage = GetLineageRequest { id: id(), upstream: true, ..Default::default() };
    let lineage = rpc.catalog.get_lineage(lineage).await.unwrap().into_inner().edges;
    Picture { payload, durable, metadata: metadata.metadata, events: events.events, lineage }
}

pub(crate) fn lose_the_catalog(daemon: &Daemon) {
    for name in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"] {
        let _ = std::fs::remove_file(daemon.setup().data_dir().join(name));
    }
    // And the machine was started anew.
    unlink_shm(&daemon.setup().prefix);
}

pub(crate) fn rebuild(setup: &Setup, from: &[String]) -> Output {
    let mut command = setup.command("rebuild", false);
    command.args(from.iter().flat_map(|place| ["--from", place])).output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn uri_of(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

/// Payloads with all that can be said of one, on DISK, in OBJECT and in both; and some that no rebuild may bring back.
async fn fill(rpc: &mut Rpc) -> ([PayloadId; 3], Vec<PayloadId>) {
    let rich = AllocatePayloadRequest {
        preferred_tier: Tier::Disk as i32,
        ttl_ms: 3_600_000,
        no_evict: true,
        eviction_policy: Some(EvictionPolicy {
            priority: EvictionPriority::High as i32,
            require_durable: true,
            spill_target: Tier::Object as i32,
            ..Default::default()
        }),
        dataset: "a data set".into(),
        producer: "a test".into(),
        tags: [("camera".to_owned(), "3".to_owned())].into(),
        ..Default::default()
    };
    let on_disk = id_of(&rpc.put_with(rich, &v1::pattern(1, 5000)).await.unwrap());
    let far = id_of(&rpc.put(Tier::Ram, &v1::pattern(2, 70_000)).await.unwrap());
    let twice = id_of(&rpc.put(Tier::Disk, &v1::pattern(3, 4096)).await.unwrap());
    let in_ram = id_of(&rpc.put(Tier::Ram, b"not durable").await.unwrap());
    for word in ["one", "two"] {
        rpc.say(&on_disk, &far, word).await;
        rpc.say(&far, &twice, word).await;
    }
    for id in [&far, &twice] {
        rpc.spill_to(id.clone(), Tier::Object).await.unwrap();
    }
    rpc.promote(twice.clone(), Tier::Disk).await.unwrap();
    rpc.say(&twice, &in_ram, "three").await;
    let mut gone = vec![in_ram];
    for (tier, then) in [(Tier::Disk, None), (Tier::Ram, Some(Tier::Object))] {
        let id = id_of(&rpc.put(tier, b"deleted").await.unwrap());
        if let Some(to) = then {
            rpc.spill_to(id.clone(), to).await.unwrap();
        }
        rpc.delete(id.clone(), false).await.unwrap();
        gone.push(id);
    }
    ([on_disk, far, twice], gone)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_durable_is_as_it_was_and_nothing_deleted_comes_back() {
    let mut daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let (kept, gone) = fill(&mut rpc).await;
    let mut before = Vec::new();
    for id in &kept {
        before.push(picture(&mut rpc, id).await);
    }
    assert!(daemon.stop().success());
    lose_the_catalog(&daemon);
    let store = daemon.setup().object_folder();
    // Half of a copy each, and bytes that were cut off.
    let (a, b) = ("00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002");
    std::fs::write(store.join(format!("{a}.bin")), "bytes").unwrap();
    std::fs::write(store.join(format!("{b}.meta.json")), "{}").unwrap();

    let refused = daemon.try_start_again().unwrap_err();
    assert!(refused.log.contains("payload-manager rebuild --from"), "{}", refused.log);
    let root = daemon.setup().disk_root().display().to_string();
    let rebuilt = rebuild(daemon.setup(), &[root, uri_of(&store)]);
    assert!(rebuilt.status.success(), "{}", said(&rebuilt));
    let lines = said(&rebuilt);
    for line in [
        format!("left: {a}: bytes without an archive"),
        format!("left: {b}: an archive without bytes"),
        "3 payloads, 5 metadata events, 5 lineage edges".to_owned(),
        "2 left as they are".to_owned(),
    ] {
        assert!(lines.contains(&line), "{line:?} in {lines}");
    }

    daemon.start_again();
    rpc = daemon.rpc().await;
    let mut after = Vec::new();
    for id in &kept {
        after.push(picture(&mut rpc, id).await);
    }
    assert_eq!(after, before);
    for (id, (seed, len)) in kept.iter().zip([(1, 5000), (2, 70_000), (3, 4096)]) {
        rpc.promote(id.clone(), Tier::Ram).await.unwrap();
        assert_eq!(rpc.get(id.clone()).await.unwrap(), v1::pattern(seed, len), "and its checksum was right");
    }
    for id in gone {
        assert_eq!(rpc.descriptor(id).await.unwrap_err().code(), Code::NotFound);
    }
    let [_, far, twice] = &kept;
    rpc.say(far, twice, "more").await;
    assert_eq!(picture(&mut rpc, far).await.events.len(), 3, "numbered where it left off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_alone_is_enough_on_another_machine() {
    let mut lost = Setup::new().with_object_folder().start();
    let mut rpc = lost.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(4, 10_000)).await.unwrap());
    rpc.spill_to(id.clone(), Tier::Object).await.unwrap();
    let before = picture(&mut rpc, &id).await;
    lost.kill();
    lose_the_catalog(&lost);

    let store = uri_of(&lost.setup().object_folder());
    let setup = Setup::new().flag("object-store", &store);
    let rebuilt = rebuild(&setup, std::slice::from_ref(&store));
    assert!(rebuilt.status.success(), "{}", said(&rebuilt));
    let daemon = setup.start();
    rpc = daemon.rpc().await;
    assert_eq!(picture(&mut rpc, &id).await, before);
    rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    assert_eq!(rpc.get(id).await.unwrap(), v1::pattern(4, 10_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_not_overwritten_and_what_is_not_ours_is_not_taken() {
    let mut daemon = Setup::new().with_object_folder().start();
    let root = daemon.setup().disk_root().display().to_string();
    let refuses = |setup: &Setup, from: &[String], words: &str| {
        let refused = rebuild(setup, from);
        assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
        assert!(said(&refused).contains(words), "{}", said(&refused));
    };
    refuses(daemon.setup(), std::slice::from_ref(&root), "in use");
    assert!(daemon.stop().success());
    refuses(daemon.setup(), std::slice::from_ref(&root), "is there: move it away first");
    lose_the_catalog(&daemon);
    let other = Daemon::start();
    let theirs = other.setup().disk_root().display().to_string();
    let store = uri_of(&daemon.setup().object_folder());
    refuses(daemon.setup(), &[theirs, store.clone()], "name places of one daemon");
    let empty = tempfile::tempdir().unwrap();
    refuses(daemon.setup(), &[uri_of(empty.path())], "has no mark of an instance");
    refuses(daemon.setup(), &[store.clone(), store], "one folder and one prefix at most");
    assert!(!daemon.setup().data_dir().join("catalog.sqlite").exists());
}
