//! Which thread of this process takes leases in which line of the page.
//!
//! A thread keeps the line that it took a lease in last, so that the next one costs no search and shares no cache line
//! with another thread. A line that is full is exchanged for another; a thread that ends leaves its line to others,
//! leases in it included. None of this allocates or makes a system call, but for a thread's first lease in a session.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::mark::ProcessMark;
use crate::slot::line::{self, Shipped};
use crate::sync::{AtomicU64, thread_local};

/// The lines of one page, as its process sees them.
#[derive(Debug)]
pub(super) struct Lines {
    /// One bit a line: set while a thread owns it.
    owned: Box<[AtomicU64]>,
    count: usize,
    /// Where to look for a line next.
    next: AtomicUsize,
    mark: ProcessMark,
}

impl Lines {
    pub(super) fn new(count: usize) -> io::Result<Self> {
        let mark = ProcessMark::new()?;
        let owned = (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { owned, count, next: AtomicUsize::new(0), mark })
    }

    /// How many there are.
    #[inline]
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether this is the process that the session belongs to.
    #[inline]
    pub(super) fn are_ours(&self) -> bool {
        self.mark.is_ours()
    }

    /// Makes a line that nobody has and in which `fits` finds a slot this thread's.
    fn claim(&self, fits: &impl Fn(usize) -> Option<usize>) -> Option<(usize, usize)> {
        let from = self.next.load(Ordering::Relaxed);
        for line in (0..self.count).map(|n| (from + n) % self.count) {
            let (Some(owned), bit) = self.bit(line) else { continue };
            if !line::claim::<_, Shipped>(owned, bit) {
                continue;
            }
            if let Some(slot) = fits(line) {
                self.next.store(line + 1, Ordering::Relaxed);
                return Some((line, slot));
            }
            line::give_up::<_, Shipped>(owned, bit);
        }
        None
    }

    fn give_up(&self, line: usize) {
        if let (Some(owned), bit) = self.bit(line) {
            line::give_up::<_, Shipped>(owned, bit);
        }
    }

    fn bit(&self, line: usize) -> (Option<&AtomicU64>, u64) {
        (self.owned.get(line / 64), 1 << (line % 64))
    }
}

/// A line that a thread owns, given up on drop.
struct Owned {
    line: usize,
    lines: Weak<Lines>,
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(lines) = self.lines.upgrade() {
            lines.give_up(self.line);
        }
    }
}

thread_local! {
    /// One for each session in which this thread took leases.
    static MINE: RefCell<Vec<Owned>> = const { RefCell::new(Vec::new()) };
}

/// Does `take` with a free slot of a line that is this thread's for the time, if there is one. `fits` finds a free slot
/// of a line, counted from the start of the page.
#[inline]
pub(super) fn with_slot<T>(
    lines: &Arc<Lines>,
    fits: impl Fn(usize) -> Option<usize>,
    take: impl Fn(usize) -> T,
) -> Option<T> {
    let done = MINE.try_with(|mine| {
        let mut mine = mine.try_borrow_mut().ok()?;
        let known = mine.iter_mut().find(|owned| std::ptr::eq(owned.lines.as_ptr(), Arc::as_ptr(lines)));
        let slot = match known {
            Some(owned) => fits(owned.line).or_else(|| exchange(owned, lines, &fits))?,
            None => first(&mut mine, lines, &fits)?,
        };
        Some(take(slot))
    });
    done.unwrap_or_else(|_| for_once(lines, fits, take))
}

/// Gives a full line up for one with a free slot. Keeps it when there is none.
#[cold]
fn exchange(owned: &mut Owned, lines: &Lines, fits: &impl Fn(usize) -> Option<usize>) -> Option<usize> {
    let (line, slot) = lines.claim(fits)?;
    lines.give_up(owned.line);
    owned.line = line;
    Some(slot)
}

#[cold]
fn first(mine: &mut Vec<Owned>, lines: &Arc<Lines>, fits: &impl Fn(usize) -> Option<usize>) -> Option<usize> {
    mine.retain(|owned| owned.lines.strong_count() > 0);
    let (line, slot) = lines.claim(fits)?;
    mine.push(Owned { line, lines: Arc::downgrade(lines) });
    Some(slot)
}

/// In a thread that is ending, and keeps nothing any more.
#[cold]
fn for_once<T>(lines: &Lines, fits: impl Fn(usize) -> Option<usize>, take: impl Fn(usize) -> T) -> Option<T> {
    let (line, slot) = lines.claim(&fits)?;
    let done = take(slot);
    lines.give_up(line);
    Some(done)
}
