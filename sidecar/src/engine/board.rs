//! The ledger's port laid over shared memory: directory, records and lease pages of one instance.
//!
//! Translation only. What is written in which order is the ledger's; what an order of writes means to a reader is
//! `payload-manager-shm`'s.

use std::fs::File;

use payload_manager_core::board::{
    BlockRecord, BlockState, Board, Face, Full, Holders, LeaseSlot, RecordIndex, Renewed,
};
use payload_manager_shm::boot::monotonic_ms;
use payload_manager_shm::slot::SlotState;
use payload_manager_shm::{
    self as shm, Directory, EntryState, Listing, Record, RecordIx, Records, RpcLeases, SessionHolders, SessionPages,
};
use payload_manager_types::{BlockName, EntryIndex, LeaseDeadline, LeaseId, PayloadId};

/// Slots that one look at a list of leases sees at most: a fraction of a millisecond.
const LOOK: usize = 1 << 16;

/// Positions of a list from here on are of session pages: the page's number above the slot's.
const OF_SESSIONS: u64 = 1 << 62;
const SLOT_BITS: u32 = 16;

/// How often the read marks of sessions are collected at most, in milliseconds: they are one bit an entry and session.
const BETWEEN_COLLECTIONS_MS: u64 = 20;

/// How often deadlines of sessions are looked at at most, in milliseconds.
const BETWEEN_SWEEPS_MS: u64 = 1000;

/// The shared pages of this daemon.
#[derive(Debug)]
pub struct SharedPages {
    /// What clients look up.
    pub directory: Directory,
    /// One record a RAM block.
    pub records: Records,
    /// Leases of RPC callers.
    pub leases: RpcLeases,
    /// Leases that session clients take by themselves.
    pub sessions: SessionPages,
    /// The directory's object, open for reading: what session clients are given.
    pub directory_file: File,
    /// The longest lease, in milliseconds.
    pub lease_max_ms: u64,
    collected_ms: u64,
    swept_ms: u64,
    granted: u64,
    revoked: u64,
}

/// What has become of leases since the daemon was started, and what there is of them now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leases {
    /// Taken by calls, and by clients on their own pages.
    pub taken: [u64; 2],
    /// Live, in the same order.
    pub live: [u64; 2],
    /// Those that came to their deadline.
    pub expired: u64,
    /// Those that a forced deletion took away.
    pub revoked: u64,
}

impl SharedPages {
    /// The pages, open.
    pub fn new(
        directory: Directory,
        records: Records,
        leases: RpcLeases,
        sessions: SessionPages,
        directory_file: File,
        lease_max_ms: u64,
    ) -> Self {
        Self {
            directory,
            records,
            leases,
            sessions,
            directory_file,
            lease_max_ms,
            collected_ms: 0,
            swept_ms: 0,
            granted: 0,
            revoked: 0,
        }
    }

    /// When a lease that is taken now ends at the latest.
    #[must_use]
    pub fn latest(&self, now_ms: u64) -> LeaseDeadline {
        LeaseDeadline(now_ms.saturating_add(self.lease_max_ms))
    }

    /// Counts leases.
    pub fn count_leases(&mut self) -> Leases {
        let now = monotonic_ms();
        self.sweep(now);
        let all = self.lease_count();
        let by_call = u64::from(self.leases.live_count());
        Leases {
            taken: [self.granted, self.sessions.taken()],
            live: [by_call, all.saturating_sub(by_call)],
            expired: self.leases.expired_count() + self.sessions.expired_count(),
            revoked: self.revoked,
        }
    }

    /// Before anybody asks whose claims stand: those that are over are marked, and what is beyond the maximum lowered. A
    /// client can write any deadline, and it counts from when it is first seen.
    fn sweep(&mut self, now_ms: u64) {
        if self.swept_ms + BETWEEN_SWEEPS_MS <= now_ms {
            self.swept_ms = now_ms;
            self.sessions.sweep(now_ms, self.latest(now_ms));
        }
    }

    /// Takes a session's page away: what it pinned is pinned no more.
    pub fn remove_page(&mut self, number: u32) {
        if let Err(error) = self.sessions.remove(number) {
            tracing::error!(number, %error, "a session's lease page could not be removed; the next start does it");
        }
    }

    /// Takes the pages away that pin nothing any more and never will.
    pub fn remove_over(&mut self, now_ms: u64) {
        self.sessions.over(now_ms).into_iter().for_each(|number| self.remove_page(number));
    }

    /// Leases of sessions from a position on.
    fn of_sessions(&self, asked: Listing) -> (Vec<LeaseSlot>, Option<u64>) {
        let position =
            |held: &SessionHolders| OF_SESSIONS | u64::from(held.session) << SLOT_BITS | u64::from(held.held.slot);
        let page = |at: u64| u32::try_from((at & !OF_SESSIONS) >> SLOT_BITS).unwrap_or(u32::MAX);
        // One page a call: that is the bound on how long it takes.
        let Some(number) = self.sessions.iter().map(shm::SessionPage::number).find(|n| *n >= page(asked.from)) else {
            return (Vec::new(), None);
        };
        let held = self.sessions.get(number).map(|page| page.held(asked.now_ms)).unwrap_or_default();
        let mut found = held
            .into_iter()
            .map(|held| SessionHolders { session: number, held })
            .filter(|s| asked.on.is_none_or(|on| s.held.block.index == on) && s.held.deadline.0 > asked.now_ms)
            .filter(|s| position(s) >= asked.from);
        let most: Vec<SessionHolders> = found.by_ref().take(asked.most).collect();
        let next_page = || Some(OF_SESSIONS | u64::from(number.checked_add(1)?) << SLOT_BITS);
        let next = found.next().as_ref().map(position).or_else(next_page);
        let slot = |s: SessionHolders| LeaseSlot {
            block: s.held.block,
            deadline: s.held.deadline,
            revoked: s.held.state == SlotState::Revoked,
            session: session_id(s.session),
        };
        (most.into_iter().map(slot).collect(), next)
    }
}

/// The id by which a session is known, of the number of its page; 0 is no session's.
#[must_use]
pub fn session_id(page: u32) -> u64 {
    u64::from(page) + 1
}

fn number(at: RecordIndex) -> RecordIx {
    RecordIx::new(at.0)
}

impl Board for SharedPages {
    fn insert(&mut self, face: &Face) -> Result<EntryIndex, Full> {
        let index = self.directory.insert(&shown(face)).map_err(|e| full(&e))?;
        self.directory.describe(index, face.id, &details(face));
        Ok(index)
    }

    fn insert_at(&mut self, index: EntryIndex, face: &Face) -> Result<bool, Full> {
        let there = self.directory.insert_at(index, &shown(face)).map_err(|e| full(&e))?;
        self.directory.describe(index, face.id, &details(face));
        Ok(there)
    }

    fn publish(&mut self, index: EntryIndex, face: &Face) {
        self.directory.describe(index, face.id, &details(face));
        self.directory.publish(index, &shown(face));
    }

    fn remove(&mut self, index: EntryIndex) {
        self.directory.remove(index);
    }

    fn reserve_record(&mut self, record: &BlockRecord) -> Result<RecordIndex, Full> {
        let ix = self.records.reserve(&recorded(record)).map_err(|e| full(&e))?;
        Ok(RecordIndex(ix.get()))
    }

    fn set_live(&mut self, at: RecordIndex, record: &BlockRecord) {
        let legal = self.records.set_live(number(at), &recorded(record));
        debug_assert!(legal, "record {at:?} can't say {record:?}");
    }

    fn mark(&mut self, at: RecordIndex, state: BlockState) {
        let state = match state {
            BlockState::Reserved => shm::BlockState::Reserved,
            BlockState::Live => shm::BlockState::Live,
            BlockState::Retired => shm::BlockState::Retired,
            BlockState::Deleting => shm::BlockState::Deleting,
        };
        self.records.mark(number(at), state);
    }

    fn free_record(&mut self, at: RecordIndex) {
        self.records.free(number(at));
    }

    fn holders(&mut self, blocks: &[BlockName]) -> Vec<Holders> {
        if blocks.is_empty() {
            return Vec::new();
        }
        let now = monotonic_ms();
        self.sweep(now);
        let both = self.leases.holders(blocks, now).into_iter().zip(self.sessions.holders(blocks, now));
        let sum = |(a, b): (shm::Holders, shm::Holders)| Holders {
            live: a.live + b.live,
            pinning: a.pinning + b.pinning,
            latest: a.latest.max(b.latest),
        };
        both.map(sum).collect()
    }

    fn live_leases(&mut self, entries: &[EntryIndex]) -> Vec<u32> {
        if entries.is_empty() {
            return Vec::new();
        }
        let now = monotonic_ms();
        self.sweep(now);
        let by_call = self.leases.count_by_entry(entries, now);
        by_call.into_iter().zip(self.sessions.count_by_entry(entries, now)).map(|(a, b)| a + b).collect()
    }

    fn revoke(&mut self, index: EntryIndex) {
        self.revoked += u64::from(self.leases.revoke(index)) + u64::from(self.sessions.revoke(index));
    }

    fn grant(&mut self, block: BlockName, deadline: LeaseDeadline) -> Result<LeaseId, Full> {
        let lease = self.leases.grant(block, deadline).map_err(|e| full(&e))?;
        self.granted += 1;
        Ok(lease)
    }

    fn give_back(&mut self, lease: LeaseId) -> Option<BlockName> {
        self.leases.release(lease)
    }

    fn renew(&mut self, lease: LeaseId, deadline: LeaseDeadline) -> Option<Renewed> {
        let (block, deadline) = self.leases.renew(lease, deadline, monotonic_ms())?;
        Some(Renewed { block, deadline })
    }

    fn expire(&mut self, now: LeaseDeadline) -> Vec<BlockName> {
        self.sweep(now.0);
        self.leases.expire_due(now.0)
    }

    fn leases(
        &mut self,
        on: Option<EntryIndex>,
        from: u64,
        most: usize,
        now: LeaseDeadline,
    ) -> (Vec<LeaseSlot>, Option<u64>) {
        let asked = Listing { on, from, most, look: LOOK, now_ms: now.0 };
        if from >= OF_SESSIONS {
            return self.of_sessions(asked);
        }
        let (found, next) = self.leases.page(asked);
        let slot = |view: shm::LeaseView| LeaseSlot {
            block: view.block,
            deadline: view.deadline,
            revoked: view.state == SlotState::Revoked,
            session: 0,
        };
        let sessions = || self.sessions.iter().next().map(|_| OF_SESSIONS);
        (found.into_iter().map(slot).collect(), next.or_else(sessions))
    }

    fn owner(&self, index: EntryIndex) -> Option<PayloadId> {
        self.directory.read(index).map(|(face, _)| face.id)
    }

    fn lease_count(&self) -> u64 {
        let now = monotonic_ms();
        let live = |s: &SessionHolders| s.held.state == SlotState::Live && s.held.deadline.0 > now;
        u64::from(self.leases.live_count()) + self.sessions.all(now).filter(live).count() as u64
    }

    fn collect_reads(&mut self, read: &mut dyn FnMut(EntryIndex)) {
        let now = monotonic_ms();
        if self.collected_ms + BETWEEN_COLLECTIONS_MS <= now {
            self.collected_ms = now;
            self.sessions.collect_reads(read);
        }
    }
}

fn shown(face: &Face) -> shm::Face {
    shm::Face {
        id: face.id,
        version: face.version,
        tier: face.tier,
        place: face.place,
        length: face.length,
        state: if face.state.is_readable() { EntryState::Shown(face.state) } else { EntryState::Closed },
        expires: face.expires,
        generations: face.generations,
        last_generation: face.last_generation,
    }
}

fn details(face: &Face) -> shm::Details {
    shm::Details { created: face.created, policy: face.policy, protection: face.protection, checksum: face.checksum }
}

fn recorded(record: &BlockRecord) -> Record {
    Record {
        id: record.id,
        length: record.size,
        created: record.created,
        expires: record.expires,
        policy: record.policy,
        no_evict: record.no_evict,
        protection: record.protection,
        preferred: record.preferred,
        place: record.place,
        block: record.block,
        checksum: record.checksum,
        version: record.version,
        reclaim_at: record.reclaim_at,
    }
}

/// What ran out. Of memory the log says for which page, and what the system said.
fn full(error: &shm::Full) -> Full {
    match error {
        shm::Full::Limit { max, .. } => Full::Limit((*max).into()),
        shm::Full::Memory { .. } => {
            tracing::error!(%error, "a shared page can't grow; give the shared-memory file system or the cgroup more");
            Full::Memory
        }
    }
}
