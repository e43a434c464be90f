//! Which process this is, told without a system call.

use std::io;
use std::sync::atomic::Ordering;

use crate::map::Pages;
use crate::sync::AtomicU64;

/// A mark of the process that made it: a child that is forked from it does not have it.
#[derive(Debug)]
pub struct ProcessMark {
    /// Its first word is 1 in the process that made it, and 0 in a child.
    page: Pages,
}

impl ProcessMark {
    /// A mark of this process.
    ///
    /// # Errors
    /// There is no memory for it, or the kernel has no such memory (before 4.14).
    pub fn new() -> io::Result<Self> {
        let page = Pages::wiped_on_fork(size_of::<u64>())?;
        if let Some(word) = page.one::<AtomicU64>(0) {
            word.store(1, Ordering::Relaxed);
        }
        Ok(Self { page })
    }

    /// Whether this is the process that made it. One load.
    #[inline]
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.page.one::<AtomicU64>(0).is_some_and(|word| word.load(Ordering::Relaxed) == 1)
    }
}
