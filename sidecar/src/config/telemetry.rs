//! Where figures and traces go: a page of metrics, and an OpenTelemetry collector, by our settings or by the variables that
//! every program with OpenTelemetry reads.

use std::net::SocketAddr;

use super::machine::Machine;
use super::value::Value;

/// Where the page of metrics is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsPage {
    /// Nowhere.
    Off,
    /// On `metrics.sock` in the runtime folder.
    Socket,
    /// On a loopback address.
    Tcp(SocketAddr),
}

/// What is sent to a collector.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Otlp {
    /// The collector's URI by a setting of ours; else the standard variables say it, one for all or one a signal.
    pub endpoint: Option<String>,
    /// Whether traces are sent.
    pub traces: bool,
    /// Whether metrics are.
    pub metrics: bool,
}

/// The variable that names a collector for everything.
pub(super) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

const TRACES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"];
const METRICS: [&str; 2] = ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_METRICS_EXPORTER"];

/// The variables that name another way of sending than gRPC.
const PROTOCOLS: [&str; 3] =
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"];

impl Otlp {
    /// What is sent, with the setting `ours`: a URI, `off`, or not given.
    pub(super) fn settle(machine: &Machine, ours: Option<String>) -> Self {
        let says = |name: &str| machine.env(name).and_then(|value| value.to_str()).filter(|value| !value.is_empty());
        let is_off =
            ours.as_deref() == Some("off") || says("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        if is_off {
            return Self::default();
        }
        let general = ours.is_some() || says(ENDPOINT).is_some();
        let signal = |[endpoint, exporter]: [&str; 2]| {
            (general || says(endpoint).is_some()) && says(exporter).is_none_or(|exporter| exporter == "otlp")
        };
        Self { traces: signal(TRACES), metrics: signal(METRICS), endpoint: ours }
    }

    /// Whether anything is sent.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.traces || self.metrics
    }

    /// What the person who starts the daemon should know.
    pub(super) fn warnings(&self, machine: &Machine) -> Vec<String> {
        let other = |name: &&str| {
            let protocol = machine.env(name).and_then(|value| value.to_str())?;
            (self.is_on() && !matches!(protocol, "" | "grpc")).then(|| {
                format!("{name} is {protocol}, and this program sends by gRPC: name the collector's port for that")
            })
        };
        PROTOCOLS.iter().filter_map(other).collect()
    }
}

pub(super) fn collector(text: &str) -> Result<Value, String> {
    let is_uri = ["http://", "https://"].iter().any(|scheme| text.strip_prefix(scheme).is_some_and(is_host));
    if text == "off" || is_uri {
        return Ok(Value::Text(text.to_owned()));
    }
    Err(format!("{text:?} is no collector; write http://HOST:4317, https://HOST:4317 or off"))
}

/// A host, perhaps a port, perhaps a slash.
fn is_host(rest: &str) -> bool {
    let host = rest.strip_suffix('/').unwrap_or(rest);
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\\'))
}

pub(super) fn page(text: &str) -> Result<Value, String> {
    if text == "socket" {
        return Ok(Value::Page(MetricsPage::Socket));
    }
    match super::value::listen(text) {
        Ok(Value::Listen(Some(address))) => Ok(Value::Page(MetricsPage::Tcp(address))),
        Ok(_) => Ok(Value::Page(MetricsPage::Off)),
        Err(why) => Err(format!("{why}, or socket")),
    }
}
