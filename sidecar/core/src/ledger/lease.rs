//! Leases: a claim on the fastest copy, so that it stays where it is.

use payload_manager_types::{EntryIndex, LeaseDeadline, LeaseId, PayloadId, Place, Tier, UnixMillis};

use super::{Ledger, Now};
use crate::backlog::Retired;
use crate::board::Board;
use crate::payload::Descriptor;
use crate::refusal::Refusal;

/// What a reader asks for, already validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcquireRequest {
    /// Which payload.
    pub id: PayloadId,
    /// No copy slower than this will do; `None`: any.
    pub min_tier: Option<Tier>,
    /// How long, in milliseconds; 0: the default. Capped at the maximum.
    pub duration_ms: u64,
    /// Whether the reader can open a part of something; if not, it needs an object or file of the payload's own.
    pub takes_part: bool,
}

/// A lease as its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub lease: LeaseId,
    /// When it runs out, on the wall clock.
    pub expires: UnixMillis,
    /// In how many milliseconds that is.
    pub lasts_ms: u64,
    /// What it is on.
    pub descriptor: Descriptor,
}

/// What came of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// Here it is.
    Granted(Box<Grant>),
    /// No copy is fast enough: promote to `to` and ask again. The fastest is in `have`.
    TooSlow {
        /// Where the fastest copy is.
        have: Tier,
        /// Where one must be.
        to: Tier,
    },
    /// Its fastest copy is a part of something, in this tier: set it apart and ask again.
    IsPart(Tier),
}

impl<B: Board> Ledger<B> {
    /// How long a lease lasts that asks for `ms`.
    fn duration(&self, ms: u64) -> u64 {
        let wanted = if ms == 0 { self.limits.lease_default_ms } else { ms };
        wanted.min(self.limits.lease_max_ms)
    }

    /// Takes a read lease on the fastest copy. Memory only: no catalog, no file (promise: stable-lease).
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::NotCommitted`], [`Refusal::BytesLost`], [`Refusal::NotConfigured`],
    /// [`Refusal::LeaseLimit`], [`Refusal::SealedReader`].
    pub fn acquire(&mut self, request: AcquireRequest, now: Now) -> Result<Acquired, Refusal> {
        let id = request.id;
        let payload = self.committed(id, now)?;
        let (have, copy) = payload.fastest().ok_or(Refusal::BytesLost { id })?;
        let (is_part, is_sealed) = (copy.place.is_part(), copy.place == Place::SEALED);
        if let Some(to) = request.min_tier.filter(|min| !have.is_at_least(*min)) {
            self.budget(to)?;
            return Ok(Acquired::TooSlow { have, to });
        }
        if is_sealed {
            return Err(Refusal::SealedReader { id });
        }
        if is_part && !request.takes_part {
            return Ok(Acquired::IsPart(have));
        }
        let block = self.block_name(id, have).ok_or(Refusal::BytesLost { id })?;
        let ms = self.duration(request.duration_ms);
        let deadline = LeaseDeadline(now.monotonic.saturating_add(ms));
        let granted = self.board.grant(block, deadline);
        let lease = granted.map_err(|full| full.refusal(|limit| Refusal::LeaseLimit { limit }))?;
        let Some(payload) = self.payloads.get_mut(&id) else { return Err(Refusal::NotFound { id }) };
        payload.was_read();
        let expires = UnixMillis(now.wall.0.saturating_add(ms));
        Ok(Acquired::Granted(Box::new(Grant { lease, expires, lasts_ms: ms, descriptor: payload.descriptor() })))
    }

    /// Counts reads that nobody told the ledger about one by one: a client sets a bit, and the bits are collected.
    pub fn note_reads(&mut self, ids: impl IntoIterator<Item = PayloadId>) {
        for id in ids {
            if let Some(payload) = self.payloads.get_mut(&id) {
                payload.was_read();
            }
        }
    }

    /// Gives a lease back; one that is over or never was is fine. Blocks that only it kept are handed out to be freed.
    pub fn release(&mut self, lease: LeaseId) -> Vec<Retired> {
        match self.board.give_back(lease) {
            Some(block) => {
                self.leases_ended(&[block]);
                self.let_go(vec![block])
            }
            None => Vec::new(),
        }
    }

    /// Extends a lease; answers when it runs out now.
    ///
    /// # Errors
    /// [`Refusal::LeaseOver`].
    pub fn renew(&mut self, lease: LeaseId, duration_ms: u64, now: Now) -> Result<UnixMillis, Refusal> {
        let deadline = LeaseDeadline(now.monotonic.saturating_add(self.duration(duration_ms)));
        let renewed = self.board.renew(lease, deadline).ok_or(Refusal::LeaseOver)?;
        Ok(UnixMillis(now.wall.0.saturating_add(renewed.deadline.0.saturating_sub(now.monotonic))))
    }

    /// Ends the leases whose time has come; blocks that only they kept are handed out to be freed.
    pub fn expire_leases(&mut self, now: Now) -> Vec<Retired> {
        let blocks = self.board.expire(LeaseDeadline(now.monotonic));
        self.leases_ended(&blocks);
        self.let_go(blocks)
    }

    /// Counts what sessions have read without asking: to be called before anybody is chosen for eviction.
    pub fn collect_reads(&mut self) {
        let mut read = Vec::new();
        self.board.collect_reads(&mut |index| read.push(index));
        let owners: Vec<PayloadId> = read.into_iter().filter_map(|index| self.board.owner(index)).collect();
        self.note_reads(owners);
    }

    /// Whether blocks wait for their leases to end.
    pub fn has_held(&self) -> bool {
        self.backlog.held_bytes() > 0
    }

    /// Whether blocks have begun to wait that nobody has told the time for.
    pub fn has_newly_held(&self) -> bool {
        self.backlog.has_new()
    }

    /// Blocks that have begun to wait since this was last called do so from now on.
    pub fn held_at(&mut self, monotonic_ms: u64) {
        self.backlog.seen(monotonic_ms);
    }

    /// The entry under which leases know a payload, deleted or not.
    pub fn entry_of(&self, id: PayloadId) -> Option<EntryIndex> {
        self.payloads.get(&id).and_then(|p| p.entry).or(self.graves.get(&id).copied())
    }

    /// Looks for blocks whose leases were given back without a word: a client does that by itself, in its own page.
    pub fn sweep_backlog(&mut self) -> Vec<Retired> {
        self.look_again();
        let names = self.backlog.held_names();
        self.let_go(names)
    }
}
