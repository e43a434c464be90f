//! Where a watch of the catalog starts.

use crate::runtime::v1::WatchPayloadsRequest;

/// Where a watch starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchFrom {
    /// With the next change.
    Now,
    /// With what exists, then the next change.
    Snapshot,
    /// After the event that carried this token. Only its maker can tell whether it is valid.
    Token(String),
}

impl From<WatchPayloadsRequest> for WatchFrom {
    /// A token counts more than `include_current`, so that a client may resume with the request it started with.
    fn from(wire: WatchPayloadsRequest) -> Self {
        match (wire.resume_token.is_empty(), wire.include_current) {
            (false, _) => Self::Token(wire.resume_token),
            (true, true) => Self::Snapshot,
            (true, false) => Self::Now,
        }
    }
}
