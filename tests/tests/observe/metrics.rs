//! Metrics at a collector: those of the table and no others, as the table says they are.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, number_data_point};
use payload_manager::observe::table::{Kind, METRICS};
use payload_manager_tests::eventually;

use crate::collector::{Collector, text};
use crate::scenario;

fn points(metric: &Metric) -> Vec<NumberDataPoint> {
    match metric.data.clone() {
        Some(Data::Sum(sum)) => sum.data_points,
        Some(Data::Gauge(gauge)) => gauge.data_points,
        _ => Vec::new(),
    }
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => f64::from(i32::try_from(value).unwrap()),
        None => panic!("no value"),
    }
}

/// The sum of the values whose attribute is this.
fn sum(collector: &Collector, name: &str, of: Option<(&str, &str)>) -> f64 {
    let points = collector.metric(name).map(|metric| points(&metric)).unwrap_or_default();
    let ours =
        points.iter().filter(|p| of.is_none_or(|(key, value)| text(&p.attributes, key).as_deref() == Some(value)));
    ours.map(number).sum()
}

/// How often, of a histogram, and the names of its attributes.
fn histogram(metric: &Metric) -> (u64, BTreeSet<String>) {
    let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{} is no histogram", metric.name) };
    let keys = histogram.data_points.iter().flat_map(|p| p.attributes.iter().map(|a| a.key.clone()));
    (histogram.data_points.iter().map(|p| p.count).sum(), keys.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_every_metric_of_the_table_and_no_other() {
    let collector = Collector::start().await;
    let happened = scenario::play(collector.told_by(scenario::setup())).await;
    let counted = |metric: &payload_manager::observe::table::Metric| match metric.kind {
        Kind::Histogram => collector.metric(metric.name).is_some_and(|told| histogram(&told).0 > 0),
        Kind::Counter => sum(&collector, metric.name, None) > 0.0,
        Kind::Gauge => collector.metric(metric.name).is_some_and(|told| !points(&told).is_empty()),
    };
    let missing = || METRICS.iter().filter(|metric| !counted(metric)).map(|m| m.name).collect::<Vec<_>>();
    let started = std::time::Instant::now();
    eventually("every metric is told", || {
        let missing = missing();
        assert!(started.elapsed() < payload_manager_tests::wait::HANGS / 2, "never told: {missing:?}");
        missing.is_empty()
    });
    let names: BTreeSet<String> = collector.names().into_iter().collect();
    assert_eq!(names, METRICS.iter().map(|metric| metric.name.to_owned()).collect());
    for metric in METRICS {
        let told = collector.metric(metric.name).unwrap();
        assert_eq!((told.unit.as_str(), told.description.as_str()), (metric.unit, metric.help), "{}", metric.name);
        let is_counter = matches!(&told.data, Some(Data::Sum(sum)) if sum.is_monotonic);
        assert_eq!(is_counter, metric.kind == Kind::Counter, "{}", metric.name);
        let keys = match metric.kind {
            Kind::Histogram => histogram(&told).1,
            _ => points(&told).iter().flat_map(|p| p.attributes.iter().map(|a| a.key.clone())).collect(),
        };
        let declared: BTreeSet<String> = metric.attributes.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(keys, declared, "{}", metric.name);
    }
    // And some of them say what is known to be so.
    assert!(sum(&collector, "payload.lease.taken", Some(("payload.lease.path", "page"))) >= 4.0);
    assert!(sum(&collector, "payload.lease.taken", Some(("payload.lease.path", "call"))) >= 2.0);
    assert!(sum(&collector, "payload.lease.live", Some(("payload.lease.path", "page"))) >= 1.0);
    assert!((sum(&collector, "payload.tier.limit", Some(("payload.tier", "RAM"))) - f64::from(10 << 20)).abs() < 1.0);
    assert!((sum(&collector, "payload.stream.lag", Some(("payload.group", "workers"))) - 2.0).abs() < 0.5);
    assert!((sum(&collector, "payload.lost", None) - 1.0).abs() < 0.5);
    assert!(sum(&collector, "payload.backlog.size", None) >= f64::from(1 << 20));
    assert!((sum(&collector, "payload.catalog.available", None) - 1.0).abs() < 0.1);
    assert!(sum(&collector, "payload.backlog.age", None) > 0.0);
    let named =
        collector.resources().iter().any(|r| text(&r.attributes, "service.name").as_deref() == Some("payload-manager"));
    assert!(named, "it says who it is");
    drop(happened);
}

/// What was counted since the last export is sent by a stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_sends_the_last_of_it() {
    let collector = Collector::start().await;
    let setup = payload_manager_tests::Setup::new().flag("otlp-endpoint", collector.endpoint());
    let mut daemon =
        setup.env("OTEL_METRIC_EXPORT_INTERVAL", "3600000").env("OTEL_BSP_SCHEDULE_DELAY", "3600000").start();
    daemon.rpc().await.stats().await.unwrap();
    assert!(daemon.stop().success());
    assert!(histogram(&collector.metric("payload.rpc.duration").unwrap()).0 > 0);
    assert!(collector.spans().iter().any(|span| span.name.ends_with("PayloadAdminService/Stats")));
}

/// A collector that is away keeps nobody.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_collector_a_daemon_serves_and_stops() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = payload_manager_tests::Setup::new().flag("otlp-endpoint", format!("http://{gone}"));
    let mut daemon = crate::collector::quickly(setup).start();
    let mut rpc = daemon.rpc().await;
    rpc.put(payload_manager_api::core::v1::Tier::Ram, b"here").await.unwrap();
    assert!(daemon.stop().success());
}
