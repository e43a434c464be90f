//! The catalog can't write: what is said and pinned then is refused, and is afterwards as it was (promise: honest-full).

use payload_manager_api::Reason;
use payload_manager_api::catalog::v1::{
    AppendPayloadMetadataEventRequest, GetPayloadMetadataRequest, ListPayloadMetadataEventsRequest, PayloadMetadata,
    UpdatePayloadMetadataRequest,
};
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::runtime::v1::{GetPayloadRequest, GetPayloadResponse, PinRequest};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Rpc, Setup, skip};
use tonic::{Code, Status};

use super::ground::{Filler, as_it_sees, can_mount, fails, on_own_mounts};

async fn info(rpc: &mut Rpc, id: &PayloadId) -> GetPayloadResponse {
    rpc.catalog.get_payload(GetPayloadRequest { id: Some(id.clone()) }).await.unwrap().into_inner()
}

async fn pin(rpc: &mut Rpc, id: &PayloadId, duration_ms: u64) -> Result<(), Status> {
    rpc.catalog.pin(PinRequest { id: Some(id.clone()), duration_ms }).await.map(drop)
}

async fn add(rpc: &mut Rpc, id: &PayloadId) -> Result<(), Status> {
    let metadata = Some(PayloadMetadata { data: vec![7; 20_000], ..Default::default() });
    let request = AppendPayloadMetadataEventRequest { id: Some(id.clone()), metadata, ..Default::default() };
    rpc.catalog.append_payload_metadata_event(request).await.map(drop)
}

async fn set(rpc: &mut Rpc, id: &PayloadId, data: &[u8]) -> Result<(), Status> {
    let metadata = Some(PayloadMetadata { data: data.to_vec(), ..Default::default() });
    let request = UpdatePayloadMetadataRequest { id: Some(id.clone()), metadata, ..Default::default() };
    rpc.catalog.update_payload_metadata(request).await.map(drop)
}

/// Calls until the disk is full; how many calls went well, and what the last one was told.
async fn until_full(mut call: impl AsyncFnMut(u64) -> Result<(), Status>) -> (u64, Status) {
    for done in 0..100_000 {
        if let Err(status) = call(done).await {
            return (done, status);
        }
    }
    panic!("the disk is not full");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_catalog_could_not_take_is_neither_said_nor_pinned() {
    if !can_mount() {
        return skip("what_the_catalog_could_not_take_is_neither_said_nor_pinned", "leave to mount");
    }
    let setup = Setup::new();
    let data = setup.data_dir();
    let elsewhere = setup.folder.path().join("payloads");
    let script = format!("mkdir -p {0} && mount -t tmpfs -o size=4m tmpfs {0}", data.display());
    let daemon = on_own_mounts(setup.flag("disk-root", elsewhere), &script).start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, b"x").await.unwrap());
    set(&mut rpc, &id, b"before").await.unwrap();
    let filler = Filler::fill(as_it_sees(&daemon, &data.join("filler")));

    let (added, status) = until_full(async |_| add(&mut rpc, &id).await).await;
    fails(Err::<(), _>(status), Code::Unavailable, Reason::CatalogUnavailable);
    let mut before = info(&mut rpc, &id).await;
    let (_, status) = until_full(async |n| {
        before = info(&mut rpc, &id).await;
        pin(&mut rpc, &id, 3_600_000 + n).await
    })
    .await;
    fails(Err::<(), _>(status), Code::Unavailable, Reason::CatalogUnavailable);
    let after = info(&mut rpc, &id).await;
    assert_eq!((after.pinned, after.pinned_until), (before.pinned, before.pinned_until));
    fails(set(&mut rpc, &id, &[8; 60_000]).await, Code::Unavailable, Reason::CatalogUnavailable);

    drop(filler);
    let read = rpc.catalog.get_payload_metadata(GetPayloadMetadataRequest { id: Some(id.clone()) }).await.unwrap();
    assert_eq!(read.into_inner().metadata.unwrap().data, b"before");
    let request = ListPayloadMetadataEventsRequest { id: Some(id.clone()), page_size: 500, ..Default::default() };
    let events = rpc.catalog.list_payload_metadata_events(request).await.unwrap().into_inner().events;
    assert_eq!(events.len() as u64, added);
    add(&mut rpc, &id).await.unwrap();
    pin(&mut rpc, &id, 0).await.unwrap();
    assert!(info(&mut rpc, &id).await.pinned);
}
