//! How the runtime tells the thread of the sockets that something is done, or that a session is to end.

use std::io;
use std::mem::take;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::Mutex;

use super::answer::Answer;

/// Answers for connections, by their number.
pub(super) struct Mailbox {
    answers: Mutex<Vec<(u64, Answer)>>,
    /// Sessions that are to end, by the number of their page.
    ends: Mutex<Vec<u32>>,
    bell: EventFd,
    stopping: AtomicBool,
}

impl Mailbox {
    pub(super) fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { answers: Mutex::default(), ends: Mutex::default(), bell, stopping: AtomicBool::new(false) })
    }

    /// Leaves an answer for a connection, which may be gone by then.
    pub(super) fn put(&self, connection: u64, answer: Answer) {
        self.answers.lock().push((connection, answer));
        self.ring();
    }

    /// Asks for the end of a session.
    pub(super) fn end(&self, session: u32) {
        self.ends.lock().push(session);
        self.ring();
    }

    /// Sessions whose end was asked for since the last time.
    pub(super) fn ends(&self) -> Vec<u32> {
        take(&mut *self.ends.lock())
    }

    /// Asks the thread to end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.ring();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// What has come since the last time.
    pub(super) fn empty(&self) -> Vec<(u64, Answer)> {
        // Before the look: what comes after it rings again. Nothing rung yet is fine.
        let _ = self.bell.read();
        take(&mut *self.answers.lock())
    }

    fn ring(&self) {
        // It can only be full, and then it is readable.
        let _ = self.bell.write(1);
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
