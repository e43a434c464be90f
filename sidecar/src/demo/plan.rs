//! What the demo's processes tell each other: the plan, a file that all of them read, and events, one JSON object a line
//! on the standard output of those who play a part.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use payload_manager_client::{StreamName, Tier};
use serde::{Deserialize, Serialize};

use super::files::Taken;

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Where the daemon listens.
    pub(super) socket: PathBuf,
    /// How the daemon is started.
    pub(super) serve: Vec<String>,
    /// What RAM may hold, in bytes.
    pub(super) ram: u64,
    /// Whether there is an OBJECT tier, to which everything is spilled then; else to DISK.
    pub(super) object: bool,
    /// What is put, in this order.
    pub(super) files: Vec<Taken>,
}

impl Plan {
    /// Writes it into the demo's folder.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        std::fs::write(folder.join(FILE), serde_json::to_vec(self)?)
    }

    /// Reads it from the demo's folder.
    ///
    /// # Errors
    /// The file can't be read, or is no plan.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(folder.join(FILE))?)?)
    }

    /// Whether a payload of `len` bytes can be in RAM at all.
    pub(super) fn fits_ram(&self, len: u64) -> bool {
        len <= self.ram
    }

    /// Where everything is spilled to.
    pub(super) fn far(&self) -> Tier {
        if self.object { Tier::Object } else { Tier::Disk }
    }

    /// The name of the file number `index`, for people.
    pub(super) fn name(&self, index: usize) -> String {
        self.files.get(index).map_or_else(|| format!("file {index}"), |file| file.path.display().to_string())
    }
}

const FILE: &str = "plan.json";

/// The stream that the payloads are appended to.
///
/// # Errors
/// Never: the name is a good one.
pub(super) fn stream() -> Result<StreamName, String> {
    StreamName::new("demo", "files").map_err(|error| error.to_string())
}

/// The tag of an entry that says which file of the plan it is.
pub(super) const FILE_TAG: &str = "file";
/// The tag of an entry that says what the bytes hash to that were read from the file: XXH3-128 in hexadecimal.
pub(super) const SUM_TAG: &str = "xxh3-128";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    /// Allocating, filling and committing, without reading the file.
    Put,
    /// Appending one entry.
    Append,
    /// From the call to a view of the bytes.
    Lease,
    /// Taken and given back once more, of a payload in RAM, in shared memory.
    LeaseAgain,
    /// The same by a call each, as plain gRPC clients do it.
    LeaseByCall,
    /// From the call to the first byte in hand, of a payload in RAM.
    FirstByteRam,
    /// The same, of a payload on DISK.
    FirstByteDisk,
    /// From RAM to DISK, synced, or to OBJECT, and out of RAM.
    Spill,
    /// From there back to RAM.
    Promote,
}

impl Measure {
    /// All, in the order of the table.
    pub(super) const ALL: [Self; 9] = [
        Self::Put,
        Self::Append,
        Self::Lease,
        Self::LeaseAgain,
        Self::LeaseByCall,
        Self::FirstByteRam,
        Self::FirstByteDisk,
        Self::Spill,
        Self::Promote,
    ];

    /// The first byte from this tier.
    pub(super) fn first_byte(tier: Tier) -> Self {
        if tier == Tier::Ram { Self::FirstByteRam } else { Self::FirstByteDisk }
    }

    /// Whether its time grows with the bytes, so that a rate says something.
    pub(super) fn moves_bytes(self) -> bool {
        matches!(self, Self::Put | Self::Spill | Self::Promote)
    }
}

/// A part of the work with a progress bar of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// The producer puts.
    Put,
    /// The consumer follows and checks.
    Check,
    /// The consumer spills.
    Spill,
    /// The consumer promotes and checks again.
    Recheck,
}

/// What a process reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub(super) enum Event {
    /// Something took this long.
    Took {
        /// What.
        what: Measure,
        /// How many bytes it was about.
        bytes: u64,
        /// How long, in nanoseconds.
        nanos: u64,
    },
    /// One more payload is done in this stage.
    Done {
        /// Which stage.
        stage: Stage,
        /// The payload's bytes.
        bytes: u64,
    },
    /// A file was not put: it is gone, or changed while it was read.
    Skipped {
        /// Which of the plan.
        file: usize,
        /// Why, in words.
        why: String,
    },
    /// A file is not what it was when it was put. The payload is what was put.
    Changed {
        /// Which of the plan.
        file: usize,
    },
    /// A payload is not what was put.
    Wrong {
        /// Which file of the plan.
        file: usize,
        /// In words, with the payload.
        what: String,
    },
    /// All are put and checked once: where they are now.
    Settled {
        /// Payloads with a copy in RAM.
        in_ram: u64,
        /// Payloads that are on DISK only.
        on_disk: u64,
    },
    /// All are spilled.
    Spilled {
        /// Bytes that nearer tiers still show.
        left: u64,
    },
    /// The process gives up.
    Failed {
        /// Why, in words.
        why: String,
    },
}

impl Event {
    /// A measured time.
    pub(super) fn took(what: Measure, bytes: u64, time: Duration) -> Self {
        Self::Took { what, bytes, nanos: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// Reports it to whoever started this process.
    ///
    /// # Errors
    /// Nobody listens any more.
    pub(super) fn tell(&self) -> Result<(), String> {
        let line = serde_json::to_string(self).map_err(|error| error.to_string())?;
        let mut out = io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| format!("nobody listens: {error}"))
    }
}
