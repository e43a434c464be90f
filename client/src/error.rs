//! Why a call failed: the inverse of the daemon's mapping of errors to statuses. Nothing that it said is lost.
//!
//! The first question a caller has is [`Error::is_retryable`], the second [`Error::reason`]; text is for people.

mod code;
mod status;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

pub use code::Code;
pub use payload_manager_api::Reason;

/// A call's outcome.
///
/// ```
/// use payload_manager_client::{PayloadId, Result, blocking::Client};
///
/// fn is_there(client: &Client, id: PayloadId) -> Result<bool> {
///     Ok(client.resolve(id).is_ok())
/// }
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// use payload_manager_client::{Client, Code, PayloadId, Reason};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// let client = Client::connect(daemon.socket()).await?;
/// let error = client.get(PayloadId::from_bytes([7; 16])).await.unwrap_err();
/// assert_eq!(error.reason(), Some(Reason::PayloadNotFound));
/// assert_eq!(error.code(), Some(Code::NotFound));
/// assert!(!error.is_retryable());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The daemon said no, or failed.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// There is no daemon at that address, or the connection to it broke. What was asked may have happened.
    #[error("the daemon at {address} is out of reach: {why}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What went wrong, and what to do about it.
        why: String,
    },
    /// That is no address of a daemon on this host.
    #[error("{address:?} is no address to connect to: {why}")]
    BadAddress {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The daemon answered, but its bytes can't be opened from here.
    #[error("{place} can't be opened from this process: {source}")]
    Place {
        /// What the daemon named: a shared-memory object, a file, a tier.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// A GPU, or its driver, can't do it.
    #[error("{doing}: {source}")]
    Device {
        /// What was being done.
        doing: String,
        /// What the driver said, or why there is none.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The daemon's answer is not one that the contract allows.
    #[error("the daemon's answer can't be used: {0}")]
    BadAnswer(String),
}

impl Error {
    /// The reason, if it came from the daemon and this build knows it.
    ///
    /// ```
    /// use payload_manager_client::{Error, Reason};
    ///
    /// fn is_full(error: &Error) -> bool {
    ///     error.reason() == Some(Reason::TierFull)
    /// }
    /// # assert!(!is_full(&Error::BadAnswer(String::new())));
    /// ```
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.refusal().and_then(|r| Reason::parse(&r.reason))
    }

    /// The status code, if the daemon gave one.
    ///
    /// ```
    /// use payload_manager_client::{Code, Error};
    ///
    /// fn is_gone(error: &Error) -> bool {
    ///     error.code() == Some(Code::NotFound)
    /// }
    /// # assert!(!is_gone(&Error::BadAnswer(String::new())));
    /// ```
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.refusal().map(|r| r.code)
    }

    /// All that the daemon said, if it was the daemon.
    ///
    /// ```
    /// use payload_manager_client::Error;
    ///
    /// fn free_bytes(error: &Error) -> Option<u64> {
    ///     error.refusal()?.facts.get("free_bytes")?.parse().ok()
    /// }
    /// # assert_eq!(free_bytes(&Error::BadAnswer(String::new())), None);
    /// ```
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Unreachable { .. }
            | Self::BadAddress { .. }
            | Self::Place { .. }
            | Self::Device { .. }
            | Self::BadAnswer(_) => None,
        }
    }

    /// Whether the same call, unchanged, may succeed later. A connection that broke counts: the client makes a new one
    /// by itself, and after a restart of the daemon payloads and leases are still there.
    ///
    /// ```
    /// use payload_manager_client::Error;
    ///
    /// let gone = Error::Unreachable { address: "/run/x.sock".into(), why: "connection refused".into() };
    /// assert!(gone.is_retryable());
    /// assert!(!Error::BadAnswer("no lease".into()).is_retryable());
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.retryable,
            Self::Unreachable { .. } => true,
            Self::BadAddress { .. } | Self::Place { .. } | Self::Device { .. } | Self::BadAnswer(_) => false,
        }
    }

    /// What the daemon named is not where this process can see it: gone, or this is a container, in which nothing but
    /// descriptors leads to it.
    pub(crate) fn is_out_of_sight(&self) -> bool {
        matches!(self, Self::Place { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    pub(crate) fn device(doing: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Device { doing: doing.into(), source: Box::new(source) }
    }

    pub(crate) fn bad(what: impl Into<String>) -> Self {
        Self::BadAnswer(what.into())
    }
}

/// What the daemon said when it said no.
///
/// ```
/// use payload_manager_client::{Client, Error, Tier};
///
/// async fn make_room(client: &Client, len: u64) -> Result<(), Error> {
///     if let Err(Error::Refused(refusal)) = client.create(len).await {
///         println!("{}: {} ({:?})", refusal.code, refusal.message, refusal.facts);
///     }
///     Ok(())
/// }
/// # fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The class of error.
    pub code: Code,
    /// The reason's name on the wire, empty if there was none: [`Error::reason`] is that name as a type.
    pub reason: String,
    /// For people: what was wrong, and what to do about it.
    pub message: String,
    /// The facts, such as `tier` or `free_bytes`.
    pub facts: BTreeMap<String, String>,
    /// Whether the same call, unchanged, may succeed later.
    pub retryable: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() { write!(f, "{}", self.code) } else { f.write_str(&self.message) }
    }
}

impl std::error::Error for Refusal {}
