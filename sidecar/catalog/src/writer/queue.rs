//! The line in front of the writer: bounded, first in first out, with a way back to its front.

use std::collections::VecDeque;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Done;
use crate::change::{Change, Durability};

/// Most changes in one transaction.
const BATCH_CHANGES: usize = 512;

/// Most bytes in one transaction, as [`Change::weight`] counts them; one change alone may be larger.
const BATCH_BYTES: usize = 1 << 20;

/// How long changes that nobody waits for may lie, so that what undoes them meets them here and neither is written.
const LINGER: Duration = Duration::from_millis(2);

/// So many of them do not wait for more.
const ENOUGH: usize = BATCH_CHANGES / 4;

/// How long nothing must come until the store may rest.
const QUIET: Duration = Duration::from_millis(250);

/// A change in the line.
pub(super) struct Job {
    pub(super) change: Change,
    pub(super) durability: Durability,
    pub(super) done: Done,
}

/// What the writer does next.
pub(super) enum Next {
    /// Apply these, and then say [`Queue::answered`] or [`Queue::put_back`] for each.
    Batch(Vec<Job>),
    /// Nothing came for a while.
    Rest,
    /// Nothing will come any more.
    End,
}

/// The line. Its depth counts what is in the writer's hand too, until it is answered.
pub(super) struct Queue {
    capacity: usize,
    line: Mutex<Line>,
    /// There is something to do.
    work: Condvar,
    /// There is room again.
    room: Condvar,
    /// The line was closed.
    closing: Condvar,
    healthy: AtomicBool,
    writer: OnceLock<ThreadId>,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    /// Those among them that somebody waits for.
    awaited: usize,
    in_hand: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            line: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            closing: Condvar::new(),
            healthy: AtomicBool::new(true),
            writer: OnceLock::new(),
        }
    }

    /// Who never waits for room, since nobody else makes any.
    pub(super) fn set_writer(&self, id: ThreadId) {
        self.writer.get_or_init(|| id);
    }

    /// Puts a job at the end of the line, waiting for room; gives it back if the line is closed.
    pub(super) fn push(&self, job: Job) -> Result<(), Job> {
        let mut line = self.line.lock();
        let waits = self.writer.get() != Some(&thread::current().id());
        while waits && !line.closed && line.depth() >= self.capacity {
            self.room.wait(&mut line);
        }
        if line.closed {
            return Err(job);
        }
        line.awaited += usize::from(job.is_awaited());
        line.jobs.push_back(job);
        // A writer that lingers need not hear of one more that can lie, too.
        if line.jobs.len() == 1 || line.is_due() {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Waits for what to do next. With `restless`, a while without work is [`Next::Rest`].
    pub(super) fn next(&self, restless: bool) -> Next {
        let mut line = self.line.lock();
        while line.jobs.is_empty() {
            if line.closed {
                return Next::End;
            }
            if !restless {
                self.work.wait(&mut line);
            } else if self.work.wait_for(&mut line, QUIET).timed_out() && line.jobs.is_empty() {
                return Next::Rest;
            }
        }
        if !line.is_due() {
            self.work.wait_for(&mut line, LINGER);
        }
        Next::Batch(line.take_batch())
    }

    /// One job of the batch is answered.
    pub(super) fn answered(&self) {
        let mut line = self.line.lock();
        line.in_hand = line.in_hand.saturating_sub(1);
        self.room.notify_one();
    }

    /// Jobs of the batch are first in line again, in their order.
    pub(super) fn put_back(&self, jobs: Vec<Job>) {
        let mut line = self.line.lock();
        line.in_hand = line.in_hand.saturating_sub(jobs.len());
        line.awaited += jobs.iter().filter(|job| job.is_awaited()).count();
        jobs.into_iter().rev().for_each(|job| line.jobs.push_front(job));
    }

    /// Everything in the line, now in the writer's hand.
    pub(super) fn take_all(&self) -> Vec<Job> {
        let mut line = self.line.lock();
        line.in_hand += line.jobs.len();
        line.awaited = 0;
        line.jobs.drain(..).collect()
    }

    /// Waits out a pause between two tries; shorter if the line is closed meanwhile. Says whether it is closed.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let mut line = self.line.lock();
        self.closing.wait_for(&mut line, pause);
        line.closed
    }

    /// Nothing more comes in.
    pub(super) fn close(&self) {
        self.line.lock().closed = true;
        self.work.notify_all();
        self.room.notify_all();
        self.closing.notify_all();
    }

    pub(super) fn depth(&self) -> usize {
        self.line.lock().depth()
    }

    pub(super) fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Says how it goes; answers how it went before.
    pub(super) fn set_healthy(&self, healthy: bool) -> bool {
        self.healthy.swap(healthy, Ordering::Relaxed)
    }
}

impl Job {
    fn is_awaited(&self) -> bool {
        self.durability != Durability::Soon
    }
}

impl Line {
    fn depth(&self) -> usize {
        self.jobs.len() + self.in_hand
    }

    /// Whether there is a reason not to let it lie for a moment.
    fn is_due(&self) -> bool {
        self.awaited > 0 || self.jobs.len() >= ENOUGH || self.closed
    }

    /// As much of the front of the line as one transaction takes.
    fn take_batch(&mut self) -> Vec<Job> {
        let mut bytes = 0;
        let mut fits = |job: &&Job| {
            bytes += job.change.weight();
            bytes <= BATCH_BYTES
        };
        let count = self.jobs.iter().take(BATCH_CHANGES).take_while(|job| fits(job)).count();
        let count = count.max(1).min(self.jobs.len());
        self.in_hand += count;
        let batch: Vec<Job> = self.jobs.drain(..count).collect();
        self.awaited -= batch.iter().filter(|job| job.is_awaited()).count();
        batch
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("capacity", &self.capacity).field("depth", &self.depth()).finish_non_exhaustive()
    }
}
