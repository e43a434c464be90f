//! What the daemon holds.

use payload_manager_client::{Space, TierStats};

use crate::client::{connected, pm_client};
use crate::error::pm_status;
use crate::input::Out;
use crate::panic::call;

/// What a tier holds.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_tier_stats {
    /// Payloads whose fastest copy is there.
    pub payloads: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that it may hold; 0 if it is not configured, UINT64_MAX if there is no limit.
    pub capacity: u64,
    /// Bytes that are free; UINT64_MAX if there is no limit.
    pub free: u64,
}

/// What the daemon holds.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_stats_info {
    /// By pm_tier: GPU at 1, to OBJECT at 4; 0 is not used.
    pub tiers: [pm_tier_stats; 5],
    /// Leases that hold.
    pub live_leases: u64,
    /// Clients with a session.
    pub sessions: u64,
    /// 0 for now.
    pub reserved: [u64; 6],
}

fn row(of: TierStats) -> pm_tier_stats {
    let (capacity, free) = match of.space {
        None => (0, 0),
        Some(Space::Limited { capacity, free }) => (capacity, free),
        Some(Space::Unlimited) => (u64::MAX, u64::MAX),
    };
    pm_tier_stats { payloads: of.payloads, bytes: of.bytes, capacity, free }
}

/// What the daemon holds now. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_stats(client: *const pm_client, out: *mut pm_stats_info) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        let stats = connected(client)?.client.stats()?;
        let [gpu, ram, disk, object] = stats.tiers.map(row);
        let tiers = [pm_tier_stats { payloads: 0, bytes: 0, capacity: 0, free: 0 }, gpu, ram, disk, object];
        out.set(pm_stats_info { tiers, live_leases: stats.live_leases, sessions: stats.sessions, reserved: [0; 6] });
        Ok(pm_status::PM_OK)
    })
}
