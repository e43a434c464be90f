//! The shared pages, both ends: what the daemon and its clients read and write in the same memory.
//!
//! - [`slot`] is the lease word and its legal moves; [`entry`] is how an entry is published and read. Both are
//!   written over [`sync::Atomic64`], so that the code that ships is the code that loom checks.
//! - [`Directory`], [`Records`], [`RpcLeases`] and [`SessionPages`] are the daemon's ends of the pages;
//!   [`DirectoryReader`] and [`LeaseTable`] are a client's.
//! - [`Segment`] and [`SegmentMap`] are the two ends of an object that many payloads share.
//! - [`GuardedMap`] copies out of memory that its owner may cut short.
//! - [`fdpass`] carries frames and descriptors between the two.
//! - [`device`] is the memory of GPUs, by the CUDA driver API, which is loaded when it is wanted.
//! - [`object`] makes, opens, lists and unlinks shared-memory objects; [`ReadMap`] and [`WriteMap`] map payload bytes.
//!
//! Not here: what the states mean, who may do what, budgets. Those are rules, and rules live in the core.
//!
//! Unsafe code of the project lives in this crate alone, and in it in `map`, `view`, `layout`, `guard`, `segment`, `fdpass` and `device` alone (and in `forked`, for tests). Memory that
//! another process can write is reached through atomics, read once into a local, validated, then used.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the shared pages need atomic 64-bit loads that work on read-only memory: 64-bit targets only");

pub mod entry;
pub mod slot;
pub mod sync;

// What follows needs real atomics in mapped memory; loom's can't be laid over it.
#[cfg(not(loom))]
pub mod boot;
#[cfg(not(loom))]
pub mod device;
#[cfg(not(loom))]
mod directory;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
pub mod fdpass;
#[cfg(all(not(loom), feature = "testing"))]
pub mod forked;
#[cfg(all(not(loom), target_endian = "little"))]
#[cfg(test)]
mod golden;
#[cfg(not(loom))]
mod guard;
#[cfg(not(loom))]
mod layout;
#[cfg(not(loom))]
mod lease_page;
#[cfg(not(loom))]
mod lock;
#[cfg(not(loom))]
mod map;
#[cfg(not(loom))]
pub mod memfd;
#[cfg(not(loom))]
pub mod object;
#[cfg(not(loom))]
mod page;
#[cfg(not(loom))]
mod records;
#[cfg(not(loom))]
mod segment;
#[cfg(not(loom))]
pub mod session;
#[cfg(not(loom))]
#[cfg(test)]
mod testing;
#[cfg(not(loom))]
mod view;

#[cfg(not(loom))]
pub use self::{
    boot::Identity,
    directory::{Details, Directory, DirectoryReader, EntryState, Face, FoundEntry},
    error::{Full, OpenError},
    guard::{Condemned, GuardedMap},
    layout::VERSION as LAYOUT,
    lease_page::{Holders, LeaseView, Listing, RpcLeases},
    lock::{FolderLock, LockError},
    object::ObjectError,
    records::{BlockState, Record, RecordIx, Records, StoredRecord, TornRecord},
    segment::{Segment, SegmentMap, SegmentWriter},
    session::{
        Clock, Fallback, HeldSlot, Lease, LeaseTable, MOST_SLOTS, ProcessMark, Renewals, SLOT_STEP, SessionHolders,
        SessionPage, SessionPages, SetAside, Standing, Swept, Wanted,
    },
    view::{ReadMap, WriteMap},
};

/// The most items that any page can have: an entry index has 24 bits, and a bucket keeps one value for "empty".
#[cfg(not(loom))]
pub(crate) const MOST_ITEMS: u32 = payload_manager_types::EntryIndex::LIMIT - 1;
