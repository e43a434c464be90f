//! The GPU tier, whole: daemons, producers and consumers in processes of their own, on a machine whose cards are simulated
//! (`tests/cuda`). This proves the logic around the driver's calls; what CUDA makes of them, `payload-manager gpu-check`
//! shows on real cards.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod absent;
mod checked;
mod failing;
mod leases;
mod lost;
mod moves;
mod worker;

use payload_manager_test_cuda::{Card, Machine};
use payload_manager_tests::{Daemon, Setup};

use self::worker::Worker;

const MIB: u64 = 1 << 20;

/// The name of the card of this number, as it is shown.
fn card(number: u8) -> String {
    payload_manager_types::DeviceUuid([number; 16]).to_string()
}

/// So many cards of so many bytes each.
fn cards(count: u8, bytes: u64) -> Vec<Card> {
    (1..=count).map(|number| Card::numbered(number, bytes)).collect()
}

/// A daemon on a machine with cards.
struct Stage {
    daemon: Daemon,
    machine: Machine,
}

/// How a daemon is started that may take so much of each card of a machine.
fn setup(machine: &Machine, memory: &str) -> Setup {
    let small = Setup::new().flag("gpu-memory", memory).flag("ram", "64MiB").flag("listen", "127.0.0.1:0");
    machine.environment().into_iter().fold(small, |setup, (name, value)| setup.env(name, value))
}

impl Stage {
    /// With these cards, and a daemon that may take so much of each.
    fn new(cards: &[Card], memory: &str) -> Self {
        Self::with(cards, |machine| setup(machine, memory))
    }

    fn with(cards: &[Card], setup: impl FnOnce(&Machine) -> Setup) -> Self {
        let machine = Machine::new(cards);
        Self { daemon: setup(&machine).start(), machine }
    }

    /// With one card of 256 MiB, of which the daemon may take 128 MiB.
    fn one() -> Self {
        Self::new(&cards(1, 256 * MIB), "128MiB")
    }

    /// A process with a session.
    fn worker(&self) -> Worker {
        Worker::start(&self.daemon.socket().display().to_string(), &self.machine)
    }

    /// The same, with `CUDA_VISIBLE_DEVICES`.
    fn worker_that_sees(&self, numbers: &'static str) -> Worker {
        let visible = ("CUDA_VISIBLE_DEVICES", numbers.into());
        let environment = self.machine.environment().into_iter().chain([visible]);
        Worker::start_with(&self.daemon.socket().display().to_string(), environment)
    }

    /// A process that speaks plain gRPC and has no session.
    fn plain(&self) -> Worker {
        Worker::start(&format!("http://{}", self.daemon.tcp().unwrap()), &self.machine)
    }

    /// Waits until nobody has anything of a card.
    fn is_free(&self, card: usize) {
        payload_manager_tests::eventually("the card's memory is free", || self.machine.used(card) == 0);
    }
}
