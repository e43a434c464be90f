//! The writer's thread: take, apply, answer; and what it does while the store fails.

use std::time::Duration;

use super::coalesce::Coalesced;
use super::queue::{Job, Next, Queue};
use super::{CatalogError, Done};
use crate::change::{Change, Durability, Outcome};
use crate::store::{Store, StoreError};

/// Between two tries: at first, doubled each time, at last.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Tries after the catalog was stopped, for changes that have nobody to hear of an error.
const LAST_TRIES: u32 = 5;

/// Somebody who waits for a change.
type Waiting = (Durability, Done);

struct Writer<'a> {
    store: Box<dyn Store>,
    queue: &'a Queue,
    pause: Duration,
    last_tries: u32,
    /// Something was written since the last rest.
    restless: bool,
}

/// Writes what comes until the queue is closed and empty.
pub(super) fn run(store: Box<dyn Store>, queue: &Queue) {
    let _ending = Ending(queue);
    let mut writer = Writer { store, queue, pause: PAUSE.0, last_tries: LAST_TRIES, restless: true };
    loop {
        match queue.next(writer.restless) {
            Next::Batch(jobs) => writer.write(jobs),
            Next::Rest => writer.rest(),
            // Readers may be open still: the store's own end would not be its last.
            Next::End => return writer.rest(),
        }
    }
}

/// Nobody waits for a writer that is gone, whyever it went.
struct Ending<'a>(&'a Queue);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set_healthy(false);
        }
        self.0.close();
        drop(self.0.take_all());
    }
}

impl Writer<'_> {
    fn write(&mut self, jobs: Vec<Job>) {
        let (changes, waiting): (Vec<Change>, Vec<Waiting>) =
            jobs.into_iter().map(|job| (job.change, (job.durability, job.done))).unzip();
        let sync = waiting.iter().any(|(durability, _)| *durability == Durability::Synced);
        let coalesced = Coalesced::new(&changes);
        match self.store.apply(&coalesced.changes(&changes), sync) {
            Ok(outcomes) => self.succeed(waiting, coalesced.outcomes(outcomes)),
            Err(error) => self.fail(changes, waiting, &error),
        }
    }

    fn succeed(&mut self, waiting: Vec<Waiting>, outcomes: Vec<Outcome>) {
        (self.pause, self.last_tries, self.restless) = (PAUSE.0, LAST_TRIES, true);
        if !self.queue.set_healthy(true) {
            tracing::info!("the catalog can be written again");
        }
        for ((_, done), outcome) in waiting.into_iter().zip(outcomes) {
            self.answer(done, Ok(outcome));
        }
    }

    /// Who can hear of an error hears of it; the others' changes stay first in line, so that no later change of the
    /// same payload comes before them.
    fn fail(&mut self, changes: Vec<Change>, waiting: Vec<Waiting>, error: &StoreError) {
        if self.queue.set_healthy(false) {
            tracing::error!(%error, waiting = self.queue.depth(), "the catalog can't be written; trying again");
        }
        let jobs = changes.into_iter().zip(waiting);
        let jobs = jobs.map(|(change, (durability, done))| Job { change, durability, done });
        let (soon, others): (Vec<Job>, Vec<Job>) = jobs.partition(|job| job.durability == Durability::Soon);
        let stuck = !soon.is_empty();
        self.queue.put_back(soon);
        for job in others {
            self.answer(job.done, Err(CatalogError::Store(error.clone())));
        }
        if stuck {
            self.wait(error);
        }
    }

    /// Waits before the next try, or gives up if the catalog was stopped and there were enough.
    fn wait(&mut self, error: &StoreError) {
        let closed = self.queue.pause(self.pause);
        self.pause = (self.pause * 2).min(PAUSE.1);
        if !closed {
            return;
        }
        self.last_tries -= 1;
        if self.last_tries == 0 {
            let lost = self.queue.take_all();
            tracing::error!(%error, changes = lost.len(), "the catalog was stopped while it can't be written: changes are lost");
            for job in lost {
                self.answer(job.done, Err(CatalogError::Store(error.clone())));
            }
            self.last_tries = LAST_TRIES;
        }
    }

    fn answer(&self, done: Done, answer: Result<Outcome, CatalogError>) {
        self.queue.answered();
        done(answer);
    }

    fn rest(&mut self) {
        self.restless = match self.store.rest() {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "the catalog's housekeeping failed; it is tried again after the next change");
                false
            }
        };
    }
}
