//! A world in few words, for tests that are about something else.

use payload_manager_core::ledger::AllocateRequest;
use payload_manager_core::payload::Descriptor;
use payload_manager_types::{LeaseId, Tier};

use crate::world::{World, id, request};

impl World {
    pub fn create(&mut self, n: u64, size: u64, tier: Tier) {
        self.create_as(request(n, size, tier));
    }

    pub fn create_as(&mut self, request: AllocateRequest) {
        let id = request.id;
        self.allocate(request).unwrap();
        self.settle();
        self.commit(id.to_words().1).unwrap();
        self.settle();
    }

    pub fn lease(&mut self, n: u64) -> LeaseId {
        self.lease_for(n, 0).unwrap().lease
    }

    pub fn get(&self, n: u64) -> Descriptor {
        self.ledger.descriptor(id(n), self.now).unwrap()
    }

    pub fn tier(&self, n: u64) -> Option<Tier> {
        self.get(n).placement.map(|(tier, _)| tier)
    }

    pub fn used(&self, tier: Tier) -> u64 {
        self.ledger.stats().budgets[tier.index()].map_or(0, |(capacity, free)| capacity - free)
    }

    pub fn has_bytes(&self, n: u64, tier: Tier) -> bool {
        self.outside.has(id(n), tier)
    }
}
