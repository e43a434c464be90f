//! What a daemon costs that nobody asks anything: processor time and resident memory with 10 subscribers.

use std::fs;
use std::time::{Duration, Instant};

use super::Ground;
use crate::Result;
use crate::daemon::Daemon;
use crate::row::{Row, Target};
use crate::sample::Samples;

const SUBSCRIBERS: usize = 10;

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    let daemon = Daemon::start_new(ground.base, 64 << 20, 64 << 20).await?;
    let mut rpc = daemon.rpc().await?;
    rpc.create_stream("quiet").await?;
    let mut subscriptions = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut rpc = daemon.rpc().await?;
        subscriptions.push((rpc.subscribe("quiet").await?, rpc));
    }
    let (pid, rounds) = (daemon.pid()?, ground.scale.rounds);
    let pause = Duration::from_millis(ground.scale.idle_ms) / u32::try_from(rounds)?;
    let (mut cpu, mut memory) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        let (begun, before) = (Instant::now(), processor_time(pid)?);
        tokio::time::sleep(pause).await;
        let used = processor_time(pid)?.saturating_sub(before);
        cpu.add(100.0 * used.as_secs_f64() / begun.elapsed().as_secs_f64());
        memory.add(resident(pid)? / f64::from(1 << 20));
    }
    drop(subscriptions);
    ground.tell(Row::alone("idle.cpu", "% core", &cpu, Target::AtMost(0.1)))?;
    ground.tell(Row::alone("idle.rss", "MiB", &memory, Target::AtMost(25.0)))
}

/// The processor time of all its threads.
fn processor_time(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        // A thread may end between the two looks.
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanos += text.split_whitespace().next().map_or(Ok(0), str::parse::<u64>)?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Its resident memory in bytes. The daemon maps its shared pages and no payload, so nothing has to be taken off.
pub(super) fn resident(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no resident memory")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0)
}
