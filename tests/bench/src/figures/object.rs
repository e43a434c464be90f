//! The OBJECT tier in a folder, against a plain program with the same crate, folder and requests at once.

use std::path::Path;
use std::time::{Duration, Instant};

use payload_manager::archive::{ArchiveWriter, Said};
use payload_manager::config::Given;
use payload_manager::rebuild;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_core::facts::{Facts, Labels, Phase};
use payload_manager_tiers::copy::{self, Job};
use payload_manager_tiers::object::Address;
use payload_manager_tiers::{HeapTier, ObjectOptions, ObjectTier, Packing, Sink, Source, TierStore};
use payload_manager_types::{
    Checksum, EvictionPolicy, InstanceId, PayloadId as Name, Place, Protection, Tier as Kept, TierSet, UnixMillis,
};

use super::{Ground, idle};
use crate::daemon::Daemon;
use crate::plain::Plain;
use crate::row::{Row, Target};
use crate::rpc::Rpc;
use crate::sample::{Beside, Samples, millis};
use crate::{Result, floor};

const SMALL: usize = 4096;

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    if ["object.spill.1g", "object.promote.1g"].iter().any(|name| ground.wants(name)) {
        there_and_back(ground).await?;
    }
    if ground.wants("object.memory") {
        memory(ground).await?;
    }
    if ground.wants("object.spill.10k") {
        many(ground).await?;
    }
    if ground.wants("object.checksum") {
        checksum(ground)?;
    }
    if ground.wants("rebuild.100k") {
        rebuilt(ground).await?;
    }
    Ok(())
}

async fn put(rpc: &mut Rpc, count: usize, bytes: &[u8]) -> Result<Vec<PayloadId>> {
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(rpc.put(bytes).await?);
    }
    Ok(ids)
}

async fn delete(rpc: &mut Rpc, ids: Vec<PayloadId>) -> Result<()> {
    for id in ids {
        rpc.delete(Some(id)).await?;
    }
    Ok(())
}

async fn there_and_back(ground: &mut Ground<'_>) -> Result<()> {
    let (count, size) = (ground.scale.load, ground.scale.copy);
    let room = (count as u64 + 1) * size as u64;
    let mut daemon = Daemon::with(ground.base, room, 64 << 20, true)?;
    daemon.start().await?;
    let mut rpc = daemon.rpc().await?;
    let (plain, bytes) = (Plain::new(&daemon.beside().join("plain"))?, floor::noise(size));
    let (mut down, mut up) = (Beside::default(), Beside::default());
    for round in 0..=ground.scale.rounds.div_ceil(2) {
        let ids = put(&mut rpc, count, &bytes).await?;
        let begun = Instant::now();
        rpc.spill_to(ids.clone(), Tier::Object).await?;
        let spilled = begun.elapsed();
        let wrote = plain.put(count, &bytes).await?;
        let begun = Instant::now();
        let promotions = ids.iter().map(|id| {
            let mut rpc = rpc.clone();
            async move { rpc.promote(id).await }
        });
        futures_util::future::try_join_all(promotions).await?;
        let promoted = begun.elapsed();
        let read = plain.get(count).await?;
        delete(&mut rpc, ids).await?;
        if round > 0 {
            down.ours.add(millis(spilled));
            down.floor.add(millis(wrote));
            up.ours.add(millis(promoted));
            up.floor.add(millis(read));
        }
    }
    if ground.wants("object.spill.1g") {
        ground.tell(Row::beside("object.spill.1g", "ms", &down, "put by the crate alone", Target::Times(1.18)))?;
    }
    if ground.wants("object.promote.1g") {
        ground.tell(Row::beside("object.promote.1g", "ms", &up, "got by the crate alone", Target::Times(1.18)))?;
    }
    Ok(())
}

/// One payload of 4 GiB.
async fn memory(ground: &mut Ground<'_>) -> Result<()> {
    let (pieces, piece) = (64u64, floor::noise(ground.scale.copy));
    let size = pieces * piece.len() as u64;
    let mut daemon = Daemon::with(ground.base, size + (64 << 20), 64 << 20, true)?;
    daemon.start().await?;
    let mut rpc = daemon.rpc().await?;
    let id = rpc.put_pieces(&piece, pieces).await?;
    let (mut memory, idle) = (Samples::default(), idle::resident(daemon.pid()?)?);
    let mut mover = rpc.clone();
    let there = watched(&daemon, mover.spill_to(vec![id.clone()], Tier::Object)).await?;
    let back = watched(&daemon, async { Ok(rpc.promote(&id).await?) }).await?;
    memory.add((there.max(back) - idle) / f64::from(1 << 20));
    ground.tell(Row::alone("object.memory", "MiB", &memory, Target::AtMost(64.0)))
}

/// The most resident memory that the daemon has while something is done, in bytes.
async fn watched(daemon: &Daemon, work: impl Future<Output = Result<()>>) -> Result<f64> {
    let (pid, mut highest) = (daemon.pid()?, 0f64);
    tokio::pin!(work);
    loop {
        highest = highest.max(idle::resident(pid)?);
        tokio::select! {
            done = &mut work => return done.map(|()| highest),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
}

/// Ids that one call spills at once.
const BATCH: usize = 500;

async fn many(ground: &mut Ground<'_>) -> Result<()> {
    let count = ground.scale.many as usize / 10;
    let room = (count as u64 * 2 + 1) * SMALL as u64;
    let mut daemon = Daemon::with(ground.base, room.max(64 << 20), 64 << 20, true)?;
    daemon.start().await?;
    let mut rpc = daemon.rpc().await?;
    let (plain, bytes) = (Plain::new(&daemon.beside().join("plain"))?, floor::noise(SMALL));
    let mut beside = Beside::default();
    let ids = put(&mut rpc, count, &bytes).await?;
    for ids in ids.chunks(BATCH) {
        let begun = Instant::now();
        rpc.spill_to(ids.to_vec(), Tier::Object).await?;
        beside.ours.add(millis(begun.elapsed()));
        beside.floor.add(millis(plain.put(ids.len(), &bytes).await?));
    }
    ground.tell(Row::beside("object.spill.10k", "ms/500", &beside, "put by the crate alone", Target::Times(1.25)))
}

fn address(folder: &Path) -> Result<Address> {
    Ok(Address::parse(&format!("file://{}", folder.display()))?)
}

fn new_name() -> Name {
    Name::from_bytes(*uuid::Uuid::now_v7().as_bytes())
}

/// What the checksum alone costs: the same two tiers, the same pieces.
fn checksum(ground: &mut Ground<'_>) -> Result<()> {
    let folder = tempfile::tempdir_in(ground.base)?;
    let store = ObjectTier::open(address(folder.path())?, ObjectOptions::default())?;
    let bytes = floor::noise(4 * ground.scale.copy);
    let (heap, id, size) = (HeapTier::new(Kept::Ram, u64::MAX), new_name(), bytes.len() as u64);
    heap.allocate(id, size)?;
    heap.write(id, &bytes);
    let mut beside = Beside::default();
    for round in 0..=ground.scale.rounds {
        let mut times = [Duration::ZERO; 2];
        for (summed, time) in [true, false].into_iter().zip(&mut times) {
            let (mut source, mut sink) = (heap.source(id, Place::OWN, size)?, store.sink(id, size)?);
            let begun = Instant::now();
            let sum = if summed {
                copy::copy(Job { id, from: Kept::Ram, size }, &mut *source, &mut *sink, &|_| true)?
            } else {
                copy_without(&mut *source, &mut *sink, size)?
            };
            sink.finish(sum, &|_| b"{}".to_vec())?;
            *time = begun.elapsed();
            store.free(id, Place::OWN)?;
        }
        if round > 0 {
            beside.ours.add(millis(times[0]));
            beside.floor.add(millis(times[1]));
        }
    }
    ground.tell(Row::beside("object.checksum", "ms", &beside, "the same without a checksum", Target::Times(1.05)))
}

fn copy_without(source: &mut dyn Source, sink: &mut dyn Sink, size: u64) -> Result<Checksum> {
    let mut buffer = payload_manager_tiers::AlignedBuffer::new(4 << 20);
    let mut at = 0;
    while at < size {
        let length = usize::try_from((size - at).min(4 << 20))?;
        let piece = buffer.head_mut(length);
        source.read_at(at, piece)?;
        sink.write_at(at, piece)?;
        at += length as u64;
    }
    Ok(Checksum([0; 16]))
}

/// Archives that a rebuild reads at once.
const READERS: usize = 32;

async fn rebuilt(ground: &mut Ground<'_>) -> Result<()> {
    let folder = tempfile::tempdir_in(ground.base)?;
    let objects = folder.path().join("objects");
    std::fs::create_dir(&objects)?;
    ObjectTier::open(address(&objects)?, ObjectOptions::default())?.claim(InstanceId::from_bytes([7; 16]))?;
    for n in 0..ground.scale.many {
        let facts = facts(n);
        let text = ArchiveWriter.encode(&facts, (facts.checksum, Packing::Plain), Said::default(), facts.created);
        std::fs::write(objects.join(format!("{}.bin", facts.id)), b"x")?;
        std::fs::write(objects.join(format!("{}.meta.json", facts.id)), text)?;
    }
    let (plain, from) = (Plain::new(&objects)?, format!("file://{}", objects.display()));
    let mut beside = Beside::default();
    for round in 0..=ground.scale.rounds.div_ceil(2) {
        let at = |name: &str| folder.path().join(format!("{name}-{round}")).display().to_string();
        let given = Given::default().with("data-dir", &at("data"))?.with("runtime-dir", &at("run"))?;
        let begun = Instant::now();
        let made = rebuild::everything(std::slice::from_ref(&from), &given)?;
        let took = begun.elapsed();
        if made.payloads != u64::from(ground.scale.many) {
            return Err(format!("{} payloads were made again", made.payloads).into());
        }
        let read = plain.read_all(".meta.json", READERS).await?;
        if round > 0 {
            beside.ours.add(millis(took));
            beside.floor.add(millis(read));
        }
    }
    ground.tell(Row::beside("rebuild.100k", "ms", &beside, "listed and read by the crate alone", Target::Times(1.3)))
}

fn facts(n: u32) -> Facts {
    Facts {
        id: new_name(),
        size: 1,
        phase: Phase::Committed,
        version: 3,
        preferred: Kept::Ram,
        copies: TierSet::EMPTY.with(Kept::Object),
        created: UnixMillis(1_700_000_000_000 + u64::from(n)),
        expires: None,
        reclaim_at: None,
        policy: EvictionPolicy::default(),
        no_evict: false,
        protection: Protection::default(),
        checksum: Some(Checksum([7; 16])),
        pin: None,
        labels: Labels { dataset: "a data set".into(), ..Labels::default() },
    }
}
