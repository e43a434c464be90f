//! Torture: many processes that make, read, move and delete the same payloads over the client's session path, while they
//! and the daemon are killed and stopped at random. Whoever reads under a lease reads the right bytes, always; what was
//! answered is not lost; and when all have gone, nothing is left of anything (promises: stable-lease, survives-kill,
//! no-leak).
//!
//! Each round of a run kills or stops a worker or the daemon. `PAYLOAD_MANAGER_TORTURE_SECONDS` asks for another length
//! than half a minute: `3600` for an hour. `PAYLOAD_MANAGER_TORTURE_SEED` asks for the seed of an earlier run: the same
//! throws, if not the same race. The seed is told first, and so is shown by a run that fails.
//!
//! ```text
//! main ── chaos ── crowd ══ worker ── hand, hand    each worker a process: this program, started again
//!           │                           └─ bytes    what a payload's bytes have to be
//!           └── kept, remains           tally        what was done, by kind, told line by line
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod bytes;
mod chaos;
mod crowd;
mod hand;
mod kept;
mod remains;
mod tally;
mod worker;

use std::time::{Duration, Instant};

use payload_manager_tests::crash::Dice;
use payload_manager_tests::{Daemon, Setup};

use self::chaos::Chaos;
use self::remains::Before;

/// How long a run is, if nothing else is asked for.
const SECONDS: u64 = 30;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Little enough of everything for eviction, for full tiers, and for leases that run out.
fn small() -> Daemon {
    let space = Setup::new().flag("ram", "16MiB").flag("disk", "48MiB").flag("high-watermark", "90");
    // What is kept under leases that are over is looked at too: nobody's memory goes at its deadline here.
    let space = space.flag("pinned-per-uid", "100");
    space.flag("lease-default", "400ms").flag("lease-max", "2s").flag("allocation-timeout", "2s").start()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_wrong_is_read_and_nothing_is_left_whoever_dies() {
    let chance = || u64::from_le_bytes(*uuid::Uuid::now_v7().as_bytes().last_chunk().unwrap());
    let seed = asked("PAYLOAD_MANAGER_TORTURE_SEED").unwrap_or_else(chance);
    println!("PAYLOAD_MANAGER_TORTURE_SEED={seed}");
    let until = Instant::now() + Duration::from_secs(asked("PAYLOAD_MANAGER_TORTURE_SECONDS").unwrap_or(SECONDS));
    let daemon = small();
    let before = Before::of(&daemon).await;
    let mut chaos = Chaos::new(daemon, Dice::new(seed));
    while Instant::now() < until {
        chaos.round().await;
    }
    let (daemon, tally) = chaos.end().await;
    println!("{tally}");
    before.is_all_there_is(daemon).await;
    tally.has_some_of_each();
}
