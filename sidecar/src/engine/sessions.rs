//! Sessions as the engine has them: their lease pages, what they hold, and who they are for lists.
//!
//! Not here: the socket, secrets, who may come in (`session`). A session's number is that of its page.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;

use parking_lot::Mutex;
use payload_manager_core::Refusal;
use payload_manager_core::ledger::Named;
use payload_manager_core::payload::Descriptor;
use payload_manager_shm::slot::SlotState;
use payload_manager_shm::{HeldSlot, ObjectError, SessionPage, Standing};
use payload_manager_tiers::Location;
use payload_manager_types::{BlockName, PayloadId, UnixMillis};

use super::board::session_id;
use super::{Engine, Error};

/// Who has a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process, where the daemon can see it.
    pub pid: Option<u32>,
    /// Since when.
    pub since: UnixMillis,
}

/// The sessions there are, by the number of their page.
pub type Members = Mutex<BTreeMap<u32, Member>>;

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: u64,
    /// Whose it is.
    pub member: Member,
    /// Claims that stand.
    pub leases: u64,
    /// Bytes that its leases keep, each block once.
    pub bytes: u64,
    /// Memory behind the segments that it fills, in bytes.
    pub segment_bytes: u64,
}

/// What a client gets to share with the daemon.
#[derive(Debug)]
pub struct Shared {
    /// The page's number.
    pub number: u32,
    /// The directory, open for reading.
    pub directory: File,
    /// Its lease page, open for reading and writing.
    pub page: File,
}

/// A block that a session's own lease names, to be opened for it.
#[derive(Debug)]
pub struct Leased {
    /// Its name in leases.
    pub block: BlockName,
    /// How it is opened.
    pub location: Location,
    /// Bytes.
    pub length: u64,
    /// What its payload is now.
    pub descriptor: Descriptor,
}

impl Engine {
    /// Who has a session.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.0.members
    }

    /// The date.
    #[must_use]
    pub fn wall(&self) -> UnixMillis {
        self.now().wall
    }

    /// The clock that leases are counted on.
    #[must_use]
    pub fn monotonic_ms(&self) -> u64 {
        self.now().monotonic
    }

    /// How long a lease lasts whose taker names no time, and at most; in milliseconds.
    #[must_use]
    pub fn lease_times(&self) -> (u64, u64) {
        let ledger = self.ledger();
        let limits = ledger.limits();
        (limits.lease_default_ms, limits.lease_max_ms)
    }

    /// Makes a lease page for a new session. Under the ledger's lock, as every scan is: some 100 KiB of memory are made,
    /// once in a session's life.
    ///
    /// # Errors
    /// [`Refusal::LeaseLimit`] where there is no memory for it.
    pub fn open_page(&self, slots: u32) -> Result<Shared, Error> {
        let mut ledger = self.ledger();
        let board = ledger.board_mut();
        let number = match board.sessions.create(slots) {
            Ok(page) => page.number(),
            Err(error @ ObjectError::Full { .. }) => {
                tracing::error!(%error, "there is no memory for a session's lease page");
                return Err(Refusal::LeaseLimit { limit: u64::from(slots) }.into());
            }
            Err(error) => return Err(Error::Bug(format!("a session's lease page can't be made: {error}"))),
        };
        drop(ledger);
        self.share(number).inspect_err(|_| self.drop_page(number))
    }

    /// What the client of a page gets.
    ///
    /// # Errors
    /// [`Error::Bug`]: no such page, or no descriptor left.
    pub fn share(&self, number: u32) -> Result<Shared, Error> {
        let ledger = self.ledger();
        let board = ledger.board();
        let page = board.sessions.get(number).ok_or_else(|| Error::Bug(format!("page {number} is gone")))?;
        let own = |what: &dyn std::fmt::Display| Error::Bug(format!("a session can't be given its pages: {what}"));
        let directory = board.directory_file.try_clone().map_err(|e| own(&e))?;
        let page = page.descriptor().as_fd().try_clone_to_owned().map_err(|e| own(&e))?;
        Ok(Shared { number, directory, page: File::from(page) })
    }

    /// Numbers of the pages that count, with whether new leases may be taken on them.
    #[must_use]
    pub fn pages(&self) -> Vec<(u32, bool)> {
        let ledger = self.ledger();
        ledger.board().sessions.iter().map(|page| (page.number(), page.standing() == Standing::Open)).collect()
    }

    /// Ends the leases of a session whose process may still be there: what it holds stays until it is given back, or until
    /// its deadlines. Whether anything is left of it.
    pub fn close_page(&self, number: u32) -> bool {
        let free = {
            let mut ledger = self.ledger();
            let now = self.now().monotonic;
            let board = ledger.board_mut();
            let latest = board.latest(now);
            let Some(page) = board.sessions.get_mut(number) else { return false };
            page.close(now, latest);
            ledger.board_mut().remove_over(now);
            ledger.sweep_backlog()
        };
        self.free_held(free);
        self.0.timers.notify_one();
        self.ledger().board().sessions.get(number).is_some()
    }

    /// Forgets the leases of a session whose process is gone, and with it its mappings.
    pub fn drop_page(&self, number: u32) {
        let free = {
            let mut ledger = self.ledger();
            ledger.board_mut().remove_page(number);
            ledger.sweep_backlog()
        };
        self.free_held(free);
    }

    /// What sessions have given back without a word, and pages that are over.
    pub(super) fn sweep_sessions(&self) {
        let free = {
            let mut ledger = self.ledger();
            let now = self.now().monotonic;
            ledger.board_mut().remove_over(now);
            if ledger.has_held() { ledger.sweep_backlog() } else { Vec::new() }
        };
        self.free_held(free);
    }

    /// The blocks of these payloads that the session's own leases name.
    ///
    /// # Errors
    /// Of each: [`Refusal::NotFound`] without a lease, or once it was taken away.
    #[must_use]
    pub fn leased_by(&self, number: u32, ids: &[PayloadId]) -> Vec<Result<Leased, Error>> {
        let ledger = self.ledger();
        let now = self.now();
        let held = ledger.board().sessions.get(number).map(|page| page.held(now.monotonic)).unwrap_or_default();
        let leased = |id: PayloadId| -> Result<Leased, Error> {
            let not_found = || Refusal::NotFound { id };
            let index = ledger.entry_of(id).ok_or_else(not_found)?;
            let shown = ledger.board().directory.read(index).map(|(face, _)| face.generation());
            let is_on = |slot: &&HeldSlot| slot.block.index == index && slot.state != SlotState::Revoked;
            // Of several blocks, the one that new leases are on.
            let own = held.iter().filter(is_on).max_by_key(|slot| Some(slot.block.generation) == shown);
            let block = own.ok_or_else(not_found)?.block;
            let Named { tier, place, size, .. } = ledger.named(block).filter(|n| n.id == id).ok_or_else(not_found)?;
            let location = self.location(id, tier, place).ok_or_else(not_found)?;
            Ok(Leased { block, location, length: size, descriptor: ledger.descriptor(id, now)? })
        };
        ids.iter().map(|id| leased(*id)).collect()
    }

    /// A page of the sessions there are, from a number on, and where to go on.
    #[must_use]
    pub fn session_rows(&self, size: usize, from: u32) -> (Vec<SessionRow>, Option<u32>) {
        let (some, next) = {
            let members = self.0.members.lock();
            let mut rest = members.range(from..).map(|(number, member)| (*number, member.clone()));
            let some: Vec<_> = rest.by_ref().take(size).collect();
            (some, rest.next().map(|(number, _)| number))
        };
        (some.into_iter().map(|(number, member)| self.row(number, member)).collect(), next)
    }

    /// One lock a row: a page of leases takes a while to look through.
    fn row(&self, number: u32, member: Member) -> SessionRow {
        let ledger = self.ledger();
        let now = self.now().monotonic;
        let held = ledger.board().sessions.get(number).map(|page| page.held(now)).unwrap_or_default();
        let claims = held.iter().filter(|slot| slot.state == SlotState::Live && slot.deadline.0 > now);
        let leases = claims.count() as u64;
        let mut blocks: Vec<BlockName> = held.iter().map(|slot| slot.block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let bytes = blocks.into_iter().filter_map(|block| ledger.named(block)).map(|named| named.size).sum();
        SessionRow { id: session_id(number), member, leases, bytes, segment_bytes: self.segment_bytes(number) }
    }
}

/// Whether a page waits for its last deadline.
pub(super) fn is_closed(page: &SessionPage) -> bool {
    page.standing() != Standing::Open
}
