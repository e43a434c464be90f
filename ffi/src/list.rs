//! Listings of payloads.

use payload_manager_client::ListOptions;
use payload_manager_client::blocking::Payloads;

use crate::client::{connected, pm_client};
use crate::error::{Failure, pm_status};
use crate::handle::{self, enter, handles};
use crate::id::pm_id;
use crate::input::{Out, tier_or_none};
use crate::kept::Cursor;
use crate::panic::call;

/// Payloads, newest first. One thread at a time uses it. Made by pm_list_open; yours until pm_list_close.
pub struct pm_list(());

handles!(Cursor<Payloads> => pm_list, 7);

/// A payload in a list. Times are milliseconds since 1970.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_summary {
    /// Which.
    pub id: pm_id,
    /// Bytes.
    pub size: u64,
    /// When it was allocated.
    pub created_ms: u64,
    /// When its time is over; 0 if never.
    pub expires_ms: u64,
    /// A pm_tier: that of the fastest copy.
    pub tier: u32,
    /// A pm_state.
    pub state: u32,
    /// How many leases there are on it.
    pub active_leases: u32,
    /// 0 for now.
    pub reserved: u32,
}

/// Lists payloads, all of them or those whose fastest copy is in the pm_tier `tier` (0: any). Does not block. `*out` is
/// yours: close it with pm_list_close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_list_open(client: *const pm_client, tier: u32, out: *mut *mut pm_list) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        out.set(std::ptr::null_mut());
        let options = ListOptions { tier: tier_or_none(tier, "tier")?, ..ListOptions::default() };
        let payloads = connected(client)?.client.list(options);
        out.set(handle::open(Cursor::new(payloads)).ok_or_else(Failure::full)?);
        Ok(pm_status::PM_OK)
    })
}

/// The next payload, or PM_END. Blocks when it is time for another page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_list_next(list: *mut pm_list, out: *mut pm_summary) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        let inside = enter::<Cursor<Payloads>>(list)?;
        let mut step = inside.step()?;
        let Some(row) = step.0.next().transpose()? else { return Ok(pm_status::PM_END) };
        out.set(pm_summary {
            id: row.id.into(),
            size: row.size,
            created_ms: row.created.0,
            expires_ms: row.expires.map_or(0, |at| at.0),
            tier: row.tier as u32,
            state: row.state as u32,
            active_leases: row.active_leases,
            reserved: 0,
        });
        Ok(pm_status::PM_OK)
    })
}

/// Ends a list. Does not block, unless it is the last of a connection that is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_list_close(list: *mut pm_list) -> pm_status {
    call(|| Ok(handle::close::<Cursor<Payloads>>(list).map(|()| pm_status::PM_OK)?))
}
