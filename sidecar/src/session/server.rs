//! The thread of the session socket: epoll over the listener, every connection and its process, and the mailbox.
//!
//! It never waits but for events. A timer runs only while pages of closed sessions still pin something, or sessions of
//! the last run have not been taken up: their processes may end without anybody telling.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use payload_manager_api::session::v1::Request;
use payload_manager_shm::fdpass::{Listener, MOST_BYTES, Peer, SeqPacket};
use prost::Message as _;

use super::book::Book;
use super::connection::{Connection, Over};
use super::life::Lingering;
use super::mailbox::Mailbox;
use super::watched::{Asked, Methods};
use crate::engine::Engine;
use crate::grpc::peers::{Credentials, Doorkeeper};

/// What events are about: these two, and from [`FIRST`] on twice a connection's number, and one more for its process.
const LISTENER: u64 = 0;
const MAILBOX: u64 = 1;
const FIRST: u64 = 1;

/// Connections that are taken at a time, so that nobody is kept waiting by them.
const AT_A_TIME: usize = 32;

/// Connections of a user beyond its sessions: of those that are about to say hello, or to be told that they can't.
const SPARE_CONNECTIONS: usize = 16;

/// Between two looks for what nobody tells, and before a listener without descriptors tries again.
const LOOK_EVERY_MS: u16 = 200;

pub(super) struct Server {
    pub(super) engine: Engine,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) epoll: Epoll,
    listener: Listener,
    /// Since when it waits for descriptors, if it does.
    short: Option<Instant>,
    /// Taken from the listener, and there was no descriptor left to ask who it is.
    unknown: Option<SeqPacket>,
    door: Doorkeeper,
    pub(super) per_uid: usize,
    pub(super) connections: HashMap<u64, Connection>,
    next: u64,
    pub(super) methods: Methods,
    /// The request that is being seen to, until it is answered or goes to the runtime.
    pub(super) asked: Option<Asked>,
    pub(super) book: Book,
    /// Sessions that are over, whose pages still pin something.
    pub(super) lingering: BTreeMap<u64, Lingering>,
}

impl Server {
    pub(super) fn new(
        listener: Listener,
        engine: Engine,
        door: Doorkeeper,
        per_uid: usize,
        mailbox: &Arc<Mailbox>,
        book: &Path,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(&**mailbox, EpollEvent::new(EpollFlags::EPOLLIN, MAILBOX))?;
        let mut server = Self {
            engine,
            mailbox: Arc::clone(mailbox),
            epoll,
            listener,
            short: None,
            unknown: None,
            door,
            per_uid,
            connections: HashMap::new(),
            next: FIRST,
            methods: Methods::new(),
            asked: None,
            book: Book::open(book),
            lingering: BTreeMap::new(),
        };
        server.take_over();
        Ok(server)
    }

    /// Serves until the mailbox says stop. The pages of the sessions stay, for the next start.
    pub(super) fn run(mut self) {
        let mut events = [EpollEvent::empty(); 64];
        let mut room = vec![0; MOST_BYTES];
        while !self.mailbox.is_stopping() {
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => {
                    tracing::error!(%error, "the session socket can't be served; stopping");
                    self.engine.tasks().stop();
                    return;
                }
            };
            for event in events.iter().take(count) {
                self.see(*event, &mut room);
            }
            self.look_around();
        }
    }

    fn timeout(&self) -> EpollTimeout {
        let idle = self.short.is_none() && self.lingering.is_empty() && !self.awaits_anybody();
        if idle { EpollTimeout::NONE } else { EpollTimeout::from(LOOK_EVERY_MS) }
    }

    fn see(&mut self, event: EpollEvent, room: &mut [u8]) {
        let (about, what) = (event.data(), event.events());
        match about {
            LISTENER => self.accept(),
            MAILBOX => {
                self.deliver();
                self.end_some();
            }
            process if process % 2 == 1 => self.process_ended(process / 2),
            connection => {
                let number = connection / 2;
                let seen = self.serve(number, what, room);
                self.settle(number, seen);
            }
        }
    }

    /// What a connection wants from here on, or its end.
    fn settle(&mut self, number: u64, seen: Result<(), Over>) {
        if let Err(over) = seen {
            self.end(number, over);
            return;
        }
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let wanted = connection.wanted();
        if wanted == connection.interest {
            return;
        }
        connection.interest = wanted;
        let connection = &*connection;
        if self.epoll.modify(connection, &mut EpollEvent::new(wanted, number * 2)).is_err() {
            self.end(number, Over::HungUp);
        }
    }

    fn serve(&mut self, number: u64, what: EpollFlags, room: &mut [u8]) -> Result<(), Over> {
        if what.contains(EpollFlags::EPOLLOUT)
            && let Some(connection) = self.connections.get_mut(&number)
        {
            connection.flush()?;
        }
        // One at a time: to look whether there is another costs as much as to be told of it, and others come in between.
        let Some(connection) = self.connections.get_mut(&number) else { return Ok(()) };
        if let Some(bytes) = connection.receive(room)? {
            let request = Request::decode(bytes).map_err(|_| Over::Broke("what is no request"))?;
            return self.request(number, request);
        }
        // With nothing more to be read, an end that both sides have closed is over.
        let over = what.intersects(EpollFlags::EPOLLERR)
            || (what.contains(EpollFlags::EPOLLHUP) && !what.contains(EpollFlags::EPOLLIN));
        if over { Err(Over::HungUp) } else { Ok(()) }
    }

    fn accept(&mut self) {
        for _ in 0..AT_A_TIME {
            let next = self.unknown.take().map_or_else(|| self.listener.accept(), Ok);
            let socket = match next {
                Ok(socket) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Out of descriptors, mostly: the connections wait, and so do we.
                Err(error) => return self.wait_for_descriptors(&error),
            };
            match socket.peer() {
                Ok(peer) => self.come_in(socket, peer),
                // The peer's process is a descriptor too. It is asked again: it has done nothing to be hung up on for.
                Err(error) if is_shortage(&error) => {
                    self.unknown = Some(socket);
                    return self.wait_for_descriptors(&error);
                }
                Err(error) => tracing::warn!(%error, "a session's peer can't be told: hung up on"),
            }
        }
        if self.short.take().is_some() {
            self.listen_for(EpollFlags::EPOLLIN);
        }
    }

    fn wait_for_descriptors(&mut self, error: &io::Error) {
        if self.short.replace(Instant::now()).is_none() {
            tracing::warn!(%error, "a session's connection can't be taken yet");
            self.listen_for(EpollFlags::empty());
        }
    }

    fn listen_for(&mut self, what: EpollFlags) {
        if let Err(error) = self.epoll.modify(&self.listener, &mut EpollEvent::new(what, LISTENER)) {
            tracing::error!(%error, "the session socket's listener is lost");
        }
    }

    fn come_in(&mut self, socket: SeqPacket, peer: Peer) {
        let here = self.connections.values().filter(|c| c.uid == peer.uid).count();
        if here >= self.per_uid + SPARE_CONNECTIONS {
            tracing::debug!(uid = peer.uid, here, "too many connections of one user: hung up on");
            return;
        }
        let groups = peer.groups.as_deref().map(Arc::from);
        let welcome = self.door.admit(&Credentials { uid: peer.uid, gid: peer.gid, groups });
        let (number, connection) = (self.next, Connection::new(socket, peer, welcome));
        self.next += 1;
        let watched = self.epoll.add(&connection, EpollEvent::new(EpollFlags::EPOLLIN, number * 2));
        let process = connection.process.as_ref();
        let followed = process
            .map_or(Ok(()), |process| self.epoll.add(process, EpollEvent::new(EpollFlags::EPOLLIN, number * 2 + 1)));
        match watched.and(followed) {
            Ok(()) => drop(self.connections.insert(number, connection)),
            Err(error) => tracing::warn!(%error, "a session's connection can't be watched"),
        }
    }

    /// Hands on what the runtime has done.
    fn deliver(&mut self) {
        for (number, mut answer) in self.mailbox.empty() {
            let Some(connection) = self.connections.get_mut(&number) else {
                // Its session is over: nobody knows of what was made for it.
                self.give_up(answer.made.drain(..).collect());
                continue;
            };
            connection.end();
            let seen = connection.answer(answer);
            self.settle(number, seen);
        }
    }

    /// Ends the sessions whose end was asked for, and that are still there.
    fn end_some(&mut self) {
        for page in self.mailbox.ends() {
            let seated = self.connections.iter().find(|(_, connection)| connection.session == Some(page));
            match seated.map(|(at, _)| *at) {
                Some(at) => self.end(at, Over::Broke("it keeps too much from being freed")),
                None => self.forget(page),
            }
        }
    }

    fn look_around(&mut self) {
        if self.short.is_some_and(|since| since.elapsed().as_millis() >= u128::from(LOOK_EVERY_MS)) {
            self.accept();
        }
        self.look_for_ended();
    }
}

/// Whether an error is of what the host or this process has too little of for now.
fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS))
}
