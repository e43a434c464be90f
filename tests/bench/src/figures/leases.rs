//! Leases at 1, 1,000 and 100,000 payloads, and a start with all of these: one daemon that grows.
//!
//! Payloads in RAM are made by calls, as a client would; those on DISK are laid into its folder and its catalog while it
//! does not run. Payloads are small: how many there are is what is measured.

use futures_util::stream::{FuturesUnordered, TryStreamExt};
use payload_manager_api::core::v1::PayloadId;

use super::Ground;
use crate::Result;
use crate::collector::Collector;
use crate::daemon::Daemon;
use crate::prefill;
use crate::row::{Row, Target};
use crate::rpc::{EMPTY, Rpc};
use crate::sample::{Beside, Samples, in_rounds, in_turn, millis};

/// Bytes of a payload.
const SIZE: u64 = 64;
/// Calls that are under way at once while payloads are made.
const AT_ONCE: u32 = 32;

const MIB: u64 = 1 << 20;

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    if ground.wants("lease.rpc.traced") {
        traced(ground).await?;
    }
    let mut daemon = Daemon::start_new(ground.base, 1024 * MIB, 1024 * MIB).await?;
    let (few, many) = (ground.scale.few, ground.scale.many);
    let mut ids = Vec::new();
    for (name, count) in [("lease.rpc.1", 1), ("lease.rpc.1k", few)] {
        grow(&daemon, &mut ids, count).await?;
        if ground.wants(name) {
            leases(ground, &daemon, name, &ids).await?;
        }
    }
    if !ground.wants("lease.rpc.100k") && !ground.wants("start.100k") {
        return Ok(());
    }
    daemon.stop().await?;
    let on_disk = prefill::on_disk(&daemon, many / 2, SIZE).await?;
    daemon.start().await?;
    grow(&daemon, &mut ids, many - many / 2).await?;
    ids.extend(on_disk);
    leases(ground, &daemon, "lease.rpc.100k", &ids).await?;
    if ground.wants("start.100k") { starts(ground, daemon, many).await } else { Ok(()) }
}

/// Leases of a daemon that sends a span for each call to a collector, in turn with those of one that sends nothing.
async fn traced(ground: &mut Ground<'_>) -> Result<()> {
    let (collector, endpoint) = Collector::start().await?;
    let plain = Daemon::start_new(ground.base, 64 * MIB, 64 * MIB).await?;
    let mut traced = Daemon::new(ground.base, 64 * MIB, 64 * MIB)?;
    traced.set("otlp-endpoint", endpoint);
    traced.start().await?;
    let (ours, floor) = (traced.rpc().await?, plain.rpc().await?);
    let ids = (ours.clone().put_empty(SIZE).await?, floor.clone().put_empty(SIZE).await?);
    let beside = in_rounds(
        ground.scale.calls,
        async || lease(ours.clone(), &ids.0).await,
        async || lease(floor.clone(), &ids.1).await,
    )
    .await?;
    traced.stop().await?;
    if collector.spans() == 0 {
        return Err("the collector was sent no spans".into());
    }
    let floor = "the same of a daemon that sends nothing";
    ground.tell(Row::beside("lease.rpc.traced", "us", &beside, floor, Target::Times(1.1)))
}

async fn lease(mut rpc: Rpc, id: &PayloadId) -> Result<()> {
    Ok(rpc.lease(id).await?)
}

/// Makes payloads in RAM until there are so many.
async fn grow(daemon: &Daemon, ids: &mut Vec<PayloadId>, count: u32) -> Result<()> {
    let rpc = daemon.rpc().await?;
    while ids.len() < count as usize {
        let missing = (count as usize - ids.len()).min(AT_ONCE as usize);
        let made: FuturesUnordered<_> = (0..missing).map(|_| put(rpc.clone())).collect();
        ids.extend(made.try_collect::<Vec<_>>().await?);
    }
    Ok(())
}

async fn put(mut rpc: Rpc) -> Result<PayloadId> {
    Ok(rpc.put_empty(SIZE).await?)
}

/// Leases on payloads spread over all of them.
async fn leases(ground: &mut Ground<'_>, daemon: &Daemon, name: &'static str, ids: &[PayloadId]) -> Result<()> {
    let mut rpc = daemon.rpc().await?;
    let mut empty = rpc.clone();
    let mut spread = ids.iter().cycle().step_by(ids.len() / 3 * 2 + 1);
    let beside = in_turn(
        ground.scale.calls,
        async || Ok(rpc.lease(spread.next().ok_or("no payloads")?).await?),
        async || {
            empty.empty().await?;
            Ok(empty.empty().await?)
        },
    )
    .await?;
    let floor = format!("2 empty calls ({EMPTY})");
    ground.tell(Row::beside(name, "us", &beside, &floor, Target::Times(1.3)))
}

/// Starts it again and again, in turn with one that has no payloads.
async fn starts(ground: &mut Ground<'_>, mut full: Daemon, many: u32) -> Result<()> {
    let mut none = Daemon::start_new(ground.base, 64 * MIB, 64 * MIB).await?;
    let mut beside = Beside { ours: Samples::default(), floor: Samples::default() };
    for _ in 0..ground.scale.rounds {
        for (daemon, samples) in [(&mut full, &mut beside.ours), (&mut none, &mut beside.floor)] {
            daemon.stop().await?;
            samples.add(millis(daemon.start().await?));
        }
    }
    let stats = full.rpc().await?.stats().await?;
    let found = stats.payloads_ram + stats.payloads_disk;
    if found < u64::from(many) {
        return Err(format!("of {many} payloads {found} are left after a start").into());
    }
    ground.tell(Row::beside("start.100k", "ms", &beside, "start with no payloads", Target::AtMost(1000.0)))
}
