//! Watching the catalog: who waits is rung when the ledger has changed something, and asks it for the next of it.
//!
//! ```text
//! command ─► ledger, locked ─► let go: has it changed anything? ─► bell ─► watchers ask, each at its own pace
//! ```
//!
//! A change is told as soon as every other call shows it. By then a commit or a copy is in the records or, where it is
//! durable, in the synced catalog, so no kill takes it back (promise: survives-kill). A deletion is told when lookups
//! fail; should the daemon be killed before its row is gone, the next start may have the payload again: the tokens of
//! before are void then, and a fresh snapshot shows it.
//!
//! Nothing is kept for a watcher but its place: who is slow, or does not read at all, costs and slows nobody.

use std::ops::{Deref, DerefMut};

use parking_lot::MutexGuard;
use payload_manager_core::Ledger;
use payload_manager_core::ledger::{Told, Watch, WatchError, WatchFrom};
use payload_manager_types::InstanceId;
use tokio::sync::Notify;

use super::{Engine, Error, SharedPages};

/// What a watcher is told at a time, at most; the ledger is locked for so long.
const CHUNK: usize = 256;

/// Digits of a token: instance, start, position.
const DIGITS: usize = 32 + 16 + 16;

/// Where a watch of the catalog starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// With the next change.
    Now,
    /// With what there is, then the next change.
    Current,
    /// After what carried this token.
    Token(String),
}

/// One thing that a watcher is told, and the token to resume after it; none amid what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What there is, or what has changed.
    pub told: Told,
    /// Opaque to whoever gets it.
    pub token: Option<String>,
}

/// Those who watch, together.
pub(super) struct Watchers {
    /// Rung when something has changed.
    bell: Notify,
    instance: InstanceId,
    /// Which start of the daemon this is: positions begin anew with each.
    start: u64,
}

impl Watchers {
    pub(super) fn new(instance: InstanceId, start: u64) -> Self {
        Self { bell: Notify::new(), instance, start }
    }

    /// How to go on from the change at `position`.
    fn token(&self, position: u64) -> String {
        let (high, low) = self.instance.to_words();
        format!("{high:016x}{low:016x}{:016x}{position:016x}", self.start)
    }

    /// The inverse of [`Self::token`].
    fn position(&self, token: &str) -> Result<u64, Error> {
        let exact = token.len() == DIGITS && token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = |from: usize| token.get(from..from + 16).and_then(|part| u64::from_str_radix(part, 16).ok());
        let parts = || Some((InstanceId::from_words(number(0)?, number(16)?), number(32)?, number(48)?));
        let (instance, start, position) = parts().filter(|_| exact).ok_or(Error::BadResumeToken)?;
        if instance != self.instance {
            return Err(Error::ResumeTooOld { why: "it is of another daemon, or of one that was started anew" });
        }
        if start < self.start {
            return Err(Error::ResumeTooOld { why: "the daemon was restarted since" });
        }
        Some(position).filter(|_| start == self.start).ok_or(Error::BadResumeToken)
    }
}

/// The ledger, locked; when it is let go, those who watch hear of what was changed, and the evictor is woken if there is
/// work for it.
pub(super) struct Held<'a> {
    pub(super) ledger: MutexGuard<'a, Ledger<SharedPages>>,
    pub(super) engine: &'a Engine,
}

impl Deref for Held<'_> {
    type Target = Ledger<SharedPages>;

    fn deref(&self) -> &Self::Target {
        &self.ledger
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.ledger
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.ledger.settle_changes() {
            self.engine.0.watchers.bell.notify_waiters();
        }
        self.engine.0.evictor.ring_for(&mut self.ledger);
        if self.ledger.has_newly_held() {
            self.ledger.held_at(self.engine.0.clock.monotonic_ms());
        }
        self.engine.mind_backlog(&self.ledger);
    }
}

/// A watcher's place.
pub struct Watching {
    engine: Engine,
    watch: Watch,
}

impl Watching {
    /// What comes next, at least one; waits for it.
    ///
    /// # Errors
    /// [`Error::ResumeTooOld`] if more has changed than is remembered; [`Error::ShuttingDown`].
    pub async fn next(&mut self) -> Result<Vec<News>, Error> {
        let tasks = self.engine.tasks().clone();
        loop {
            let engine = self.engine.clone();
            let rung = engine.0.watchers.bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            let told = self.engine.ledger().tell(&mut self.watch, CHUNK).map_err(refused)?;
            if !told.is_empty() {
                return Ok(told.into_iter().map(|told| self.engine.news(told)).collect());
            }
            tokio::select! {
                () = rung => {}
                () = tasks.stopping() => return Err(Error::ShuttingDown),
            }
        }
    }
}

impl Engine {
    /// Follows every change of every payload; what happens after this returns is told.
    ///
    /// # Errors
    /// [`Error::BadResumeToken`], [`Error::ResumeTooOld`].
    pub fn watch(&self, since: &Since) -> Result<Watching, Error> {
        let from = match since {
            Since::Now => WatchFrom::Now,
            Since::Current => WatchFrom::Current,
            Since::Token(token) => WatchFrom::At(self.0.watchers.position(token)?),
        };
        let watch = self.ledger().watch(from).map_err(refused)?;
        Ok(Watching { engine: self.clone(), watch })
    }

    fn news(&self, told: Told) -> News {
        let position = match &told {
            Told::Current(_) => None,
            Told::SnapshotEnd { position } => Some(*position),
            Told::Change(change) => Some(change.position + 1),
        };
        News { told, token: position.map(|at| self.0.watchers.token(at)) }
    }
}

fn refused(error: WatchError) -> Error {
    match error {
        WatchError::Overtaken { .. } => Error::ResumeTooOld { why: "more has changed since than the daemon remembers" },
        WatchError::Ahead { .. } => Error::BadResumeToken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watchers(instance: u64, start: u64) -> Watchers {
        Watchers::new(InstanceId::from_words(instance, 7), start)
    }

    #[test]
    fn a_token_is_read_back_by_the_start_that_made_it_and_by_no_other() {
        let token = watchers(1, 5).token(99);
        assert_eq!(watchers(1, 5).position(&token).ok(), Some(99));
        for other in [watchers(2, 5), watchers(1, 6)] {
            assert!(matches!(other.position(&token), Err(Error::ResumeTooOld { .. })));
        }
        assert!(matches!(watchers(1, 4).position(&token), Err(Error::BadResumeToken)), "of a start to come");
    }

    #[test]
    fn garbage_is_no_token() {
        let good = watchers(1, 5).token(99);
        let long = "0".repeat(100_000);
        let garbage = ["x", " ", "0", &good[1..], &good.to_uppercase(), &format!("+{}", &good[1..]), &long, "ä"];
        for token in garbage.into_iter().filter(|token| *token != good) {
            assert!(matches!(watchers(1, 5).position(token), Err(Error::BadResumeToken)), "{token:.20}");
        }
    }
}
