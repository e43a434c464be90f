//! What is traced: a span for each request and for each copy between tiers, and whose request it belongs to.
//!
//! Spans are made with the SDK itself: by way of `tracing` what they add to a request was half as much again (decision 20).
//! Without a collector there are none, and then they cost no more than a look whether there are.

use std::future::Future;
use std::sync::OnceLock;

use futures_util::future::Either;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    FutureExt as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _, WithContext,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
use payload_manager_types::{PayloadId, Tier};

use super::Request;

/// The length of a `traceparent` of version 00; later ones are no shorter.
const WHOLE: usize = "00-00000000000000000000000000000000-0000000000000000-00".len();

const PAYLOAD: &str = "payload.id";
const SESSION: &str = "payload.session.id";

/// Who makes the spans of this process, if anybody wants them.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// From here on there are spans; a second start in the same process changes nothing.
pub(crate) fn start(tracer: SdkTracer) {
    if TRACER.set(tracer).is_err() {
        tracing::debug!("traces were started before");
    }
}

/// Something that is traced, or not. It ends when it is told to, or with the last of its clones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Span(Option<Context>);

impl Span {
    /// A span of this builder's, if there are any.
    fn of(parent: &Context, build: impl FnOnce() -> SpanBuilder) -> Self {
        let span = |tracer: &SdkTracer| parent.with_span(tracer.build_with_context(build(), parent));
        Self(TRACER.get().map(span))
    }

    /// The span of the request that is being worked at.
    pub(crate) fn current() -> Self {
        Self(TRACER.get().and_then(|_| Context::map_current(|here| here.has_active_span().then(|| here.clone()))))
    }

    /// Does this within it.
    pub(crate) fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let _within = self.0.clone().map(Context::attach);
        work()
    }

    /// Does this within it, whenever it is polled.
    pub(crate) fn around<F: Future>(&self, work: F) -> Either<WithContext<F>, F> {
        match &self.0 {
            Some(context) => Either::Left(work.with_context(context.clone())),
            None => Either::Right(work),
        }
    }

    /// It is of this session.
    pub(crate) fn of_session(&self, session: u64) {
        self.say(|| KeyValue::new(SESSION, number(session)));
    }

    fn say(&self, what: impl FnOnce() -> KeyValue) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(what());
        }
    }

    /// The request is answered: by which code, and whether that is a fault of this side.
    pub(crate) fn answered(&self, code: &'static str, is_fault: bool) {
        self.say(|| KeyValue::new("rpc.response.status_code", code));
        self.end(is_fault);
    }

    /// It is over.
    pub(crate) fn end(&self, is_fault: bool) {
        if let Some(context) = &self.0 {
            if is_fault {
                context.span().set_status(Status::error(""));
            }
            context.span().end();
        }
    }
}

/// The span of a request. It is part of its caller's trace, if what came with it names one by W3C trace context
/// (`traceparent`, `tracestate`; <https://www.w3.org/TR/trace-context/>). What can't be read is no trace.
pub(crate) fn request(request: &Request, carrier: &dyn Extractor) -> Span {
    if TRACER.get().is_none() {
        return Span::default();
    }
    let nowhere = Context::new();
    // What is shorter than a whole one would be read as far as it goes.
    let is_whole = carrier.get("traceparent").is_some_and(|parent| parent.len() >= WHOLE);
    let caller = if is_whole { TraceContextPropagator::new().extract_with_context(&nowhere, carrier) } else { nowhere };
    Span::of(&caller, || {
        SpanBuilder::from_name(request.method.to_string()).with_kind(SpanKind::Server).with_attributes([
            KeyValue::new("rpc.system.name", request.system),
            KeyValue::new("rpc.method", request.method.clone()),
        ])
    })
}

/// The request that is being answered is about this payload.
pub(crate) fn about(id: PayloadId) {
    if TRACER.get().is_some() {
        Context::map_current(|here| {
            if here.has_active_span() {
                here.span().set_attribute(KeyValue::new(PAYLOAD, id.to_string()));
            }
        });
    }
}

/// The span of a copy between tiers. It belongs to the trace of the request that asked for it, if one did, and may outlast it.
pub(crate) fn transfer(id: PayloadId, from: Tier, to: Tier, bytes: u64) -> Span {
    let asker = Span::current().0.unwrap_or_default();
    Span::of(&asker, || {
        SpanBuilder::from_name("transfer").with_attributes([
            KeyValue::new(PAYLOAD, id.to_string()),
            KeyValue::new("payload.from", from.to_string()),
            KeyValue::new("payload.to", to.to_string()),
            KeyValue::new("payload.size", number(bytes)),
        ])
    })
}

/// As attributes have them.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
