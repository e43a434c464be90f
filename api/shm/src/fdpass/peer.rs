//! Who is at the other end of a connection, in the kernel's words.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::{PeerCredentials, PeerPidfd};

/// The process that connected.
#[derive(Debug)]
pub struct Peer {
    /// Its user, as our user namespace numbers it.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process id; `None` where it is in a PID namespace that we can't see into.
    pub pid: Option<u32>,
    /// The process itself, whatever its number means: readable when it has ended. `None` before Linux 6.5, and where the
    /// process has ended already.
    pub process: Option<OwnedFd>,
}

impl Peer {
    pub(super) fn of(socket: &OwnedFd) -> io::Result<Self> {
        let known = getsockopt(socket, PeerCredentials)?;
        let process = match getsockopt(socket, PeerPidfd) {
            Ok(process) => Some(process),
            Err(Errno::ENOPROTOOPT | Errno::ESRCH | Errno::EINVAL | Errno::ENODATA) => None,
            Err(e) => return Err(e.into()),
        };
        let pid = u32::try_from(known.pid()).ok().filter(|pid| *pid != 0);
        Ok(Self { uid: known.uid(), gid: known.gid(), pid, process })
    }
}
