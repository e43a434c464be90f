//! A tier's bytes: what it may hold and what is taken. Counted at reservation, given back when the bytes are gone; in
//! whole pages where the tier gives bytes out in pages.

use payload_manager_types::Tier;

use crate::refusal::Refusal;

/// The budget of one tier. Promise: honest-full, no reservation takes more than the capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    tier: Tier,
    capacity: u64,
    used: u64,
    grain: Grain,
}

/// What a tier gives bytes out in multiples of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grain(u64);

impl Grain {
    /// So many bytes; 1 for single ones.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(if bytes == 0 { 1 } else { bytes })
    }

    /// What `bytes` of a payload take.
    #[must_use]
    pub const fn charge(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.0).saturating_mul(self.0)
    }

    /// How much of `bytes` can be given out.
    const fn whole(self, bytes: u64) -> u64 {
        bytes / self.0 * self.0
    }
}

impl Budget {
    /// An empty tier of `capacity` bytes that gives them out in multiples of `grain`.
    #[must_use]
    pub const fn new(tier: Tier, capacity: u64, grain: Grain) -> Self {
        Self { tier, capacity: grain.whole(capacity), used: 0, grain }
    }

    /// What `bytes` of a payload take of it.
    #[must_use]
    pub const fn charge(&self, bytes: u64) -> u64 {
        self.grain.charge(bytes)
    }

    /// What it may hold, in bytes.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// What is taken, in bytes: reserved, live, and waiting for leases to end.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// What could be reserved now, in bytes.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.grain.whole(self.capacity.saturating_sub(self.used))
    }

    /// Takes what `bytes` of a payload need.
    ///
    /// # Errors
    /// [`Refusal::TierFull`] with the numbers; nothing is taken.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), Refusal> {
        let charge = self.charge(bytes);
        if charge > self.free() {
            return Err(self.full(bytes));
        }
        self.used += charge;
        Ok(())
    }

    /// Counts bytes that are there already, found at start-up, even beyond the capacity.
    pub fn adopt(&mut self, bytes: u64) {
        self.used = self.used.saturating_add(self.charge(bytes));
    }

    /// Gives `bytes` back.
    pub fn release(&mut self, bytes: u64) {
        let charge = self.charge(bytes);
        debug_assert!(charge <= self.used, "{}: {charge} bytes given back of {}", self.tier, self.used);
        self.used = self.used.saturating_sub(charge);
    }

    /// The refusal of `asked` bytes, with the numbers.
    #[must_use]
    pub const fn full(&self, asked: u64) -> Refusal {
        Refusal::TierFull { tier: self.tier, asked, free: self.free(), capacity: self.capacity }
    }
}
