//! Who is at the other end of a connection, in the kernel's words.

#![allow(unsafe_code, reason = "asks the kernel for a peer's groups, which nothing else has a call for")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

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
    /// Its further groups; `None` where the kernel does not tell.
    pub groups: Option<Vec<u32>>,
    /// Its process id; `None` where it is in a PID namespace that we can't see into.
    pub pid: Option<u32>,
    /// The process itself, whatever its number means: readable when it has ended. `None` before Linux 6.5, and where the
    /// process has ended already.
    pub process: Option<OwnedFd>,
}

/// The further groups of the process that connected a Unix socket, as they were then (`SO_PEERGROUPS`, Linux 4.13).
///
/// # Errors
/// As the kernel says: where it does not tell, that is ENOPROTOOPT.
pub fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    /// The most groups that a process can have.
    const MOST: usize = 65_536;
    let mut groups = vec![0_u32; 32];
    loop {
        let bytes = size_of_val(groups.as_slice());
        let mut length = nix::libc::socklen_t::try_from(bytes).map_err(io::Error::other)?;
        // SAFETY: the buffer is as long as it is said to be, and of numbers that any bytes are.
        let done = unsafe {
            let socket = socket.as_fd().as_raw_fd();
            let room = groups.as_mut_ptr().cast::<nix::libc::c_void>();
            nix::libc::getsockopt(socket, nix::libc::SOL_SOCKET, nix::libc::SO_PEERGROUPS, room, &raw mut length)
        };
        let count = length as usize / size_of::<u32>();
        if done == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // It says how much room it needs.
        if error.raw_os_error() != Some(nix::libc::ERANGE) || count <= groups.len() || count > MOST {
            return Err(error);
        }
        groups.resize(count, 0);
    }
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
        Ok(Self { uid: known.uid(), gid: known.gid(), groups: peer_groups(socket).ok(), pid, process })
    }
}
