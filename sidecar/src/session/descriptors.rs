//! Opening what clients are handed. Each descriptor is opened anew: one for reading is no copy of one for writing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use payload_manager_core::payload::Descriptor;
use payload_manager_shm::memfd::Access;
use payload_manager_shm::object;
use payload_manager_tiers::gpu::SharedSlab;
use payload_manager_tiers::ram::segments::Mapped;
use payload_manager_tiers::{Location, TierError};
use payload_manager_types::{PayloadId, Tier};

use crate::engine::sessions::Leased;
use crate::engine::{Engine, Error};

/// A block for reading; none of what is on a GPU, which is opened by what its location says.
pub(super) fn for_reading(engine: &Engine, leased: &Leased) -> Result<Option<File>, Error> {
    let id = leased.descriptor.facts.id;
    let (tier, file) = match &leased.location {
        Location::SharedMemory { name, .. } => (Tier::Ram, object::open_read_only(name)),
        Location::Passed => (Tier::Ram, engine.sealed_memory(id, Access::Read)),
        Location::File { path, .. } => {
            let flags = (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits();
            (Tier::Disk, OpenOptions::new().read(true).custom_flags(flags).open(path))
        }
        Location::Device { .. } => return Ok(None),
        // There is no descriptor of an object; its reader goes by the URI.
        Location::Object { .. } => (Tier::Object, Err(std::io::ErrorKind::Unsupported.into())),
    };
    file.map(Some).map_err(|error| failed(id, tier, error))
}

/// An allocation in RAM, for its producer; none where it is in a segment, which is mapped once.
pub(super) fn for_writing(engine: &Engine, made: &Descriptor) -> Result<Option<File>, Error> {
    let id = made.facts.id;
    if made.placement.is_some_and(|(_, place)| place.is_part()) {
        return Ok(None);
    }
    let location = made.placement.and_then(|(tier, place)| engine.location(id, tier, place));
    let file = match location {
        Some(Location::SharedMemory { name, .. }) => object::open(&name),
        Some(Location::Passed) => engine.sealed_memory(id, Access::Write),
        Some(Location::File { .. } | Location::Object { .. } | Location::Device { .. }) | None => {
            return Err(Error::Bug(format!("payload {id}: allocated in RAM, and not there")));
        }
    };
    file.map(Some).map_err(|error| failed(id, Tier::Ram, error))
}

/// A segment: for writing if the session is its producer, else for reading.
pub(super) fn of_segment(engine: &Engine, segment: u32, session: u32) -> Result<Option<Mapped>, Error> {
    let shared = engine.segment(segment, session);
    shared.map_err(|error| Error::Bug(format!("segment {segment} can't be opened for a session: {error}")))
}

/// A slab, if it is one.
pub(super) fn of_slab(engine: &Engine, slab: u32, session: u32) -> Result<Option<SharedSlab>, Error> {
    let shared = engine.slab(slab, session);
    shared.map_err(|error| Error::Bug(format!("slab {slab} can't be opened for a session: {error}")))
}

fn failed(id: PayloadId, tier: Tier, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => TierError::Missing { id, tier, what: error.to_string() }.into(),
        _ => TierError::Io { tier, doing: format!("opening payload {id} for a session"), source: error }.into(),
    }
}
