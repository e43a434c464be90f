//! A long run of calls drawn at random, every kind of them, against a model that says beforehand what each must answer;
//! in between the daemon is killed or stopped and started again, and everything is looked at (promises: survives-kill,
//! monotonic, one-truth).
//!
//! One call after the other, so that the model knows: what happens when clients race is for `crowd` and for
//! `crash_random`. `PAYLOAD_MANAGER_PROPERTY_CALLS` asks for another number of calls,
//! `PAYLOAD_MANAGER_PROPERTY_SEED` for the seed of an earlier run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests says by panicking that one has failed")]

mod audit;
mod catalog;
mod model;
mod payloads;
mod streams;

use model::World;
use payload_manager_tests::crash::Dice;

/// Tests that run side by side, each with a daemon of its own.
const LANES: u64 = 2;
/// Calls of all lanes together.
const CALLS: u64 = 2400;
/// Calls between two looks at everything.
const LOOK: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_the_one_the_model_says_first_lane() {
    run(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_the_one_the_model_says_second_lane() {
    run(1).await;
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

async fn run(lane: u64) {
    let chance = || u64::from_le_bytes(*uuid::Uuid::now_v7().as_bytes().last_chunk().unwrap());
    let seed = asked("PAYLOAD_MANAGER_PROPERTY_SEED").unwrap_or_else(chance);
    println!("PAYLOAD_MANAGER_PROPERTY_SEED={seed} in lane {lane}");
    let mut dice = Dice::new(seed.wrapping_add(lane));
    let mut world = World::start().await;
    for call in 1..=asked("PAYLOAD_MANAGER_PROPERTY_CALLS").unwrap_or(CALLS).div_ceil(LANES) {
        world.step(&mut dice).await;
        if call % LOOK == 0 {
            if dice.one_in(2) {
                world.start_again(&mut dice).await;
            }
            world.audit().await;
        }
    }
    world.end().await;
}

impl World {
    /// One call, whichever.
    async fn step(&mut self, dice: &mut Dice) {
        match dice.below(24) {
            0..4 => self.allocate(dice).await,
            4..7 => self.commit(dice).await,
            7 => self.delete(dice).await,
            8 | 9 => self.lease(dice).await,
            10 => self.release(dice).await,
            11 => self.renew(dice).await,
            12 => self.promote(dice).await,
            13 => self.spill(dice).await,
            14 => self.pin(dice).await,
            15 => self.prefetch_or_import(dice).await,
            16 => self.set_metadata(dice).await,
            17 => self.append_event(dice).await,
            18 => self.add_lineage(dice).await,
            19 => self.create_or_delete_stream(dice).await,
            20 | 21 => self.append(dice).await,
            22 => self.commit_offset(dice).await,
            _ => self.read(dice).await,
        }
    }
}
