//! Turns what a store said into a [`TierError`]: what may work later is told from what a person has to put right, and that
//! by name.
//!
//! | what happened | becomes |
//! | --- | --- |
//! | no answer, a cut connection, a timeout, 408, 429, 5xx | [`TierError::Unavailable`] |
//! | 507, no space on a `file://` store | [`TierError::Full`] |
//! | 404 for a payload's bytes | [`TierError::Missing`] |
//! | 404 for the bucket; 401, 403; all else | [`TierError::Io`] with the matching kind |

use std::error::Error as StdError;
use std::io;

use object_store::Error;
use object_store::client::HttpError;
use payload_manager_types::{PayloadId, Tier};

use crate::TierError;

/// `doing` failed; it names the URI.
pub(super) fn failed(doing: String, error: &Error) -> TierError {
    let text = told(error);
    let refused = |kind, hint: &str| odd(doing.clone(), kind, format!("{hint}{text}"));
    // A listing has the status in its text only, whatever the status.
    match (error, status(&text)) {
        (Error::NotFound { .. }, _) | (_, Some(404)) if names_bucket(&text) => {
            refused(io::ErrorKind::NotFound, "the bucket or container does not exist: ")
        }
        (Error::NotFound { .. }, _) => refused(io::ErrorKind::NotFound, ""),
        (Error::PermissionDenied { .. }, _) | (_, Some(403)) => {
            refused(io::ErrorKind::PermissionDenied, "the credentials are wrong, or may not do this: ")
        }
        (Error::Unauthenticated { .. }, _) | (_, Some(401)) => {
            refused(io::ErrorKind::PermissionDenied, "there are no valid credentials: ")
        }
        (Error::AlreadyExists { .. } | Error::Precondition { .. }, _) => refused(io::ErrorKind::AlreadyExists, ""),
        (Error::NotSupported { .. } | Error::NotImplemented { .. }, _) => refused(io::ErrorKind::Unsupported, ""),
        (_, status) => other(doing, error, status, text),
    }
}

/// As [`failed`], for the bytes of `id`: not being there is a fact of its own.
pub(super) fn on_copy(id: PayloadId, doing: String, error: &Error) -> TierError {
    if is_missing(error) {
        return TierError::Missing { id, tier: Tier::Object, what: format!("{doing}: it is not there") };
    }
    failed(doing, error)
}

/// As [`failed`], for the request that finishes an upload. Tried again, because its answer was lost, it finds no upload:
/// it had finished it, or somebody else gave it up.
pub(super) fn of_completion(doing: String, error: &Error) -> TierError {
    if is_missing(error) {
        return TierError::Unavailable { tier: Tier::Object, doing, what: told(error) };
    }
    failed(doing, error)
}

/// Whether the object is not there, in a bucket that is.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && !names_bucket(&error.to_string())
}

/// What the protocol could not put into words.
pub(super) fn odd(doing: String, kind: io::ErrorKind, what: impl Into<String>) -> TierError {
    crate::fail::io(Tier::Object, doing, io::Error::new(kind, what.into()))
}

fn other(doing: String, error: &Error, status: Option<u16>, what: String) -> TierError {
    let tier = Tier::Object;
    let full = chain(error).filter_map(|e| e.downcast_ref::<io::Error>()).any(crate::fail::is_full);
    match status {
        Some(507) => TierError::Full { tier, asked: 0, free: 0, what: format!("{doing}: {what}") },
        None if full => TierError::Full { tier, asked: 0, free: 0, what: format!("{doing}: {what}") },
        Some(408 | 429 | 500..) => TierError::Unavailable { tier, doing, what },
        None if came_from_the_way(error, &what) => TierError::Unavailable { tier, doing, what },
        _ => odd(doing, io::ErrorKind::Other, what),
    }
}

/// The crate's texts do not always hold what caused them.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    for cause in chain(error).skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    let asks_the_host = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];
    if asks_the_host.iter().any(|host| text.contains(host)) {
        return format!("no credentials in the environment, and this host gives none: {text}");
    }
    text
}

fn names_bucket(text: &str) -> bool {
    ["NoSuchBucket", "ContainerNotFound", "specified bucket does not exist"].iter().any(|said| text.contains(said))
}

/// The HTTP status, which the crate gives as text only.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// Whether it was the connection, not the store. A store that answers 200 and then says in the body that it failed is out
/// of order, too.
fn came_from_the_way(error: &Error, text: &str) -> bool {
    chain(error).any(|e| e.is::<HttpError>()) || text.contains("returned error response")
}

/// The error and what caused it, outermost first.
fn chain(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let now = next?;
        next = now.source();
        Some(now)
    })
}
