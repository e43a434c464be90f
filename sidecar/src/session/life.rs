//! How sessions begin, are taken up after a restart, and end: by goodbye, by hang-up, by their process's death, or because
//! they break the rules.
//!
//! A session whose process is known to be gone leaves nothing: its page goes, and what it held is free. Of one whose
//! process may live, the page is closed, and what it held stays until it is given back, or its deadlines; for the process
//! may still look at it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use payload_manager_api::session::v1::{Attach, Hello, Welcome, response::Outcome};
use payload_manager_shm::{LAYOUT, MOST_SLOTS};
use payload_manager_types::PayloadId;
use tonic::Status;

use super::answer::Answer;
use super::book::Record;
use super::connection::{Connection, Over};
use super::process;
use super::server::Server;
use crate::engine::board::session_id;
use crate::engine::sessions::Shared;
use crate::engine::{Engine, Error};
use crate::grpc::status;
use crate::observe::spans::Span;

/// Slots of a page whose client names no number.
const SLOTS: u32 = 1024;

/// The longest name of a program that is kept, in bytes.
const NAME_BYTES: usize = 255;

/// A session that is over, whose page still pins something.
pub(super) struct Lingering {
    number: u32,
    uid: u32,
    pid: Option<u32>,
    born: Option<u64>,
    /// In the epoll set until this is dropped.
    process: Option<OwnedFd>,
}

impl Server {
    /// Takes over the sessions of the last run: those whose processes are gone end, the others can be taken up.
    pub(super) fn take_over(&mut self) {
        let pages = self.engine.pages();
        for (number, open) in &pages {
            match self.book.get(*number) {
                Some(record) if record.is_gone() => self.engine.drop_page(*number),
                Some(record) if *open => {
                    self.engine.members().lock().insert(*number, record.member());
                }
                // Closed already: it goes with its last deadline.
                Some(_) => {}
                None if *open => {
                    tracing::warn!(page = number, "a session's page whose session nobody knows: closed");
                    self.engine.close_page(*number);
                }
                None => {}
            }
        }
        let engine = self.engine.clone();
        let known = engine.members().lock();
        self.book.retain(|number| known.contains_key(&number));
        if !known.is_empty() {
            tracing::info!(sessions = known.len(), "sessions live on; their leases hold");
        }
    }

    /// Whether sessions of the last run have not been taken up.
    pub(super) fn awaits_anybody(&self) -> bool {
        self.book.iter().count() > self.connections.values().filter(|c| c.session.is_some()).count()
    }

    /// How many sessions a user has, those that are over and still pin something included.
    fn sessions_of(&self, uid: u32) -> usize {
        let lingering = self.lingering.values().filter(|session| session.uid == uid).count();
        self.book.iter().filter(|(_, record)| record.uid == uid).count() + lingering
    }

    /// Begins a session.
    pub(super) fn hello(&mut self, at: u64, number: u64, hello: Hello) -> Result<(), Over> {
        let Some(connection) = self.connections.get(&at) else { return Ok(()) };
        if let Err(status) = self.may_begin(connection, &hello) {
            return self.refuse(at, number, &status);
        }
        let slots = if hello.slots == 0 { SLOTS } else { hello.slots.min(MOST_SLOTS) };
        let begun = secret().and_then(|secret| Ok((secret, self.engine.open_page(slots)?)));
        let (secret, shared) = match begun {
            Ok(begun) => begun,
            Err(error) => return self.refuse(at, number, &status::failed(error)),
        };
        let mut program = hello.program;
        program.truncate((0..=NAME_BYTES.min(program.len())).rev().find(|n| program.is_char_boundary(*n)).unwrap_or(0));
        let since_ms = self.engine.wall().0;
        let (uid, gid, pid, born) = (connection.uid, connection.gid, connection.pid, connection.born);
        self.seat(at, shared.number, Record { secret, uid, gid, pid, born, since_ms, program });
        self.welcome(at, number, shared, secret)
    }

    fn may_begin(&self, connection: &Connection, hello: &Hello) -> Result<(), Status> {
        if !connection.welcome {
            return Err(status::peer_not_allowed(connection.uid, connection.gid));
        }
        if !hello.layouts.contains(&LAYOUT) {
            return Err(status::layout_not_shared(&hello.layouts, LAYOUT));
        }
        if self.sessions_of(connection.uid) >= self.per_uid {
            return Err(status::session_limit(connection.uid, self.per_uid));
        }
        Ok(())
    }

    /// Takes a session of the last run up.
    pub(super) fn attach(&mut self, at: u64, number: u64, attach: &Attach) -> Result<(), Over> {
        let Some(connection) = self.connections.get(&at) else { return Ok(()) };
        let (uid, gid, pid, born) = (connection.uid, connection.gid, connection.pid, connection.born);
        if !connection.welcome {
            return self.refuse(at, number, &status::peer_not_allowed(uid, gid));
        }
        if !attach.layouts.contains(&LAYOUT) {
            return self.refuse(at, number, &status::layout_not_shared(&attach.layouts, LAYOUT));
        }
        let page = attach.session_id.checked_sub(1).and_then(|n| u32::try_from(n).ok());
        let in_use = |page: &u32| self.connections.values().any(|c| c.session == Some(*page));
        let waiting = page.filter(|page| !in_use(page)).and_then(|page| Some((page, self.book.get(page)?.clone())));
        let Some((page, record)) = waiting else {
            return self.refuse(at, number, &status::session_not_found(attach.session_id));
        };
        if record.uid != uid || !record.is_secret(&attach.secret) {
            return self.refuse(at, number, &status::session_secret(attach.session_id));
        }
        let shared = match self.engine.share(page) {
            Ok(shared) => shared,
            Err(error) => return self.refuse(at, number, &status::failed(error)),
        };
        let secret = record.secret;
        self.seat(at, page, Record { gid, pid, born, ..record });
        self.welcome(at, number, shared, secret)
    }

    /// A connection has a session from here on. It is written down before its client is told.
    fn seat(&mut self, at: u64, page: u32, record: Record) {
        if let Some(connection) = self.connections.get_mut(&at) {
            connection.session = Some(page);
        }
        tracing::debug!(
            session = session_id(page),
            uid = record.uid,
            pid = record.pid,
            program = record.program,
            "a session"
        );
        self.engine.members().lock().insert(page, record.member());
        self.engine.begin_segments(page);
        self.book.insert(page, record);
    }

    fn welcome(&mut self, at: u64, number: u64, shared: Shared, secret: [u8; 16]) -> Result<(), Over> {
        Span::current().of_session(session_id(shared.number));
        let (lease_default_ms, lease_max_ms) = self.engine.lease_times();
        let welcome = Welcome {
            session_id: session_id(shared.number),
            secret: secret.to_vec(),
            layout: LAYOUT,
            clock_ms: self.engine.monotonic_ms(),
            lease_default_ms,
            lease_max_ms,
        };
        let files: Vec<File> = vec![shared.directory, shared.page];
        self.answer(at, Answer { files, ..Answer::new(number, Outcome::Welcome(welcome)) })
    }

    pub(super) fn refuse(&mut self, at: u64, number: u64, status: &Status) -> Result<(), Over> {
        self.answer(at, Answer::failed(number, status))
    }

    pub(super) fn answer(&mut self, at: u64, answer: Answer) -> Result<(), Over> {
        self.asked.take().iter().for_each(|asked| asked.answered(self.engine.meters(), &answer));
        self.connections.get_mut(&at).map_or(Ok(()), |connection| connection.answer(answer))
    }

    /// Ends a connection, and its session with it.
    pub(super) fn end(&mut self, at: u64, over: Over) {
        let Some(mut connection) = self.connections.remove(&at) else { return };
        if let Over::Broke(what) = over {
            tracing::warn!(
                uid = connection.uid,
                pid = connection.pid,
                what,
                "a session's connection broke the rules: closed"
            );
        }
        let _ = self.epoll.delete(&connection);
        self.give_up(connection.made.drain().collect());
        let left = connection.session.is_some_and(|page| self.end_session(page, &connection, over));
        match (connection.session, connection.process.take()) {
            (Some(number), process) if left => {
                let Connection { uid, pid, born, .. } = connection;
                self.lingering.insert(at, Lingering { number, uid, pid, born, process });
            }
            (_, Some(process)) => {
                let _ = self.epoll.delete(process);
            }
            (_, None) => {}
        }
    }

    /// Whether something is left of it.
    fn end_session(&mut self, page: u32, connection: &Connection, over: Over) -> bool {
        let gone = over == Over::Died || process::is_gone(connection.pid, connection.born);
        let left = if gone { false } else { self.engine.close_page(page) };
        if gone {
            self.engine.drop_page(page);
        }
        self.engine.end_segments(page);
        self.engine.members().lock().remove(&page);
        self.book.remove(page);
        left
    }

    /// The process of a connection, or of a session that is over, has ended.
    pub(super) fn process_ended(&mut self, at: u64) {
        if let Some(session) = self.lingering.remove(&at) {
            self.engine.drop_page(session.number);
            if let Some(process) = session.process {
                let _ = self.epoll.delete(process.as_fd());
            }
        }
        self.end(at, Over::Died);
    }

    /// Looks for what nobody tells: pages that are over, processes of which there is no descriptor.
    pub(super) fn look_for_ended(&mut self) {
        if !self.lingering.is_empty() {
            self.look_at_lingering();
        }
        if self.awaits_anybody() {
            self.look_at_waiting();
        }
    }

    fn look_at_lingering(&mut self) {
        let pages = self.engine.pages();
        let over = |session: &Lingering| {
            let pins = pages.iter().any(|(number, _)| *number == session.number);
            !pins || (session.process.is_none() && process::is_gone(session.pid, session.born))
        };
        let ended: Vec<u64> = self.lingering.iter().filter(|(_, s)| over(s)).map(|(at, _)| *at).collect();
        ended.into_iter().for_each(|at| self.process_ended(at));
    }

    fn look_at_waiting(&mut self) {
        let seated: Vec<u32> = self.connections.values().filter_map(|c| c.session).collect();
        let waiting = self.book.iter().filter(|(page, _)| !seated.contains(page));
        let gone: Vec<u32> = waiting.filter(|(_, record)| record.is_gone()).map(|(page, _)| page).collect();
        for page in gone {
            self.engine.drop_page(page);
            self.engine.members().lock().remove(&page);
            self.book.remove(page);
        }
    }

    /// Ends a session of the last run that nobody has taken up.
    pub(super) fn forget(&mut self, page: u32) {
        if self.book.get(page).is_some() {
            self.engine.close_page(page);
            self.engine.members().lock().remove(&page);
            self.book.remove(page);
        }
    }

    /// Gives up allocations of a session that is over.
    pub(super) fn give_up(&self, made: Vec<PayloadId>) {
        if made.is_empty() {
            return;
        }
        let engine = self.engine.clone();
        self.engine.tasks().spawn("session-over", async move {
            for id in made {
                abandon(&engine, id).await;
            }
        });
    }
}

async fn abandon(engine: &Engine, id: PayloadId) {
    match engine.abort(id).await {
        // Committed by a call, or reclaimed already.
        Ok(()) | Err(Error::Refused(_)) => {}
        Err(error) => {
            tracing::warn!(payload = %id, %error, "an allocation of a session that is over stays until its time is up")
        }
    }
}

fn secret() -> Result<[u8; 16], Error> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(|error| Error::Bug(format!("no random bytes: {error}")))?;
    Ok(secret)
}
