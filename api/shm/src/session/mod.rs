//! A session's lease page, both ends: [`SessionPages`] is the daemon's, [`LeaseTable`] the client's.
//!
//! One page for each session, written by that client and by the daemon. Promise no-round-trip rests on it: a client
//! takes a lease, gives it back, prolongs it and asks whether it still holds by loads and stores alone.
//!
//! The moves on a slot are those of [`crate::slot`]. Here is what goes around them: which slot, which clock, what to
//! make of a page whose owner may write anything on it at any time.
//!
//! Not here: which session a page belongs to, whether its process lives, how much it may pin. Those are rules.

mod clock;
mod lease;
mod lines;
mod page;
mod pages;
mod table;

#[cfg(test)]
mod tests;

pub use self::clock::Clock;
pub use self::lease::Lease;
pub use self::page::{HeldSlot, SessionPage, Standing, Swept};
pub use self::pages::{SessionHolders, SessionPages, SetAside};
pub use self::table::{Fallback, LeaseTable, Wanted};

use crate::layout::{Kind, session_slots_at};
use crate::page::Plan;
use crate::sync::AtomicU64;

/// The fewest slots that a page has, and what their number is a multiple of: so that pages are whole.
pub const SLOT_STEP: u32 = 512;

/// The most slots that a page has: what a scan may be made to look at by one client.
pub const MOST_SLOTS: u32 = 1 << 16;

/// The bytes of the pages of sessions that lease the payloads of a directory of `entries` entries.
fn plan(entries: u32) -> impl Fn(u32) -> Plan {
    move |slots| Plan {
        kind: Kind::SessionLeases,
        items_at: session_slots_at(entries),
        item_bytes: size_of::<AtomicU64>(),
        max: slots,
        what: "lease slots of a session",
    }
}
