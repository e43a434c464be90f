//! A card of this machine: payloads moved between its memory and RAM, and leases on it, both beside what they stand on.
//!
//! The moves are compared with the card's own copies to and from pinned memory that is ready; the leases with leases on
//! payloads in RAM, by the same client. There is nothing to measure where there is no card, and that is said.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use payload_manager_client::blocking::Client;
use payload_manager_client::{CreateOptions, PayloadId, ReadOptions, SpillOptions, SpillTarget, Tier};
use payload_manager_shm::device::{Device, Driver, LIBRARY, LIBRARY_ENV, PinnedBuffer};

use super::Ground;
use crate::Result;
use crate::daemon::Daemon;
use crate::row::{Row, Target};
use crate::sample::{Beside, Times, millis, nanos};

/// Bytes of a payload that is leased.
const SMALL: u64 = 4096;

/// Room for what lies beside the payloads that are moved, in bytes.
const BESIDE: u64 = 256 << 20;

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    let device = match card() {
        Ok(device) => device,
        Err(why) if ground.all => {
            eprintln!("no figure of a GPU was measured: {why}");
            return Ok(());
        }
        Err(why) => return Err(format!("there is no GPU to measure: {why}").into()),
    };
    let room = 4 * ground.scale.card as u64 + BESIDE;
    let mut daemon = Daemon::new(ground.base, room, room)?;
    daemon.set("gpu-memory", format!("{}={room}", device.uuid()));
    daemon.set("cuda-driver", library().display().to_string());
    daemon.start().await?;
    let client = Client::connect(daemon.socket())?;
    let mut rows = Vec::new();
    if ground.wants("gpu.spill.256m") || ground.wants("gpu.promote.256m") {
        rows.extend(moves(&client, &device, ground.scale.card, ground.scale.copies)?);
    }
    if ground.wants("lease.gpu") {
        rows.push(leases(&client, &device, ground.scale.views)?);
    }
    drop(client);
    rows.into_iter().try_for_each(|row| ground.tell(row))
}

fn library() -> PathBuf {
    std::env::var_os(LIBRARY_ENV).map_or_else(|| PathBuf::from(LIBRARY), PathBuf::from)
}

/// The first card there is.
fn card() -> Result<Device> {
    let driver = Driver::shared()?;
    let first = driver.uuids().into_iter().next().ok_or("the driver knows no GPU")?;
    Ok(driver.device(first)?.ok_or("the first GPU is gone")?)
}

fn put(client: &Client, device: &Device, bytes: u64) -> Result<PayloadId> {
    let options = CreateOptions { tier: Tier::Gpu, device: Some(device.uuid()), ..CreateOptions::default() };
    Ok(client.create_with(bytes, options)?.commit()?.id)
}

fn to_ram(client: &Client, id: PayloadId) -> Result<()> {
    let options = SpillOptions { target: Some(SpillTarget::Tier(Tier::Ram)), ..SpillOptions::default() };
    client.spill_with(&[id], options)?.into_iter().try_for_each(|moved| Ok(moved.map(drop)?))
}

fn moves(client: &Client, device: &Device, bytes: usize, times: usize) -> Result<[Row; 2]> {
    let memory = device.allocate(bytes as u64)?;
    let mut pinned = PinnedBuffer::new(device, bytes)?;
    let (mut down, mut up) = (Beside::default(), Beside::default());
    for round in 0..=times {
        let id = put(client, device, bytes as u64)?;
        let begun = Instant::now();
        to_ram(client, id)?;
        let spilled = begun.elapsed();
        let begun = Instant::now();
        memory.read(0, &mut pinned)?;
        let read = begun.elapsed();
        let begun = Instant::now();
        client.promote(id, Tier::Gpu)?;
        let promoted = begun.elapsed();
        let begun = Instant::now();
        memory.write(0, &pinned)?;
        let written = begun.elapsed();
        client.delete(id)?;
        // The first one warms up: memory is made known to the card once.
        if round > 0 {
            down.ours.add(millis(spilled));
            down.floor.add(millis(read));
            up.ours.add(millis(promoted));
            up.floor.add(millis(written));
        }
    }
    // Nine tenths of a plain copy's bandwidth.
    let target = Target::Times(1.11);
    Ok([
        Row::beside("gpu.spill.256m", "ms", &down, "a copy from the card to pinned memory", target),
        Row::beside("gpu.promote.256m", "ms", &up, "a copy from pinned memory to the card", target),
    ])
}

fn leases(client: &Client, device: &Device, times: Times) -> Result<Row> {
    let (on_card, in_ram) = (put(client, device, SMALL)?, put(client, device, SMALL)?);
    to_ram(client, in_ram)?;
    let mut beside = Beside::default();
    for _ in 0..=times.rounds {
        beside.ours.add(views(client, on_card, Tier::Gpu, times.samples)?);
        beside.floor.add(views(client, in_ram, Tier::Ram, times.samples)?);
    }
    Ok(Row::beside("lease.gpu", "ns", &beside, "a view of a payload in RAM", Target::Beyond(50.0)))
}

/// Nanoseconds a view taken and dropped where the payload lies, in the mean of so many.
fn views(client: &Client, id: PayloadId, tier: Tier, count: usize) -> Result<f64> {
    let options = ReadOptions { min_tier: Some(tier), on_device: tier == Tier::Gpu, ..ReadOptions::default() };
    let begun = Instant::now();
    for _ in 0..count {
        black_box(client.read_with(id, options)?);
    }
    Ok(nanos(begun.elapsed()) / count as f64)
}
