//! Views taken and dropped without a call: the client crate's blocking API over payloads of 64 bytes in RAM.
//!
//! A sample is the mean of many views, because a clock costs as much as one. That no system call is made is what
//! `client/tests/session/processes.rs` counts, and `api/shm/tests/hot_path.rs` under a filter that kills whoever makes one.

use std::ffi::CString;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use payload_manager_client::PayloadId;
use payload_manager_client::blocking::Client;
use payload_manager_ffi::caller::Caller;

use super::{Ground, two};
use crate::daemon::Daemon;
use crate::row::{Row, Target};
use crate::sample::{Beside, Times, nanos};
use crate::{Result, floor};

/// Bytes of a payload, and of a line of memory.
const SIZE: usize = 64;
const MIB: u64 = 1 << 20;

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    let daemon = Daemon::start_new(ground.base, 1024 * MIB, 1024 * MIB).await?;
    let (few, many, views) = (ground.scale.few as usize, ground.scale.many as usize, ground.scale.views);
    let mut rows = Vec::new();
    let client = Client::connect(daemon.socket())?;
    let mut ids = Vec::new();
    put(&client, &mut ids, few)?;
    if ground.wants("lease.fast.hot") {
        rows.push(hot(&client, &ids, views)?);
    }
    if ground.wants("lease.ffi") {
        rows.push(through_c(&client, &ids, views)?);
    }
    if ground.wants("lease.fast.two") {
        rows.push(two::threads(&client, &ids, views)?);
    }
    if ground.wants("lease.fast.two.processes") {
        rows.push(two::processes(&client, &ids, views)?);
    }
    if ground.wants("lease.fast.during_churn") {
        rows.push(during_churn(&client, &ids, views)?);
    }
    if ground.wants("lease.fast.random") {
        put(&client, &mut ids, many)?;
        shuffle(&mut ids);
        rows.push(random(&client, &ids, views)?);
    }
    drop(client);
    rows.into_iter().try_for_each(|row| ground.tell(row))
}

fn put(client: &Client, ids: &mut Vec<PayloadId>, count: usize) -> Result<()> {
    while ids.len() < count {
        let mut payload = client.create(SIZE as u64)?;
        payload.fill(7);
        ids.push(payload.commit()?.id);
    }
    Ok(())
}

/// Nanoseconds a view, in the mean of so many.
pub(super) fn views(client: &Client, ids: &[PayloadId], count: usize, mut next: impl FnMut() -> usize) -> Result<f64> {
    let begun = Instant::now();
    for _ in 0..count {
        let id = ids.get(next() % ids.len()).ok_or("no payloads")?;
        black_box(client.read(*id)?.first());
    }
    Ok(nanos(begun.elapsed()) / count as f64)
}

/// One after the other.
pub(super) fn in_order() -> impl FnMut() -> usize {
    in_order_from(0)
}

fn in_order_from(mut at: usize) -> impl FnMut() -> usize {
    move || {
        at += 1;
        at
    }
}

/// Here and there.
fn at_random(seed: u64) -> impl FnMut() -> usize {
    let mut word = seed | 1;
    move || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        usize::try_from(word >> 16).unwrap_or(0)
    }
}

/// In an order of their own: which one is next a program knows, and where that lies nobody.
fn shuffle(ids: &mut [PayloadId]) {
    let mut next = at_random(7);
    for at in (1..ids.len()).rev() {
        ids.swap(at, next() % (at + 1));
    }
}

fn hot(client: &Client, ids: &[PayloadId], times: Times) -> Result<Row> {
    let mut beside = Beside::default();
    let memory = floor::noise(ids.len() * SIZE);
    for _ in 0..=times.rounds {
        beside.ours.add(views(client, ids, times.samples, in_order())?);
        beside.floor.add(lines(&memory, times.samples, in_order()));
    }
    Ok(Row::beside("lease.fast.hot", "ns", &beside, "a line of such a table read", Target::AtMost(100.0)))
}

/// The same payloads by both interfaces.
fn through_c(client: &Client, ids: &[PayloadId], times: Times) -> Result<Row> {
    let address = CString::new(client.address())?;
    let caller = Caller::connect(&address)?;
    let mut beside = Beside::default();
    for _ in 0..=times.rounds {
        beside.ours.add(views_through_c(&caller, ids, times.samples)?);
        beside.floor.add(views(client, ids, times.samples, in_order())?);
    }
    Ok(Row::beside("lease.ffi", "ns", &beside, "a view by the Rust interface", Target::Beyond(30.0)))
}

/// Nanoseconds a view, in the mean of so many.
fn views_through_c(caller: &Caller, ids: &[PayloadId], count: usize) -> Result<f64> {
    let (begun, mut next) = (Instant::now(), in_order());
    for _ in 0..count {
        let id = ids.get(next() % ids.len()).ok_or("no payloads")?;
        black_box(caller.view(*id.as_bytes())?);
    }
    Ok(nanos(begun.elapsed()) / count as f64)
}

fn random(client: &Client, ids: &[PayloadId], times: Times) -> Result<Row> {
    let mut beside = Beside::default();
    let memory = floor::noise(ids.len() * SIZE);
    for round in 0..=times.rounds {
        let from = round * times.samples;
        beside.ours.add(views(client, ids, times.samples, in_order_from(from))?);
        beside.floor.add(lines(&memory, times.samples, at_random(round as u64)));
    }
    let floor = "dependent random reads of 64 bytes";
    Ok(Row::beside("lease.fast.random", "ns", &beside, floor, Target::Times(3.0)))
}

/// Nanoseconds a read of 64 bytes, each somewhere that the one before tells.
fn lines(memory: &[u8], count: usize, mut next: impl FnMut() -> usize) -> f64 {
    let lines = (memory.len() / SIZE).max(1);
    let (begun, mut found) = (Instant::now(), 0usize);
    for _ in 0..count {
        let at = next().wrapping_add(found) % lines * SIZE;
        found = memory.get(at..at + SIZE).map_or(0, |line| line.iter().step_by(8).map(|byte| usize::from(*byte)).sum());
    }
    black_box(found);
    nanos(begun.elapsed()) / count as f64
}

/// How many times as long as in quiet, while another client moves other payloads as fast as it can. A sample of either side
/// takes as long: so the scheduler takes the processor away from both as often.
fn during_churn(client: &Client, ids: &[PayloadId], times: Times) -> Result<Row> {
    let (few, mut sorted) = (times.samples / 50, ids.to_vec());
    sorted.sort_unstable();
    let both = |look_ups| -> Result<(f64, f64)> {
        Ok((views(client, ids, few, in_order())?, look_ups_warm(&sorted, look_ups)))
    };
    let quiet = |look_ups| -> Result<(f64, f64)> {
        let mut beside = Beside::default();
        for _ in 0..times.rounds {
            let (ours, floor) = both(look_ups)?;
            beside.ours.add(ours);
            beside.floor.add(floor);
        }
        Ok((beside.ours.p50(), beside.floor.p50()))
    };
    let (view, look_up) = quiet(few)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundreds")]
    let look_ups = (few as f64 * view / look_up).ceil() as usize;
    let (view, look_up) = quiet(look_ups)?;
    let churn = Churn::begin(Client::connect(client.address())?);
    let mut beside = Beside::default();
    let mut measure = || -> Result<()> {
        for _ in 0..times.rounds * 20 {
            let (ours, floor) = both(look_ups)?;
            beside.ours.add(ours / view);
            beside.floor.add(floor / look_up);
        }
        Ok(())
    };
    let measured = measure();
    churn.end()?;
    measured?;
    let floor = "look-ups in a sorted list, likewise";
    Ok(Row::beside("lease.fast.during_churn", "x quiet", &beside, floor, Target::TimesP99(1.5)))
}

/// A client that spills and promotes.
struct Churn {
    over: Arc<AtomicBool>,
    thread: JoinHandle<std::result::Result<(), payload_manager_client::Error>>,
}

impl Churn {
    fn begin(client: Client) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let id = client.create(MIB)?.commit()?.id;
                client.spill(id)?;
                client.promote(id, payload_manager_client::Tier::Ram)?;
                client.delete(id)?;
            }
            Ok(())
        });
        Self { over, thread }
    }

    fn end(self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the other client panicked")??)
    }
}

/// Nanoseconds a look-up in a sorted list.
fn look_ups_warm(ids: &[PayloadId], count: usize) -> f64 {
    let (begun, mut next, mut found) = (Instant::now(), in_order(), 0usize);
    for _ in 0..count {
        let id = ids.get(next() % ids.len());
        found += id.map_or(0, |id| ids.binary_search(id).unwrap_or_else(|at| at));
    }
    black_box(found);
    nanos(begun.elapsed()) / count as f64
}
