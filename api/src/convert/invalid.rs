//! What is wrong with a message: reason, field, subject, and words that say what to do.

use std::fmt;

use payload_manager_types::{PayloadId, StreamName};

use crate::reason::Reason;

/// What a request is about, once that much of it is known to be valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A payload.
    Payload(PayloadId),
    /// A stream.
    Stream(StreamName),
}

/// A message that breaks the contract. It has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// For programs.
    pub reason: Reason,
    /// The field's name in the `.proto` file.
    pub field: &'static str,
    /// What the request was about, where that could be read.
    pub subject: Option<Subject>,
    /// What was wrong and what to do, for people; [`fmt::Display`] puts subject and field before it.
    pub message: String,
}

impl Invalid {
    /// A complaint about `field`.
    #[must_use]
    pub fn new(reason: Reason, field: &'static str, message: impl Into<String>) -> Self {
        Self { reason, field, subject: None, message: message.into() }
    }

    /// The facts for the error's details: the field, and the payload or stream.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("field", self.field.to_owned())];
        match &self.subject {
            None => {}
            Some(Subject::Payload(id)) => facts.push(("payload_id", id.to_string())),
            Some(Subject::Stream(name)) => facts.push(("stream", name.to_string())),
        }
        facts
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            None => {}
            Some(Subject::Payload(id)) => write!(f, "payload {id}: ")?,
            Some(Subject::Stream(name)) => write!(f, "stream {name}: ")?,
        }
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for Invalid {}

impl From<PayloadId> for Subject {
    fn from(id: PayloadId) -> Self {
        Self::Payload(id)
    }
}

impl From<&StreamName> for Subject {
    fn from(name: &StreamName) -> Self {
        Self::Stream(name.clone())
    }
}

/// Says what a check was about.
pub(crate) trait About<T> {
    /// The same outcome; a complaint names `subject`.
    fn about(self, subject: impl Into<Subject>) -> Result<T, Invalid>;
}

impl<T> About<T> for Result<T, Invalid> {
    fn about(self, subject: impl Into<Subject>) -> Self {
        self.map_err(|invalid| Invalid { subject: Some(subject.into()), ..invalid })
    }
}
