//! Sockets that the daemon finds open when it starts: systemd holds them over a restart, so that clients who come meanwhile wait
//! instead of being refused, and starts the daemon for the first of them.
//!
//! Which is which their paths say: they are those that the daemon would bind itself.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::sockopt::{AcceptConn, SockType};
use nix::sys::socket::{SockType as Kind, UnixAddr, getsockname, getsockopt};
use payload_manager_shm::fdpass::{self, Listener};

use crate::grpc::serve::{CONTROL_SOCKET, ListenError};
use crate::session;

/// What was found. Each is taken by who serves it.
#[derive(Debug, Default)]
pub struct Inherited {
    found: Vec<(PathBuf, OwnedFd)>,
}

impl Inherited {
    /// What whoever started this process has opened for it. To be asked once, before the process opens anything.
    #[must_use]
    pub fn take() -> Self {
        let named = |socket: OwnedFd| {
            let address = getsockname::<UnixAddr>(socket.as_raw_fd()).ok()?;
            Some((address.path()?.to_owned(), socket))
        };
        Self { found: fdpass::inherited().into_iter().filter_map(named).collect() }
    }

    /// Says what of it is of no use, and closes it.
    pub(crate) fn close_the_rest(self) {
        for (path, _) in self.found {
            let path = path.display();
            tracing::warn!(%path, "a socket was passed to the daemon that is none of its own: see runtime-dir");
        }
    }

    fn at(&mut self, path: &Path) -> Option<OwnedFd> {
        let at = self.found.iter().position(|(found, _)| found == path)?;
        Some(self.found.swap_remove(at).1)
    }

    /// The socket for gRPC.
    ///
    /// # Errors
    /// [`ListenError::Bind`]: it is of another kind.
    pub(crate) fn grpc(&mut self, runtime_dir: &Path) -> Result<Option<UnixListener>, ListenError> {
        let path = runtime_dir.join(CONTROL_SOCKET);
        let Some(socket) = self.at(&path) else { return Ok(None) };
        let failed = |error| ListenError::Bind { address: path.display().to_string(), error };
        let listens = || Ok(getsockopt(&socket, AcceptConn)? && getsockopt(&socket, SockType)? == Kind::Stream);
        if !listens().map_err(|e: nix::Error| failed(e.into()))? {
            let wrong = "what was passed does not listen for streams (ListenStream=)";
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, wrong)));
        }
        let listener = UnixListener::from(socket);
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Some(listener))
    }

    /// The socket for sessions.
    ///
    /// # Errors
    /// [`ListenError::Bind`]: it is of another kind.
    pub(crate) fn sessions(&mut self, runtime_dir: &Path) -> Result<Option<Listener>, ListenError> {
        let path = runtime_dir.join(session::SOCKET);
        let Some(socket) = self.at(&path) else { return Ok(None) };
        let failed = |error| ListenError::Bind { address: path.display().to_string(), error };
        fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| failed(e.into()))?;
        Listener::of(socket).map(Some).map_err(failed)
    }
}
