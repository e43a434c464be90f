//! The list of watched ranges: read by a signal handler, so made of atomics that are never freed.
//!
//! Ranges stand in chunks that are made as they are needed and reused; there are about as many as sessions and segments.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

const CHUNK: usize = 64;

/// One watched range, or the place of one.
#[derive(Debug, Default)]
pub(super) struct Range {
    /// Odd while in use; rises with every change, so that the handler never takes one range's start with another's end.
    turn: AtomicU64,
    start: AtomicUsize,
    end: AtomicUsize,
    pub(super) condemned: AtomicBool,
}

#[derive(Debug)]
struct Chunk {
    ranges: [Range; CHUNK],
    next: AtomicPtr<Chunk>,
}

static FIRST: Chunk = Chunk::new();
/// Held by who claims or gives up; never by the handler.
static CHANGE: Mutex<()> = Mutex::new(());

impl Chunk {
    const fn new() -> Self {
        Self {
            ranges: [const {
                Range {
                    turn: AtomicU64::new(0),
                    start: AtomicUsize::new(0),
                    end: AtomicUsize::new(0),
                    condemned: AtomicBool::new(false),
                }
            }; CHUNK],
            next: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    fn next(&self) -> Option<&'static Self> {
        // SAFETY: null, or what `push` has leaked: never freed and never written but through its atomics.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }

    fn push(&self) -> &'static Self {
        let new: &'static Self = Box::leak(Box::new(Self::new()));
        self.next.store(std::ptr::from_ref(new).cast_mut(), Ordering::Release);
        new
    }
}

impl Range {
    fn is_in_use(&self) -> bool {
        self.turn.load(Ordering::Acquire) & 1 == 1
    }

    /// Ends the watch.
    pub(super) fn give_up(&self) {
        let _changing = CHANGE.lock();
        self.turn.fetch_add(1, Ordering::AcqRel);
    }

    /// Its end, if `address` is in it. For the handler: loads alone.
    fn holds(&self, address: usize) -> Option<usize> {
        let turn = self.turn.load(Ordering::SeqCst);
        let (start, end) = (self.start.load(Ordering::SeqCst), self.end.load(Ordering::SeqCst));
        let same = turn & 1 == 1 && self.turn.load(Ordering::SeqCst) == turn;
        (same && (start..end).contains(&address)).then_some(end)
    }
}

/// A place for a range, filled.
pub(super) fn claim(start: usize, len: usize) -> &'static Range {
    let _changing = CHANGE.lock();
    let mut chunk = &FIRST;
    let range = loop {
        if let Some(free) = chunk.ranges.iter().find(|range| !range.is_in_use()) {
            break free;
        }
        chunk = chunk.next().unwrap_or_else(|| chunk.push());
    };
    range.start.store(start, Ordering::SeqCst);
    range.end.store(start + len, Ordering::SeqCst);
    range.condemned.store(false, Ordering::SeqCst);
    range.turn.fetch_add(1, Ordering::SeqCst);
    range
}

/// The range that an address is in, and its end. For the handler.
pub(super) fn find(address: usize) -> Option<(&'static Range, usize)> {
    let mut chunk = Some(&FIRST);
    while let Some(here) = chunk {
        if let Some(found) = here.ranges.iter().find_map(|range| Some((range, range.holds(address)?))) {
            return Some(found);
        }
        chunk = here.next();
    }
    None
}
