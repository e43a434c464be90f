//! A gRPC status, or one item's result in a batch, becomes an [`Error`].

use std::error::Error as StdError;

use payload_manager_api::Reason;
use payload_manager_api::convert::Invalid;
use payload_manager_api::core::v1::CallStatus;
use payload_manager_api::reason::{self, Detail};
use tonic::{Status, TimeoutExpired};

use super::{Code, Error, Refusal};

impl Error {
    /// The error behind a status that a call to the daemon at `address` ended with.
    pub(crate) fn of_status(status: &Status, address: &str) -> Self {
        let detail = reason::detail(status);
        match status.source() {
            Some(source) if caused_by::<TimeoutExpired>(source) => Self::deadline(),
            Some(source) if detail.is_none() => Self::unreachable(address, source),
            _ => Self::refused(status.code() as i32, status.message(), detail),
        }
    }

    /// The error of one item in a batch.
    pub(crate) fn of_item(status: &CallStatus) -> Self {
        Self::refused(status.code, &status.message, Detail::of_item(status))
    }

    /// An item that failed with nothing but text that starts with the code's name, as older daemons answer.
    pub(crate) fn of_text(text: &str) -> Self {
        let word = text.split([':', ' ']).next().unwrap_or_default();
        let code = Code::ALL.iter().find(|code| code.as_str() == word).copied().unwrap_or(Code::Unknown);
        let message = text.strip_prefix(word).filter(|_| code != Code::Unknown).unwrap_or(text);
        Self::refused(code as i32, message.trim_start_matches([':', ' ']), None)
    }

    /// The caller's deadline came first.
    pub(crate) fn deadline() -> Self {
        Self::Refused(Box::new(Refusal {
            code: Code::DeadlineExceeded,
            reason: Reason::Deadline.as_str().to_owned(),
            message: "the deadline came before the answer; the work may still finish".to_owned(),
            facts: Default::default(),
            retryable: Reason::Deadline.retryable(),
        }))
    }

    /// A lease of a session is over, as its slot says.
    pub(crate) fn lease_over() -> Self {
        Self::Refused(Box::new(Refusal {
            code: Code::NotFound,
            reason: Reason::LeaseOver.as_str().to_owned(),
            message: "the lease is over: it ran out or was taken away, or its session is over; read again".to_owned(),
            facts: Default::default(),
            retryable: Reason::LeaseOver.retryable(),
        }))
    }

    /// This process is a child of the one that connected.
    pub(crate) fn forked(address: &str) -> Self {
        let why = "this process is a child of the one that connected; connect a client of its own";
        Self::Unreachable { address: address.to_owned(), why: why.to_owned() }
    }

    /// There is a stream of that name, but it is another one.
    pub(crate) fn made_again(stream: &payload_manager_types::StreamName) -> Self {
        Self::Refused(Box::new(Refusal {
            code: Code::NotFound,
            reason: Reason::StreamNotFound.as_str().to_owned(),
            message: format!(
                "stream {stream}: it was deleted and made again while the daemon was away; subscribe to the new one"
            ),
            facts: [("stream".to_owned(), stream.to_string())].into(),
            retryable: Reason::StreamNotFound.retryable(),
        }))
    }

    /// The connection, not the call, failed.
    pub(crate) fn unreachable(address: &str, source: &(dyn StdError + 'static)) -> Self {
        let why = match find::<std::io::Error>(source) {
            Some(error) => advice(error),
            None => innermost(source).to_string(),
        };
        Self::Unreachable { address: address.to_owned(), why }
    }

    fn refused(code: i32, message: &str, detail: Option<Detail>) -> Self {
        let Some(code) = Code::from_number(code) else {
            return Self::bad("an error with the code OK");
        };
        let (reason, retryable, facts) = match detail {
            Some(detail) => (detail.reason, detail.retryable, detail.metadata.into_iter().collect()),
            None => (String::new(), code.retryable(), Default::default()),
        };
        Self::Refused(Box::new(Refusal { code, reason, message: message.to_owned(), facts, retryable }))
    }
}

impl From<Invalid> for Error {
    /// An answer that breaks the contract.
    fn from(invalid: Invalid) -> Self {
        Self::BadAnswer(invalid.to_string())
    }
}

/// What the system said about a connection, and what to do.
fn advice(error: &std::io::Error) -> String {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    match error.kind() {
        NotFound => "there is no such socket; is `payload-manager serve` running, with this runtime folder?".to_owned(),
        ConnectionRefused => "nobody listens there; start `payload-manager serve`".to_owned(),
        PermissionDenied => "this user may not open the socket; join the group that it belongs to".to_owned(),
        _ => error.to_string(),
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn caused_by<E: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    find::<E>(error).is_some()
}

fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    chain(error).last().unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(code: Code) -> tonic::Code {
        tonic::Code::from_i32(code as i32)
    }

    #[test]
    fn every_reason_and_code_comes_back_whole() {
        for &code in Code::ALL {
            for &reason in Reason::ALL {
                let status = reason::status(number(code), reason, "why", [("tier", "RAM".to_owned())]);
                let error = Error::of_status(&status, "here");
                assert_eq!((error.code(), error.reason()), (Some(code), Some(reason)));
                assert_eq!((error.is_retryable(), error.to_string()), (reason.retryable(), "why".to_owned()));
                assert_eq!(error.refusal().unwrap().facts["tier"], "RAM");
                let item = Error::of_item(&CallStatus::from(&status));
                assert_eq!(item.refusal(), error.refusal());
            }
        }
    }

    #[test]
    fn a_status_without_a_reason_goes_by_its_code() {
        let error = Error::of_status(&Status::unavailable("later"), "here");
        assert_eq!((error.code(), error.reason(), error.is_retryable()), (Some(Code::Unavailable), None, true));
        let error = Error::of_status(&Status::unimplemented(""), "here");
        assert_eq!((error.to_string(), error.is_retryable()), ("UNIMPLEMENTED".to_owned(), false));
        assert!(matches!(Error::of_item(&CallStatus::default()), Error::BadAnswer(_)));
    }

    #[test]
    fn an_error_of_the_transport_is_not_one_of_the_daemon() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let status = Status::from_error(Box::new(refused));
        let error = Error::of_status(&status, "/run/x.sock");
        assert!(matches!(&error, Error::Unreachable { address, .. } if address == "/run/x.sock"));
        assert!(error.is_retryable() && error.code().is_none());
        let late = Error::of_status(&Status::from_error(Box::new(TimeoutExpired(()))), "here");
        assert_eq!((late.code(), late.reason()), (Some(Code::DeadlineExceeded), Some(Reason::Deadline)));
    }

    #[test]
    fn text_of_an_older_daemon_keeps_its_code() {
        let error = Error::of_text("ABORTED: a lease is in the way");
        assert_eq!((error.code(), error.to_string()), (Some(Code::Aborted), "a lease is in the way".to_owned()));
        let error = Error::of_text("something else");
        assert_eq!((error.code(), error.to_string()), (Some(Code::Unknown), "something else".to_owned()));
    }
}
