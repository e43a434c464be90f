//! Requests under way on a session's socket, and who waits for which answer. No meaning here.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use parking_lot::Mutex;
use payload_manager_api::session::v1::request::Verb;
use payload_manager_api::session::v1::response::Outcome;
use payload_manager_api::session::v1::{Abort, Bye, Request, Response};
use payload_manager_shm::fdpass::{FrameError, SeqPacket, Wait};
use prost::Message as _;
use tokio::sync::oneshot;
use tracing::debug;

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
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    over: bool,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
}

impl Wire {
    pub(super) fn new(socket: SeqPacket) -> Self {
        Self { socket, waiting: Mutex::default() }
    }

    /// Asks, and waits for the answer. `None`: the connection is gone or full, or the request too long for it; what was
    /// asked for may have happened.
    pub(super) async fn call(&self, verb: Verb) -> Option<Answer> {
        let (sender, answer) = oneshot::channel();
        let number = {
            let mut waiting = self.waiting.lock();
            if waiting.over {
                return None;
            }
            waiting.last += 1;
            let number = waiting.last;
            waiting.answers.insert(number, sender);
            number
        };
        if !self.send(number, verb) {
            self.waiting.lock().answers.remove(&number);
            return None;
        }
        answer.await.ok()
    }

    /// Says goodbye; the daemon hangs up then.
    pub(super) fn bye(&self) {
        self.tell(Verb::Bye(Bye {}));
    }

    /// Asks without waiting for the answer, which finds nobody.
    pub(super) fn tell(&self, verb: Verb) {
        self.send(0, verb);
    }

    fn send(&self, number: u64, verb: Verb) -> bool {
        let bytes = Request { number, verb: Some(verb) }.encode_to_vec();
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

    /// Hands out all answers that are there.
    pub(super) fn receive(&self, room: &mut [u8]) -> Result<(), FrameError> {
        loop {
            match self.socket.receive(room, Wait::No) {
                Ok(frame) => {
                    let bytes = room.get(..frame.length).unwrap_or_default();
                    let answer = Response::decode(bytes).map_err(|_| FrameError::Length)?;
                    self.hand_out(answer, frame.descriptors);
                }
                Err(error) if error.would_block() => return Ok(()),
                Err(error) => return Err(error),
            }
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

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
