//! Behind which pages of a segment there is memory: a bit each, and their count.

use std::ops::Range;

/// Bytes of a page: what memory is taken and given back in.
pub(super) const PAGE: u64 = 4096;

/// The pages of one segment.
#[derive(Debug)]
pub(super) struct Backing {
    words: Vec<u64>,
    count: u64,
}

impl Backing {
    /// No memory anywhere in `bytes`.
    pub(super) fn none(bytes: u64) -> Self {
        let pages = usize::try_from(bytes.div_ceil(PAGE)).unwrap_or(usize::MAX);
        Self { words: vec![0; pages.div_ceil(64)], count: 0 }
    }

    /// Bytes with memory behind them.
    pub(super) fn bytes(&self) -> u64 {
        self.count * PAGE
    }

    /// Says that there is memory behind these pages from now on, or none.
    pub(super) fn set(&mut self, pages: Range<u64>, there: bool) {
        for page in pages {
            let Some(word) = usize::try_from(page / 64).ok().and_then(|at| self.words.get_mut(at)) else { return };
            let bit = 1 << (page % 64);
            match (*word & bit != 0, there) {
                (false, true) => self.count += 1,
                (true, false) => self.count -= 1,
                _ => continue,
            }
            *word ^= bit;
        }
    }

    /// The runs of pages in this range that have memory (`there`) or have none, at most so many pages each.
    pub(super) fn runs(&self, within: Range<u64>, there: bool, most: u64) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for page in within.filter(|page| self.has(*page) == there) {
            match runs.last_mut() {
                Some(run) if run.end == page && run.end - run.start < most => run.end += 1,
                _ => runs.push(page..page + 1),
            }
        }
        runs
    }

    /// Whether all of these pages have memory.
    pub(super) fn is_whole(&self, mut pages: Range<u64>) -> bool {
        pages.all(|page| self.has(page))
    }

    fn has(&self, page: u64) -> bool {
        let word = usize::try_from(page / 64).ok().and_then(|at| self.words.get(at));
        word.is_some_and(|word| word & (1 << (page % 64)) != 0)
    }
}

/// The pages that any of these bytes are on.
pub(super) fn touched(offset: u64, bytes: u64) -> Range<u64> {
    offset / PAGE..(offset + bytes).div_ceil(PAGE)
}

/// The pages that lie in this range of bytes as a whole.
pub(super) fn whole(from: u64, to: u64) -> Range<u64> {
    let first = from.div_ceil(PAGE);
    first..(to / PAGE).max(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_once_and_found_in_runs() {
        let mut backing = Backing::none(200 * PAGE);
        backing.set(10..80, true);
        backing.set(70..90, true);
        backing.set(20..22, false);
        assert_eq!(backing.bytes(), 78 * PAGE);
        assert_eq!(backing.runs(0..200, true, 1000), [10..20, 22..90]);
        assert_eq!(backing.runs(0..30, false, 1000), [0..10, 20..22]);
        assert_eq!(backing.runs(22..90, true, 50), [22..72, 72..90]);
        assert!(backing.is_whole(22..90) && !backing.is_whole(21..23));
    }

    #[test]
    fn what_is_beyond_the_end_has_no_memory_and_takes_none() {
        let mut backing = Backing::none(PAGE);
        backing.set(0..1000, true);
        assert!(!backing.is_whole(900..901));
        assert!(backing.bytes() <= 64 * PAGE);
    }

    #[test]
    fn a_page_is_touched_by_one_byte_and_whole_only_with_all() {
        assert_eq!((touched(4095, 2), touched(0, 4096), touched(64, 64)), (0..2, 0..1, 0..1));
        assert_eq!((whole(1, 8192), whole(0, 8191), whole(1, 4097)), (1..2, 0..1, 1..1));
    }
}
