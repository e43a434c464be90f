//! Where a value comes from, a value with that, and what is said when one is wrong.

use std::fmt;
use std::path::PathBuf;

use super::keys::Key;
use super::value::Value;

/// Where a value comes from. Later sources win over earlier ones, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The fixed default.
    Default,
    /// Worked out, for this reason.
    Derived(String),
    /// The configuration file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line that the value starts in, from 1.
        line: usize,
    },
    /// This environment variable.
    Env(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Derived(why) => write!(f, "derived: {why}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Which one.
    pub key: &'static Key,
    /// Its value.
    pub value: Value,
    /// Where the value comes from.
    pub source: Source,
    /// What became of it, where that needs to be said: why it was capped, for one.
    pub note: Option<String>,
}

impl Setting {
    pub(super) fn new(key: &'static Key, value: Value, source: Source) -> Self {
        Self { key, value, source, note: None }
    }

    /// A complaint about this setting's value.
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { place: Some(self.source.to_string()), key: Some(self.key.name.to_owned()), message: message.into() }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `payload-manager.toml:3`, `environment PAYLOAD_MANAGER_RAM`.
    pub place: Option<String>,
    /// In which setting, if in one.
    pub key: Option<String>,
    /// What, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.place, &self.key].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with the configuration: all of it at once, so that one round of corrections is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one, in the order of the sources.
    pub problems: Vec<Problem>,
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.problems.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}
