//! Kills the daemon at random moments while several clients are at work, starts it again on what is left, and checks
//! what was answered, 200 times (promises: survives-kill, no-leak, monotonic).
//!
//! `PAYLOAD_MANAGER_CRASH_KILLS` asks for another number, `PAYLOAD_MANAGER_CRASH_SEED` for the seed of an earlier run:
//! the same throws, if not the same race.

#![allow(clippy::unwrap_used, reason = "a helper of tests says by panicking that one has failed")]

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use nix::sys::signal::Signal;
use payload_manager_tests::crash::{Dice, Meter, Stage, Witness, audit};
use payload_manager_tests::{Daemon, Setup, eventually};
use tokio::task::JoinSet;

/// Tests that run side by side, each with a daemon of its own.
const LANES: u64 = 4;
/// Clients of one daemon.
const CLIENTS: u64 = 4;
/// Kills of all lanes together.
const KILLS: u64 = 200;
/// A life is at most so many answers long.
const LONGEST_LIFE: u64 = 80;
/// Where a start may die, too.
const STARTING: [&str; 3] = ["start-pages-open", "start-recovered", "start-written"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_by_kills_at_random_first_lane() {
    survive(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_by_kills_at_random_second_lane() {
    survive(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_by_kills_at_random_third_lane() {
    survive(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_by_kills_at_random_fourth_lane() {
    survive(3).await;
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

async fn survive(lane: u64) {
    let chance = || u64::from_le_bytes(*uuid::Uuid::now_v7().as_bytes().last_chunk().unwrap());
    let seed = asked("PAYLOAD_MANAGER_CRASH_SEED").unwrap_or_else(chance);
    println!("PAYLOAD_MANAGER_CRASH_SEED={seed} in lane {lane}");
    let mut dice = Dice::new(seed.wrapping_add(lane));
    let kills = asked("PAYLOAD_MANAGER_CRASH_KILLS").unwrap_or(KILLS).div_ceil(LANES);

    let meter = Arc::new(Meter::default());
    // Little enough of both for eviction and for full tiers.
    let mut daemon = Setup::new().flag("ram", "3MiB").flag("disk", "24MiB").flag("high-watermark", "90").start();
    let new = |n| Witness::new(&format!("stream-{n}"), dice.clone().throw() ^ (n << 56), Arc::clone(&meter));
    let mut witnesses: Vec<Witness> = (0..CLIENTS).map(new).collect();
    for _ in 0..kills {
        let life = 1 + dice.below(LONGEST_LIFE);
        witnesses = live_and_die(&mut daemon, witnesses, &meter, life, &mut dice).await;
        start_again(&mut daemon, &mut dice);
        audit(&daemon, &mut witnesses.iter_mut().collect::<Vec<_>>()).await;
    }
    end(&mut daemon, witnesses).await;
}

/// The witnesses work until the daemon is killed at the `life`-th answer from now, with the calls of the others on
/// their way.
async fn live_and_die(
    daemon: &mut Daemon,
    witnesses: Vec<Witness>,
    meter: &Arc<Meter>,
    life: u64,
    dice: &mut Dice,
) -> Vec<Witness> {
    let last = meter.answers() + life;
    let mut work = JoinSet::new();
    for mut witness in witnesses {
        witness.meet(daemon.rpc().await);
        let mut dice = dice.split();
        work.spawn(async move {
            let _dead = witness.work(&mut dice).await;
            witness
        });
    }
    let mut back = Vec::new();
    tokio::select! {
        () = meter.reach(last) => daemon.signal(Signal::SIGKILL),
        early = work.join_next() => back.push(early.unwrap().unwrap()),
    }
    assert!(back.is_empty(), "the daemon has hung up on its own");
    assert_eq!(daemon.wait().signal(), Some(9), "the daemon has died of something else");
    while let Some(witness) = work.join_next().await {
        back.push(witness.unwrap());
    }
    back.sort_by(|a, b| a.stream.cmp(&b.stream));
    back
}

/// Sometimes it dies while it starts, too.
fn start_again(daemon: &mut Daemon, dice: &mut Dice) {
    while cfg!(debug_assertions) && dice.one_in(4) {
        let point = dice.pick(&STARTING).unwrap();
        daemon.change(|setup| setup.failpoint(point));
        let refused = daemon.try_start_again().expect_err("the start does not go through that point");
        assert_eq!(refused.code, None, "{point}: {}", refused.log);
    }
    daemon.change(|setup| setup.failpoint(""));
    daemon.start_again();
}

/// Everything is given back and deleted, and once the leases that nobody knows of have run out nothing is left.
async fn end(daemon: &mut Daemon, mut witnesses: Vec<Witness>) {
    for witness in &mut witnesses {
        witness.meet(daemon.rpc().await);
        witness.clear().await.unwrap();
    }
    let haunted = |witnesses: &[Witness]| witnesses.iter().flat_map(|w| &w.payloads).any(|known| known.is_haunted());
    eventually("the leases that nobody knows of have run out", || !haunted(&witnesses));
    audit(daemon, &mut witnesses.iter_mut().collect::<Vec<_>>()).await;
    assert!(witnesses.iter().flat_map(|w| &w.payloads).all(|known| known.stage == Stage::Gone));
    assert_eq!(daemon.rpc().await.list().await.unwrap(), []);
    assert_eq!(daemon.stop().code(), Some(0));
}
