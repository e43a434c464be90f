//! How the program ends: what failed, what is said about it, and the number that scripts see.

use std::io;
use std::process::ExitCode;

use payload_manager_client::{Code, Error};
use serde_json::json;

use crate::output::BAD;

/// What a command comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// The part of `--help` that scripts are written by.
pub(crate) const CODES: &str = "Exit codes:
  0  all went well
  1  something else failed, such as a file that can't be read
  2  the command line is wrong, or the daemon refused an argument
  3  no such payload or stream
  4  right request, wrong state: leased, pinned, not committed, tier not configured
  5  the daemon, or what it needs, is out of reach, or did not answer in time
  6  a tier or another limit is full
  7  the payload's bytes are gone or damaged
  128 and a signal's number, when one ended it; what was begun is undone
With several ids or files, the others are carried out, and the first failure counts.";

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The daemon said no, or could not be asked.
    Daemon {
        /// What it was about, where the message may not say so.
        about: Option<String>,
        /// What it said.
        error: Error,
    },
    /// A file, or standard input or output.
    Io {
        /// What it was about.
        about: String,
        /// What the system said.
        error: io::Error,
    },
    /// What was asked makes no sense.
    Usage(String),
    /// Whoever read our output has gone: nobody is left to tell.
    OutputClosed,
    /// A signal of this number came.
    Signal(u8),
    /// It was said before, by this one and others.
    Told(u8),
}

impl Failure {
    /// Something that the system said no to.
    pub(crate) fn io(about: impl Into<String>, error: io::Error) -> Self {
        Self::Io { about: about.into(), error }
    }

    /// Standard output could not be written to.
    pub(crate) fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::OutputClosed } else { Self::io("standard output", error) }
    }

    /// The same failure, and what it was about.
    #[must_use]
    pub(crate) fn about(self, what: impl ToString) -> Self {
        match self {
            Self::Daemon { about: None, error } => Self::Daemon { about: Some(what.to_string()), error },
            other => other,
        }
    }

    /// The number that the program ends with.
    #[must_use]
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Daemon { error, .. } => number(error),
            Self::Io { .. } => 1,
            Self::Usage(_) => 2,
            Self::OutputClosed => 0,
            Self::Signal(signal) => 128 + signal,
            Self::Told(code) => *code,
        }
    }

    /// Tells whoever runs this, on standard error.
    pub(crate) fn tell(&self, json: bool) {
        let text = match self {
            Self::Daemon { about: Some(about), error } if !error.to_string().contains(about) => {
                format!("{about}: {error}")
            }
            Self::Daemon { error, .. } => error.to_string(),
            Self::Io { about, error } => format!("{about}: {error}"),
            Self::Usage(text) => text.clone(),
            Self::OutputClosed | Self::Signal(_) | Self::Told(_) => return,
        };
        if json {
            eprintln!("{}", self.object(&text));
        } else {
            anstream::eprintln!("{BAD}payloadctl:{BAD:#} {text}");
        }
    }

    fn object(&self, text: &str) -> serde_json::Value {
        let mut object = json!({ "error": text, "exit_code": self.code() });
        if let Self::Daemon { error, .. } = self {
            object["retryable"] = error.is_retryable().into();
            if let Some(refusal) = error.refusal() {
                object["code"] = refusal.code.as_str().into();
                object["reason"] = refusal.reason.clone().into();
                object["facts"] = json!(refusal.facts);
            }
        }
        object
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Daemon { about: None, error }
    }
}

/// Says what failed and turns it into the program's end.
pub(crate) fn end(outcome: Outcome, json: bool) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(json);
            failure.code().into()
        }
    }
}

/// Carries on after a failure of one of many, and remembers the first.
#[derive(Debug)]
pub(crate) struct Each {
    json: bool,
    first: Option<u8>,
}

impl Each {
    /// None has failed yet.
    #[must_use]
    pub(crate) fn new(json: bool) -> Self {
        Self { json, first: None }
    }

    /// What one of them came to: its result, or `None` after telling why not. What leaves no point in going on ends all.
    ///
    /// # Errors
    /// The daemon is out of reach, or nobody reads the output.
    pub(crate) fn take<T>(&mut self, outcome: Outcome<T>) -> Outcome<Option<T>> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(failure @ (Failure::OutputClosed | Failure::Signal(_))) => Err(failure),
            Err(failure @ Failure::Daemon { error: Error::Unreachable { .. }, .. }) => Err(failure),
            Err(failure) => {
                failure.tell(self.json);
                self.first.get_or_insert(failure.code());
                Ok(None)
            }
        }
    }

    /// What all of them came to.
    ///
    /// # Errors
    /// The first failure, told already.
    pub(crate) fn end(self) -> Outcome {
        self.first.map_or(Ok(()), |code| Err(Failure::Told(code)))
    }
}

fn number(error: &Error) -> u8 {
    match error {
        Error::Unreachable { .. } => 5,
        Error::BadAddress { .. } => 2,
        _ => match error.code() {
            Some(Code::InvalidArgument | Code::OutOfRange) => 2,
            Some(Code::NotFound) => 3,
            Some(Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists) => 4,
            Some(Code::Unavailable | Code::DeadlineExceeded) => 5,
            Some(Code::ResourceExhausted) => 6,
            Some(Code::DataLoss) => 7,
            _ => 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> Failure {
        Error::Unreachable { address: "/x".into(), why: "refused".into() }.into()
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        assert_eq!(Failure::output(io::ErrorKind::BrokenPipe.into()).code(), 0);
        assert_eq!(Failure::output(io::ErrorKind::StorageFull.into()).code(), 1);
        assert_eq!((gone().code(), Failure::Signal(15).code()), (5, 143));
    }

    #[test]
    fn the_first_of_many_failures_counts_and_a_lost_daemon_ends_them_all() {
        let mut each = Each::new(true);
        assert!(matches!(each.take(Ok(1)), Ok(Some(1))));
        assert!(matches!(each.take::<()>(Err(Failure::Usage("first".into()))), Ok(None)));
        assert!(matches!(each.take::<()>(Err(Failure::io("second", io::ErrorKind::NotFound.into()))), Ok(None)));
        assert!(each.take::<()>(Err(gone())).is_err());
        assert!(matches!(each.end(), Err(Failure::Told(2))));
    }
}
