//! Answers in pages: how much one may hold, and what was left out.

/// How much one answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Items at most.
    pub items: usize,
    /// Bytes at most, as each item's `weight` counts them; the first item may be larger.
    pub bytes: usize,
}

impl Limit {
    /// No limit.
    pub const NONE: Self = Self { items: usize::MAX, bytes: usize::MAX };

    /// So many items, of whatever size.
    #[must_use]
    pub const fn items(items: usize) -> Self {
        Self { items, ..Self::NONE }
    }
}

/// What fits, from the start of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In order; at least one if there is one and the limit allows one.
    pub items: Vec<T>,
    /// Whether there is more after them.
    pub more: bool,
}

impl<T> Page<T> {
    /// What of `all` fits, each item taking as many bytes as `weigh` says.
    pub fn of(all: impl IntoIterator<Item = T>, limit: Limit, weigh: impl Fn(&T) -> usize) -> Self {
        let mut filling = Filling::new(limit);
        for item in all {
            let weight = weigh(&item);
            if !filling.take(item, weight) {
                break;
            }
        }
        filling.page()
    }
}

/// A page being filled.
pub(crate) struct Filling<T> {
    page: Page<T>,
    limit: Limit,
    bytes: usize,
}

impl<T> Filling<T> {
    /// An empty page.
    pub(crate) fn new(limit: Limit) -> Self {
        Self { page: Page { items: Vec::new(), more: false }, limit, bytes: 0 }
    }

    /// Takes `item` if it fits; otherwise the page is full and says that there is more.
    pub(crate) fn take(&mut self, item: T, weight: usize) -> bool {
        let Page { items, more } = &mut self.page;
        let bytes = self.bytes.saturating_add(weight);
        *more = items.len() >= self.limit.items || (!items.is_empty() && bytes > self.limit.bytes);
        if !*more {
            items.push(item);
            self.bytes = bytes;
        }
        !*more
    }

    /// What was taken.
    pub(crate) fn page(self) -> Page<T> {
        self.page
    }
}
