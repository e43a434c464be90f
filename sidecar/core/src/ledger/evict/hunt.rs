//! The hunt: whom eviction takes, of those in the queue. Who is met and can't go is taken out of the queue, with the
//! reason, so that no hunt meets it again before that reason may be gone.

use std::collections::HashSet;

use payload_manager_types::{BlockName, EntryIndex, PayloadId, SpillTarget, Tier};

use super::super::{Ledger, Now};
use super::stand::is_seated;
use crate::board::Board;
use crate::payload::{Payload, Stand, Why, Work};
use crate::queue::{End, Line, Place, Seat};

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hunt {
    /// Where.
    pub(super) tier: Tier,
    /// How many bytes.
    pub(super) need: u64,
    /// No more payloads than this.
    pub(super) at_most: usize,
    pub(super) now: Now,
}

/// Who may go. It is out of the queue, and goes or is given its seat again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    pub(super) id: PayloadId,
    pub(super) to: SpillTarget,
    /// Bytes that become free.
    pub(super) bytes: u64,
    pub(super) seat: Seat,
    size: u64,
    /// The tier that its bytes must be written to first.
    writes: Option<Tier>,
}

/// What is to be done with who was met.
enum Met {
    /// It can't go.
    Keep(Why),
    /// It was read: another round, in this line.
    Spare(Line),
    /// It may go unless a lease keeps it.
    Take(Pick),
}

impl<B: Board> Ledger<B> {
    /// Those who may go, in the order they should, and no more of them than are enough. If there are not enough, those
    /// there are.
    ///
    /// Who is leased is found by looking through the lease pages, for many at once: each look is at twice as many.
    pub(super) fn hunt(&mut self, hunt: Hunt) -> Vec<Pick> {
        let mut room = Tier::ALL.map(|tier| self.free_in(tier));
        let (mut picks, mut bytes, mut wave, mut waiting) = (Vec::new(), 0u64, 1, true);
        while bytes < hunt.need && picks.len() < hunt.at_most {
            let met = self.wave(&Hunt { need: hunt.need - bytes, ..hunt }, wave);
            if met.is_empty() && !std::mem::take(&mut waiting) {
                break;
            }
            if met.is_empty() {
                self.let_try(hunt.tier);
            }
            wave = (met.len() * 2).max(1);
            let leased = self.leased(&met, hunt.tier);
            for pick in met {
                match why_not(&pick, &leased, &mut room) {
                    Some(why) => self.pass_over(pick.id, hunt.tier, pick.seat, why),
                    None => {
                        bytes = bytes.saturating_add(pick.bytes);
                        picks.push(pick);
                    }
                }
            }
        }
        let enough = enough(&picks, &hunt);
        let rest = picks.split_off(enough);
        self.give_seats_back(hunt.tier, rest);
        picks
    }

    /// Those who were not needed are where they were.
    pub(super) fn give_seats_back(&mut self, tier: Tier, picks: Vec<Pick>) {
        for pick in picks.into_iter().rev() {
            self.seat(pick.id, tier, pick.seat, End::Front);
            // What it would have taken there is there for others.
            if let Some(to) = pick.writes {
                self.kept.gave_back(to, pick.size);
            }
        }
    }

    /// The next of the queue that may go unless leases keep them: enough bytes, and `at_least` so many.
    fn wave(&mut self, hunt: &Hunt, at_least: usize) -> Vec<Pick> {
        let (mut met, mut bytes) = (Vec::new(), 0u64);
        while bytes < hunt.need || met.len() < at_least {
            let Some(place) = self.next_place(hunt.tier) else { break };
            self.looks += 1;
            let Some(payload) = self.payloads.get_mut(&place.id) else { continue };
            payload.stand = Stand::Out;
            match self.meet(place, hunt) {
                Met::Keep(why) => self.pass_over(place.id, hunt.tier, place.seat, why),
                Met::Spare(line) => self.seat(place.id, hunt.tier, place.seat.in_line(line), End::Back),
                Met::Take(pick) => {
                    bytes = bytes.saturating_add(pick.bytes);
                    met.push(pick);
                }
            }
        }
        met
    }

    fn next_place(&mut self, tier: Tier) -> Option<Place> {
        let payloads = &self.payloads;
        let queue = self.queues.get_mut(tier.index())?;
        queue.next(|place| is_seated(payloads.get(&place.id).map(Box::as_ref), tier, place))
    }

    fn meet(&mut self, place: Place, hunt: &Hunt) -> Met {
        let Some(payload) = self.payloads.get(&place.id) else { return Met::Keep(Why::Busy) };
        if payload.is_pinned(hunt.now.wall) {
            return Met::Keep(Why::Pinned);
        }
        if payload.work != Work::None {
            return Met::Keep(Why::Busy);
        }
        let Some(to) = payload.facts.policy.way_out(hunt.tier, payload.tiers()) else { return Met::Keep(Why::Policy) };
        let size = payload.facts.size;
        let mut writes = None;
        if let SpillTarget::Tier(to) = to
            && payload.copy(to).is_none()
        {
            match self.budget_of(to) {
                None => return Met::Keep(Why::Policy),
                Some(_) if self.backlog.contains(place.id, to) => return Met::Keep(Why::Busy),
                Some(budget) if budget.charge(size) > budget.free() => return Met::Keep(Why::NoRoom(to)),
                Some(_) => writes = Some(to),
            }
        }
        let Some(payload) = self.payloads.get_mut(&place.id) else { return Met::Keep(Why::Busy) };
        match spare(payload, place.seat.line) {
            Some(line) => Met::Spare(line),
            None => Met::Take(Pick { id: place.id, to, bytes: place.bytes, seat: place.seat, size, writes }),
        }
    }

    /// Those that a lease keeps: a lease on the block in this tier or, for who would be deleted, on any.
    fn leased(&mut self, picked: &[Pick], tier: Tier) -> HashSet<PayloadId> {
        let named: Vec<(Pick, BlockName)> =
            picked.iter().filter_map(|p| self.block_name(p.id, tier).map(|name| (*p, name))).collect();
        let names: Vec<BlockName> = named.iter().map(|(_, name)| *name).collect();
        let held = named.iter().zip(self.board.holders(&names)).filter(|(_, h)| h.pinning > 0);
        let mut leased: HashSet<PayloadId> = held.map(|((pick, _), _)| pick.id).collect();
        let doomed: Vec<(Pick, BlockName)> = named.into_iter().filter(|(p, _)| p.to == SpillTarget::Void).collect();
        let entries: Vec<EntryIndex> = doomed.iter().map(|(_, name)| name.index).collect();
        if !entries.is_empty() {
            let counts = self.board.live_leases(&entries);
            leased.extend(doomed.iter().zip(counts).filter(|(_, n)| *n > 0).map(|((pick, _), _)| pick.id));
        }
        leased
    }
}

/// How many of these, from the first on, are enough.
fn enough(picks: &[Pick], hunt: &Hunt) -> usize {
    let mut bytes = 0u64;
    let before = |pick: &&Pick| {
        let more = bytes < hunt.need;
        bytes = bytes.saturating_add(pick.bytes);
        more
    };
    picks.iter().take(hunt.at_most).take_while(before).count()
}

/// Why one who may go does not: a lease, or those before it take the room.
fn why_not(pick: &Pick, leased: &HashSet<PayloadId>, room: &mut [u64; 4]) -> Option<Why> {
    if leased.contains(&pick.id) {
        return Some(Why::Leased);
    }
    let to = pick.writes?;
    let free = room.get_mut(to.index())?;
    match free.checked_sub(pick.size) {
        Some(left) => *free = left,
        None => return Some(Why::NoRoom(to)),
    }
    None
}

/// Where one goes on waiting that was read since the hand last came by.
fn spare(payload: &mut Payload, line: Line) -> Option<Line> {
    match line {
        Line::Small if payload.reads >= 2 => {
            (payload.reads, payload.spared) = (0, false);
            Some(Line::Main)
        }
        Line::Small if payload.reads == 1 && !payload.spared => {
            payload.spared = true;
            Some(Line::Small)
        }
        Line::Main if payload.reads > 0 => {
            payload.reads -= 1;
            Some(Line::Main)
        }
        Line::Small | Line::Main => None,
    }
}
