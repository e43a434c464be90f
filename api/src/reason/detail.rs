//! A reason and its facts, attached to a [`tonic::Status`] and taken from one.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::Reason;
use crate::core::v1::{CallStatus, ErrorDetail};

/// `ErrorInfo.domain` of every error that is ours.
pub const DOMAIN: &str = "payload-manager";

/// The fact that says `true` or `false` to trying again.
pub const RETRYABLE: &str = "retryable";

/// Longest message and longest fact, in bytes: trailers are limited to a few KiB by many HTTP/2 stacks.
const MESSAGE_LIMIT: usize = 1024;
const FACT_LIMIT: usize = 300;

/// What a failed call says to programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// The name on the wire; [`Reason::parse`] knows it unless the daemon is newer.
    pub reason: String,
    /// Whether the same call, unchanged, may succeed later.
    pub retryable: bool,
    /// The facts, such as `tier` or `free_bytes`.
    pub metadata: HashMap<String, String>,
}

impl Detail {
    /// The reason, if this build knows it.
    #[must_use]
    pub fn known(&self) -> Option<Reason> {
        Reason::parse(&self.reason)
    }

    /// The detail of one failed item of a batch.
    #[must_use]
    pub fn of_item(status: &CallStatus) -> Option<Self> {
        let ErrorDetail { reason, retryable, facts } = status.detail.clone()?;
        Some(Self { reason, retryable, metadata: facts })
    }
}

/// A status with `reason` and its facts as details. What is too long for a trailer is cut.
pub fn status<F>(code: Code, reason: Reason, message: impl Into<String>, facts: F) -> Status
where
    F: IntoIterator<Item = (&'static str, String)>,
{
    let metadata = facts.into_iter().map(|(name, fact)| (name.to_owned(), cut(fact, FACT_LIMIT))).collect();
    let detail = Detail { reason: reason.as_str().to_owned(), retryable: reason.retryable(), metadata };
    attach(code, cut(message.into(), MESSAGE_LIMIT), detail)
}

fn attach(code: Code, message: String, detail: Detail) -> Status {
    let mut metadata = detail.metadata;
    metadata.insert(RETRYABLE.to_owned(), detail.retryable.to_string());
    Status::with_error_details(code, message, ErrorDetails::with_error_info(detail.reason, DOMAIN, metadata))
}

/// The detail of a status; `None` where it is not ours: from the transport, or from something in between.
#[must_use]
pub fn detail(status: &Status) -> Option<Detail> {
    let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN)?;
    let mut metadata = info.metadata;
    let retryable = metadata.remove(RETRYABLE).is_some_and(|word| word == "true");
    Some(Detail { reason: info.reason, retryable, metadata })
}

impl From<&Status> for CallStatus {
    /// A status as one item's result in a batch.
    fn from(status: &Status) -> Self {
        Self {
            code: status.code() as i32,
            message: status.message().to_owned(),
            detail: detail(status).map(|d| ErrorDetail { reason: d.reason, retryable: d.retryable, facts: d.metadata }),
        }
    }
}

impl From<CallStatus> for Status {
    /// One item's result as if its call had failed alone, so that clients handle both in one place.
    fn from(item: CallStatus) -> Self {
        let code = Code::from_i32(item.code);
        match Detail::of_item(&item) {
            Some(detail) => attach(code, item.message, detail),
            None => Self::new(code, item.message),
        }
    }
}

/// At most `limit` bytes of `text`, whole characters, with an ellipsis where something is missing.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let mut end = limit.saturating_sub('…'.len_utf8());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_a_status_and_a_batch_item() {
        for &reason in Reason::ALL {
            let status = status(Code::Aborted, reason, "why", [("tier", "RAM".to_owned())]);
            let detail = detail(&status).unwrap();
            assert_eq!((detail.known(), detail.retryable), (Some(reason), reason.retryable()));
            assert_eq!(detail.metadata, HashMap::from([("tier".to_owned(), "RAM".to_owned())]));
            let item = CallStatus::from(&status);
            assert_eq!(Detail::of_item(&item).as_ref(), Some(&detail));
            let alone = Status::from(item);
            assert_eq!((alone.code(), alone.message()), (Code::Aborted, "why"));
            assert_eq!(super::detail(&alone), Some(detail));
            assert!(reason.as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        }
    }

    #[test]
    fn a_status_of_somebody_else_has_no_detail() {
        let foreign = ErrorDetails::with_error_info("TIER_FULL", "example.org", HashMap::new());
        assert_eq!(detail(&Status::with_error_details(Code::Internal, "", foreign)), None);
        assert_eq!(detail(&Status::unavailable("connection refused")), None);
        assert_eq!(Reason::parse("OF_TOMORROW"), None);
    }

    #[test]
    fn a_message_too_long_for_a_trailer_is_cut_between_characters() {
        let long = status(Code::Internal, Reason::Bug, "ä".repeat(4000), [("fact", "ö".repeat(400))]);
        assert!(long.message().len() <= MESSAGE_LIMIT && long.message().ends_with("ä…"));
        assert!(detail(&long).unwrap().metadata["fact"].len() <= FACT_LIMIT);
    }
}
