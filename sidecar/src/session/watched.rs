//! Every request of a session, seen from outside: how long it took, how it ended, and its span.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::propagation::Extractor;
use payload_manager_api::core::v1::CallStatus;
use payload_manager_api::session::v1::{
    allocate_result, open_result, request::Verb, response::Outcome, segment_result,
};

use super::answer::Answer;
use crate::engine::board::session_id;
use crate::grpc::status;
use crate::observe::spans::{self, Span};
use crate::observe::{Meters, Request};

/// What the requests are called.
pub(super) struct Methods([Arc<str>; 9]);

impl Methods {
    pub(super) fn new() -> Self {
        let names = ["Hello", "Attach", "Allocate", "Commit", "Abort", "Open", "Delete", "Bye", "Segments"];
        Self(names.map(|name| Arc::from(format!("payload.manager.session.v1/{name}"))))
    }

    pub(super) fn of(&self, verb: &Verb) -> Arc<str> {
        let [hello, attach, allocate, commit, abort, open, delete, bye, segments] = &self.0;
        Arc::clone(match verb {
            Verb::Hello(_) => hello,
            Verb::Attach(_) => attach,
            Verb::Allocate(_) => allocate,
            Verb::Commit(_) => commit,
            Verb::Abort(_) => abort,
            Verb::Open(_) => open,
            Verb::Delete(_) => delete,
            Verb::Bye(_) => bye,
            Verb::Segments(_) => segments,
        })
    }
}

/// What came with a request, for whoever looks for a trace in it; empty is nothing.
pub(super) struct Carried {
    pub(super) parent: String,
    pub(super) state: String,
}

impl Extractor for Carried {
    fn get(&self, key: &str) -> Option<&str> {
        let value = match key {
            "traceparent" => &self.parent,
            "tracestate" => &self.state,
            _ => return None,
        };
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    fn keys(&self) -> Vec<&str> {
        ["traceparent", "tracestate"].into_iter().filter(|key| self.get(key).is_some()).collect()
    }
}

/// A request that is being answered.
pub(super) struct Asked {
    request: Request,
    pub(super) span: Span,
}

impl Asked {
    pub(super) fn new(method: Arc<str>, session: Option<u32>, trace: &Carried) -> Self {
        let request = Request { system: "session", method, since: Instant::now() };
        let span = spans::request(&request, trace);
        if let Some(page) = session {
            span.of_session(session_id(page));
        }
        Self { request, span }
    }

    /// It is answered: of many items, by the first that failed.
    pub(super) fn answered(&self, meters: &Meters, answer: &Answer) {
        let ended = status::ended(answer.response.outcome.as_ref().and_then(first_error).map_or(0, |error| error.code));
        self.span.answered(ended.code, ended.is_fault);
        meters.answered(&self.request, ended.code);
    }
}

fn first_error(outcome: &Outcome) -> Option<&CallStatus> {
    match outcome {
        Outcome::Error(error) => Some(error),
        Outcome::Done(done) => done.results.iter().find_map(|result| result.error.as_ref()),
        Outcome::Allocated(all) => all.results.iter().find_map(|result| match &result.outcome {
            Some(allocate_result::Outcome::Error(error)) => Some(error),
            _ => None,
        }),
        Outcome::Opened(all) => all.results.iter().find_map(|result| match &result.outcome {
            Some(open_result::Outcome::Error(error)) => Some(error),
            _ => None,
        }),
        Outcome::Shared(all) => all.results.iter().find_map(|result| match &result.outcome {
            Some(segment_result::Outcome::Error(error)) => Some(error),
            _ => None,
        }),
        _ => None,
    }
}
