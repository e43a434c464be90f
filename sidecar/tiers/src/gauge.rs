//! How much memory there is for shared memory to grow into.
//!
//! Under a cgroup limit the kernel answers a `fallocate` that goes too far with an OOM kill, not with an error. So
//! whoever reserves asks a gauge first (promise: honest-full). Not here: the capacity of the RAM tier, which is a
//! budget; this is what is left at this moment.

mod cgroup;
mod limits;
mod mount;
#[cfg(test)]
mod tests;

use std::fmt;

pub use cgroup::CgroupGauge;
pub use limits::{GroupLimit, memory_limits};

/// What may still be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub free: u64,
    /// What binds, in words for people.
    pub bound_by: String,
}

impl Room {
    fn unbound() -> Self {
        Self { free: u64::MAX, bound_by: "nothing".to_owned() }
    }
}

/// Says how much memory may still be taken, less a headroom for everything that is not payloads.
pub trait MemoryGauge: fmt::Debug + Send + Sync {
    /// What may be taken now, by somebody who wants so many bytes: of more than that, the answer may be an underestimate.
    /// Looks afresh at each call; what can't be read does not bind.
    fn room(&self, wanted: u64) -> Room;
}

/// A gauge under which nothing binds, for tests and for hosts that look after themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl MemoryGauge for Unlimited {
    fn room(&self, _: u64) -> Room {
        Room::unbound()
    }
}
