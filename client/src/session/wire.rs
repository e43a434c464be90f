//! Requests under way on a session's socket, who waits for which answer, and whose turn it is to receive. No meaning here.
//!
//! A change of threads costs more than the daemon takes to answer. So a caller that may wait receives on its own thread,
//! if no other request is under way, and the session's thread is not woken for it:
//!
//! ```text
//!            asks later, or for too long               asks, and waits for nobody else
//!  Thread ◄────────────────────────────── Caller ◄────────────────────────────────── Nobody, Thread
//!                (the bell rings)            └── has its answer, nobody waits ──────► Nobody
//! ```
//!
//! Whoever receives hands every answer to whom it is for. Frames are taken from the socket under one lock, held by a
//! caller from before it asks: so nobody else can take its answer while it waits for the socket.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::Mutex;
use payload_manager_api::session::v1::request::Verb;
use payload_manager_api::session::v1::response::Outcome;
use payload_manager_api::session::v1::{Abort, Bye, Request, Response};
use payload_manager_shm::fdpass::{FrameError, MOST_BYTES, SeqPacket, Wait};
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tracing::debug;

use super::bell::Bell;
use super::here;
use crate::trace::TraceContext;

/// How long a caller keeps its thread from everything else, its own deadline above all; then it waits as all others do.
const MOST_HERE: Duration = Duration::from_millis(5);

/// The daemon's answer to one request, and what came with it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// One connection, from Welcome to hang-up.
#[derive(Debug)]
pub(super) struct Wire {
    socket: SeqPacket,
    /// Wakes the session's thread.
    bell: Arc<Bell>,
    waiting: Mutex<Waiting>,
    /// What frames are received into: whoever has it is the one that receives. Locked before `waiting`.
    room: Mutex<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    over: bool,
    turn: Turn,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
}

/// What became of a request whose caller may wait.
enum Here {
    /// Another receives: nothing was asked.
    NotOurTurn(Verb),
    /// It was answered, or can't be.
    Done(Option<Answer>),
    /// It takes its time.
    Later(oneshot::Receiver<Answer>),
}

/// Who receives.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Turn {
    #[default]
    Thread,
    Caller,
    Nobody,
}

impl Wire {
    pub(super) fn new(socket: SeqPacket, bell: Arc<Bell>) -> Self {
        Self { socket, bell, waiting: Mutex::default(), room: Mutex::new(vec![0; MOST_BYTES]) }
    }

    /// Asks, and waits for the answer. `None`: the connection is gone or full, or the request too long for it; what was
    /// asked for may have happened.
    pub(super) async fn call(&self, verb: Verb, trace: Option<&TraceContext>) -> Option<Answer> {
        match self.call_here(verb, trace) {
            Here::Done(answer) => answer,
            Here::Later(answer) => answer.await.ok(),
            Here::NotOurTurn(verb) => self.ask(verb, trace)?.await.ok(),
        }
    }

    /// Asks, for others to receive the answer.
    fn ask(&self, verb: Verb, trace: Option<&TraceContext>) -> Option<oneshot::Receiver<Answer>> {
        let (number, answer) = {
            let mut waiting = self.waiting.lock();
            let asked = waiting.note()?;
            if waiting.turn == Turn::Nobody {
                waiting.turn = Turn::Thread;
                self.bell.ring();
            }
            asked
        };
        self.send_for(number, verb, trace).then_some(answer)
    }

    /// Asks, and receives the answer on this thread, unless that takes long.
    fn call_here(&self, verb: Verb, trace: Option<&TraceContext>) -> Here {
        let Some(mut room) = here::may_wait().then(|| self.room.try_lock()).flatten() else {
            return Here::NotOurTurn(verb);
        };
        let (number, mut answer) = {
            let mut waiting = self.waiting.lock();
            if !waiting.answers.is_empty() {
                return Here::NotOurTurn(verb);
            }
            let Some(asked) = waiting.note() else { return Here::Done(None) };
            waiting.turn = Turn::Caller;
            asked
        };
        let sent = self.send_for(number, verb, trace);
        let got = if sent { self.await_here(&mut room, &mut answer) } else { Some(None) };
        let others = self.waiting.lock().pass_on();
        drop(room);
        if others {
            self.bell.ring();
        }
        got.map_or(Here::Later(answer), Here::Done)
    }

    /// Receives until this answer is there, or the connection is gone. `None`: it takes too long.
    #[expect(clippy::option_option, reason = "that it takes too long is one thing, that there is no answer another")]
    fn await_here(&self, room: &mut [u8], answer: &mut oneshot::Receiver<Answer>) -> Option<Option<Answer>> {
        let until = Instant::now() + MOST_HERE;
        // To look first would be for nothing: nobody answers as fast as that.
        while self.wait_until(until) {
            if let Err(error) = self.receive_one(room) {
                debug!(%error, "the session's connection is gone");
                // The session's thread comes back.
                self.hang_up();
                self.bell.ring();
            }
            match answer.try_recv() {
                Ok(answer) => return Some(Some(answer)),
                Err(TryRecvError::Closed) => return Some(None),
                Err(TryRecvError::Empty) => {}
            }
        }
        None
    }

    /// Waits for a frame, or the end. `false`: it takes too long.
    fn wait_until(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let most = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
        matches!(poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], most), Ok(_) | Err(Errno::EINTR))
    }

    /// Says goodbye; the daemon hangs up then.
    pub(super) fn bye(&self) {
        self.tell(Verb::Bye(Bye {}));
    }

    /// Asks without waiting for the answer, which finds nobody.
    pub(super) fn tell(&self, verb: Verb) {
        self.send(0, verb, None);
    }

    fn send_for(&self, number: u64, verb: Verb, trace: Option<&TraceContext>) -> bool {
        let sent = self.send(number, verb, trace);
        if !sent {
            self.waiting.lock().answers.remove(&number);
        }
        sent
    }

    fn send(&self, number: u64, verb: Verb, trace: Option<&TraceContext>) -> bool {
        let of_trace = |part: fn(&TraceContext) -> &str| trace.map(part).unwrap_or_default().to_owned();
        let (traceparent, tracestate) = (of_trace(TraceContext::parent), of_trace(TraceContext::state));
        let bytes = Request { number, verb: Some(verb), traceparent, tracestate }.encode_to_vec();
        let sent = self.socket.send(&bytes, &[], Wait::No).inspect_err(|error| {
            debug!(%error, "a request of the session was not sent");
            if matches!(error, FrameError::HungUp) {
                // The thread is about to find that out, too.
                self.hang_up();
            }
        });
        sent.is_ok()
    }

    /// Whether the daemon is known to have hung up.
    pub(super) fn is_over(&self) -> bool {
        self.waiting.lock().over
    }

    /// What the session's thread is to wait for besides the end, which it is told of in any case: answers, if it is its turn.
    pub(super) fn events(&self) -> PollFlags {
        match self.waiting.lock().turn {
            Turn::Thread => PollFlags::POLLIN,
            Turn::Caller | Turn::Nobody => PollFlags::empty(),
        }
    }

    /// For the session's thread, when there is something: hands out all answers that are there, if it is its turn.
    pub(super) fn receive(&self, hung_up: bool) -> Result<(), FrameError> {
        // At the end a caller that receives gets what was sent before it, and then leaves.
        let room = if hung_up { Some(self.room.lock()) } else { self.room.try_lock() };
        let Some(mut room) = room else { return Ok(()) };
        if self.waiting.lock().over {
            return Err(FrameError::HungUp);
        }
        self.receive_all(&mut room)
    }

    fn receive_all(&self, room: &mut [u8]) -> Result<(), FrameError> {
        while self.receive_one(room)? {}
        Ok(())
    }

    /// Hands out the next answer. Whether one was there.
    fn receive_one(&self, room: &mut [u8]) -> Result<bool, FrameError> {
        match self.socket.receive(room, Wait::No) {
            Ok(frame) => {
                let bytes = room.get(..frame.length).unwrap_or_default();
                let answer = Response::decode(bytes).map_err(|_| FrameError::Length)?;
                self.hand_out(answer, frame.descriptors);
                Ok(true)
            }
            Err(error) if error.would_block() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn hand_out(&self, answer: Response, descriptors: Vec<OwnedFd>) {
        let Some(asked) = self.waiting.lock().answers.remove(&answer.number) else { return };
        let Some(outcome) = answer.outcome else { return };
        // Who asked may have given up. What was allocated for nobody is given back.
        if let Err(Answer { outcome: Outcome::Allocated(made), .. }) = asked.send(Answer { outcome, descriptors }) {
            let ids = made.results.into_iter().filter_map(super::verbs::allocated_id).collect();
            self.tell(Verb::Abort(Abort { ids }));
        }
    }

    /// Nobody who waits gets an answer any more.
    pub(super) fn hang_up(&self) {
        let mut waiting = self.waiting.lock();
        waiting.over = true;
        waiting.answers.clear();
    }
}

impl Waiting {
    /// A number for a request, and where its answer comes; `None` once the connection is gone.
    fn note(&mut self) -> Option<(u64, oneshot::Receiver<Answer>)> {
        if self.over {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        self.last += 1;
        self.answers.insert(self.last, sender);
        Some((self.last, answer))
    }

    /// A caller does not receive any more. Whether others wait: they are left to the session's thread.
    fn pass_on(&mut self) -> bool {
        let others = !self.answers.is_empty();
        self.turn = if others { Turn::Thread } else { Turn::Nobody };
        others
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
