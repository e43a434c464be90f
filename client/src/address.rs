//! Where a daemon is: what people write, and where to look when they write nothing.
//!
//! The order of the places is the daemon's own (`payload-manager config` prints the one it chose).

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tonic::transport::Uri;

use crate::error::{Error, Result};

/// The socket's name in the runtime folder.
const SOCKET: &str = "control.sock";
/// The other socket there.
const SESSION_SOCKET: &str = "session.sock";
const NAME: &str = "payload-manager";

/// Where a daemon is: the path of its socket or of its runtime folder, `unix:PATH`, or `http://HOST:PORT` on loopback.
///
/// ```
/// use payload_manager_client::Address;
///
/// assert_eq!(Address::from("unix:/run/pm/control.sock"), Address::from("/run/pm/control.sock"));
/// assert_eq!(Address::from("http://127.0.0.1:50051").to_string(), "http://127.0.0.1:50051");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Unix(PathBuf),
    Http(String),
}

/// An address that was looked at: connecting is all that is left to do.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Unix(PathBuf),
    Http(Uri),
}

impl Address {
    /// Where a daemon of this user would be, best place first: `$PAYLOAD_MANAGER_RUNTIME_DIR` alone if it is set, else
    /// `$XDG_RUNTIME_DIR/payload-manager`, `/run/payload-manager`, and `payload-manager-<uid>` in the temporary folder
    /// if that folder is this user's own.
    ///
    /// ```
    /// use payload_manager_client::Address;
    ///
    /// for address in Address::defaults() {
    ///     println!("{address}");
    /// }
    /// ```
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        defaults(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from), own_uid())
    }

    pub(crate) fn target(&self) -> Result<Target> {
        match &self.0 {
            Kind::Unix(path) if path.as_os_str().is_empty() => Err(self.bad("it is empty")),
            Kind::Unix(path) if path.is_dir() => Ok(Target::Unix(path.join(SOCKET))),
            Kind::Unix(path) => Ok(Target::Unix(path.clone())),
            Kind::Http(text) => self.loopback(text).map(Target::Http),
        }
    }

    /// Where the daemon listens for sessions: beside its socket for calls; nowhere over TCP.
    pub(crate) fn session_socket(&self) -> Option<PathBuf> {
        match self.target().ok()? {
            Target::Unix(path) => Some(path.with_file_name(SESSION_SOCKET)),
            Target::Http(_) => None,
        }
    }

    /// Payloads are opened, not sent, so that a daemon on another host would be of no use.
    fn loopback(&self, text: &str) -> Result<Uri> {
        let uri: Uri = text.parse().map_err(|e| self.bad(format!("{e}")))?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
            return Ok(uri);
        }
        Err(self.bad("payloads are shared within one host, so it must be localhost, 127.0.0.1 or [::1]"))
    }

    fn bad(&self, why: impl Into<String>) -> Error {
        Error::BadAddress { address: self.to_string(), why: why.into() }
    }
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::from(Path::new(path.strip_prefix("//").unwrap_or(path)));
        }
        if text.contains("://") { Self(Kind::Http(text.to_owned())) } else { Self::from(Path::new(text)) }
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self(Kind::Unix(path.to_owned()))
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self(Kind::Unix(path))
    }
}

impl From<&PathBuf> for Address {
    fn from(path: &PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Unix(path) => path.display().fmt(f),
            Kind::Http(uri) => f.write_str(uri),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Http(uri) => uri.fmt(f),
        }
    }
}

fn defaults(env: impl Fn(&str) -> Option<PathBuf>, uid: Option<u32>) -> Vec<Address> {
    if let Some(named) = env("PAYLOAD_MANAGER_RUNTIME_DIR") {
        return vec![Address(Kind::Unix(named.join(SOCKET)))];
    }
    let session = env("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()).map(|path| path.join(NAME));
    let system = Path::new("/run").join(NAME);
    let temporary = env("TMPDIR").filter(|path| path.is_absolute()).unwrap_or_else(|| PathBuf::from("/tmp"));
    // Anybody could have made that one: it counts only if this user did.
    let temporary = uid.map(|uid| (temporary.join(format!("{NAME}-{uid}")), uid));
    let temporary = temporary.filter(|(path, uid)| owned(path, *uid)).map(|(path, _)| path);
    let folders = session.into_iter().chain([system]).chain(temporary);
    folders.map(|folder| Address(Kind::Unix(folder.join(SOCKET)))).collect()
}

fn owned(path: &Path, uid: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

/// Whose this process is, as the owner of its folder in `/proc`.
fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|facts| facts.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(folder: impl AsRef<Path>) -> Address {
        Address::from(folder.as_ref().join(SOCKET))
    }

    #[test]
    fn a_path_a_folder_and_a_unix_address_mean_the_same_socket() {
        let folder = tempfile::tempdir().unwrap();
        for text in [folder.path().display().to_string(), format!("unix://{}", folder.path().display())] {
            let target = Address::from(text).target().unwrap();
            assert_eq!(target.to_string(), folder.path().join(SOCKET).display().to_string());
        }
        assert!(matches!(Address::from("unix:here.sock").target(), Ok(Target::Unix(p)) if p == Path::new("here.sock")));
    }

    #[test]
    fn only_loopback_can_be_reached_over_tcp() {
        for good in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            assert!(matches!(Address::from(good).target(), Ok(Target::Http(_))), "{good}");
        }
        for bad in ["http://example.org:1", "http://10.0.0.1:1", "http://", ""] {
            assert!(matches!(Address::from(bad).target(), Err(Error::BadAddress { .. })), "{bad}");
        }
    }

    #[test]
    fn a_named_folder_is_the_only_place_looked_at() {
        let found = defaults(|name| (name == "PAYLOAD_MANAGER_RUNTIME_DIR").then(|| "/a".into()), Some(1));
        assert_eq!(found, [socket("/a")]);
    }

    #[test]
    fn a_temporary_folder_of_somebody_else_is_not_looked_at() {
        let temporary = tempfile::tempdir().unwrap();
        let uid = fs::metadata(temporary.path()).unwrap().uid();
        let own = temporary.path().join(format!("{NAME}-{uid}"));
        let foreign = temporary.path().join(format!("{NAME}-{}", uid + 1));
        fs::create_dir(&own).unwrap();
        fs::create_dir(&foreign).unwrap();
        let env = |name: &str| match name {
            "XDG_RUNTIME_DIR" => Some(PathBuf::from("/x")),
            "TMPDIR" => Some(temporary.path().to_owned()),
            _ => None,
        };
        let system = socket("/run/payload-manager");
        assert_eq!(defaults(env, Some(uid)), [socket("/x/payload-manager"), system.clone(), socket(own)]);
        assert_eq!(defaults(env, Some(uid + 1)), [socket("/x/payload-manager"), system]);
    }
}
