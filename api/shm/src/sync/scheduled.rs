//! Atomics for shuttle: the standard library's, in the same bytes of mapped memory, with a choice of the next thread before
//! every use. Shuttle runs one thread at a time, so every order is as strong as can be: orders are loom's to check.

use std::sync::atomic::{self, Ordering};

use shuttle::sync::atomic::AtomicBool;

#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct AtomicU64(atomic::AtomicU64);

/// What shuttle's own atomics do before they are used.
fn choose() {
    AtomicBool::new(false).load(Ordering::SeqCst);
}

impl AtomicU64 {
    pub(crate) const fn new(value: u64) -> Self {
        Self(atomic::AtomicU64::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        choose();
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        choose();
        self.0.store(value, order);
    }

    pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
        choose();
        self.0.swap(value, order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        choose();
        self.0.compare_exchange(current, new, success, failure)
    }

    pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        choose();
        self.0.fetch_or(value, order)
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        choose();
        self.0.fetch_add(value, order)
    }

    pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        choose();
        self.0.fetch_sub(value, order)
    }
}
