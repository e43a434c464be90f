//! Listing: newest first, stable while payloads come and go, constant work a row.

use std::collections::BTreeSet;

use payload_manager_types::{EntryIndex, PayloadId, Tier, UnixMillis};

use super::{Age, Ledger, Now, shown};
use crate::board::Board;
use crate::payload::Payload;

/// Where a listing goes on: after this row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the last row listed was allocated.
    pub created: UnixMillis,
    /// Its id.
    pub id: PayloadId,
}

/// A row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What a caller is shown.
    pub descriptor: crate::payload::Descriptor,
    /// Live leases on it.
    pub leases: u32,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The rows, newest first.
    pub rows: Vec<Summary>,
    /// Where to go on, if there is more.
    pub next: Option<Cursor>,
    /// Rows in all pages together.
    pub total: u64,
}

impl<B: Board> Ledger<B> {
    /// One payload as a listing shows it.
    ///
    /// # Errors
    /// [`Refusal::NotFound`](crate::Refusal::NotFound).
    pub fn summary(&mut self, id: PayloadId, now: Now) -> Result<Summary, crate::Refusal> {
        let payload = self.payload(id, now)?;
        let (descriptor, entry) = (payload.descriptor(), payload.entry);
        let leases = self.board.live_leases(entry.as_slice()).into_iter().sum();
        Ok(Summary { descriptor, leases })
    }

    /// A page of what is in `tier` (by fastest copy), or of everything.
    pub fn page(&mut self, tier: Option<Tier>, size: usize, after: Option<Cursor>, now: Now) -> Page {
        let slots: Vec<usize> = tier.map_or_else(|| (0..self.listed.len()).collect(), |t| vec![t.index()]);
        let listed: u64 = slots.iter().filter_map(|s| self.listed.get(*s)).map(|l| l.len() as u64).sum();
        let total = listed - self.expired(&slots, now);
        let (ages, more) = self.ages(&slots, size, after, Some(now));
        let entries: Vec<Option<EntryIndex>> =
            ages.iter().map(|(_, id)| self.payloads.get(id).and_then(|p| p.entry)).collect();
        let mut counts = self.board.live_leases(&entries.iter().flatten().copied().collect::<Vec<_>>()).into_iter();
        let leases = entries.iter().map(|e| e.and_then(|_| counts.next()).unwrap_or(0));
        let rows: Vec<Summary> = ages
            .iter()
            .zip(leases)
            .filter_map(|((_, id), leases)| {
                self.payloads.get(id).map(|p| Summary { descriptor: p.descriptor(), leases })
            })
            .collect();
        let next = ages.last().filter(|_| more).map(|&(created, id)| Cursor { created, id });
        Page { rows, next, total }
    }

    /// How many in these lists have reached the end of their time and wait to be swept: a handful at most.
    fn expired(&self, slots: &[usize], now: Now) -> u64 {
        let due = self.timers.iter().take_while(|(at, _)| *at <= now.wall).map(|(_, id)| id);
        let hidden: BTreeSet<&PayloadId> = due
            .filter(|id| self.payloads.get(*id).is_some_and(|p| p.is_expired(now.wall) && slots.contains(&shown(p))))
            .collect();
        hidden.len() as u64
    }

    /// The next `size` rows of these lists merged, and whether there are more; with a time only those that live still.
    pub(super) fn ages(
        &self,
        slots: &[usize],
        size: usize,
        after: Option<Cursor>,
        now: Option<Now>,
    ) -> (Vec<Age>, bool) {
        let over = |p: &Payload| now.is_some_and(|now| p.is_expired(now.wall));
        let live = |age: &&Age| self.payloads.get(&age.1).is_some_and(|p| !over(p));
        let mut lists: Vec<_> = slots
            .iter()
            .filter_map(|s| self.listed.get(*s))
            .map(|list| match after {
                Some(c) => list.range(..(c.created, c.id)),
                None => list.range(..),
            })
            .map(|range| range.rev().filter(live).peekable())
            .collect();
        let mut out = Vec::with_capacity(size.min(self.payloads.len()));
        loop {
            let newest =
                lists.iter_mut().filter_map(|l| l.peek().copied().map(|age| (*age, l))).max_by_key(|(a, _)| *a);
            let Some((age, list)) = newest else { return (out, false) };
            if out.len() == size {
                return (out, true);
            }
            list.next();
            out.push(age);
        }
    }
}
