//! The order in which a tier's payloads are offered to eviction: class by class, and within a class S3-FIFO, which a scan
//! of things read once does not upset.
//!
//! ```text
//!            small (a tenth of the bytes)         main
//!  new ──►  [ … … … ] ──► read twice ──────────► [ … … … … … … ] ──► not read: it goes
//!               │  ▲        since it came            ▲    read: once more round ──┘
//!   not read ◄──┘  └─ read once: once more round     │
//!       │                                            │
//!       └──► it goes ··· wanted back soon (ghost) ───┘
//! ```
//!
//! Constant time for a read (it counts on the payload, here nothing happens) and amortised constant time for everything
//! else. A payload that leaves a tier or is deleted leaves its place behind; a stale place is dropped when the hand meets
//! it, and all of them when they outnumber the others. There is no list of ghosts: who went is still known to the ledger,
//! and carries the reading of this queue's [`EvictionQueue::gone`] at which it went.
//!
//! Not here: who may go. What can't go now is taken out by whoever looked, and put back when that may have changed.

use std::collections::VecDeque;

use payload_manager_types::{PayloadId, Priority};

/// Which of a class's two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// On trial.
    Small,
    /// Proved to be read.
    Main,
}

/// A payload's seat: in which line of which class, and by which number its place there is told from an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    class: u8,
    /// Which line.
    pub line: Line,
    number: u64,
}

impl Seat {
    /// The same seat, in a line of the same class.
    #[must_use]
    pub const fn in_line(self, line: Line) -> Self {
        Self { line, ..self }
    }

    /// The class, lowest first.
    #[must_use]
    pub const fn class(self) -> u8 {
        self.class
    }
}

/// Which end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Next to be looked at.
    Front,
    /// Last.
    Back,
}

/// A place in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub id: PayloadId,
    /// Which of its places.
    pub seat: Seat,
    /// Bytes it takes of the tier.
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: PayloadId,
    number: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Places {
    line: VecDeque<Entry>,
    /// Of the places that are somebody's.
    bytes: u64,
    stale: usize,
}

#[derive(Debug, Default)]
struct Class {
    small: Places,
    main: Places,
}

/// The part of a class's bytes that is on trial: one in so many.
const TRIAL: u64 = 10;

/// The queue of one tier.
#[derive(Debug, Default)]
pub struct EvictionQueue {
    classes: [Class; 3],
    next: u64,
    gone: u64,
}

impl EvictionQueue {
    /// Gives a payload a place at the end of its class; `None` for the class that never goes. `known` is one that went
    /// not long ago and is wanted again.
    pub fn join(&mut self, id: PayloadId, class: Priority, bytes: u64, known: bool) -> Option<Seat> {
        let class = (class as u8).checked_sub(1).filter(|class| usize::from(*class) < self.classes.len())?;
        self.next += 1;
        let seat = Seat { class, line: if known { Line::Main } else { Line::Small }, number: self.next };
        self.sit(Place { id, seat, bytes }, End::Back);
        Some(seat)
    }

    /// Puts a place that [`Self::next`] has given out, and that nobody has used since, into its line.
    pub fn sit(&mut self, place: Place, end: End) {
        let Place { id, seat, bytes } = place;
        let Some(places) = self.places(seat) else { return };
        places.bytes += bytes;
        let entry = Entry { id, number: seat.number, bytes };
        match end {
            End::Front => places.line.push_front(entry),
            End::Back => places.line.push_back(entry),
        }
    }

    /// A place is nobody's any more. It is dropped later.
    pub fn leave(&mut self, place: Place, is_current: impl Fn(Place) -> bool) {
        let Place { seat, bytes, .. } = place;
        let Some(places) = self.places(seat) else { return };
        places.bytes -= bytes;
        places.stale += 1;
        if places.stale > 64 && places.stale * 2 > places.line.len() {
            let at = |e: &Entry| Place { id: e.id, seat: Seat { number: e.number, ..seat }, bytes: e.bytes };
            places.line.retain(|entry| is_current(at(entry)));
            places.line.shrink_to(places.line.len() * 2);
            places.stale = 0;
        }
    }

    /// Takes out whoever is next to be looked at.
    pub fn next(&mut self, is_current: impl Fn(Place) -> bool) -> Option<Place> {
        for (class, lines) in (0..).zip(&mut self.classes) {
            loop {
                let on_trial = lines.small.bytes * TRIAL >= lines.small.bytes + lines.main.bytes;
                let line = match (lines.small.line.is_empty(), lines.main.line.is_empty()) {
                    (true, true) => break,
                    (false, main) if main || on_trial => Line::Small,
                    (_, _) => Line::Main,
                };
                let places = lines.of(line);
                let Some(Entry { id, number, bytes }) = places.line.pop_front() else { break };
                let place = Place { id, seat: Seat { class, line, number }, bytes };
                if is_current(place) {
                    places.bytes -= bytes;
                    return Some(place);
                }
                places.stale = places.stale.saturating_sub(1);
            }
        }
        None
    }

    /// A payload of so many bytes goes.
    pub fn went(&mut self, bytes: u64) {
        self.gone = self.gone.saturating_add(bytes);
    }

    /// Bytes that went from here by eviction, ever.
    #[must_use]
    pub const fn gone(&self) -> u64 {
        self.gone
    }

    /// Bytes of those who have a place: nobody knows a reason why they should stay.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.classes.iter().map(|c| c.small.bytes + c.main.bytes).sum()
    }

    /// Places, stale ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.classes.iter().map(|c| c.small.line.len() + c.main.line.len()).sum()
    }

    /// Whether there is no place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn places(&mut self, seat: Seat) -> Option<&mut Places> {
        self.classes.get_mut(usize::from(seat.class)).map(|class| class.of(seat.line))
    }
}

impl Class {
    fn of(&mut self, line: Line) -> &mut Places {
        match line {
            Line::Small => &mut self.small,
            Line::Main => &mut self.main,
        }
    }
}
