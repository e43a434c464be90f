//! A session's lease page, both ends: [`SessionPages`] is the daemon's, [`LeaseTable`] the client's.
//!
//! One page for each session, written by that client and by the daemon. Promise no-round-trip rests on it: a client
//! takes a lease, gives it back, prolongs it and asks whether it still holds by loads and stores alone.
//!
//! The moves on a slot are those of [`crate::slot`]. Here is what goes around them: which slot, which clock, what to
//! make of a page whose owner may write anything on it at any time.
//!
//! ```
//! # use std::{fs::File, os::fd::AsFd, time::Duration};
//! # use payload_manager_shm::*;
//! # use payload_manager_types::*;
//! # struct Gone(String);
//! # impl Drop for Gone {
//! #     fn drop(&mut self) {
//! #         object::list(&self.0).unwrap().iter().for_each(|left| drop(object::unlink(&left.name)));
//! #     }
//! # }
//! # let base = format!("/pm-doc-{}", std::process::id());
//! # let _gone = Gone(base.clone());
//! # let us = Identity::of(InstanceId::from_bytes([1; 16]))?;
//! # let id = PayloadId::from_words(1, 2);
//! # let face = |unit, generation: u8| Face {
//! #     id, version: 1, tier: Tier::Ram, place: Place { unit, offset: 0 }, length: 4096,
//! #     state: EntryState::Shown(PayloadState::Active), expires: None,
//! #     generations: [0, generation, 0, 0], last_generation: generation,
//! # };
//! // The daemon: a directory, and a page for each session, found again after a restart.
//! let mut directory = Directory::create(&format!("{base}-dir"), &us, 1000)?;
//! let index = directory.insert(&face(1, 1))?;
//! let (now, most) = (boot::monotonic_ms(), LeaseDeadline(boot::monotonic_ms() + 120_000));
//! let (mut pages, set_aside) = SessionPages::open(&base, &us, directory.epoch_ms(), 1000, now, most)?;
//! assert!(set_aside.is_empty());
//! let page = pages.create(SLOT_STEP)?;
//!
//! // The client: both descriptors came over the session socket, the directory's for reading alone.
//! let for_client = File::from(page.descriptor().as_fd().try_clone_to_owned()?);
//! let seen = DirectoryReader::of_file(object::open_read_only(&format!("{base}-dir"))?)?;
//! let leases = LeaseTable::new(seen, for_client, Clock::with_offset(0), ())?;
//! let lease = leases.take(id, Wanted { duration: Duration::from_secs(20), min_tier: Tier::Ram }).unwrap();
//! assert!(lease.is_valid() && lease.face().place.unit == 1);
//!
//! // The daemon moves the payload: new place first, then who holds the old one?
//! let old = BlockName { index, generation: 1 };
//! directory.publish(index, &face(2, 2));
//! assert_eq!(pages.holders(&[old], boot::monotonic_ms())[0].pinning, 1);
//! drop(lease);
//! assert_eq!(pages.holders(&[old], boot::monotonic_ms())[0].pinning, 0, "free it");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! Not here: whether a session's process lives, how much it may pin. Those are rules.

mod clock;
mod lease;
mod lines;
mod mark;
mod notes;
mod page;
mod pages;
mod renewals;
mod table;

#[cfg(test)]
mod tests;

pub use self::clock::Clock;
pub use self::lease::Lease;
pub use self::mark::ProcessMark;
pub use self::page::{HeldSlot, SessionPage, Standing, Swept};
pub use self::pages::{SessionHolders, SessionPages, SetAside};
pub use self::renewals::Renewals;
pub use self::table::{Fallback, LeaseTable, Wanted};

use crate::layout::{Kind, session_slots_at};
use crate::page::Plan;
use crate::slot::line::SLOTS;
use crate::sync::AtomicU64;

/// The fewest slots that a page has, and what their number is a multiple of: so that pages are whole.
pub const SLOT_STEP: u32 = 512;

/// The most slots that a page has: what a scan may be made to look at by one client.
pub const MOST_SLOTS: u32 = 1 << 16;

/// The bytes of the pages of sessions that lease the payloads of a directory of `entries` entries.
fn plan(entries: u32) -> impl Fn(u32) -> Plan {
    move |slots| Plan {
        kind: Kind::SessionLeases,
        items_at: session_slots_at(entries, slots as usize / SLOTS),
        item_bytes: size_of::<AtomicU64>(),
        max: slots,
        what: "lease slots of a session",
    }
}
