//! Streams: ordered logs of payload ids.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::PayloadId;
use crate::time::{Timestamp, UnixMillis};

/// A stream's namespace and name, both checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName {
    namespace: String,
    name: String,
}

/// A name that breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadName {
    /// 1 to 255 bytes are allowed; this one had so many.
    Length(usize),
    /// Control characters are not allowed.
    ControlCharacter,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(n) => write!(f, "a name has 1 to 255 bytes of UTF-8, this one has {n}"),
            Self::ControlCharacter => f.write_str("a name has no control characters"),
        }
    }
}

impl std::error::Error for BadName {}

/// Checks a stream's or consumer group's name: 1 to 255 bytes of UTF-8 without control characters.
///
/// # Errors
/// [`BadName`] says which rule was broken.
pub fn check_name(name: &str) -> Result<(), BadName> {
    if name.is_empty() || name.len() > 255 {
        return Err(BadName::Length(name.len()));
    }
    if name.chars().any(char::is_control) { Err(BadName::ControlCharacter) } else { Ok(()) }
}

impl StreamName {
    /// A stream's name; an empty namespace is a namespace like any other.
    ///
    /// # Errors
    /// [`BadName`] if the name, or a namespace that is not empty, breaks the rules of [`check_name`].
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Result<Self, BadName> {
        let (namespace, name) = (namespace.into(), name.into());
        if !namespace.is_empty() {
            check_name(&namespace)?;
        }
        check_name(&name)?;
        Ok(Self { namespace, name })
    }

    /// The namespace, possibly empty.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// What a producer appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The payload, committed.
    pub payload: PayloadId,
    /// When what the bytes describe happened, if the producer says so.
    pub event_time: Option<Timestamp>,
    /// How long it lasted, in nanoseconds.
    pub duration_ns: u64,
    /// Free-form tags.
    pub tags: BTreeMap<String, String>,
}

impl From<PayloadId> for NewEntry {
    /// The payload, and nothing said about it.
    fn from(payload: PayloadId) -> Self {
        Self { payload, event_time: None, duration_ns: 0, tags: BTreeMap::new() }
    }
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its position: from 0, by 1, never reused.
    pub offset: u64,
    /// When the daemon appended it.
    pub append_time: UnixMillis,
    /// What the producer said.
    pub what: NewEntry,
}

/// How much of a stream is kept; 0 is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Entries kept at most.
    pub max_entries: u64,
    /// Age in seconds kept at most.
    pub max_age_sec: u64,
}
