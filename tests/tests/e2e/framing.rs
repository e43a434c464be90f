//! Requests that are no gRPC messages, or too large ones: the caller's mistake, said so, and the daemon lives on.

use bytes::Bytes;
use payload_manager_api::Reason;
use payload_manager_api::admin::v1::StatsRequest;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::runtime::v1::{
    AppendItem, AppendRequest, GetPayloadRequest, ReadRequest, ReadResponse, SpillRequest, SpillResponse,
};
use payload_manager_tests::named::{methods, path};
use payload_manager_tests::rpc::{id_of, stream};
use payload_manager_tests::wire::framed;
use payload_manager_tests::{Daemon, Wire};
use prost::Message;
use tonic::Code;

/// No unary answer is larger, in bytes.
const ANSWER_LIMIT: usize = 3 << 20;

/// Bodies that are not exactly one message.
fn bodies() -> Vec<(&'static str, Bytes)> {
    let good = framed(&GetPayloadRequest { id: Some(PayloadId { value: vec![1; 16] }) }.encode_to_vec());
    vec![
        ("no message", Bytes::new()),
        ("half a header", Bytes::from_static(&[0, 0, 0])),
        ("cut in the middle", good.slice(..good.len() - 1)),
        ("longer than it says", Bytes::from([&good[..], &[0]].concat())),
        ("compressed by nobody knows what", Bytes::from([&[1][..], &good[1..]].concat())),
        ("a flag that does not exist", Bytes::from([&[7][..], &good[1..]].concat())),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_one_message_is_the_callers_mistake_in_every_call() {
    let daemon = Daemon::start();
    let wire = daemon.wire().await;
    for method in methods().iter().filter(|method| !method.streams) {
        for (case, body) in bodies() {
            let answer = wire.send(&path(&method.name), body, &[]).await;
            let found = (answer.code(), answer.detail().and_then(|detail| detail.known()));
            let wanted = (Code::InvalidArgument, Some(Reason::MessageUndecodable));
            // A flag for compression is refused before anybody looks at the call; so is what comes after a message.
            let unimplemented = answer.code() == Code::Unimplemented;
            assert!(found == wanted || unimplemented, "{} / {case}: {:?}", method.name, answer.status);
        }
    }
    alive(&wire).await;
}

async fn alive(wire: &Wire) {
    assert_eq!(wire.call("Stats", &StatsRequest {}).await.code(), Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_too_large_is_refused_and_the_connection_goes_on() {
    let daemon = Daemon::start();
    let wire = daemon.wire().await;
    let huge = AppendRequest {
        stream: Some(stream("s")),
        items: vec![AppendItem { tags: [("k".to_owned(), "x".repeat(5 << 20))].into(), ..Default::default() }],
    };
    let answer = wire.call("Append", &huge).await;
    assert!(matches!(answer.code(), Code::ResourceExhausted | Code::OutOfRange), "{:?}", answer.status);
    // It says that it is 4 GiB long, and ends.
    let lie = Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
    let answer = wire.send(&path("Append"), lie, &[]).await;
    assert!(
        matches!(answer.code(), Code::ResourceExhausted | Code::OutOfRange | Code::InvalidArgument),
        "{:?}",
        answer.status
    );
    alive(&wire).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_contract_does_not_have_is_unimplemented() {
    let daemon = Daemon::start();
    let wire = daemon.wire().await;
    for path in ["/payload.manager.services.v1.PayloadDataService/Nothing", "/nobody.Service/Stats", "/"] {
        let answer = wire.send(path, framed(&[]), &[]).await;
        assert_eq!(answer.code(), Code::Unimplemented, "{path}: {:?}", answer.status);
    }
    alive(&wire).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_in_the_middle_of_anything_harms_nobody() {
    let daemon = Daemon::start();
    for method in methods() {
        let wire = daemon.wire().await;
        // The call is under way when its connection goes; what it was to answer is nobody's.
        let call = tokio::spawn(async move { wire.call_bytes(&method.name, &[]).await });
        tokio::task::yield_now().await;
        call.abort();
        drop(call.await);
    }
    alive(&daemon.wire().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stays_under_3_mib_and_the_reader_asks_for_the_rest() {
    let daemon = Daemon::start();
    let (wire, mut rpc) = (daemon.wire().await, daemon.rpc().await);
    let id = id_of(&rpc.put(Tier::Ram, b"x").await.unwrap());
    rpc.create_stream("fat").await.unwrap();
    for _ in 0..5 {
        let tags = [("k".to_owned(), "x".repeat((1 << 20) - 1))].into();
        let items = vec![AppendItem { payload_id: Some(id.clone()), tags, ..Default::default() }];
        let append = AppendRequest { stream: Some(stream("fat")), items };
        assert_eq!(wire.call("Append", &append).await.code(), Code::Ok);
    }
    let mut start_offset = 0;
    while start_offset < 5 {
        let read = ReadRequest { stream: Some(stream("fat")), start_offset, ..Default::default() };
        let answer = wire.call("Read", &read).await;
        assert!(answer.messages[0].len() <= ANSWER_LIMIT, "{} bytes", answer.messages[0].len());
        let entries = answer.message::<ReadResponse>().entries;
        assert_eq!(entries[0].offset, start_offset);
        start_offset += entries.len() as u64;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spill_of_very_many_still_answers_for_each_or_is_refused_as_a_whole() {
    let daemon = Daemon::start();
    let wire = daemon.wire().await;
    for count in [1_000_u64, 10_000, 150_000] {
        let ids = (0..count).map(|n| PayloadId { value: [&n.to_be_bytes()[..], &[7; 8]].concat() }).collect();
        let answer = wire.call("Spill", &SpillRequest { ids, ..Default::default() }).await;
        if count <= 10_000 {
            assert!(answer.messages[0].len() <= ANSWER_LIMIT, "{count}: {} bytes", answer.messages[0].len());
            let results = answer.message::<SpillResponse>().results;
            assert_eq!(results.len() as u64, count);
            assert!(results.iter().all(|result| !result.ok && result.error_message.starts_with("NOT_FOUND: ")));
        } else {
            let reason = answer.detail().and_then(|detail| detail.known());
            assert_eq!((answer.code(), reason), (Code::InvalidArgument, Some(Reason::BatchTooLarge)));
        }
    }
    alive(&wire).await;
}
