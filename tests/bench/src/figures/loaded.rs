//! Leases while other payloads spill, against empty calls at the same moments.

use payload_manager_api::core::v1::PayloadId;

use super::Ground;
use crate::daemon::Daemon;
use crate::row::{Row, Target};
use crate::rpc::Rpc;
use crate::sample::{Beside, micros, timed};
use crate::{Result, floor};

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    let (load, copy) = (ground.scale.load, ground.scale.copy);
    let room = (load as u64 + 2) * copy as u64;
    let daemon = Daemon::start_new(ground.base, room, room).await?;
    let mut rpc = daemon.rpc().await?;
    let bytes = floor::noise(copy);
    let leased = rpc.put_empty(64).await?;
    let mut beside = Beside::default();
    for _ in 0..ground.scale.rounds.div_ceil(2) {
        let mut ids = Vec::with_capacity(load);
        for _ in 0..load {
            ids.push(rpc.put(&bytes).await?);
        }
        while_spilling(&daemon, &mut rpc, &ids, &leased, &mut beside).await?;
        for id in ids {
            rpc.delete(Some(id)).await?;
        }
    }
    let floor = format!("2 empty calls then (p99 {:.0} us)", beside.floor.p99());
    ground.tell(Row::beside("lease.rpc.during_spill", "us", &beside, &floor, Target::TimesP99(1.5)))
}

/// Measures both in turn until the spill is done.
async fn while_spilling(
    daemon: &Daemon,
    rpc: &mut Rpc,
    ids: &[PayloadId],
    leased: &PayloadId,
    beside: &mut Beside,
) -> Result<()> {
    let (mut spiller, ids) = (daemon.rpc().await?, ids.to_vec());
    let spill = tokio::spawn(async move { spiller.spill(ids).await });
    let mut empty = rpc.clone();
    let mut lease = async || Ok(rpc.lease(leased).await?);
    let mut empty = async || {
        empty.empty().await?;
        Ok(empty.empty().await?)
    };
    while !spill.is_finished() {
        beside.ours.add(micros(timed(&mut lease).await?));
        beside.floor.add(micros(timed(&mut empty).await?));
    }
    spill.await?
}
