//! Why pages can't be opened, and why they can't take more.

use std::io;

use payload_manager_types::InstanceId;
use thiserror::Error;

/// No room for one more: a limit that was set, or the machine's memory.
#[derive(Debug, Error)]
pub enum Full {
    /// The limit that was set when the pages were made.
    #[error("all {max} {what} are in use")]
    Limit {
        /// What there could have been more of.
        what: &'static str,
        /// How many there are.
        max: u32,
    },
    /// The file system or the memory limit behind it is full. Nothing changed.
    #[error("no memory for {bytes} more bytes of {what}: {source}")]
    Memory {
        /// What it was for.
        what: &'static str,
        /// How much was asked for.
        bytes: u64,
        /// What the kernel said; mostly ENOSPC.
        source: io::Error,
    },
}

/// Why a page was not opened. Nothing was changed by looking.
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is no object of that name.
    #[error("there is no such shared-memory object")]
    NotThere,
    /// Another daemon's.
    #[error("{name} belongs to instance {found}")]
    Foreign {
        /// The object.
        name: String,
        /// Whose it says it is.
        found: InstanceId,
    },
    /// Made under another boot of the host; its clock readings mean nothing now.
    #[error("{name} was made under another boot of this host")]
    OtherBoot {
        /// The object.
        name: String,
        /// The boot that it names.
        found: [u8; 16],
    },
    /// The object belongs to another user: not to be trusted with our leases.
    #[error("{name} belongs to uid {uid}")]
    OtherOwner {
        /// The object.
        name: String,
        /// Whose it is.
        uid: u32,
    },
    /// Not what it claims to be.
    #[error("{name} is damaged: {what}")]
    Torn {
        /// The object.
        name: String,
        /// What does not fit.
        what: String,
    },
    /// Made by another version of this program.
    #[error("{name} has layout {found}; this program reads layout {known}")]
    OtherLayout {
        /// The object.
        name: String,
        /// Its layout.
        found: u32,
        /// The one known here.
        known: u32,
    },
    /// The kernel said no.
    #[error("{name}: {source}")]
    Os {
        /// The object.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
}
