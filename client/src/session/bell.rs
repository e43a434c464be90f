//! Wakes the session's thread: a byte in a pipe, at most one at a time.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

/// Anybody's end.
#[derive(Debug)]
pub(super) struct Bell {
    pipe: PipeWriter,
    rung: AtomicBool,
    stop: AtomicBool,
}

impl Bell {
    /// And the thread's end, to wait at.
    pub(super) fn new() -> io::Result<(Self, PipeReader)> {
        let (reader, pipe) = io::pipe()?;
        Ok((Self { pipe, rung: AtomicBool::new(false), stop: AtomicBool::new(false) }, reader))
    }

    /// Wakes the thread; never waits, as there is never more than one byte in the pipe.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // A thread that is gone needs no waking.
            let _ = (&self.pipe).write(&[1]);
        }
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// For the thread, when it was woken. What was said before a later ring is seen after this.
    pub(super) fn quiet(&self, mut reader: &PipeReader) {
        let _ = reader.read(&mut [0; 8]);
        self.rung.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}
