//! Frames and descriptors over a `SOCK_SEQPACKET` socket: what a session's verbs travel on.
//!
//! One send is one frame, received whole or refused; descriptors ride with the frame that speaks of them. Every
//! descriptor that the kernel hands over is owned at once and closed on every way out (promise no-leak): with a frame that
//! is too long, with more descriptors than are allowed, with a table of ours that is full. Those that nobody received are
//! closed by the kernel, with the socket.
//!
//! Not here: what frames say, who may come in.

#![allow(unsafe_code, reason = "control messages are read where the kernel wrote them")]

mod control;
mod inherited;
mod peer;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::sockopt::{AcceptConn, ReceiveTimeout, SendTimeout, SockType as TypeOf};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind, connect, getsockopt,
    listen, sendmsg, setsockopt, socket, socketpair,
};
use nix::sys::time::TimeVal;
use thiserror::Error;

pub use self::inherited::inherited;
pub use self::peer::{Peer, peer_groups};

/// The longest frame.
pub const MOST_BYTES: usize = 64 * 1024;

/// The most descriptors with one frame.
pub const MOST_DESCRIPTORS: usize = 64;

/// Whether a call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until there is a frame, or room for one; see [`SeqPacket::set_timeout`].
    Yes,
    /// Not at all: `WouldBlock` instead.
    No,
}

impl Wait {
    fn flags(self) -> MsgFlags {
        match self {
            Self::Yes => MsgFlags::empty(),
            Self::No => MsgFlags::MSG_DONTWAIT,
        }
    }
}

/// Why a frame was not sent or not received. Descriptors that came with it are closed.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The other end is gone. A frame of no bytes counts as that too: it can't be told apart.
    #[error("the other end hung up")]
    HungUp,
    /// Longer than [`MOST_BYTES`], or than the room it was to be received into; or of no bytes.
    #[error("a frame of no bytes, or of more than {MOST_BYTES}")]
    Length,
    /// More descriptors than [`MOST_DESCRIPTORS`], or than this process can take.
    #[error("more descriptors came or were to go with a frame than there is room for")]
    Descriptors,
    /// The kernel said no; `WouldBlock` when nothing can be done without waiting, or the time was over.
    #[error(transparent)]
    Os(#[from] io::Error),
}

impl FrameError {
    /// Whether there was nothing to be done without waiting, or within the time.
    #[must_use]
    pub fn would_block(&self) -> bool {
        matches!(self, Self::Os(e) if e.kind() == io::ErrorKind::WouldBlock)
    }
}

/// A frame that came.
#[derive(Debug)]
pub struct Frame {
    /// How many bytes of the room it took.
    pub length: usize,
    /// What came with it, in the order in which it was sent. Close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// One end of a connection. It can be used from several threads; a frame goes to one of them.
#[derive(Debug)]
pub struct SeqPacket {
    socket: OwnedFd,
}

impl SeqPacket {
    /// Connects to a [`Listener`].
    ///
    /// # Errors
    /// As the kernel says.
    pub fn connect(path: &Path) -> io::Result<Self> {
        Self::connected(Self { socket: unix_socket()? }, path)
    }

    /// The same, waiting no longer than this for a listener that is behind; and so for every call that waits, see
    /// [`Self::set_timeout`].
    ///
    /// # Errors
    /// As the kernel says; `WouldBlock` when the time was over.
    pub fn connect_within(path: &Path, most: Duration) -> io::Result<Self> {
        let end = Self { socket: unix_socket()? };
        end.set_timeout(Some(most))?;
        Self::connected(end, path)
    }

    fn connected(end: Self, path: &Path) -> io::Result<Self> {
        loop {
            match connect(end.socket.as_raw_fd(), &UnixAddr::new(path)?) {
                Err(Errno::EINTR) => {}
                done => return Ok(done.map(|()| end)?),
            }
        }
    }

    /// Two ends of a connection within a process.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self { socket: a }, Self { socket: b }))
    }

    /// Lets calls that wait do so no longer than this; `None`: for ever.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn set_timeout(&self, most: Option<Duration>) -> io::Result<()> {
        // 0 would mean for ever.
        let micros = most.map_or(0, |most| i64::try_from(most.as_micros().max(1)).unwrap_or(i64::MAX));
        let limit = TimeVal::new(micros / 1_000_000, micros % 1_000_000);
        setsockopt(&self.socket, ReceiveTimeout, &limit)?;
        Ok(setsockopt(&self.socket, SendTimeout, &limit)?)
    }

    /// Sends a frame with descriptors, all or nothing. The descriptors stay open here.
    ///
    /// # Errors
    /// Nothing was sent. What could never be sent is refused before it is tried.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>], wait: Wait) -> Result<(), FrameError> {
        if bytes.is_empty() || bytes.len() > MOST_BYTES {
            return Err(FrameError::Length);
        }
        if descriptors.len() > MOST_DESCRIPTORS {
            return Err(FrameError::Descriptors);
        }
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
        let flags = MsgFlags::MSG_NOSIGNAL | wait.flags();
        loop {
            let sent = sendmsg::<UnixAddr>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None);
            match sent {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => return Err(FrameError::HungUp),
                Err(Errno::ETOOMANYREFS) => return Err(FrameError::Descriptors),
                Err(e) => return Err(io::Error::from(e).into()),
            }
        }
    }

    /// Receives the next frame into `room`.
    ///
    /// # Errors
    /// A frame that is refused is gone, the connection can go on; whose peer sends such frames, hang up.
    pub fn receive(&self, room: &mut [u8], wait: Wait) -> Result<Frame, FrameError> {
        let received = control::receive(self.socket.as_fd(), room, wait.flags().bits());
        let received = received.map_err(|errno| match errno {
            Errno::ECONNRESET | Errno::ENOTCONN => FrameError::HungUp,
            other => FrameError::Os(other.into()),
        })?;
        // From here on every descriptor is owned, and closed if we return an error.
        if received.lost_descriptors || received.descriptors.len() > MOST_DESCRIPTORS {
            return Err(FrameError::Descriptors);
        }
        match received.length {
            0 => Err(FrameError::HungUp),
            _ if received.lost_bytes => Err(FrameError::Length),
            length => Ok(Frame { length, descriptors: received.descriptors }),
        }
    }

    /// Who is at the other end, as the kernel knows since the connection was made.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn peer(&self) -> io::Result<Peer> {
        Peer::of(&self.socket)
    }
}

impl AsFd for SeqPacket {
    /// For polling.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<SeqPacket> for OwnedFd {
    fn from(end: SeqPacket) -> Self {
        end.socket
    }
}

/// Where connections come in. The path stays when it is dropped: it belongs to who made the folder.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
}

impl Listener {
    /// Listens on a path at which there is nothing, with these permission bits.
    ///
    /// # Errors
    /// As the kernel says; `AddrInUse` where something is.
    pub fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        let socket = unix_socket()?;
        bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        // Before `listen`: nobody connects under wider bits.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        listen(&socket, Backlog::MAXCONN)?;
        Ok(Self { socket })
    }

    /// A socket that somebody else has made: one that listens for connections of packets.
    ///
    /// # Errors
    /// It is none, or as the kernel says.
    pub fn of(socket: OwnedFd) -> io::Result<Self> {
        let listens = getsockopt(&socket, AcceptConn)? && getsockopt(&socket, TypeOf)? == SockType::SeqPacket;
        if !listens {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen for packets (SOCK_SEQPACKET)"));
        }
        Ok(Self { socket })
    }

    /// The next connection. It waits, unless the listener's descriptor was made non-blocking.
    ///
    /// # Errors
    /// As the kernel says: EMFILE above all, after which the connection still waits.
    pub fn accept(&self) -> io::Result<SeqPacket> {
        loop {
            match accept4(self.socket.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
                Ok(raw) => return Ok(SeqPacket { socket: control::own(raw) }),
                Err(Errno::EINTR | Errno::ECONNABORTED) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for Listener {
    /// For polling.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn unix_socket() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?)
}
