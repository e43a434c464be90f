//! What a process writes to standard error: kept line by line, to be waited for and to be shown when a test fails.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::wait::HANGS;

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

/// The log of one run of a process. Clones see the same lines.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<(Mutex<State>, Condvar)>);

impl Log {
    /// Reads `from` to its end on a thread of its own.
    #[must_use]
    pub fn follow(from: impl Read + Send + 'static) -> (Self, JoinHandle<()>) {
        let log = Self::default();
        let ours = log.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                ours.state().lines.push(String::from_utf8_lossy(&line).into_owned());
                ours.0.1.notify_all();
            }
            ours.state().ended = true;
            ours.0.1.notify_all();
        });
        (log, reader)
    }

    /// The first line that `wanted` accepts, waited for; `None` if the process ended without it.
    ///
    /// # Panics
    /// If the process hangs.
    #[must_use]
    pub fn wait_for(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let until = Instant::now() + HANGS;
        let mut state = self.state();
        loop {
            if let Some(line) = state.lines.iter().find(|line| wanted(line)) {
                return Some(line.clone());
            }
            if state.ended {
                return None;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the process hangs; so far it said:\n{}", state.lines.join("\n"));
            state = self.0.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.state().lines.join("\n")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
