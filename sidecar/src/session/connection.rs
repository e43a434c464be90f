//! One peer on the session socket: what came, what is under way, what it has not read yet. All of it bounded.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::epoll::EpollFlags;
use payload_manager_shm::fdpass::{FrameError, Peer, SeqPacket, Wait};
use payload_manager_types::PayloadId;

use super::answer::Answer;

/// Requests of one session that are being carried out on the runtime. At the bound its next ones wait in the socket.
pub(super) const UNDER_WAY: usize = 64;

/// Answers that a client has not read, beyond what the socket holds. One who leaves more lying is hung up on.
const UNSENT: usize = 64;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The client hung up, or said goodbye.
    HungUp,
    /// Its process is gone.
    Died,
    /// It broke the rules.
    Broke(&'static str),
}

/// One peer.
pub(super) struct Connection {
    socket: SeqPacket,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) pid: Option<u32>,
    /// When its process began.
    pub(super) born: Option<u64>,
    /// The process itself, where the kernel tells.
    pub(super) process: Option<OwnedFd>,
    /// Whether its user may come in.
    pub(super) welcome: bool,
    /// The number of its session's page, once it has one.
    pub(super) session: Option<u32>,
    /// Allocated in this session, and not committed.
    pub(super) made: HashSet<PayloadId>,
    under_way: usize,
    unsent: VecDeque<(Vec<u8>, Vec<File>)>,
    /// What epoll is told to look for.
    pub(super) interest: EpollFlags,
}

impl Connection {
    pub(super) fn new(socket: SeqPacket, peer: Peer, welcome: bool) -> Self {
        Self {
            socket,
            uid: peer.uid,
            gid: peer.gid,
            pid: peer.pid,
            born: peer.pid.and_then(super::process::born),
            process: peer.process,
            welcome,
            session: None,
            made: HashSet::new(),
            under_way: 0,
            unsent: VecDeque::new(),
            interest: EpollFlags::EPOLLIN,
        }
    }

    /// The next frame's bytes in `room`; `None`: nothing to be done now.
    pub(super) fn receive<'a>(&mut self, room: &'a mut [u8]) -> Result<Option<&'a [u8]>, Over> {
        if self.under_way >= UNDER_WAY {
            return Ok(None);
        }
        match self.socket.receive(room, Wait::No) {
            // Clients have nothing to hand over; what they do hand over is closed here.
            Ok(frame) if !frame.descriptors.is_empty() => Err(Over::Broke("descriptors that nobody asked for")),
            Ok(frame) => Ok(room.get(..frame.length)),
            Err(error) if error.would_block() => Ok(None),
            Err(FrameError::Length) => Err(Over::Broke("a frame that is too long")),
            Err(FrameError::Descriptors) => Err(Over::Broke("too many descriptors")),
            Err(FrameError::HungUp | FrameError::Os(_)) => Err(Over::HungUp),
        }
    }

    /// A request goes to the runtime.
    pub(super) fn begin(&mut self) {
        self.under_way += 1;
    }

    /// It has come back.
    pub(super) fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Sends an answer, now or when there is room for it.
    pub(super) fn answer(&mut self, mut answer: Answer) -> Result<(), Over> {
        self.made.extend(answer.made.drain(..));
        for id in answer.settled.drain(..) {
            self.made.remove(&id);
        }
        let bytes = answer.encode();
        self.unsent.push_back((bytes, answer.files));
        self.flush()
    }

    /// Sends what it can.
    pub(super) fn flush(&mut self) -> Result<(), Over> {
        while let Some((bytes, files)) = self.unsent.front() {
            let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
            match self.socket.send(bytes, &files, Wait::No) {
                Ok(()) => drop(self.unsent.pop_front()),
                Err(error) if error.would_block() => break,
                Err(FrameError::HungUp | FrameError::Os(_)) => return Err(Over::HungUp),
                Err(FrameError::Descriptors) => return Err(Over::Broke("it leaves descriptors lying")),
                Err(FrameError::Length) => return Err(Over::Broke("it asked for more than an answer holds")),
            }
        }
        if self.unsent.len() > UNSENT { Err(Over::Broke("it does not read its answers")) } else { Ok(()) }
    }

    /// What to wait for: requests, unless it has enough under way or answers to read first; room, if answers wait.
    pub(super) fn wanted(&self) -> EpollFlags {
        let mut wanted = EpollFlags::empty();
        if self.under_way < UNDER_WAY {
            wanted |= EpollFlags::EPOLLIN;
        }
        if !self.unsent.is_empty() {
            wanted |= EpollFlags::EPOLLOUT;
        }
        wanted
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
