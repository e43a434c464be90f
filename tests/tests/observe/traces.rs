//! Traces at a collector: whose request a span belongs to, and what it says.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use payload_manager_api::core::v1::Tier;
use payload_manager_api::runtime::v1::SpillRequest;
use payload_manager_client::TraceContext;
use payload_manager_client::blocking::Client;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Setup, eventually};
use tonic::Request;

use crate::collector::{Collector, quickly, text};

/// The first span that fits, once it is there.
fn span(collector: &Collector, what: &str, fits: impl Fn(&Span) -> bool) -> Span {
    let mut found = None;
    eventually(what, || {
        found = collector.spans().into_iter().find(|span| fits(span));
        found.is_some()
    });
    found.unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_part_of_its_callers_trace_and_a_copy_of_the_requests() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const CALLER: &str = "b7ad6b7169203331";
    let collector = Collector::start().await;
    // By the variable that every program with OpenTelemetry reads.
    let daemon = quickly(Setup::new().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())).start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, b"traced").await.unwrap());
    let name = payload_manager_types::PayloadId::from_bytes(id.value.to_vec().try_into().unwrap()).to_string();
    let mut request = Request::new(SpillRequest { ids: vec![id.clone()], ..Default::default() });
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    rpc.catalog.spill(request).await.unwrap();

    let spill = span(&collector, "the span of Spill", |span| span.name.ends_with("PayloadCatalogService/Spill"));
    assert_eq!((hex(&spill.trace_id).as_str(), hex(&spill.parent_span_id).as_str()), (TRACE, CALLER));
    assert_eq!(spill.kind(), SpanKind::Server);
    assert_eq!(text(&spill.attributes, "rpc.response.status_code").as_deref(), Some("OK"));
    assert_eq!(text(&spill.attributes, "payload.id").as_ref(), Some(&name));
    let copy = span(&collector, "the span of the copy", |span| span.name == "transfer");
    assert_eq!((&copy.trace_id, &copy.parent_span_id), (&spill.trace_id, &spill.span_id));
    let said = ["payload.id", "payload.from", "payload.to", "payload.size"].map(|key| text(&copy.attributes, key));
    assert_eq!(said.map(Option::unwrap), [name.as_str(), "RAM", "DISK", "6"]);

    // Without a caller's trace it is the root of its own; of what is not there it says so.
    rpc.delete(id.clone(), false).await.unwrap();
    assert!(rpc.descriptor(id).await.is_err());
    let delete = span(&collector, "the span of Delete", |span| span.name.ends_with("PayloadCatalogService/Delete"));
    assert!(delete.parent_span_id.is_empty() && delete.trace_id != spill.trace_id);
    let lookup = span(&collector, "the span of a lookup", |span| span.name.ends_with("/ResolveSnapshot"));
    assert_eq!(text(&lookup.attributes, "rpc.response.status_code").as_deref(), Some("NOT_FOUND"));
    assert_ne!(lookup.status.clone().unwrap_or_default().code(), StatusCode::Error, "the caller's mistake is no fault");

    // What sends the spans makes none.
    assert!(collector.scopes().iter().all(|scope| scope == "payload_manager"), "{:?}", collector.scopes());
    let ours = |span: &Span| span.name.starts_with("payload.manager.") || span.name == "transfer";
    assert!(collector.spans().iter().all(ours), "{:?}", collector.spans());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_asks_for_names_the_session_and_a_fast_lease_is_no_span() {
    let collector = Collector::start().await;
    let daemon = collector.told_by(Setup::new()).start();
    let address = daemon.socket();
    let id = tokio::task::spawn_blocking(move || {
        let client = Client::connect(address).unwrap();
        let mut made = client.create(100).unwrap();
        made.fill(1);
        let id = made.commit().unwrap().id;
        (0..10).for_each(|_| drop(client.read(id).unwrap()));
        id
    });
    let id = id.await.unwrap().to_string();
    let commit = span(&collector, "the span of Commit", |span| span.name == "payload.manager.session.v1/Commit");
    let said = ["rpc.system.name", "payload.id", "rpc.response.status_code"].map(|key| text(&commit.attributes, key));
    assert_eq!(said.map(Option::unwrap), ["session", &id, "OK"]);
    let hello = span(&collector, "the span of Hello", |span| span.name == "payload.manager.session.v1/Hello");
    let session = text(&commit.attributes, "payload.session.id").unwrap();
    assert_eq!(text(&hello.attributes, "payload.session.id"), Some(session));
    assert!(collector.spans().len() < 10, "{:?}", collector.spans());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_of_ours_asks_for_is_part_of_its_trace_by_session_and_by_call() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const CALLER: &str = "00f067aa0ba902b7";
    let collector = Collector::start().await;
    let daemon = collector.told_by(Setup::new()).start();
    let address = daemon.socket();
    let asked = tokio::task::spawn_blocking(move || {
        let client = Client::connect(address).unwrap();
        let trace = format!("00-{TRACE}-{CALLER}-01").parse::<TraceContext>().unwrap();
        let traced = client.with_trace(Some(trace.with_state("vendor=7").unwrap()));
        // By session: alone and many at once, also on the way to views.
        let id = traced.create(100).unwrap().commit().unwrap().id;
        traced.create_many(&[5, 6]).into_iter().for_each(|made| drop(made.unwrap()));
        traced.spill(id).unwrap();
        drop(traced.read(id).unwrap());
        // The same connection, of no trace.
        drop(client.create(1).unwrap());
        client.stats().unwrap();
        client.flush();
    });
    asked.await.unwrap();
    let all = ["session.v1/Allocate", "session.v1/Commit", "PayloadCatalogService/Spill"];
    for name in all {
        let found = span(&collector, name, |span| span.name.ends_with(name) && !span.parent_span_id.is_empty());
        assert_eq!((hex(&found.trace_id).as_str(), hex(&found.parent_span_id).as_str()), (TRACE, CALLER), "{name}");
        assert_eq!(found.trace_state, "vendor=7", "{name}");
    }
    for name in ["session.v1/Allocate", "session.v1/Hello", "PayloadAdminService/Stats"] {
        span(&collector, name, |span| span.name.ends_with(name) && span.parent_span_id.is_empty());
    }
    let copy = span(&collector, "the copy", |span| span.name == "transfer");
    assert_eq!(hex(&copy.trace_id), TRACE);
}

/// What names no trace, or none that can be, is as if it were not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_makes_no_sense_is_none() {
    let collector = Collector::start().await;
    let daemon = collector.told_by(Setup::new()).start();
    let mut rpc = daemon.rpc().await;
    let all_zero = format!("00-{}-{}-01", "0".repeat(32), "0".repeat(16));
    for traceparent in ["", "nonsense", "00-1-2-3", &all_zero, &"f".repeat(9000)] {
        let mut request = Request::new(payload_manager_api::admin::v1::StatsRequest {});
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        // Headers that are too long are refused by HTTP/2.
        let _ = rpc.admin.stats(request).await;
    }
    rpc.stats().await.unwrap();
    eventually("their spans", || collector.spans().len() >= 5);
    assert!(collector.spans().iter().all(|span| span.parent_span_id.is_empty()), "{:?}", collector.spans());
}
