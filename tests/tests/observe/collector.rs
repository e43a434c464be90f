//! A collector of OpenTelemetry's: its two gRPC services, which keep what they are sent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use payload_manager_tests::Setup;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

#[derive(Default)]
struct Kept {
    /// The last that was sent of each.
    metrics: Vec<Metric>,
    spans: Vec<Span>,
    resources: Vec<Resource>,
    /// The names of the scopes of the spans.
    scopes: Vec<String>,
}

/// A collector on a loopback port, as long as the runtime that it was made in.
#[derive(Clone)]
pub(crate) struct Collector {
    kept: Arc<Mutex<Kept>>,
    address: SocketAddr,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let collector = Self { kept: Arc::default(), address: listener.local_addr().unwrap() };
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        collector
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A daemon that sends to it, often.
    pub(crate) fn told_by(&self, setup: Setup) -> Setup {
        quickly(setup.flag("otlp-endpoint", self.endpoint()))
    }

    /// What was last told of a metric.
    pub(crate) fn metric(&self, name: &str) -> Option<Metric> {
        self.kept.lock().unwrap().metrics.iter().find(|metric| metric.name == name).cloned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.kept.lock().unwrap().metrics.iter().map(|metric| metric.name.clone()).collect()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.kept.lock().unwrap().spans.clone()
    }

    pub(crate) fn scopes(&self) -> Vec<String> {
        self.kept.lock().unwrap().scopes.clone()
    }

    pub(crate) fn resources(&self) -> Vec<Resource> {
        self.kept.lock().unwrap().resources.clone()
    }
}

/// So that nobody waits for a minute.
pub(crate) fn quickly(setup: Setup) -> Setup {
    setup.env("OTEL_METRIC_EXPORT_INTERVAL", "100").env("OTEL_BSP_SCHEDULE_DELAY", "50")
}

/// The text of an attribute.
pub(crate) fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    Some(match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        other => panic!("{key} is {other:?}"),
    })
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.kept.lock().unwrap();
        for of_resource in request.into_inner().resource_spans {
            kept.resources.extend(of_resource.resource);
            for of_scope in of_resource.scope_spans {
                kept.scopes.extend(of_scope.scope.map(|scope| scope.name));
                kept.spans.extend(of_scope.spans);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut kept = self.kept.lock().unwrap();
        let mut told = Vec::new();
        for of_resource in request.into_inner().resource_metrics {
            kept.resources.extend(of_resource.resource);
            told.extend(of_resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics));
        }
        for metric in told {
            kept.metrics.retain(|known| known.name != metric.name);
            kept.metrics.push(metric);
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
