//! One page of lease slots, with the nonces beside them.

use payload_manager_types::{LeaseDeadline, LeaseId};

use crate::boot::Identity;
use crate::error::OpenError;
use crate::layout::{HEADER_BYTES, Kind};
use crate::object::ObjectError;
use crate::page::{Page, Plan};
use crate::slot::{PAGE_OPEN, Tick};
use crate::sync::{AtomicU64, Ordering};

/// Slots on a page of the daemon's own: 68 KiB in all.
pub(super) const SLOTS: u32 = 4096;

/// Where a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) page: u32,
    pub(super) slot: u32,
}

/// The three parts of a lease's id.
pub(super) fn id_of(at: At, nonce: u64) -> LeaseId {
    LeaseId::from_words(u64::from(at.page) << 32 | u64::from(at.slot), nonce)
}

/// The inverse of [`id_of`]; any 16 bytes go in.
pub(super) fn parts_of(id: LeaseId) -> (At, u64) {
    let (place, nonce) = id.to_words();
    let half = |shift: u32| u32::try_from(place >> shift & 0xffff_ffff).unwrap_or(u32::MAX);
    (At { page: half(32), slot: half(0) }, nonce)
}

/// A page of slots and nonces, mapped.
#[derive(Debug)]
pub(super) struct LeasePage {
    page: Page,
    /// How many slots are not 0.
    pub(super) occupied: u32,
}

/// A slot and a nonce are counted as one item of 16 bytes, though all slots come before all nonces.
fn plan(max: u32) -> Plan {
    let item_bytes = 2 * size_of::<AtomicU64>();
    Plan { kind: Kind::RpcLeases, items_at: HEADER_BYTES, item_bytes, max, what: "lease slots" }
}

impl LeasePage {
    pub(super) fn create(name: &str, identity: &Identity, epoch_ms: u64) -> Result<Self, ObjectError> {
        Page::create(name, identity, plan(SLOTS), epoch_ms, SLOTS).map(Self::opened)
    }

    pub(super) fn open(name: &str, identity: &Identity) -> Result<Self, OpenError> {
        let page = Page::open(name, identity, Kind::RpcLeases, plan)?;
        if page.max() != SLOTS || page.grown() != SLOTS {
            let what = format!("{} of {} slots in use, not all of {SLOTS}", page.grown(), page.max());
            return Err(OpenError::Torn { name: name.to_owned(), what });
        }
        Ok(Self::opened(page))
    }

    /// A page of the daemon's own is never closed.
    fn opened(page: Page) -> Self {
        if let Some(header) = page.header() {
            header.state.store(PAGE_OPEN, Ordering::Relaxed);
        }
        Self { page, occupied: 0 }
    }

    pub(super) const fn epoch_ms(&self) -> u64 {
        self.page.epoch_ms()
    }

    pub(super) const fn tick(&self, at: LeaseDeadline) -> Tick {
        Tick::new(at, self.page.epoch_ms())
    }

    pub(super) fn state(&self) -> Option<&AtomicU64> {
        self.page.header().map(|header| &header.state)
    }

    /// All slots, free ones included.
    pub(super) fn slots(&self) -> &[AtomicU64] {
        self.page.many(HEADER_BYTES, SLOTS as usize).unwrap_or_default()
    }

    pub(super) fn slot(&self, slot: u32) -> Option<&AtomicU64> {
        self.slots().get(slot as usize)
    }

    /// What the holder of a slot must know to give it back. 0: nobody can.
    pub(super) fn nonce(&self, slot: u32) -> Option<&AtomicU64> {
        let nonces: &[AtomicU64] = self.page.many(HEADER_BYTES + 8 * SLOTS as usize, SLOTS as usize)?;
        nonces.get(slot as usize)
    }
}
