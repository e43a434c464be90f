//! What must be true after every step, whatever was done.

use std::collections::{BTreeMap, BTreeSet};

use payload_manager_core::board::BlockState;
use payload_manager_core::ledger::{Cursor, Summary, TierCount};
use payload_manager_types::{PayloadId, PayloadState, Tier};

use crate::world::{Job, Spot, World, own};

impl World {
    /// Fails the test if ledger, pages, bytes and catalog do not agree.
    pub fn check(&mut self) {
        let rows = self.listed(None);
        self.check_budgets();
        self.check_lists(&rows);
        self.check_entries(&rows);
        self.check_records(&rows);
        let wrong = self.ledger.audit_eviction(self.now);
        assert!(wrong.is_empty(), "{wrong:?}");
        for slot in self.pages().slots.values() {
            assert!(self.outside.bytes.contains_key(&slot.on), "a lease lost its bytes: {slot:?}");
        }
        for row in &rows {
            for tier in row.descriptor.copies.iter() {
                let id = row.descriptor.facts.id;
                assert!(self.outside.has(id, tier), "a copy without bytes: {:?}", row.descriptor);
            }
        }
    }

    /// Everything that is listed, page by page.
    pub fn listed(&mut self, tier: Option<Tier>) -> Vec<Summary> {
        let (mut rows, mut after): (Vec<Summary>, Option<Cursor>) = (Vec::new(), None);
        loop {
            let page = self.ledger.page(tier, 3, after, self.now);
            rows.extend(page.rows);
            after = page.next;
            if after.is_none() {
                assert_eq!(page.total, rows.len() as u64, "the total is not what is listed");
                return rows;
            }
        }
    }

    /// Every block that takes bytes: there, about to be, or gone and not yet accounted for.
    fn blocks(&self) -> BTreeMap<Spot, u64> {
        let mut blocks = self.outside.bytes.clone();
        for job in &self.jobs {
            match job {
                Job::Make(a) | Job::Made(a) => blocks.insert((a.id(), a.tier(), a.place()), a.size()),
                Job::Copy(t) | Job::Copied(t) | Job::Rowed(t) => blocks.insert(own(t.id(), t.to), t.facts.size),
                Job::Free(b, _) | Job::Freed(b) => blocks.insert((b.id, b.tier, b.place), b.size),
                Job::Seal(..) | Job::Sealed(..) | Job::Check(_) | Job::Bury(_) => None,
            };
        }
        for deletion in self.jobs.iter().filter_map(|job| if let Job::Bury(d) = job { Some(d) } else { None }) {
            blocks.extend(deletion.free.iter().map(|b| ((b.id, b.tier, b.place), b.size)));
        }
        blocks
    }

    fn check_budgets(&self) {
        let blocks = self.blocks();
        for tier in Tier::ALL {
            let taken: u64 = blocks.iter().filter(|((_, t, _), _)| *t == tier).map(|(_, size)| size).sum();
            // What a start finds may be more than there should be; nothing is given out until it is less.
            let capacity = self.ledger.limits().capacity[tier.index()].unwrap_or(0);
            assert_eq!(self.used(tier), taken.min(capacity), "{tier}: the budget is not what is taken: {blocks:?}");
        }
    }

    fn check_lists(&mut self, rows: &[Summary]) {
        let age = |s: &Summary| (s.descriptor.facts.created, s.descriptor.facts.id);
        assert!(rows.windows(2).all(|w| age(&w[0]) > age(&w[1])), "not newest first, or twice");
        let counts = self.ledger.stats().tiers;
        for tier in Tier::ALL {
            let here = |s: &&Summary| s.descriptor.placement.map(|(t, _)| t) == Some(tier);
            let expected: Vec<&Summary> = rows.iter().filter(here).collect();
            let bytes = expected.iter().map(|s| s.descriptor.facts.size).sum();
            let payloads = expected.len() as u64;
            assert_eq!(counts[tier.index()], TierCount { payloads, bytes }, "{tier}: the counters are off");
            let filtered = self.listed(Some(tier));
            assert_eq!(filtered.iter().collect::<Vec<_>>(), expected, "{tier}: the filter is off");
        }
    }

    fn check_entries(&self, rows: &[Summary]) {
        let mut owners: BTreeSet<PayloadId> = self.blocks().keys().map(|(id, ..)| *id).collect();
        for Summary { descriptor, .. } in rows {
            let face = self.pages().face_of(descriptor.facts.id);
            owners.insert(descriptor.facts.id);
            let Some(((tier, place), face)) = descriptor.placement.zip(face) else { continue };
            if descriptor.state == PayloadState::Allocated {
                assert!(!face.state.is_readable(), "readable before it is committed: {face:?}");
                continue;
            }
            assert_eq!(
                (face.version, face.state, face.tier, face.place, face.length, face.expires),
                (
                    descriptor.facts.version,
                    descriptor.state,
                    tier,
                    place,
                    descriptor.facts.size,
                    descriptor.facts.expires
                ),
                "the entry shows something else"
            );
        }
        for face in self.pages().entries.values() {
            assert!(owners.contains(&face.id), "an entry that nobody owns: {face:?}");
            let listed = rows.iter().any(|s| s.descriptor.facts.id == face.id && s.descriptor.placement.is_some());
            assert!(listed || !face.state.is_readable(), "open, and not there: {face:?}");
        }
    }

    fn check_records(&self, rows: &[Summary]) {
        let blocks = self.blocks();
        let mut seen = BTreeSet::new();
        for (state, record) in self.pages().records.values() {
            assert!(
                blocks.contains_key(&(record.id, Tier::Ram, record.place)),
                "a record of nothing: {state:?} {record:?}"
            );
            assert!(seen.insert((record.id, record.place)), "two records of one block: {record:?}");
        }
        for row in rows.iter().filter(|s| s.descriptor.copies.contains(Tier::Ram)) {
            let id = row.descriptor.facts.id;
            let wanted = match row.descriptor.state {
                PayloadState::Allocated => BlockState::Reserved,
                _ => BlockState::Live,
            };
            let right = |(state, record): &(BlockState, _)| *state == wanted && id_of(record) == id;
            assert!(self.pages().records.values().any(right), "no record of {:?}", row.descriptor);
        }
    }

    /// Fails the test unless nothing is left of anything.
    pub fn check_nothing_left(&mut self) {
        self.check();
        assert!(self.listed(None).is_empty() && self.jobs.is_empty());
        let pages = self.pages();
        assert!(pages.entries.is_empty(), "{:?}", pages.entries);
        assert!(pages.records.is_empty(), "{:?}", pages.records);
        assert!(pages.slots.is_empty(), "{:?}", pages.slots);
        self.outside.flush();
        assert!(self.outside.bytes.is_empty(), "{:?}", self.outside.bytes);
        assert!(self.outside.rows.is_empty(), "{:?}", self.outside.rows);
        assert!(self.outside.doomed.is_empty(), "{:?}", self.outside.doomed);
        assert!(Tier::ALL.into_iter().all(|tier| self.used(tier) == 0));
        let stats = self.ledger.stats();
        assert_eq!((stats.backlog_blocks, stats.backlog_bytes, stats.leases), (0, 0, 0));
        assert_eq!(self.ledger.next_timer(), None);
    }
}

fn id_of(record: &payload_manager_core::board::BlockRecord) -> PayloadId {
    record.id
}
