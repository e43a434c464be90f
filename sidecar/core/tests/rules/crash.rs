//! A crash, and the start after it: what a shell makes of pages, rows and files before it serves.

use std::collections::{BTreeMap, BTreeSet};

use payload_manager_core::Ledger;
use payload_manager_core::backlog::Retired;
use payload_manager_core::board::{BlockRecord, BlockState, Board, Face, RecordIndex};
use payload_manager_core::facts::{Facts, Labels, Phase};
use payload_manager_core::ledger::{Adopted, RamBlock};
use payload_manager_types::{PayloadId, PayloadState, Place, Tier, TierSet};

use crate::board::ModelBoard;
use crate::world::{Job, Outside, SUM, World, own};

#[derive(Default)]
struct View {
    row: Option<Facts>,
    ram: Option<(RecordIndex, BlockRecord)>,
}

struct Start {
    ledger: Ledger<ModelBoard>,
    outside: Outside,
    views: BTreeMap<PayloadId, View>,
    retired: Vec<Retired>,
}

impl World {
    /// The process dies at this instant, and another one starts.
    pub fn crash(self) -> Self {
        let (board, limits, mut outside) = (self.ledger.board(), *self.ledger.limits(), self.outside);
        outside.queue.clear();
        outside.bytes.retain(|(_, tier, _), _| *tier != Tier::Gpu);
        let mut board = ModelBoard::new(board.pages.clone(), board.room);
        board.starting = true;
        let views = outside.rows.iter().map(|(id, row)| (*id, View { row: Some(row.clone()), ram: None })).collect();
        let mut start = Start { ledger: Ledger::new(board, limits), outside, views, retired: Vec::new() };
        start.read_records();
        start.orphan_files();
        for (id, view) in std::mem::take(&mut start.views) {
            start.adopt(id, view);
        }
        let free = start.retire();
        start.sweep_entries();
        let Start { mut ledger, outside, .. } = start;
        ledger.board_mut().starting = false;
        let ended = ledger.adopt_ended(self.now);
        let jobs = ended.into_iter().map(Job::Bury).collect();
        let mut world = Self { ledger, now: self.now, outside, jobs, looks_later: self.looks_later };
        world.free(free, true);
        world
    }
}

/// A block of RAM on its way out.
fn out((at, record): (RecordIndex, BlockRecord)) -> Retired {
    Retired {
        id: record.id,
        tier: Tier::Ram,
        place: record.place,
        size: record.size,
        block: record.block,
        record: Some(at),
    }
}

impl Start {
    fn read_records(&mut self) {
        for (at, (state, record)) in self.ledger.board().pages.records.clone() {
            match state {
                BlockState::Reserved if record.reclaim_at.is_none() => {
                    self.outside.bytes.remove(&(record.id, Tier::Ram, record.place));
                    self.ledger.board_mut().free_record(at);
                }
                // Of two that are live the newer one wins.
                BlockState::Live | BlockState::Reserved => {
                    let ram = &mut self.views.entry(record.id).or_default().ram;
                    let older = match ram {
                        Some((_, other)) if other.version > record.version => Some((at, record)),
                        _ => ram.replace((at, record)),
                    };
                    self.retired.extend(older.map(out));
                }
                BlockState::Retired => self.retired.push(out((at, record))),
                BlockState::Deleting => {
                    self.forget(record.id);
                    self.retired.push(out((at, record)));
                }
            }
        }
    }

    /// A deletion had begun: it is finished, files and all.
    fn forget(&mut self, id: PayloadId) {
        let Some(row) = self.views.remove(&id).and_then(|view| view.row) else { return };
        self.outside.rows.remove(&id);
        let face = self.ledger.board().pages.face_of(id).copied();
        let index = self.ledger.board().pages.entry_of(id);
        for tier in row.copies.iter().filter(|t| self.outside.bytes.contains_key(&own(id, *t)) && t.is_durable()) {
            let block = index.zip(face).map(|(index, face)| payload_manager_types::BlockName {
                index,
                generation: face.generations[tier.index()],
            });
            self.outside.doomed.entry((id, tier)).or_insert((block, row.size));
        }
    }

    /// Files that no row names are moved aside; the payload may still have others.
    fn orphan_files(&mut self) {
        let (views, doomed) = (&self.views, &self.outside.doomed);
        self.outside.bytes.retain(|(id, tier, _), _| {
            !tier.is_durable() || views.contains_key(id) || doomed.contains_key(&(*id, *tier))
        });
    }

    fn adopt(&mut self, id: PayloadId, view: View) {
        let View { row, ram } = view;
        let mut facts = row.or_else(|| ram.map(|(_, record)| facts_of(&record))).unwrap();
        if let Some((_, record)) = ram.filter(|(_, record)| record.reclaim_at.is_none()) {
            facts.phase = Phase::Committed;
            facts.reclaim_at = None;
            facts.checksum = facts.checksum.or(record.checksum);
            facts.version = facts.version.max(record.version);
        }
        let pages = &self.ledger.board().pages;
        let index = pages.entry_of(id);
        let entry = index.map(|index| (index, pages.entries[&index].generations, pages.last[&index]));
        // SPILLING was shown, or the entry was closed, and nobody is at it any more: who looked before sees a change.
        let settled = |face: &Face| matches!(face.state, PayloadState::Active | PayloadState::Durable);
        let shown = |face: &Face| face.version + u64::from(facts.phase == Phase::Committed && !settled(face));
        facts.version = facts.version.max(pages.face_of(id).map_or(0, shown));
        let there = ram.is_some_and(|(_, said)| self.outside.bytes.contains_key(&(id, Tier::Ram, said.place)));
        if let Some((at, _)) = ram.filter(|_| !there) {
            self.ledger.board_mut().free_record(at);
        }
        let ram = ram.filter(|_| there);
        let found = self.files(&mut facts);
        if facts.phase == Phase::Allocated && ram.is_none() && found == TierSet::EMPTY {
            self.outside.rows.remove(&id);
            return;
        }
        let ram = ram.map(|(record, said)| RamBlock { record, place: said.place, block: said.block });
        self.ledger.adopt(Adopted { facts, ram, found, entry }).unwrap();
    }

    /// The files that are copies; a whole one that the row does not know of yet is one, too.
    fn files(&mut self, facts: &mut Facts) -> TierSet {
        let mut found = TierSet::EMPTY;
        for tier in [Tier::Disk, Tier::Object] {
            let file = own(facts.id, tier);
            if !self.outside.bytes.contains_key(&file) || self.outside.doomed.contains_key(&(facts.id, tier)) {
                continue;
            }
            if facts.phase == Phase::Allocated && !facts.copies.contains(tier) {
                self.outside.bytes.remove(&file);
                continue;
            }
            if !facts.copies.contains(tier) {
                facts.copies = facts.copies.with(tier);
                facts.checksum = Some(SUM);
                facts.version += 1;
                self.outside.rows.insert(facts.id, facts.clone());
            }
            found = found.with(tier);
        }
        found
    }

    fn retire(&mut self) -> Vec<Retired> {
        let entries = self.ledger.board().pages.entries.clone();
        let files = self.outside.doomed.iter().map(|(&(id, tier), &(block, size))| {
            // An index that was given to another payload since names nothing of this one.
            let block = block.filter(|name| entries.get(&name.index).is_some_and(|face| face.id == id));
            Retired { id, tier, place: Place::OWN, size, block, record: None }
        });
        let blocks: Vec<Retired> = std::mem::take(&mut self.retired).into_iter().chain(files).collect();
        blocks.into_iter().flat_map(|block| self.ledger.adopt_retired(block)).collect()
    }

    fn sweep_entries(&mut self) {
        let known: BTreeSet<PayloadId> =
            self.ledger.board().pages.entries.values().map(|face| face.id).filter(|id| self.kept(*id)).collect();
        let entries = self.ledger.board().pages.entries.clone();
        for (index, _) in entries.into_iter().filter(|(_, face)| !known.contains(&face.id)) {
            self.ledger.board_mut().remove(index);
        }
    }

    fn kept(&self, id: PayloadId) -> bool {
        self.ledger.knows(id) || self.ledger.is_grave(id)
    }
}

fn facts_of(record: &BlockRecord) -> Facts {
    Facts {
        id: record.id,
        size: record.size,
        phase: if record.reclaim_at.is_some() { Phase::Allocated } else { Phase::Committed },
        version: record.version,
        preferred: record.preferred,
        copies: TierSet::EMPTY.with(Tier::Ram),
        created: record.created,
        expires: record.expires,
        reclaim_at: record.reclaim_at,
        policy: record.policy,
        no_evict: record.no_evict,
        protection: record.protection,
        checksum: record.checksum,
        pin: None,
        labels: Labels::default(),
    }
}
