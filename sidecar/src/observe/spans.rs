//! What is traced: a span for each request and for each copy between tiers, and whose request it belongs to.
//!
//! Spans have a target of their own, which the log leaves out: without a collector nobody wants them, and then they cost no
//! more than a look at a flag.

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use payload_manager_types::{PayloadId, Tier};
use tracing::Span;
use tracing::field::{Empty, display};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::Request;

/// The target of every span.
pub const TARGET: &str = "payload_manager::trace";

/// The length of a `traceparent` of version 00; later ones are no shorter.
const WHOLE: usize = "00-00000000000000000000000000000000-0000000000000000-00".len();

/// Makes the span part of a caller's trace, if what came with its request names one by W3C trace context (`traceparent`,
/// `tracestate`; <https://www.w3.org/TR/trace-context/>). What can't be read is no trace.
pub(crate) fn continue_trace(span: &Span, carrier: &dyn Extractor) {
    // What is shorter than a whole one would be read as far as it goes.
    let is_whole = carrier.get("traceparent").is_some_and(|parent| parent.len() >= WHOLE);
    if span.is_disabled() || !is_whole {
        return;
    }
    let context = TraceContextPropagator::new().extract(carrier);
    if context.span().span_context().is_valid() {
        // It fails where nobody traces.
        let _ = span.set_parent(context);
    }
}

/// The span of a request.
pub(crate) fn request(request: &Request) -> Span {
    tracing::info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.name = &*request.method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = request.system,
        rpc.method = &*request.method,
        rpc.response.status_code = Empty,
        payload.id = Empty,
        payload.session.id = Empty,
    )
}

/// How a request ended: by which code, and whether that is a fault of this side.
pub(crate) fn ended(span: &Span, code: &'static str, is_fault: bool) {
    span.record("rpc.response.status_code", code);
    if is_fault {
        span.record("otel.status_code", "ERROR");
    }
}

/// The request that is being answered is about this payload.
pub(crate) fn about(id: PayloadId) {
    Span::current().record("payload.id", display(id));
}

/// The request is of this session.
pub(crate) fn of_session(span: &Span, session: u64) {
    span.record("payload.session.id", session);
}

/// The span of a copy between tiers. It belongs to the trace of the request that asked for it, if one did, and may outlast it.
pub(crate) fn transfer(id: PayloadId, from: Tier, to: Tier, bytes: u64) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "transfer",
        otel.status_code = Empty,
        payload.id = %id,
        payload.from = %from,
        payload.to = %to,
        payload.size = bytes,
    );
    let asker = Span::current();
    if !span.is_disabled() && !asker.is_disabled() {
        // As a child it would keep the request's span from ending: so by name alone.
        let _ = span.set_parent(asker.context());
    }
    span
}

/// The copy came to nothing.
pub(crate) fn failed(span: &Span) {
    span.record("otel.status_code", "ERROR");
}
