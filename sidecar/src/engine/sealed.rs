//! SEALED payloads: memory without a name, of which sessions are passed descriptors.

use std::fs::File;
use std::io;

use payload_manager_core::Refusal;
use payload_manager_shm::memfd::Access;
use payload_manager_types::{PayloadId, Place};

use super::{Engine, Error};

impl Engine {
    /// A descriptor of a payload's memory, for a client of a session.
    ///
    /// # Errors
    /// `NotFound` if it is gone; as the system says.
    pub fn sealed_memory(&self, id: PayloadId, access: Access) -> io::Result<File> {
        self.0.memfds.open(id, access)
    }

    /// Makes the memory for a payload whose bytes are reserved.
    pub(super) fn make_sealed(&self, id: PayloadId, size: u64) -> Result<Place, Error> {
        let limit = self.0.memfds.most() as u64;
        self.0.memfds.allocate(id, size)?.ok_or_else(|| Refusal::SealedLimit { limit }.into())
    }
}
