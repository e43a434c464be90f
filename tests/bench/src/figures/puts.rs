//! Payloads put and got through the session, warm, against what a plain program can't do without: the copy itself, and two
//! round trips on a socket of the same kind between two processes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use payload_manager_client::PayloadId;
use payload_manager_client::blocking::Client;
use payload_manager_shm::fdpass::{SeqPacket, Wait};

use super::Ground;
use crate::daemon::Daemon;
use crate::row::{Row, Target};
use crate::sample::{Beside, micros};
use crate::{Result, floor, part};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

/// Payloads that are made at a time, where they are made together.
const BATCH: usize = 64;

/// Bytes of a request and of an answer, about.
const FRAME: usize = 150;

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    let daemon = Daemon::start_new(ground.base, 1024 * MIB as u64, 1024 * MIB as u64).await?;
    let [small, middle, large] = ground.scale.puts;
    let client = Client::connect(daemon.socket())?;
    let (socket, mut echo) = part::echo(daemon.beside())?;
    let trip = "2 round trips on such a socket";
    let copy = "a warm copy and 2 round trips";
    let sizes = [
        (4 * KIB, small, "put.4k", trip, Target::Beyond(4.0)),
        (MIB, middle, "put.1m", copy, Target::Times(1.3)),
        (64 * MIB, large, "put.64m", copy, Target::Times(1.1)),
    ];
    for (size, count, name, what, target) in sizes {
        if ground.wants(name) {
            let beside = puts(&client, &socket, size, count)?;
            ground.tell(Row::beside(name, "us", &beside, what, target))?;
        }
    }
    if ground.wants("put.4k.batch64") {
        let beside = puts_together(&client, 4 * KIB, middle)?;
        ground.tell(Row::beside("put.4k.batch64", "us each", &beside, "a warm copy", Target::Beyond(2.0)))?;
    }
    for (size, count, name) in [(MIB, middle, "get.1m"), (64 * MIB, large, "get.64m")] {
        if ground.wants(name) {
            let beside = gets(&client, size, count)?;
            ground.tell(Row::beside(name, "us", &beside, "the same pages of a mapping", Target::Beyond(1.0)))?;
        }
    }
    drop((socket, client));
    echo.wait()?;
    Ok(())
}

/// Payloads that may lie there before they are deleted, in bytes.
const LYING: usize = 256 * MIB;

/// How long the daemon has for writing down and freeing what was deleted, before the next is measured.
const SETTLES: Duration = Duration::from_millis(50);

/// Allocate, copy, commit; and the floor, now before and now after it. What was made is deleted now and then, outside of
/// what is measured, so that its memory is warm for the next. The plain copy goes as far around as the payloads do: into
/// memory that is there, and has left the caches for as long.
fn puts(client: &Client, socket: &SeqPacket, size: usize, count: usize) -> Result<Beside> {
    let (mut lying, most) = (Vec::new(), (LYING / size).min(200));
    // Up to a page the copy is no more than a tenth of a microsecond, and part of what is allowed.
    let copied = if size > PAGE { size } else { 0 };
    let (bytes, mut memory) = (floor::noise(size), floor::noise(copied * most));
    let mut beside = Beside::default();
    for round in 0..count + count / 10 + 2 {
        if lying.len() >= most {
            lying.drain(..).try_for_each(|id| client.delete(id))?;
            std::thread::sleep(SETTLES);
        }
        let at = lying.len() * copied;
        let room = memory.get_mut(at..at + copied).unwrap_or_default();
        let mut plain = || timed(|| plain_put(socket, &bytes, room));
        let ours = || timed(|| put(client, &bytes));
        let ((ours, id), (plain, ())) = match round % 2 {
            0 => (ours()?, plain()?),
            _ => {
                let plain = plain()?;
                (ours()?, plain)
            }
        };
        lying.push(id);
        // Twice through the memory that it is given, before it counts.
        if round >= (count / 10 + 2).max(2 * most).min(count) {
            beside.ours.add(ours);
            beside.floor.add(plain);
        }
    }
    lying.into_iter().try_for_each(|id| client.delete(id))?;
    Ok(beside)
}

/// What comes of `work`, and in how many microseconds.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let begun = Instant::now();
    let done = work()?;
    Ok((micros(begun.elapsed()), done))
}

fn put(client: &Client, bytes: &[u8]) -> Result<PayloadId> {
    let mut payload = client.create(bytes.len() as u64)?;
    payload.copy_from_slice(bytes);
    Ok(payload.commit()?.id)
}

fn plain_put(socket: &SeqPacket, bytes: &[u8], room: &mut [u8]) -> Result<()> {
    round_trip(socket)?;
    let copied = room.len();
    room.copy_from_slice(bytes.get(..copied).unwrap_or_default());
    black_box(room);
    round_trip(socket)
}

/// The same of [`BATCH`] at a time, against the copies alone; for each.
fn puts_together(client: &Client, size: usize, count: usize) -> Result<Beside> {
    let (bytes, mut memory) = (floor::noise(size), floor::noise(size * BATCH));
    let (lens, mut lying) = ([size as u64; BATCH], Vec::new());
    let mut beside = Beside::default();
    for round in 0..count + count / 10 + 2 {
        let plain = || {
            memory.chunks_mut(size).for_each(|room| room.copy_from_slice(&bytes));
            black_box(&mut memory);
            Ok(())
        };
        let ours = || {
            let made: std::result::Result<Vec<_>, _> = client.create_many(&lens).into_iter().collect();
            let mut payloads = made?;
            payloads.iter_mut().for_each(|payload| payload.copy_from_slice(&bytes));
            let committed: std::result::Result<Vec<_>, _> = client.commit_many(payloads).into_iter().collect();
            Ok(committed?)
        };
        let ((ours, made), (plain, ())) = match round % 2 {
            0 => (timed(ours)?, timed(plain)?),
            _ => {
                let plain = timed(plain)?;
                (timed(ours)?, plain)
            }
        };
        lying.extend(made.into_iter().map(|made| made.id));
        if lying.len() >= 16 * BATCH {
            lying.drain(..).try_for_each(|id| client.delete(id))?;
            std::thread::sleep(SETTLES);
        }
        if round >= count / 10 + 2 {
            beside.ours.add(ours / BATCH as f64);
            beside.floor.add(plain / BATCH as f64);
        }
    }
    lying.into_iter().try_for_each(|id| client.delete(id))?;
    Ok(beside)
}

fn round_trip(socket: &SeqPacket) -> Result<()> {
    let mut room = [0; 1024];
    socket.send(&[7; FRAME], &[], Wait::Yes)?;
    socket.receive(&mut room, Wait::Yes)?;
    Ok(())
}

/// A view taken, every page of it touched, dropped; and the same pages of a view that is there.
fn gets(client: &Client, size: usize, count: usize) -> Result<Beside> {
    let mut payload = client.create(size as u64)?;
    payload.fill(3);
    let id = payload.commit()?.id;
    let kept = client.read(id)?;
    let mut beside = Beside::default();
    for round in 0..count + count / 10 + 2 {
        let begun = Instant::now();
        black_box(touch(&client.read(id)?));
        let ours = begun.elapsed();
        let begun = Instant::now();
        black_box(touch(&kept));
        let plain = begun.elapsed();
        if round >= count / 10 + 2 {
            beside.ours.add(micros(ours));
            beside.floor.add(micros(plain));
        }
    }
    drop(kept);
    client.delete_by_force(id)?;
    Ok(beside)
}

fn touch(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(PAGE).map(|byte| u64::from(*byte)).sum()
}
