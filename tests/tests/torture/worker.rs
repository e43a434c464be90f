//! A worker: a process of its own with two threads over one client, until its standard input ends or it is killed.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use payload_manager_client::blocking::Client;
use payload_manager_tests::crash::Dice;

use crate::hand::{Hand, Role};
use crate::tally::Tally;

/// Where the daemon listens; set for a worker alone.
pub(crate) const SOCKET: &str = "PAYLOAD_MANAGER_TEST_TORTURE_SOCKET";
/// What its dice begin with.
pub(crate) const SEED: &str = "PAYLOAD_MANAGER_TEST_TORTURE_WORKER";

/// What a worker says of what it has done since it last spoke.
pub(crate) const TALLY: &str = "tally: ";

/// Steps between two words of a hand's.
const SPEAKS_EVERY: u64 = 16;
const HANDS: u64 = 2;
/// No call hangs: the daemon is stopped for less.
const DEADLINE: Duration = Duration::from_secs(60);

/// The worker's part. By itself it has nothing to do.
#[test]
fn worker() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let mut dice = Dice::new(std::env::var(SEED).unwrap().parse().unwrap());
    let client = loop {
        // The daemon may be about to start again.
        match Client::connect(PathBuf::from(&socket)) {
            Ok(client) => break client.with_deadline(Some(DEADLINE)),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    };
    let role = dice.pick(&[Role::Producer, Role::Reader, Role::Reader, Role::Mover]).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let hands: Vec<_> = (0..HANDS)
        .map(|_| {
            let (hand, over) = (Hand::new(client.clone(), role, dice.split()), Arc::clone(&over));
            std::thread::spawn(move || work(hand, &over))
        })
        .collect();
    let told = Arc::clone(&over);
    // Not waited for: it ends with the process.
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    for hand in hands {
        hand.join().unwrap();
    }
}

fn work(mut hand: Hand, over: &AtomicBool) {
    // One who finds something wrong ends the whole worker.
    let _end = EndOfAll(over);
    for step in 1u64.. {
        hand.step();
        if step % SPEAKS_EVERY == 0 {
            println!("{TALLY}{}", std::mem::take(&mut hand.tally).line());
        }
        if over.load(Ordering::Relaxed) {
            break;
        }
    }
    hand.end();
    println!("{TALLY}{}", hand.tally.line());
    hand.tally = Tally::default();
}

struct EndOfAll<'a>(&'a AtomicBool);

impl Drop for EndOfAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
