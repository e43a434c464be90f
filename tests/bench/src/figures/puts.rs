//! Payloads put and got through the session, warm, against what a plain program can't do without: the copy itself, and two
//! round trips on a socket of the same kind between two processes.

use std::hint::black_box;
use std::time::{Duration, Instant};

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

/// Allocate, copy, commit; and the floor. What was made is deleted now and then, outside of what is measured, so that its
/// memory is warm for the next.
fn puts(client: &Client, socket: &SeqPacket, size: usize, count: usize) -> Result<Beside> {
    let (bytes, mut memory) = (floor::noise(size), vec![1; size]);
    let mut beside = Beside::default();
    let (mut lying, most) = (Vec::new(), (LYING / size).min(200));
    for round in 0..count + count / 10 + 2 {
        if lying.len() >= most {
            lying.drain(..).try_for_each(|id| client.delete(id))?;
            std::thread::sleep(SETTLES);
        }
        let begun = Instant::now();
        let mut payload = client.create(size as u64)?;
        payload.copy_from_slice(&bytes);
        let id = payload.commit()?.id;
        let ours = begun.elapsed();
        let begun = Instant::now();
        round_trip(socket)?;
        // Up to a page the copy is no more than a tenth of a microsecond, and part of what is allowed.
        if size > 4 * KIB {
            memory.copy_from_slice(&bytes);
            black_box(&mut memory);
        }
        round_trip(socket)?;
        let plain = begun.elapsed();
        lying.push(id);
        // Twice through the memory that it is given, before it counts.
        if round >= (count / 10 + 2).max(2 * most).min(count) {
            beside.ours.add(micros(ours));
            beside.floor.add(micros(plain));
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
