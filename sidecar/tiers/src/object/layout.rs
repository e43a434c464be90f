//! Where things lie below the prefix.
//!
//! ```text
//! <prefix>/instance                 whose prefix this is
//! <prefix>/<uuid>.bin               the bytes
//! <prefix>/<uuid>.meta.json         what a rebuild of the catalog needs to know of them; without bytes, garbage
//! <prefix>/streams/<hash>/<name>    the logs of streams, see [`crate::Notes`]
//! <prefix>/set-aside/<uuid>.bin     copies that failed their check, and what lay beside them
//! <prefix>/probe-<n>                being tried whether it can be written; garbage after a crash
//! ```

use object_store::path::Path;
use payload_manager_types::PayloadId;

use super::address::{Address, Scheme};

/// Ends the name of a payload's bytes.
pub(super) const BIN: &str = ".bin";
/// Ends the name of what lies beside them.
pub(super) const META: &str = ".meta.json";
/// Below it lie copies that failed their check.
pub(super) const SET_ASIDE: &str = "set-aside";
/// The marker.
pub(super) const INSTANCE: &str = "instance";
/// Begins the name of what start-up writes to see whether it can.
pub(super) const PROBE: &str = "probe-";

/// Names below one prefix.
#[derive(Debug)]
pub(super) struct Layout {
    /// What errors and people call it; no query.
    shown: String,
    /// Before every key; empty where the store begins at the prefix.
    prefix: Path,
}

impl Layout {
    pub(super) fn new(address: &Address) -> Self {
        let shown = format!("{}://{}/{}", address.scheme(), address.bucket(), address.prefix());
        let prefix = if address.scheme() == Scheme::File { "" } else { address.prefix() };
        Self { shown: shown.trim_end_matches('/').to_owned(), prefix: Path::from(prefix) }
    }

    /// The prefix itself, for a listing; `None` for the whole store.
    pub(super) fn prefix(&self) -> Option<&Path> {
        (!self.prefix.as_ref().is_empty()).then_some(&self.prefix)
    }

    /// What the prefix is called.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn key(&self, name: &str) -> Path {
        match self.prefix.as_ref() {
            "" => Path::from(name),
            prefix => Path::from(format!("{prefix}/{name}")),
        }
    }

    pub(super) fn bin(&self, id: PayloadId) -> Path {
        self.key(&format!("{id}{BIN}"))
    }

    pub(super) fn meta(&self, id: PayloadId) -> Path {
        self.key(&format!("{id}{META}"))
    }

    /// What errors call the object `key`.
    pub(super) fn uri(&self, key: &Path) -> String {
        format!("{}/{}", self.shown, self.name(key))
    }

    /// The name below the prefix.
    pub(super) fn name<'a>(&self, key: &'a Path) -> &'a str {
        let key = key.as_ref();
        key.strip_prefix(self.prefix.as_ref()).unwrap_or(key).trim_start_matches('/')
    }
}
