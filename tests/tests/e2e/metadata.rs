//! What users say about payloads: kept as long as the payload, in order, and gone with it.

use payload_manager_api::catalog::v1::{
    AppendPayloadMetadataEventRequest, GetPayloadMetadataRequest, ListPayloadMetadataEventsRequest, PayloadMetadata,
    PayloadMetadataEvent, UpdatePayloadMetadataRequest,
};
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, v1};
use prost::Message as _;
use tonic::{Code, Status};

async fn set(rpc: &mut Rpc, id: &PayloadId, data: &[u8]) -> Result<(), Status> {
    let metadata = PayloadMetadata { data: data.to_vec(), schema: "s".into(), id: None };
    let request = UpdatePayloadMetadataRequest { id: Some(id.clone()), metadata: Some(metadata), ..Default::default() };
    rpc.catalog.update_payload_metadata(request).await.map(drop)
}

async fn add(rpc: &mut Rpc, id: &PayloadId, data: &[u8]) -> Result<(), Status> {
    let metadata = Some(PayloadMetadata { data: data.to_vec(), ..Default::default() });
    let request = AppendPayloadMetadataEventRequest { id: Some(id.clone()), metadata, ..Default::default() };
    rpc.catalog.append_payload_metadata_event(request).await.map(drop)
}

async fn get(rpc: &mut Rpc, id: &PayloadId) -> Result<Option<Vec<u8>>, Status> {
    let answer = rpc.catalog.get_payload_metadata(GetPayloadMetadataRequest { id: Some(id.clone()) }).await?;
    Ok(answer.into_inner().metadata.map(|metadata| metadata.data))
}

/// A whole history, page by page, and the size of its largest page.
async fn history(rpc: &mut Rpc, id: &PayloadId, page_size: i32) -> Result<(Vec<PayloadMetadataEvent>, usize), Status> {
    let (mut all, mut largest, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let request = ListPayloadMetadataEventsRequest { id: Some(id.clone()), page_size, page_token };
        let page = rpc.catalog.list_payload_metadata_events(request).await?.into_inner();
        largest = largest.max(page.encoded_len());
        all.extend(page.events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok((all, largest));
        }
    }
}

async fn numbers(rpc: &mut Rpc, id: &PayloadId) -> Vec<u8> {
    history(rpc, id, 2).await.unwrap().0.iter().map(|event| event.data[0]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_survives_a_kill_right_after_the_answer_and_a_stop() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let allocated = id_of(&rpc.allocate(Tier::Ram, 10).await.unwrap());
    set(&mut rpc, &allocated, b"early").await.unwrap();
    daemon.kill();
    daemon.start_again();
    rpc = daemon.rpc().await;
    assert_eq!(get(&mut rpc, &allocated).await.unwrap().unwrap(), b"early", "of what is not committed, too");
    v1::write(&rpc.descriptor(allocated.clone()).await.unwrap(), &[7; 10]).unwrap();
    rpc.commit(allocated.clone()).await.unwrap();

    let mut ids = vec![allocated];
    for (round, tier) in (0..).zip([Tier::Ram, Tier::Disk]) {
        let id = id_of(&rpc.put(tier, &v1::pattern(1, 100)).await.unwrap());
        set(&mut rpc, &id, &[round]).await.unwrap();
        daemon.kill();
        daemon.start_again();
        rpc = daemon.rpc().await;
        assert_eq!(get(&mut rpc, &id).await.unwrap(), Some(vec![round]));
        for number in 0..3 {
            add(&mut rpc, &id, &[number]).await.unwrap();
            daemon.kill();
            daemon.start_again();
            rpc = daemon.rpc().await;
            assert_eq!(numbers(&mut rpc, &id).await, (0..=number).collect::<Vec<_>>());
        }
        ids.push(id);
    }
    daemon.restart();
    rpc = daemon.rpc().await;
    let expected: [&[u8]; 3] = [b"early", &[0], &[1]];
    for (id, data) in ids.iter().zip(expected) {
        assert_eq!(get(&mut rpc, id).await.unwrap().unwrap(), data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_goes_with_the_payload_whoever_is_faster() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let mut ids = Vec::new();
    for round in 0..40 {
        let tier = if round % 4 == 0 { Tier::Disk } else { Tier::Ram };
        let made = if round % 2 == 0 {
            rpc.put(tier, &v1::pattern(1, 100)).await.unwrap()
        } else {
            rpc.allocate(tier, 100).await.unwrap()
        };
        let id = id_of(&made);
        let talkers: Vec<_> = (0..4)
            .map(|_| {
                let (mut rpc, id) = (rpc.clone(), id.clone());
                tokio::spawn(async move {
                    loop {
                        if let Err(error) = set(&mut rpc, &id, b"x").await {
                            return error.code();
                        }
                    }
                })
            })
            .collect();
        set(&mut rpc, &id, b"y").await.unwrap();
        rpc.delete(id.clone(), false).await.unwrap();
        let after = [set(&mut rpc, &id, b"z").await, add(&mut rpc, &id, b"z").await];
        assert!(after.iter().all(|result| result.as_ref().is_err_and(|e| e.code() == Code::NotFound)), "{after:?}");
        assert_eq!(get(&mut rpc, &id).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(history(&mut rpc, &id, 0).await.unwrap_err().code(), Code::NotFound);
        for talker in talkers {
            assert_eq!(talker.await.unwrap(), Code::NotFound);
        }
        ids.push(id);
    }
    daemon.kill();
    daemon.start_again();
    rpc = daemon.rpc().await;
    assert_eq!(rpc.list().await.unwrap(), [], "nothing brings a payload back");
    for id in ids {
        assert_eq!(get(&mut rpc, &id).await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_of_metadata_are_refused_and_change_nothing() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, b"x").await.unwrap());
    set(&mut rpc, &id, b"before").await.unwrap();
    let metadata = Some(PayloadMetadata { data: vec![7; 100 << 20], ..Default::default() });
    let request = UpdatePayloadMetadataRequest { id: Some(id.clone()), metadata, ..Default::default() };
    let wire = daemon.wire().await;
    let answer = wire.call_bytes("UpdatePayloadMetadata", &request.encode_to_vec()).await;
    let refusals = [Code::InvalidArgument, Code::ResourceExhausted, Code::OutOfRange];
    assert!(refusals.contains(&answer.code()), "{:?}", answer.status);
    assert_eq!(get(&mut rpc, &id).await.unwrap().unwrap(), b"before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_comes_in_pages_that_fit_a_message_each_event_once() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, b"x").await.unwrap());
    for number in 0..60 {
        add(&mut rpc, &id, &[vec![number], vec![0; (64 << 10) - 1]].concat()).await.unwrap();
    }
    for page_size in [7, 500] {
        let (all, largest) = history(&mut rpc, &id, page_size).await.unwrap();
        assert_eq!(all.iter().map(|event| event.data[0]).collect::<Vec<_>>(), (0..60).collect::<Vec<_>>());
        assert!(largest <= 3 << 20, "{largest}");
        let times: Vec<_> = all.iter().map(|event| event.ts.map(|ts| (ts.seconds, ts.nanos))).collect();
        assert!(times.is_sorted() && times.iter().all(Option::is_some));
    }
}
