//! Sends metrics and traces to an OpenTelemetry collector, by gRPC.
//!
//! Off unless a setting or the standard variables name a collector. A collector that is away costs nothing but what was to be
//! sent: queues are bounded, and nobody waits for it but a stop, for a few seconds.

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::PeriodicReader;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::config::Otlp;

/// The name of the service, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` say another.
const SERVICE: &str = "payload-manager";

/// Who this is. The standard variables add to it, and win.
pub(super) fn resource() -> Resource {
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
    let builder = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if named { builder.build() } else { builder.with_service_name(SERVICE).build() }
}

/// Who sends the traces of this process.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to send, if it is asked for. To be called inside the runtime, which does the sending.
    ///
    /// # Errors
    /// Why it can't be done, in words.
    pub(crate) fn start(otlp: &Otlp) -> Result<Option<Self>, String> {
        if !otlp.traces {
            return Ok(None);
        }
        let exporter = spans(otlp).map_err(|error| format!("traces can't be sent: {error}"))?;
        let builder = SdkTracerProvider::builder().with_resource(resource());
        let provider = builder.with_batch_exporter(exporter).build();
        super::spans::start(provider.tracer(super::SCOPE));
        Ok(Some(Self(provider)))
    }

    /// Sends what has not been sent. Blocks, for some seconds if the collector does not answer. Not for a thread of the
    /// runtime, which does the sending.
    pub(crate) fn close(self) {
        if let Err(error) = self.0.shutdown_with_timeout(super::LAST_WORDS) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

fn spans(otlp: &Otlp) -> Result<SpanExporter, ExporterBuildError> {
    let builder = SpanExporter::builder().with_tonic().with_tls_config(tls());
    match &otlp.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint).build(),
        None => builder.build(),
    }
}

/// Reads the metrics every minute, or as `OTEL_METRIC_EXPORT_INTERVAL` says, and sends them.
pub(super) fn metrics(otlp: &Otlp) -> Option<PeriodicReader<MetricExporter>> {
    if !otlp.metrics {
        return None;
    }
    let builder = MetricExporter::builder().with_tonic().with_tls_config(tls());
    let built = match &otlp.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint).build(),
        None => builder.build(),
    };
    match built {
        Ok(exporter) => Some(PeriodicReader::builder(exporter).build()),
        Err(error) => {
            tracing::error!(%error, "metrics can't be sent: see otlp-endpoint and the OTEL_ variables");
            None
        }
    }
}

/// For collectors behind https: the system's certificates.
fn tls() -> ClientTlsConfig {
    ClientTlsConfig::new().with_enabled_roots()
}
