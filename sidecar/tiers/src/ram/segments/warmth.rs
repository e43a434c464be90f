//! Memory that no payload pays for: kept for the next ones, taken ahead of them, and given back.

use std::ops::Range;
use std::sync::Arc;

use payload_manager_types::{Place, Tier};

use super::space::Space;
use super::{STEP, Segments, unlink};
use crate::{TierError, fail};

impl Segments {
    /// Takes memory ahead of what comes next in a segment, up to `bytes`.
    ///
    /// # Errors
    /// As [`Self::back`].
    pub fn warm_up(&self, unit: u32, bytes: u64) -> Result<(), TierError> {
        let cold = |space: &mut Space| Some((Arc::clone(&space.segment), space.ahead(bytes)?));
        let Some((segment, pages)) = self.change(unit, cold).flatten() else { return Ok(()) };
        self.take(&segment, unit, pages, bytes)?;
        // Its session may have ended meanwhile, and then nobody would ever use it.
        let is_over = self.change(unit, |space| space.owner().is_none()).unwrap_or(false);
        if is_over { self.empty_out(unit) } else { Ok(()) }
    }

    /// Gives warm memory back until no more than `most` bytes of it are left.
    ///
    /// Blocks for as long as that takes.
    ///
    /// # Errors
    /// The system did not take some of it back, which stays warm.
    pub fn cool_to(&self, most: u64) -> Result<(), TierError> {
        if self.warm() <= most {
            return Ok(());
        }
        let units: Vec<u32> = self.0.set.lock().spaces.keys().copied().collect();
        for unit in units {
            let idle = self.change(unit, |space| space.idle(STEP)).unwrap_or_default();
            for pages in idle {
                if self.warm() <= most {
                    return Ok(());
                }
                self.cool(unit, &pages)?;
            }
            self.drop_empty(unit)?;
        }
        Ok(())
    }

    /// The pages may have been given to somebody since they were looked for: only those that are still idle go.
    pub(super) fn cool(&self, unit: u32, pages: &Range<u64>) -> Result<(), TierError> {
        let cooled = self.change(unit, |space| space.idle_in(pages).into_iter().try_for_each(|idle| space.cool(idle)));
        let refused = |e| fail::io(Tier::Ram, format!("giving memory of {} back", self.name(unit)), e);
        cooled.unwrap_or(Ok(())).map_err(refused)
    }

    /// Frees a block: its memory stays warm while the session lasts, and is given back after. One that is not there is
    /// fine.
    ///
    /// # Errors
    /// The system did not take the memory back; it stays counted, and goes with the segment.
    pub fn free(&self, place: Place) -> Result<(), TierError> {
        let closed = self.change(place.unit, |space| space.free(place.offset).then(|| space.owner().is_none()));
        if closed.flatten() != Some(true) {
            return Ok(());
        }
        let idle = self.change(place.unit, |space| space.idle_around(place.offset, STEP)).unwrap_or_default();
        idle.iter().try_for_each(|pages| self.cool(place.unit, pages))?;
        self.drop_empty(place.unit)
    }

    /// Gives back what is idle in a segment, and removes it if nothing is in it.
    ///
    /// Blocks for as long as that takes.
    ///
    /// # Errors
    /// The system did not take some of it back; that stays counted, and goes with the segment.
    pub fn empty_out(&self, unit: u32) -> Result<(), TierError> {
        let idle = self.change(unit, |space| space.idle(STEP)).unwrap_or_default();
        idle.iter().try_for_each(|pages| self.cool(unit, pages))?;
        self.drop_empty(unit)
    }

    /// Segments that nobody fills any more, and with no more than an eighth in use.
    #[must_use]
    pub fn sparse(&self) -> Vec<u32> {
        let set = self.0.set.lock();
        set.spaces.iter().filter(|(_, space)| space.is_sparse()).map(|(unit, _)| *unit).collect()
    }

    /// Removes a segment with nothing in it and no memory behind it.
    fn drop_empty(&self, unit: u32) -> Result<(), TierError> {
        let mut set = self.0.set.lock();
        let is_over = set.spaces.get(&unit).is_some_and(|space| space.is_empty() && space.backed() == 0);
        let Some(space) = is_over.then(|| set.spaces.remove(&unit)).flatten() else { return Ok(()) };
        if let Some(own) = space.owner().and_then(|session| set.owners.get_mut(&session)) {
            own.retain(|own| *own != unit);
        }
        drop(set);
        unlink(&space.segment)
    }
}
