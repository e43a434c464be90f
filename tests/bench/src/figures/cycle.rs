//! Four clients at once that allocate, commit and delete, against four clients of empty calls.
//!
//! A cycle is three calls; the rate counts cycles. A client is a thread with a connection of its own, one call after the
//! other.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Ground;
use crate::Result;
use crate::daemon::Daemon;
use crate::row::{Row, Target};
use crate::rpc::{EMPTY, Rpc};
use crate::sample::{Beside, Samples};

const CLIENTS: usize = 4;
/// Bytes of a payload.
const SIZE: u64 = 4096;

/// What a client did.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    good: u64,
    bad: u64,
}

#[derive(Debug, Clone, Copy)]
enum Work {
    Cycle,
    Empty,
}

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    let daemon = Daemon::start_new(ground.base, 256 << 20, 64 << 20).await?;
    let time = Duration::from_millis(ground.scale.rate_ms);
    let (mut beside, mut errors) = (Beside::default(), Samples::default());
    for _ in 0..ground.scale.rounds {
        let cycles = clients(&daemon.socket(), Work::Cycle, time).await?;
        let empty = clients(&daemon.socket(), Work::Empty, time).await?;
        beside.ours.add(cycles.good as f64 / time.as_secs_f64());
        beside.floor.add(empty.good as f64 / time.as_secs_f64());
        errors.add(cycles.bad as f64);
    }
    let floor = format!("4 clients of empty calls ({EMPTY})");
    let row = Row::beside("cycle.4", "1/s", &beside, &floor, Target::Share(0.2));
    // Of a rate, the bad end is the low one.
    ground.tell(Row { p99: beside.ours.quantile(0.01), ..row })?;
    let most = errors.quantile(1.0);
    ground.tell(Row { p50: most, ..Row::alone("cycle.4.errors", "errors", &errors, Target::AtMost(0.0)) })
}

/// What all clients did together in this time.
async fn clients(socket: &Path, work: Work, time: Duration) -> Result<Done> {
    let started: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let socket = socket.to_owned();
            tokio::task::spawn_blocking(move || client(socket, work, time))
        })
        .collect();
    let mut all = Done::default();
    for client in started {
        let done = client.await??;
        all = Done { good: all.good + done.good, bad: all.bad + done.bad };
    }
    Ok(all)
}

fn client(socket: PathBuf, work: Work, time: Duration) -> Result<Done> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let mut rpc = Rpc::connect(&socket).await?;
        let (begun, mut done) = (Instant::now(), Done::default());
        while begun.elapsed() < time {
            let outcome = match work {
                Work::Cycle => cycle(&mut rpc).await,
                Work::Empty => rpc.empty().await,
            };
            match outcome {
                Ok(()) => done.good += 1,
                Err(_) => done.bad += 1,
            }
        }
        Ok(done)
    })
}

async fn cycle(rpc: &mut Rpc) -> std::result::Result<(), tonic::Status> {
    let id = rpc.allocate(SIZE).await?.payload_id;
    rpc.commit(id.clone()).await?;
    rpc.delete(id).await
}
