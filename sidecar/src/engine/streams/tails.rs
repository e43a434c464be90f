//! What all streams together keep in memory of their newest entries: no more than a budget, whatever their number.
//!
//! First in, first out over all streams: a subscriber that keeps up reads what has just come, wherever that is.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::live::Live;

/// Bytes that the tails of all streams take at most, and what it takes to count them.
pub(super) const BUDGET: usize = 8 << 20;

/// Bytes that it takes to count one append.
const RECORD: usize = 64;

/// What is held.
pub(super) struct Tails {
    budget: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bytes: usize,
    appends: VecDeque<Append>,
}

/// What one append has added. It counts until its turn comes, even if retention or a deletion has taken its entries
/// away before.
struct Append {
    to: Weak<Live>,
    /// The offset after its last entry.
    end: u64,
    bytes: usize,
}

impl Tails {
    pub(super) fn new(budget: usize) -> Self {
        Self { budget, held: Mutex::default() }
    }

    /// Counts `bytes` that were added at the end of a tail, and makes room for them. One append that is larger than the
    /// budget is not kept at all.
    pub(super) fn hold(&self, live: &Arc<Live>, bytes: usize) {
        let (_, end) = live.bounds();
        let append = Append { to: Arc::downgrade(live), end, bytes: bytes + RECORD };
        for old in self.exchange(append) {
            if let Some(live) = old.to.upgrade() {
                live.forget_before(old.end);
            }
        }
    }

    fn exchange(&self, append: Append) -> Vec<Append> {
        let mut held = self.held.lock();
        held.bytes += append.bytes;
        held.appends.push_back(append);
        let mut over = Vec::new();
        while held.bytes > self.budget
            && let Some(old) = held.appends.pop_front()
        {
            held.bytes -= old.bytes;
            over.push(old);
        }
        over
    }
}
