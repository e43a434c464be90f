//! One stream as it is now: its bounds, the tail of its entries, and who waits for more. It reads nothing.
//!
//! Changed on the catalog's thread only, in the catalog's order; read from anywhere.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use payload_manager_catalog::{Limit, Page};
use payload_manager_types::{NewEntry, Retention, StreamEntry, UnixMillis};
use tokio::sync::watch;

/// An entry as it is handed around: its tags may be large.
pub(super) type Shared = Arc<StreamEntry>;

/// One stream.
pub(super) struct Live {
    pub(super) retention: Retention,
    state: Mutex<State>,
    /// Changes with every append, and when the stream is deleted.
    grown: watch::Sender<()>,
}

struct State {
    first: u64,
    next: u64,
    /// The newest entries without a gap, up to `next`; possibly none.
    tail: VecDeque<Shared>,
    gone: bool,
}

/// What there is at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// These, which begin there.
    Tail(Vec<Shared>),
    /// Something, from this offset on, that only the catalog has.
    Behind(u64),
    /// Nothing yet; the next entry gets this offset.
    End(u64),
    /// What retention has removed.
    Removed { first: u64, next: u64 },
    /// The stream is deleted.
    Gone,
}

impl Live {
    pub(super) fn new(retention: Retention, first: u64, next: u64) -> Arc<Self> {
        let state = State { first, next, tail: VecDeque::new(), gone: false };
        Arc::new(Self { retention, state: Mutex::new(state), grown: watch::Sender::new(()) })
    }

    /// Takes in what was written, and what is no longer kept. Whether there was nothing before, and how many bytes of
    /// memory the new entries take.
    pub(super) fn extend(&self, first: u64, at: UnixMillis, entries: Vec<NewEntry>, oldest: u64) -> (bool, usize) {
        let mut state = self.state.lock();
        let was_empty = state.first == state.next;
        let mut bytes = 0;
        for (offset, what) in (first..).zip(entries) {
            bytes += weight(&what);
            state.tail.push_back(Arc::new(StreamEntry { offset, append_time: at, what }));
            state.next = offset + 1;
        }
        state.forget_before(oldest);
        state.first = oldest;
        drop(state);
        self.wake();
        (was_empty, bytes)
    }

    /// What is before `oldest` is no longer kept.
    pub(super) fn cut(&self, oldest: u64) {
        let mut state = self.state.lock();
        state.first = oldest;
        state.forget_before(oldest);
    }

    /// Forgets what is before `offset`, which the catalog still has.
    pub(super) fn forget_before(&self, offset: u64) {
        self.state.lock().forget_before(offset);
    }

    /// It is deleted.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.gone = true;
        state.tail = VecDeque::new();
        drop(state);
        self.wake();
    }

    /// Wakes who waits, to look again.
    pub(super) fn wake(&self) {
        self.grown.send_replace(());
    }

    /// Wakes with it.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    /// What there is from `from` on, or from the oldest kept entry on; of the tail, as much as `limit` says.
    pub(super) fn look(&self, from: Option<u64>, limit: Limit) -> Look {
        let state = self.state.lock();
        let from = from.unwrap_or(state.first);
        if state.gone {
            return Look::Gone;
        }
        if from < state.first {
            return Look::Removed { first: state.first, next: state.next };
        }
        if from >= state.next {
            return Look::End(state.next);
        }
        let skip = state.tail.front().and_then(|oldest| from.checked_sub(oldest.offset));
        match skip.and_then(|skip| usize::try_from(skip).ok()) {
            Some(skip) => Look::Tail(Page::of(state.tail.range(skip..).cloned(), limit, |e| weight(&e.what)).items),
            None => Look::Behind(from),
        }
    }

    /// The oldest kept offset, and the next one.
    pub(super) fn bounds(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.first, state.next)
    }

    /// Whether something may be too old at `now`: what only the catalog knows may be.
    pub(super) fn may_be_too_old(&self, now: UnixMillis) -> bool {
        let state = self.state.lock();
        let oldest = state.tail.front().filter(|oldest| oldest.offset == state.first);
        let age = self.retention.max_age_sec.saturating_mul(1000);
        match oldest {
            _ if state.first == state.next => false,
            Some(oldest) => oldest.append_time.0.saturating_add(age) < now.0,
            None => true,
        }
    }

    /// Bytes of memory that its tail takes.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.state.lock().tail.iter().map(|entry| weight(&entry.what)).sum()
    }
}

impl State {
    fn forget_before(&mut self, offset: u64) {
        let old = self.tail.partition_point(|entry| entry.offset < offset);
        self.tail.drain(..old);
        // A burst must not be paid for by a stream that is quiet ever after.
        if self.tail.len() < self.tail.capacity() / 4 {
            self.tail.shrink_to(self.tail.len() * 2);
        }
    }
}

/// About how many bytes of memory an entry takes; never fewer than on the wire, but for its stream's name.
pub(super) fn weight(entry: &NewEntry) -> usize {
    // Text and its end of the allocation; and a node of the map holds at least five pairs.
    let text: usize = entry.tags.iter().map(|(key, value)| key.len() + value.len() + 32).sum();
    160 + text + entry.tags.len().div_ceil(5) * 544
}
