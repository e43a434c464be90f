//! The one import of atomics, and the trait that the protocol is written over.
//!
//! Under `cfg(loom)` they are loom's, which explore every interleaving and every stale read that the memory model
//! allows; else they are the standard library's, laid over mapped memory. Under `cfg(shuttle)` they are that too, and each
//! use of one is a point where shuttle may go on with another thread. Nothing else here knows which.

#[cfg(all(not(loom), not(shuttle)))]
pub(crate) use std::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(all(not(loom), not(shuttle)))]
pub(crate) use std::thread_local;

#[cfg(shuttle)]
mod scheduled;
#[cfg(shuttle)]
pub(crate) use {self::scheduled::AtomicU64, shuttle::thread_local};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};

/// A 64-bit atomic word, real or modelled.
pub trait Atomic64 {
    /// Reads the word.
    fn load(&self, order: Ordering) -> u64;

    /// Writes the word.
    fn store(&self, value: u64, order: Ordering);

    /// Writes `new` if the word is `current`.
    ///
    /// # Errors
    /// What the word was instead.
    fn compare_exchange(&self, current: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64>;

    /// A fence of the same kind of atomics.
    fn fence(order: Ordering);
}

impl Atomic64 for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        Self::load(self, order)
    }

    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        Self::store(self, value, order);
    }

    #[inline]
    fn compare_exchange(&self, current: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        Self::compare_exchange(self, current, new, success, failure)
    }

    #[inline]
    fn fence(order: Ordering) {
        fence(order);
    }
}
