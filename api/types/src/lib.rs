//! The vocabulary of Payload Manager: what every other crate calls things by.
//!
//! Newtypes and enums only: no I/O, no dependencies, no wire types. A value of one of these types is valid by
//! construction; turning bytes or numbers from outside into one is where validation happens, once.

mod device;
mod id;
mod place;
mod policy;
mod state;
mod stream;
mod tier;
mod time;

pub use device::DeviceUuid;
pub use id::{BadId, InstanceId, LeaseId, PayloadId};
pub use place::{BlockName, Checksum, EntryIndex, Generation, LeaseDeadline, Place};
pub use policy::{EvictionPolicy, Priority, Protection, SpillTarget};
pub use state::{PayloadState, UnknownState};
pub use stream::{BadName, NewEntry, Retention, StreamEntry, StreamName, check_name};
pub use tier::{Tier, TierSet, UnknownTier};
pub use time::{Timestamp, UnixMillis, YEAR_9999_END};
