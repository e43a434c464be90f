//! One thread of a worker: what it does by throws of its dice, and what it makes of the answers.

use std::io::ErrorKind;
use std::time::Duration;

use nix::poll::{PollTimeout, poll};
use payload_manager_client::blocking::{Client, PayloadView};
use payload_manager_client::{
    Code, CreateOptions, DataPath, Error, ListOptions, PayloadId, PayloadState, ReadOptions, SpillOptions, Tier,
};
use payload_manager_tests::crash::Dice;

use crate::bytes::{check, fill};
use crate::kept;
use crate::tally::{Kind, Tally};

/// Views that are held at once.
const MOST_HELD: usize = 12;
/// The longest payload.
const LONGEST: u64 = 3 << 20;
/// Between two calls that no daemon answers.
const BREATH_MS: u8 = 10;

/// What a worker mostly does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Producer,
    Reader,
    Mover,
}

/// A view, and what it is of.
struct Held {
    view: PayloadView,
    id: PayloadId,
    length: u64,
}

pub(crate) struct Hand {
    client: Client,
    role: Role,
    dice: Dice,
    known: Vec<(PayloadId, u64)>,
    held: Vec<Held>,
    pub(crate) tally: Tally,
}

impl Hand {
    pub(crate) fn new(client: Client, role: Role, dice: Dice) -> Self {
        Self { client, role, dice, known: Vec::new(), held: Vec::new(), tally: Tally::default() }
    }

    /// Does one thing.
    pub(crate) fn step(&mut self) {
        if self.known.is_empty() || self.dice.one_in(24) {
            return self.see();
        }
        // Out of twenty: how often it makes, reads, looks again, gives back; the rest are moves.
        let shares = match self.role {
            Role::Producer => [10, 13, 16, 19],
            Role::Reader => [1, 9, 14, 18],
            Role::Mover => [1, 4, 6, 8],
        };
        let throw = self.dice.below(20);
        match shares.iter().position(|end| throw < *end) {
            Some(0) => self.make(),
            Some(1) => self.read(),
            Some(2) => self.look_again(),
            Some(_) => self.give_back(),
            None => self.interfere(),
        }
    }

    /// Looks at all that it holds a last time.
    pub(crate) fn end(&mut self) {
        while !self.held.is_empty() {
            self.look_again();
            self.give_back();
        }
    }

    /// What there is.
    fn see(&mut self) {
        match self.client.list_page(ListOptions { page_size: 500, ..ListOptions::default() }, "") {
            Ok(page) => {
                let committed = page.payloads.iter().filter(|row| row.state != PayloadState::Allocated);
                self.known = committed.map(|row| (row.id, row.size)).collect();
            }
            Err(error) => self.meet(&error),
        }
        if self.known.is_empty() {
            self.make();
        }
    }

    fn any(&mut self) -> (PayloadId, u64) {
        let known = self.dice.pick(&self.known);
        known.unwrap_or((PayloadId::from_bytes([0; 16]), 1))
    }

    /// Of any size, and sizes of all orders as often.
    fn length(&mut self) -> u64 {
        let end = self.dice.pick(&[24, 4096, 64 << 10, LONGEST]).unwrap_or(1);
        1 + self.dice.below(end)
    }

    fn make(&mut self) {
        let keep = self.dice.one_in(8);
        let length = self.length();
        let length = if keep { kept::length(length) } else { kept::other_length(length) };
        let ttl = (!keep && self.dice.one_in(6)).then(|| Duration::from_millis(50 + self.dice.below(1500)));
        let tier = if self.dice.one_in(5) { Tier::Disk } else { Tier::Ram };
        let mut payload = match self.client.create_with(length, CreateOptions { tier, ttl, ..CreateOptions::default() })
        {
            Ok(payload) => payload,
            Err(error) => return self.meet(&error),
        };
        let id = payload.id();
        fill(&mut payload, id);
        if self.dice.one_in(10) {
            if self.dice.one_in(2) {
                // In the background.
                drop(payload);
            } else if let Err(error) = payload.abort() {
                return self.meet(&error);
            }
            return self.tally.count(Kind::GivenUp);
        }
        match payload.commit() {
            Ok(_) => {
                self.tally.count(if ttl.is_some() { Kind::Fleeting } else { Kind::Made });
                if keep {
                    kept::tell(id, length);
                }
                self.known.push((id, length));
            }
            Err(error) => self.meet(&error),
        }
    }

    fn read(&mut self) {
        let (id, length) = self.any();
        let lease = self.dice.pick(&[None, Some(30), Some(150), Some(5000)]).flatten().map(Duration::from_millis);
        let min_tier = self.dice.one_in(5).then_some(Tier::Ram);
        let view = match self.client.read_with(id, ReadOptions { lease, min_tier, ..ReadOptions::default() }) {
            Ok(view) => view,
            Err(error) => return self.meet(&error),
        };
        let by_session = matches!(self.client.path(), DataPath::Session);
        self.tally.count(if by_session { Kind::Read } else { Kind::ReadByCall });
        let held = Held { view, id, length };
        self.judge(&held);
        if self.held.len() >= MOST_HELD {
            self.give_back();
        }
        self.held.push(held);
    }

    /// The bytes are right before the lease is over, and stay so afterwards: until the view is dropped.
    fn judge(&mut self, held: &Held) {
        let before = held.view.is_valid();
        let wrong = check(&held.view, held.id, held.length).err();
        let after = held.view.is_valid();
        if let Some(wrong) = wrong {
            let descriptor = held.view.descriptor();
            panic!("payload {}: {wrong}; valid before {before}, after {after}; {descriptor:?}", held.id);
        }
        if !after {
            self.tally.count(Kind::AfterTheEnd);
        }
    }

    fn look_again(&mut self) {
        let Some(held) = self.take_any() else { return self.read() };
        self.judge(&held);
        self.tally.count(Kind::Again);
        if kept::is_kept(held.length) {
            self.see_that_it_is_there(&held);
        }
        if self.dice.one_in(3) {
            match held.view.renew() {
                Ok(()) => self.tally.count(Kind::Renewed),
                Err(error) => self.meet(&error),
            }
        }
        self.held.push(held);
    }

    /// Nobody deletes it by force; so nobody can delete it while a lease on it holds.
    fn see_that_it_is_there(&mut self, held: &Held) {
        match self.client.resolve(held.id) {
            Ok(_) => self.tally.count(Kind::There),
            Err(error) if error.code() == Some(Code::NotFound) => {
                assert!(!held.view.is_valid(), "payload {} was deleted under a lease that holds", held.id);
            }
            Err(error) => self.meet(&error),
        }
    }

    fn take_any(&mut self) -> Option<Held> {
        let end = u64::try_from(self.held.len()).ok().filter(|n| *n > 0)?;
        let at = usize::try_from(self.dice.below(end)).ok()?;
        Some(self.held.swap_remove(at))
    }

    fn give_back(&mut self) {
        let Some(held) = self.take_any() else { return };
        self.judge(&held);
        if self.dice.one_in(3)
            && let Err(error) = held.view.release()
        {
            self.meet(&error);
        }
    }

    /// Moves something, or does away with it.
    fn interfere(&mut self) {
        let ((id, length), (other, _)) = (self.any(), self.any());
        let throw = self.dice.below(12);
        let (kind, done) = match throw {
            0..4 => {
                let options =
                    SpillOptions { fsync: self.dice.one_in(2), wait: !self.dice.one_in(4), ..Default::default() };
                let results = self.client.spill_with(&[id, other], options);
                (Kind::Spilled, results.and_then(|results| results.into_iter().try_for_each(|one| one.map(drop))))
            }
            4..8 => (Kind::Promoted, self.client.promote(id, Tier::Ram).map(drop)),
            // Those that are kept are for others to read.
            _ if kept::is_kept(length) => return,
            8..10 => (Kind::Deleted, self.client.delete(id)),
            _ => (Kind::Forced, self.client.delete_by_force(id)),
        };
        match done {
            Ok(()) => self.tally.count(kind),
            Err(error) => self.meet(&error),
        }
        if throw >= 8 {
            self.known.retain(|(known, _)| *known != id);
        }
    }

    /// An error is one of those that the contract has for what goes on here, or the run fails.
    fn meet(&mut self, error: &Error) {
        match (error, error.code()) {
            (Error::Unreachable { .. }, _) | (_, Some(Code::Unavailable | Code::DeadlineExceeded)) => {
                self.tally.count(Kind::Unheard);
                // Nothing to be had until there is a daemon again.
                poll(&mut [], PollTimeout::from(BREATH_MS)).unwrap();
            }
            (_, Some(Code::NotFound)) => self.tally.count(Kind::Gone),
            (_, Some(Code::Aborted)) => self.tally.count(Kind::Leased),
            (_, Some(Code::ResourceExhausted)) => self.tally.count(Kind::Full),
            (_, Some(Code::FailedPrecondition)) => {}
            // Deleted by force between the answer and the opening.
            (Error::Place { source, .. }, _) if source.kind() == ErrorKind::NotFound => self.tally.count(Kind::Gone),
            _ => panic!("no error to be had here: {error:?}"),
        }
    }
}
