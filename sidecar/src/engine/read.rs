//! What is read: leases, descriptors, listings. Memory only, unless a lease needs a promotion first.

use std::sync::Arc;

use payload_manager_core::Refusal;
use payload_manager_core::ledger::{AcquireRequest, Acquired, Cursor, Grant, Page, Summary};
use payload_manager_core::payload::Descriptor;
use payload_manager_types::{DeviceUuid, LeaseId, PayloadId, Tier, UnixMillis};

use super::{Engine, Error};

/// A lease that is asked for.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What of the ledger.
    pub request: AcquireRequest,
    /// Whether a copy that it needs is waited for.
    pub wait: bool,
    /// The cards that such a copy may be on, the first the most wanted; none: any.
    pub devices: Arc<[DeviceUuid]>,
}

impl Engine {
    /// Takes a read lease. If no copy is as fast as `min_tier`: with `wait` one is made first, without it is begun in
    /// the background and the call fails. A reader who can't open a part of something waits until the payload is set
    /// apart.
    ///
    /// # Errors
    /// [`Error::Refused`], and what a promotion fails with.
    pub async fn acquire(&self, reading: Reading) -> Result<Grant, Error> {
        let Reading { request, wait, devices } = reading;
        loop {
            let asked = self.ledger().acquire(request, self.now())?;
            match asked {
                Acquired::Granted(grant) => {
                    self.alarm(self.now().monotonic + grant.lasts_ms);
                    return Ok(*grant);
                }
                Acquired::TooSlow { to, .. } if wait => {
                    self.promote(request.id, to, devices.clone()).await?;
                }
                Acquired::IsPart(tier) => {
                    self.set_apart(request.id, tier, devices.clone()).await?;
                }
                Acquired::TooSlow { have, to } => {
                    self.promote_later(request.id, to, devices);
                    return Err(Refusal::MinTierNotMet { id: request.id, have, want: to }.into());
                }
            }
        }
    }

    /// Gives a lease back; one that is over or never was is fine.
    pub fn release(&self, lease: LeaseId) {
        let free = self.ledger().release(lease);
        self.free_held(free);
    }

    /// Frees blocks whose last lease is gone: those in memory at once, files with their row.
    pub(super) fn free_held(&self, free: Vec<payload_manager_core::backlog::Retired>) {
        let (files, memory): (Vec<_>, Vec<_>) = free.into_iter().partition(|b| b.tier.is_durable());
        self.free_blocks(memory);
        if !files.is_empty() {
            self.free_files(files.clone(), files);
        }
    }

    /// Extends a lease; answers when it runs out now.
    ///
    /// # Errors
    /// [`Refusal::LeaseOver`].
    pub fn renew(&self, lease: LeaseId, duration_ms: u64) -> Result<UnixMillis, Error> {
        Ok(self.ledger().renew(lease, duration_ms, self.now())?)
    }

    /// What a payload is now.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn descriptor(&self, id: PayloadId) -> Result<Descriptor, Error> {
        Ok(self.ledger().descriptor(id, self.now())?)
    }

    /// What a payload is now, with its leases. A pin that has run out is not shown.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn summary(&self, id: PayloadId) -> Result<Summary, Error> {
        let now = self.now();
        let mut summary = self.ledger().summary(id, now)?;
        let pin = &mut summary.descriptor.facts.pin;
        *pin = pin.filter(|pin| pin.holds(now.wall));
        Ok(summary)
    }

    /// A page of the listing.
    #[must_use]
    pub fn page(&self, tier: Option<Tier>, size: usize, after: Option<Cursor>) -> Page {
        self.ledger().page(tier, size, after, self.now())
    }
}
