//! Where the bytes lie. One [`TierStore`] a tier; [`copy`](copy::copy) moves bytes between any two of them.
//!
//! A back end knows how to hold bytes; it does not know budgets, leases, states or policies: those are the ledger's.
//! [`HeapTier`] is the reference, [`GpuTier`], [`RamTier`] and [`DiskTier`] are what clients open, [`ObjectTier`] what they upload to
//! and download from; [`Faulty`] wraps any of them for
//! tests of what goes wrong. One conformance suite runs over all.
//!
//! Everything here blocks: call it from threads that may.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

pub mod buffer;
#[cfg(test)]
mod conformance;
pub mod copy;
pub mod disk;
mod fail;
pub mod faulty;
mod file;
pub mod gauge;
pub mod gpu;
pub mod heap;
mod notes;
mod numbers;
pub mod object;
pub mod ram;
mod reserve;
pub mod store;

pub use buffer::AlignedBuffer;
pub use copy::{Job, Watch};
pub use disk::{DiskOptions, DiskTier, Found};
pub use faulty::Faulty;
pub use gauge::{CgroupGauge, MemoryGauge, Room, Unlimited};
pub use gpu::GpuTier;
pub use heap::HeapTier;
pub use notes::Notes;
pub use object::{ObjectOptions, ObjectTier};
pub use ram::{Memfds, RamTier, Segments};
pub use store::{Archive, Description, Location, Packing, Sealed, Sink, Source, TierError, TierStore, Written};
