//! The thread of a session: it starts it, reads answers, comes back after a hang-up, and prolongs leases meanwhile.
//!
//! It ends when the daemon has no session to give at the first asking, or when nobody needs it any more.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use payload_manager_shm::fdpass::{FrameError, SeqPacket};
use payload_manager_shm::{DirectoryReader, Renewals};
use tracing::{debug, warn};

use super::bell::Bell;
use super::hello::{self, NoSession, Pages, Welcomed};
use super::home::{Shared, Table, Tie};
use super::life::Core;
use super::wire::Wire;

/// Between two attempts to come back: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MOST_PAUSE: Duration = Duration::from_secs(1);

/// Starts the session that `shared` says is starting.
pub(super) fn start(shared: &Arc<Shared>) {
    let started = Bell::new().and_then(|(bell, alarm)| {
        let tie = shared.tie(bell);
        let (bell, tie, shared) = (Arc::clone(&tie.bell), Arc::downgrade(&tie), Arc::clone(shared));
        let thread = Thread { shared, tie, bell, alarm, session: None };
        let name = "payload-session".to_owned();
        std::thread::Builder::new().name(name).spawn(move || thread.run())
    });
    if let Err(error) = started {
        shared.down(&NoSession::Machine(error), true);
    }
}

/// No one needs the session any more.
struct Stopped;

struct Thread {
    shared: Arc<Shared>,
    tie: Weak<Tie>,
    bell: Arc<Bell>,
    alarm: SeqPacket,
    session: Option<Session>,
}

/// What it takes to take the session up again.
struct Session {
    core: Weak<Core>,
    leases: Renewals<Arc<Core>>,
    id: u64,
    secret: Vec<u8>,
    pages: Pages,
}

/// What woke the thread.
struct Woken {
    called: bool,
    readable: bool,
    hung_up: bool,
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Whatever it ended of: nobody waits for it.
        self.shared.connect(None);
        self.shared.ended();
    }
}

impl Thread {
    fn run(mut self) {
        let mut wire = match self.hello() {
            Ok(wire) => wire,
            Err(why) => return self.shared.down(&why, true),
        };
        loop {
            match self.serve(&wire) {
                Ok(Stopped) => break wire.bye(),
                Err(error) => debug!(%error, "the session's connection is gone; coming back"),
            }
            self.shared.connect(None);
            match self.come_back() {
                Ok(next) => wire = next,
                Err(Stopped) => break,
            }
        }
    }

    /// Reads answers and prolongs leases until the daemon hangs up.
    fn serve(&mut self, wire: &Wire) -> Result<Stopped, FrameError> {
        loop {
            let woken = self.wait(Some(wire), None)?;
            if self.bell.is_stopped() {
                return Ok(Stopped);
            }
            if woken.readable {
                wire.receive(woken.hung_up)?;
            }
            if wire.is_over() {
                return Err(FrameError::HungUp);
            }
            self.prolong(woken.called);
        }
    }

    /// Takes the session up again, or starts another, however long that takes.
    fn come_back(&mut self) -> Result<Arc<Wire>, Stopped> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.again() {
                Ok(Some(wire)) => return Ok(wire),
                Ok(None) => return Err(Stopped),
                Err(why) if self.session.is_none() => self.shared.down(&why, false),
                Err(why) => debug!(%why, "the daemon is not back yet"),
            }
            self.pause(pause)?;
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    /// One attempt. `None`: there is nothing to come back for.
    fn again(&mut self) -> Result<Option<Arc<Wire>>, NoSession> {
        if let Some(session) = &self.session {
            match hello::attach(self.socket()?, session.id, &session.secret) {
                Ok(welcomed) if welcomed.pages()? == session.pages => return Ok(Some(self.attached(welcomed))),
                Ok(welcomed) => Wire::new(welcomed.socket, Arc::clone(&self.bell)).bye(),
                Err(NoSession::Refused(error)) if !error.is_retryable() => {
                    warn!(%error, "the daemon does not know the session any more; starting another");
                }
                Err(why) => return Err(why),
            }
            self.give_up();
        }
        if self.shared.has_left() {
            return Ok(None);
        }
        self.hello().map(Some)
    }

    fn socket(&self) -> Result<&std::path::Path, NoSession> {
        self.shared.socket.as_deref().ok_or(NoSession::Elsewhere)
    }

    fn hello(&mut self) -> Result<Arc<Wire>, NoSession> {
        let welcomed = hello::hello(self.socket()?)?;
        let tie = self.tie.upgrade().ok_or_else(|| NoSession::Answer("nobody waits for it".to_owned()))?;
        let pages = welcomed.pages()?;
        let Welcomed { socket, welcome, directory, page, clock } = welcomed;
        let core = Arc::new(Core::new(&welcome, clock, Arc::clone(&self.shared.mark), tie));
        let table = Table::new(DirectoryReader::of_file(directory)?, page, clock, Arc::clone(&core))?;
        let (core, leases) = (Arc::downgrade(&core), table.renewals());
        self.session = Some(Session { core, leases, id: welcome.session_id, secret: welcome.secret, pages });
        let wire = Arc::new(Wire::new(socket, Arc::clone(&self.bell)));
        self.shared.connect(Some(&wire));
        self.shared.seat(Some(&table));
        self.shared.up();
        Ok(wire)
    }

    fn attached(&mut self, welcomed: Welcomed) -> Arc<Wire> {
        if let Some(session) = &mut self.session {
            (session.id, session.secret) = (welcomed.welcome.session_id, welcomed.welcome.secret);
        }
        if let Some(core) = self.core() {
            core.segments.clear();
            core.slabs.clear();
        }
        self.shared.clear_segments();
        let wire = Arc::new(Wire::new(welcomed.socket, Arc::clone(&self.bell)));
        self.shared.connect(Some(&wire));
        // Whoever waits for that is told.
        self.shared.up();
        wire
    }

    /// The session is over: its views keep their bytes, and their leases are not valid any more.
    fn give_up(&mut self) {
        let core = self.session.take().and_then(|session| session.core.upgrade());
        if let Some(core) = core {
            core.end();
        }
        self.shared.seat(None);
    }

    fn pause(&mut self, time: Duration) -> Result<(), Stopped> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let woken = self.wait(None, Some(until));
            if self.bell.is_stopped() {
                return Err(Stopped);
            }
            self.prolong(woken.is_ok_and(|woken| woken.called));
        }
        Ok(())
    }

    fn core(&self) -> Option<Arc<Core>> {
        self.session.as_ref()?.core.upgrade()
    }

    fn prolong(&self, called: bool) {
        if let Some((session, core)) = self.session.as_ref().zip(self.core()) {
            core.pace.look(&core, &session.leases, called);
            core.slabs.let_go(core.clock.now_ms());
        }
    }

    /// Waits for an answer, the bell, the next look at the leases, or `until`.
    fn wait(&self, wire: Option<&Wire>, until: Option<Instant>) -> io::Result<Woken> {
        let look = self.core().and_then(|core| {
            let next = core.pace.next_ms().into_iter().chain(core.slabs.next_ms()).min();
            Some(next?.saturating_sub(core.clock.now_ms()))
        });
        let until = until.map(|until| until.saturating_duration_since(Instant::now()));
        let most = look.map(|ms| Duration::from_millis(ms.max(1))).into_iter().chain(until).min();
        let most = most.map_or(PollTimeout::NONE, |most| {
            PollTimeout::try_from(most + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let alarm = PollFd::new(self.alarm.as_fd(), PollFlags::POLLIN);
        // Without a connection there is nothing but the bell to wait at.
        let socket = wire.map_or_else(|| alarm.clone(), |wire| PollFd::new(wire.as_fd(), wire.events()));
        let mut ends = [alarm, socket];
        match poll(&mut ends, most) {
            Err(Errno::EINTR) => return Ok(Woken { called: false, readable: false, hung_up: false }),
            done => done?,
        };
        let [called, came] = ends.map(|end| end.revents().unwrap_or(PollFlags::empty()));
        let (called, readable) = (!called.is_empty(), !came.is_empty() && wire.is_some());
        let end = PollFlags::POLLHUP | PollFlags::POLLERR;
        let woken = Woken { called, readable, hung_up: came.intersects(end) };
        if woken.called {
            self.bell.quiet(&self.alarm);
        }
        Ok(woken)
    }
}
