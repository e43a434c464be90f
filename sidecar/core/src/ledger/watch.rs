//! Watching: what there is, page by page, and then every change of it, each once and in order.
//!
//! ```text
//! Now ─────────────────────────────────┐
//! Current ─► pages of what there is ─► SnapshotEnd ─► changes …
//! After(position) ─────────────────────┘
//! ```
//!
//! The lock is let go between the pages, so things change while they are read. Each page remembers which ages it told
//! of and how many changes there were by then: a change that its payload's page has seen is not told again, and every
//! other one is. That takes a few bytes a page, not a payload.

use super::{Age, Cursor, Ledger};
use crate::board::Board;
use crate::changes::{Change, Shown};
use crate::payload::Descriptor;

/// Where a watch starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchFrom {
    /// With the next change.
    Now,
    /// With what there is, then the next change.
    Current,
    /// With the change at this position.
    At(u64),
}

/// Why a watch can't start there, or can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// What follows is no longer remembered.
    #[error("overtaken: the change at {wanted} is forgotten, kept are those from {oldest}")]
    Overtaken {
        /// What would have come next.
        wanted: u64,
        /// The oldest that is kept.
        oldest: u64,
    },
    /// No change has that position yet.
    #[error("no change has had position {wanted} yet")]
    Ahead {
        /// What was asked for.
        wanted: u64,
    },
}

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// This is there; without labels and pin.
    Current(Descriptor),
    /// That was all; what follows has changed since. A watch from this position misses nothing, and may tell once more
    /// of changes that the pages showed already.
    SnapshotEnd {
        /// The position to go on from.
        position: u64,
    },
    /// This has changed.
    Change(Change),
}

/// A watcher's place.
#[derive(Debug)]
pub struct Watch {
    /// The next change to tell of.
    at: u64,
    /// What is still to be read of what there is.
    snapshot: Option<Option<Cursor>>,
    /// The pages that were read, newest ages first.
    pages: Vec<PageRead>,
}

/// A page down to this age, `None` the last, was read when there were so many changes.
#[derive(Debug)]
struct PageRead {
    down_to: Option<Age>,
    changes: u64,
}

impl<B: Board> Ledger<B> {
    /// Starts a watch.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn watch(&mut self, from: WatchFrom) -> Result<Watch, WatchError> {
        let (next, oldest) = (self.changes.next(), self.changes.oldest());
        let (at, snapshot) = match from {
            WatchFrom::Now => (next, None),
            WatchFrom::Current => (next, Some(None)),
            WatchFrom::At(wanted) if wanted > next => return Err(WatchError::Ahead { wanted }),
            WatchFrom::At(wanted) if wanted < oldest => return Err(WatchError::Overtaken { wanted, oldest }),
            WatchFrom::At(wanted) => (wanted, None),
        };
        self.changes.watched();
        Ok(Watch { at, snapshot, pages: Vec::new() })
    }

    /// What a watcher is to be told next, about `most` at a time; nothing if it knows all there is to know.
    ///
    /// # Errors
    /// [`WatchError::Overtaken`]: more has changed than is remembered.
    pub fn tell(&mut self, watch: &mut Watch, most: usize) -> Result<Vec<Told>, WatchError> {
        let oldest = self.changes.oldest();
        if watch.at < oldest {
            return Err(WatchError::Overtaken { wanted: watch.at, oldest });
        }
        match watch.snapshot {
            Some(after) => Ok(self.tell_current(watch, after, most)),
            None => Ok(self.tell_changes(watch, most)),
        }
    }

    fn tell_current(&self, watch: &mut Watch, after: Option<Cursor>, most: usize) -> Vec<Told> {
        let every = [0, 1, 2, 3, 4];
        // Those whose time is just over are told, too: that they have gone comes as a change.
        let (ages, more) = self.ages(&every, most, after, None);
        let there = ages.iter().filter_map(|(_, id)| self.payloads.get(id));
        let mut told: Vec<Told> = there.map(|p| Told::Current(Shown::of(p).descriptor())).collect();
        let last = ages.last().copied().filter(|_| more);
        watch.pages.push(PageRead { down_to: last, changes: self.changes.next() });
        watch.snapshot = last.map(|(created, id)| Some(Cursor { created, id }));
        if watch.snapshot.is_none() {
            told.push(Told::SnapshotEnd { position: watch.at });
        }
        told
    }

    fn tell_changes(&self, watch: &mut Watch, most: usize) -> Vec<Told> {
        let mut told = Vec::new();
        while told.is_empty() && watch.at < self.changes.next() {
            let Some(since) = self.changes.since(watch.at, most) else { break };
            let mut at = watch.at;
            for (position, kind, shown) in since {
                at = position + 1;
                if !watch.knows(position, shown.age()) {
                    told.push(Told::Change(Change { position, kind, descriptor: shown.descriptor() }));
                }
            }
            watch.at = at;
        }
        if watch.pages.last().is_some_and(|last| watch.at >= last.changes) {
            watch.pages = Vec::new();
        }
        told
    }

    /// The command is over: what it has changed can be told. Whether that is anything.
    pub fn settle_changes(&mut self) -> bool {
        self.changes.settle()
    }
}

impl Watch {
    /// Whether the page on which a payload of this age stands, or would have stood, was read after that change.
    fn knows(&self, position: u64, age: Age) -> bool {
        let above = self.pages.partition_point(|page| page.down_to.is_some_and(|last| last > age));
        self.pages.get(above).is_some_and(|page| position < page.changes)
    }
}
