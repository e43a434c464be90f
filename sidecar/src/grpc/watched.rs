//! Every call, seen from outside: how long it took, how it ended, and a span that continues its caller's trace.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use opentelemetry::propagation::Extractor;
use payload_manager_api::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request as HttpRequest, Response};
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tower::{Layer, Service};

use super::status::{self, Ended};
use crate::observe::spans::{self, Span};
use crate::observe::{Meters, Request};

/// What a method is called that is none of ours: what clients ask for must not make series of values.
const OTHER: &str = "_OTHER";

/// Watches the calls of a server.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    meters: Meters,
    /// By path.
    methods: Arc<HashMap<String, Arc<str>>>,
    other: Arc<str>,
}

impl Watch {
    pub(super) fn new(meters: Meters) -> Self {
        let methods = [FILE_DESCRIPTOR_SET, tonic_health::pb::FILE_DESCRIPTOR_SET].into_iter().flat_map(methods);
        let methods = methods.map(|method| (format!("/{method}"), Arc::from(method))).collect();
        Self { meters, methods: Arc::new(methods), other: Arc::from(OTHER) }
    }
}

/// `package.Service/Method`, of all services in a set of descriptors.
fn methods(set: &[u8]) -> Vec<String> {
    let files = FileDescriptorSet::decode(set).unwrap_or_default().file;
    let of_file = |file: prost_types::FileDescriptorProto| {
        let package = file.package().to_owned();
        let of_service = move |service: prost_types::ServiceDescriptorProto| {
            let name = format!("{package}.{}", service.name());
            service.method.into_iter().map(move |method| format!("{name}/{}", method.name()))
        };
        file.service.into_iter().flat_map(of_service)
    };
    files.into_iter().flat_map(of_file).collect()
}

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched { inner, watch: self.clone() }
    }
}

/// A service whose calls are watched.
#[derive(Debug, Clone)]
pub(super) struct Watched<S> {
    inner: S,
    watch: Watch,
}

impl<S, B, R> Service<HttpRequest<B>> for Watched<S>
where
    S: Service<HttpRequest<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, asked: HttpRequest<B>) -> Self::Future {
        let method = Arc::clone(self.watch.methods.get(asked.uri().path()).unwrap_or(&self.watch.other));
        let request = Request { system: "grpc", method, since: Instant::now() };
        let span = spans::request(&request, &Headers(asked.headers()));
        let call = Call { request, meters: self.watch.meters.clone(), span: span.clone(), ended: None };
        let work = span.in_scope(|| self.inner.call(asked));
        let work = async move {
            // Given up by its caller, it ends here too.
            let mut call = call;
            let response = work.await?;
            call.ended = how(response.headers());
            Ok(response.map(|body| Body::new(Answer { body: Box::pin(body), call })))
        };
        Box::pin(span.around(work))
    }
}

/// A call that has not ended; it does when this is dropped.
#[derive(Debug)]
struct Call {
    request: Request,
    meters: Meters,
    span: Span,
    ended: Option<Ended>,
}

impl Drop for Call {
    fn drop(&mut self) {
        // Whoever hangs up has cancelled.
        let ended = self.ended.unwrap_or(status::HUNG_UP);
        self.span.answered(ended.code, ended.is_fault);
        self.meters.answered(&self.request, ended.code);
    }
}

/// The body of an answer, whose trailers say how the call ended.
struct Answer<R> {
    body: Pin<Box<R>>,
    call: Call,
}

impl<R: HttpBody<Data = Bytes>> HttpBody for Answer<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, R::Error>>> {
        let frame = ready!(self.body.as_mut().poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(ended) = frame.trailers_ref().and_then(how)
        {
            self.call.ended = Some(ended);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

fn how(headers: &HeaderMap) -> Option<Ended> {
    Status::from_header_map(headers).map(|status| status::ended(status.code() as i32))
}

/// What came with a request, for whoever looks for a trace in it.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(tonic::codegen::http::HeaderName::as_str).collect()
    }
}
