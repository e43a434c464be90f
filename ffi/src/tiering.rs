//! Where payloads are kept: promotion, spilling, pins.

use std::time::Duration;

use payload_manager_client::{Promotion, SpillOptions};

use crate::client::{about, connected, pm_client};
use crate::error::pm_status;
use crate::id::{payload_id, pm_id};
use crate::input::{Options, Out, millis, options, tier};
use crate::panic::call;
use crate::payload::spill_target;
use crate::types::pm_descriptor;

/// How to spill. Begin with PM_SPILL_OPTIONS_INIT.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_spill_options {
    /// sizeof(pm_spill_options).
    pub size: u32,
    /// The pm_tier to spill to; 0 is what the payload's policy says.
    pub target: u32,
    /// 1: do not wait until it is done.
    pub no_wait: u32,
    /// 1: wait until nobody reads it.
    pub wait_for_leases: u32,
    /// 1: answer before the copy would survive a loss of power.
    pub no_fsync: u32,
    /// 0 for now.
    pub reserved: u32,
}

// SAFETY: u32s alone, the first of them the size.
unsafe impl Options for pm_spill_options {
    const NONE: Self = Self { size: 24, target: 0, no_wait: 0, wait_for_leases: 0, no_fsync: 0, reserved: 0 };
}

/// Copies a payload to the pm_tier `to_tier`, which is faster than where it is. Blocks until it is there, unless `no_wait`
/// is 1. `out` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_promote(
    client: *const pm_client,
    id: *const pm_id,
    to_tier: u32,
    no_wait: u8,
    out: *mut pm_descriptor,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (id, out) = unsafe { (payload_id(id)?, Out::optional(out)) };
        let promotion = if no_wait == 0 { Promotion::Wait } else { Promotion::Background };
        out.set((&connected(client)?.client.promote_with(id, tier(to_tier, "to_tier")?, promotion)?).into());
        Ok(pm_status::PM_OK)
    })
}

/// Moves a payload to a slower tier. Blocks. `options` may be null: to where its policy says, and on disk for good when it
/// answers. PM_NOTHING if it is deleted by that (PM_TIER_VOID). `out` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_spill(
    client: *const pm_client,
    id: *const pm_id,
    options: *const pm_spill_options,
    out: *mut pm_descriptor,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (id, out, options) = unsafe { (payload_id(id)?, Out::optional(out), self::options(options)?) };
        let options = SpillOptions {
            target: spill_target(options.target)?,
            wait: options.no_wait == 0,
            wait_for_leases: options.wait_for_leases != 0,
            fsync: options.no_fsync == 0,
        };
        let spilled = connected(client)?.client.spill_with(&[id], options)?.into_iter().next();
        let Some(descriptor) = spilled.transpose()?.flatten() else { return Ok(pm_status::PM_NOTHING) };
        out.set((&descriptor).into());
        Ok(pm_status::PM_OK)
    })
}

/// Has a payload copied to the pm_tier `to_tier` in the background. Blocks until the daemon knows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_prefetch(client: *const pm_client, id: *const pm_id, to_tier: u32) -> pm_status {
    let to = match tier(to_tier, "to_tier") {
        Ok(to) => to,
        Err(failure) => return call(|| Err(failure)),
    };
    // SAFETY: the caller's pointers are what the header asks for.
    unsafe { about(client, id, |client, id| client.prefetch(id, to)) }
}

/// Keeps a payload where it is for so many milliseconds, or with 0 until pm_unpin. Blocks until the daemon knows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_pin(client: *const pm_client, id: *const pm_id, duration_ms: u64) -> pm_status {
    let duration: Option<Duration> = millis(duration_ms);
    // SAFETY: the caller's pointers are what the header asks for.
    unsafe { about(client, id, |client, id| client.pin(id, duration)) }
}

/// Ends a pin. Blocks until the daemon knows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_unpin(client: *const pm_client, id: *const pm_id) -> pm_status {
    // SAFETY: the caller's pointers are what the header asks for.
    unsafe { about(client, id, |client, id| client.unpin(id)) }
}
