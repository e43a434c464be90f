//! What sessions put into segments of their own, and the memory that is kept warm for them.
//!
//! Memory is warm when no payload pays for it. There is never more of it than the budget has free: before memory is taken
//! for anything, what is too much is given back ([`Engine::cool`]); so budget and warm memory together never exceed the
//! capacity (promise: honest-full). A block that is freed becomes warm first and is taken off the budget then, and one
//! that is placed in warm memory the other way round, so that the sum holds in between.

use std::io;

use payload_manager_tiers::ram::segments::Mapped;
use payload_manager_tiers::{Segments, TierError};
use payload_manager_types::{PayloadId, Place, Protection, Tier};

use super::{Engine, Error, NewPayload, blocking};

/// Memory that is taken ahead of a session that had none at hand, in bytes, at most; and how many times what it asked for.
const AHEAD: u64 = 16 << 20;
const AHEAD_OF: u64 = 8;

/// What every payload in a segment begins at a multiple of, and what large ones do, in bytes.
const LINE: u32 = 64;
const PAGE: u32 = 4096;

impl Engine {
    pub(super) fn segments(&self) -> &Segments {
        &self.0.segments
    }

    /// A session may fill segments from here on.
    pub fn begin_segments(&self, session: u32) {
        self.segments().begin(session);
    }

    /// It may not any more: what it left warm is given back in the background.
    pub fn end_segments(&self, session: u32) {
        self.end_slabs(session);
        let own = self.segments().end(session);
        if own.is_empty() {
            return;
        }
        let engine = self.clone();
        self.0.tasks.spawn_blocking("segments-over", move || {
            for segment in own {
                if let Err(error) = engine.segments().empty_out(segment) {
                    tracing::error!(segment, %error, "memory of a session that is over could not be given back");
                }
            }
            engine.0.changed.notify_waiters();
            engine.ring_compactor();
        });
    }

    /// What a client of this session needs to map a segment.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn segment(&self, unit: u32, session: u32) -> io::Result<Option<Mapped>> {
        self.segments().share(unit, session)
    }

    /// Memory behind a session's segments and slabs, in bytes.
    #[must_use]
    pub fn segment_bytes(&self, session: u32) -> u64 {
        self.segments().bytes_of(session) + self.slab_bytes(session)
    }

    /// Where a new payload goes, if memory is at hand there.
    pub(super) fn place_at_once(&self, new: &NewPayload) -> Option<Place> {
        let (session, size) = in_segment(new)?;
        self.segments().place_at_once(session, size)
    }

    /// Where a new payload goes: into a segment of its session, or an object of its own.
    pub(super) async fn place_for(&self, new: &NewPayload) -> Result<Place, Error> {
        let could_be = |size: &u64| {
            let ledger = self.ledger();
            let limits = ledger.limits();
            let ram = limits.capacity.get(Tier::Ram.index()).copied().flatten();
            *size <= limits.max_payload.min(ram.unwrap_or(0))
        };
        if new.protection == Protection::Sealed {
            return Ok(Place::SEALED);
        }
        // What can't be is the ledger's to refuse, and no address space is taken for it.
        let Some((session, size)) = in_segment(new).filter(|(_, size)| could_be(size)) else { return Ok(Place::OWN) };
        let segments = self.segments().clone();
        Ok(blocking(move || Ok(segments.place(session, size)?)).await?.unwrap_or(Place::OWN))
    }

    /// Nothing came of it.
    pub(super) fn leave_place(&self, place: Place) {
        if place.is_part()
            && let Err(error) = self.segments().free(place)
        {
            tracing::error!(%error, "memory of a segment could not be given back");
        }
    }

    /// Takes the memory for a payload whose bytes are reserved.
    pub(super) fn make_now(&self, tier: Tier, id: PayloadId, place: Place, size: u64) -> Result<Place, Error> {
        if tier != Tier::Ram {
            return Ok(self.tier(tier)?.allocate(id, size)?);
        }
        let make = || -> Result<Place, Error> {
            if place == Place::SEALED {
                return self.make_sealed(id, size);
            }
            if place.is_part() {
                self.segments().back(place, size)?;
                return Ok(place);
            }
            Ok(self.tier(tier)?.allocate(id, size)?)
        };
        self.cool()?;
        let made = match make() {
            Err(error) if self.cools(&error)? => make(),
            made => made,
        }?;
        if place.is_part() {
            // Where a gap was only partly warm, more is now.
            self.cool()?;
            self.warm_up(place, size);
        }
        Ok(made)
    }

    /// What is full may be full of what is kept warm: gives all of that back. Whether it is worth trying again.
    pub(super) fn cools(&self, error: &Error) -> Result<bool, Error> {
        let is_full = matches!(error, Error::Tier(error) if matches!(**error, TierError::Full { tier: Tier::Ram, .. }));
        let cools = is_full && self.segments().warm() > 0;
        if cools {
            self.segments().cool_to(0)?;
        }
        Ok(cools)
    }

    /// Gives back what is warm beyond what the budget has free. Blocks for as long as that takes.
    pub(super) fn cool(&self) -> Result<(), Error> {
        if self.segments().warm() == 0 {
            return Ok(());
        }
        let free = self.ledger().unused(Tier::Ram);
        Ok(self.segments().cool_to(free)?)
    }

    /// Takes memory ahead for a session that had none at hand, if there is plenty.
    pub(super) fn warm_up(&self, place: Place, size: u64) {
        let bytes = size.saturating_mul(AHEAD_OF).min(AHEAD);
        let engine = self.clone();
        self.0.tasks.spawn_blocking("warm-up", move || {
            let spare = engine.ledger().unused(Tier::Ram) / 2;
            if engine.segments().warm().saturating_add(bytes) <= spare {
                // There is no memory to spare: nobody asked for it.
                drop(engine.segments().warm_up(place.unit, bytes));
            }
        });
    }
}

/// The session in whose segments a payload belongs, and the bytes that it takes there: whole pages for one that must
/// begin at one.
fn in_segment(new: &NewPayload) -> Option<(u32, u64)> {
    let session = new.session.filter(|_| new.tier == Tier::Ram && new.protection == Protection::Shared)?;
    if new.alignment <= LINE {
        return Some((session, new.size));
    }
    (new.alignment <= PAGE).then(|| (session, new.size.next_multiple_of(PAGE.into())))
}
