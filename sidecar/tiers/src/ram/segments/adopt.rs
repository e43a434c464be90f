//! Segments of the last run: what lies in them stays where it is; nothing new is put into them.

use std::collections::hash_map::Entry;
use std::io;

use payload_manager_shm::{Segment, object};
use payload_manager_types::{Place, Tier};

use super::Segments;
use super::space::Space;
use crate::{TierError, fail};

impl Segments {
    /// At a start: counts a block that the records name. Whether it is there.
    pub fn adopt(&self, place: Place, size: u64) -> bool {
        let mut set = self.0.set.lock();
        if let Entry::Vacant(vacant) = set.spaces.entry(place.unit) {
            match Segment::open(&self.name(place.unit)) {
                Ok(segment) => drop(vacant.insert(Space::adopted(segment))),
                Err(_) => return false,
            }
        }
        drop(set);
        self.change(place.unit, |space| space.adopt(place.offset, size)).unwrap_or(false)
    }

    /// At a start, once every block is adopted: gives back what no block is in, and removes segments that nobody knows.
    ///
    /// # Errors
    /// As the system says.
    pub fn settle(&self) -> Result<(), TierError> {
        let units: Vec<u32> = self.0.set.lock().spaces.keys().copied().collect();
        units.into_iter().try_for_each(|unit| self.empty_out(unit))?;
        self.sweep().map_err(|e| fail::io(Tier::Ram, "looking for segments that nobody knows", e))
    }

    fn sweep(&self) -> io::Result<()> {
        let known = |unit: u32| self.0.set.lock().spaces.contains_key(&unit);
        for name in object::names(&self.0.base)? {
            let unit = name.strip_prefix(&self.0.base).and_then(|unit| unit.parse().ok());
            if !unit.is_some_and(known) {
                object::unlink(&name)?;
            }
        }
        Ok(())
    }
}
