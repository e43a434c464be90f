//! Turns what the system said into a [`TierError`] that names the tier and what was being done.

use std::io;

use nix::errno::Errno;
use payload_manager_types::{PayloadId, Tier};

use crate::TierError;

/// The system refused `doing`.
pub(crate) fn io(tier: Tier, doing: impl Into<String>, source: impl Into<io::Error>) -> TierError {
    TierError::Io { tier, doing: doing.into(), source: source.into() }
}

/// Whether the system said that there is no space, or none for this user.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(n) if n == Errno::ENOSPC as i32 || n == Errno::EDQUOT as i32)
}

/// Writing `asked` bytes failed. Space was reserved, but names and metadata need some too, and a file system that copies
/// on write, or a quota, may still refuse.
pub(crate) fn write(tier: Tier, doing: String, asked: usize, error: io::Error) -> TierError {
    if is_full(&error) {
        return TierError::Full { tier, asked: asked as u64, free: 0, what: format!("{doing}: {error}") };
    }
    io(tier, doing, error)
}

/// What opening a copy of `id` ended in: not being there is a fact of its own.
pub(crate) fn open(tier: Tier, id: PayloadId, what: &str, error: io::Error) -> TierError {
    if error.kind() == io::ErrorKind::NotFound {
        TierError::Missing { id, tier, what: format!("{what} is not there") }
    } else {
        io(tier, format!("opening {what}"), error)
    }
}

/// Not being there is what was wanted.
pub(crate) fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
