//! The order in which a tier's payloads are offered to eviction: class by class, and within a class first in, first out
//! with a second chance for what was read since the hand last came by.
//!
//! Constant time for a read (it sets a bit on the payload, here nothing happens) and amortised constant time for
//! everything else. A payload that leaves a tier or is deleted leaves its ticket behind; a stale ticket is dropped when
//! the hand meets it, and all of them when they outnumber the others.

use std::collections::VecDeque;

use payload_manager_types::{PayloadId, Priority};

/// A place in the queue; the number tells it from an older place of the same payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Whose.
    pub id: PayloadId,
    /// Which of its places.
    pub number: u64,
}

/// What the hand finds at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nobody's place any more.
    Stale,
    /// Read since the hand last came by: it gets a second chance.
    Spared,
    /// It can't go now: leased, pinned, moving.
    Kept,
    /// It may go.
    Victim,
}

/// The queue of one tier.
#[derive(Debug, Default)]
pub struct EvictionQueue {
    classes: [VecDeque<Ticket>; 3],
    next: u64,
    stale: usize,
}

impl EvictionQueue {
    /// Gives a payload a place at the end of its class; `None` for the class that never goes.
    pub fn join(&mut self, id: PayloadId, class: Priority) -> Option<u64> {
        let queue = self.classes.get_mut(class as usize - 1)?;
        self.next += 1;
        queue.push_back(Ticket { id, number: self.next });
        Some(self.next)
    }

    /// A place is nobody's any more.
    pub fn leave(&mut self, is_current: impl Fn(Ticket) -> bool) {
        self.stale += 1;
        if self.stale > 64 && self.stale * 2 > self.len() {
            self.classes.iter_mut().for_each(|queue| queue.retain(|t| is_current(*t)));
            self.stale = 0;
        }
    }

    /// Moves the hand over each class in turn, at most twice around it, until `look` answers nothing: it has seen
    /// enough. Victims keep their places.
    pub fn sweep(&mut self, mut look: impl FnMut(Ticket) -> Option<Look>) {
        for queue in &mut self.classes {
            let mut victims = Vec::new();
            for _ in 0..queue.len() * 2 {
                let Some(ticket) = queue.front().copied() else { break };
                let Some(found) = look(ticket) else { break };
                queue.pop_front();
                match found {
                    Look::Stale => self.stale = self.stale.saturating_sub(1),
                    Look::Spared | Look::Kept => queue.push_back(ticket),
                    Look::Victim => victims.push(ticket),
                }
            }
            for ticket in victims.into_iter().rev() {
                queue.push_front(ticket);
            }
        }
    }

    /// Places, stale ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum()
    }

    /// Whether there is no place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
