//! How long after Append's answer a subscriber has the entry, against an empty round trip.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::Ground;
use crate::Result;
use crate::daemon::Daemon;
use crate::row::{Row, Target};
use crate::rpc::{EMPTY, Rpc};
use crate::sample::{Beside, micros, timed};

const STREAM: &str = "measured";
/// How long a delivery may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    let daemon = Daemon::start_new(ground.base, 64 << 20, 64 << 20).await?;
    let mut rpc = daemon.rpc().await?;
    let id = rpc.put_empty(64).await?;
    rpc.create_stream(STREAM).await?;
    let mut delivered = subscriber(daemon.socket()).await?;
    let mut beside = Beside::default();
    let mut empty = rpc.clone();
    let mut empty = async || Ok(empty.empty().await?);
    for sample in 0..ground.scale.appends + ground.scale.appends / 10 {
        rpc.append(STREAM, &id).await?;
        let answered = Instant::now();
        let had = tokio::time::timeout(PATIENCE, delivered.recv()).await?.ok_or("the subscription ended")?;
        let empty = timed(&mut empty).await?;
        if sample >= ground.scale.appends / 10 {
            beside.ours.add(micros(had.saturating_duration_since(answered)));
            beside.floor.add(micros(empty));
        }
    }
    let floor = format!("an empty call ({EMPTY})");
    ground.tell(Row::beside("subscribe.delivery", "us", &beside, &floor, Target::Times(2.0)))
}

/// A subscriber on a thread and a connection of its own; says when it had each entry.
async fn subscriber(socket: PathBuf) -> Result<mpsc::UnboundedReceiver<Instant>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (ready, begun) = oneshot::channel();
    std::thread::Builder::new().name("subscriber".into()).spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut entries = Rpc::connect(&socket).await?.subscribe(STREAM).await?;
            // Nobody may wait for it any more; and it ends with its daemon.
            let _ = ready.send(());
            while entries.message().await?.is_some() && sender.send(Instant::now()).is_ok() {}
            Ok(())
        })
    })?;
    begun.await?;
    Ok(receiver)
}
