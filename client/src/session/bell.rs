//! Wakes the session's thread: a byte in a socket, at most one at a time.
//!
//! Not a pipe: a program that does not ignore SIGPIPE would be killed by a ring at a thread that has ended.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use payload_manager_shm::fdpass::{SeqPacket, Wait};

/// Anybody's end.
#[derive(Debug)]
pub(super) struct Bell {
    end: SeqPacket,
    rung: AtomicBool,
    stop: AtomicBool,
}

impl Bell {
    /// And the thread's end, to wait at.
    pub(super) fn new() -> io::Result<(Self, SeqPacket)> {
        let (end, alarm) = SeqPacket::pair()?;
        Ok((Self { end, rung: AtomicBool::new(false), stop: AtomicBool::new(false) }, alarm))
    }

    /// Wakes the thread; never waits.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // A thread that is gone needs no waking.
            let _ = self.end.send(&[1], &[], Wait::No);
        }
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// For the thread, when it was woken. What was said before a later ring is seen after this.
    pub(super) fn quiet(&self, alarm: &SeqPacket) {
        // What can't be received is not there; whoever rings after this sends again.
        let _ = alarm.receive(&mut [0; 8], Wait::No);
        self.rung.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}
