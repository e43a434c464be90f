//! A tier's bytes: what it may hold and what is taken. Counted at reservation, given back when the bytes are gone.

use payload_manager_types::Tier;

use crate::refusal::Refusal;

/// The budget of one tier. Promise: honest-full, no reservation takes more than the capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    tier: Tier,
    capacity: u64,
    used: u64,
}

impl Budget {
    /// An empty tier of `capacity` bytes.
    #[must_use]
    pub const fn new(tier: Tier, capacity: u64) -> Self {
        Self { tier, capacity, used: 0 }
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
        self.capacity.saturating_sub(self.used)
    }

    /// Takes `bytes`.
    ///
    /// # Errors
    /// [`Refusal::TierFull`] with the numbers; nothing is taken.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), Refusal> {
        if bytes > self.free() {
            return Err(self.full(bytes));
        }
        self.used += bytes;
        Ok(())
    }

    /// Counts bytes that are there already, found at start-up, even beyond the capacity.
    pub fn adopt(&mut self, bytes: u64) {
        self.used = self.used.saturating_add(bytes);
    }

    /// Gives `bytes` back.
    pub fn release(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.used, "{}: {bytes} bytes given back of {}", self.tier, self.used);
        self.used = self.used.saturating_sub(bytes);
    }

    /// The refusal of `asked` bytes, with the numbers.
    #[must_use]
    pub const fn full(&self, asked: u64) -> Refusal {
        Refusal::TierFull { tier: self.tier, asked, free: self.free(), capacity: self.capacity }
    }
}
