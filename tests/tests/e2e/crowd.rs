//! A crowd of clients that put, read, move and delete the same payloads at once, in less memory than they take.
//!
//! Who reads under a lease reads the right bytes, from the first to the last moment of it; what is refused is refused for
//! a reason of the contract's; and when all have gone, nothing is left. The seed is told, so that a run can be repeated.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::runtime::v1::{AcquireReadLeaseResponse, SpillRequest};
use payload_manager_shm::ReadMap;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc, Setup, eventually, v1};
use tonic::{Code, Status};

const CLIENTS: u64 = 6;
const STEPS: u64 = 120;
const LARGEST: u64 = 256 << 10;

/// What everybody knows of a payload: its id, and what its bytes were made from.
type Known = (PayloadId, u64, usize);

/// A small generator, so that a seed tells it all.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct Held {
    lease: AcquireReadLeaseResponse,
    bytes: ReadMap,
    known: Known,
}

struct Client {
    rpc: Rpc,
    dice: Dice,
    everybodys: Arc<Mutex<Vec<Known>>>,
    held: Vec<Held>,
    /// What was refused, by code.
    refused: usize,
}

impl Client {
    async fn run(mut self) -> usize {
        for _ in 0..STEPS {
            if let Err(error) = self.step().await {
                let of_the_contract =
                    [Code::NotFound, Code::FailedPrecondition, Code::Aborted, Code::ResourceExhausted];
                assert!(of_the_contract.contains(&error.code()), "{error:?}");
                self.refused += 1;
            }
        }
        while !self.held.is_empty() {
            self.give_back().await.unwrap();
        }
        self.refused
    }

    async fn step(&mut self) -> Result<(), Status> {
        match self.dice.below(16) {
            0..=3 => self.put().await,
            4..=7 => self.take().await,
            8..=9 => self.give_back().await,
            10..=11 => self.spill().await,
            12..=13 => self.promote().await,
            14 => self.delete().await,
            _ => self.rpc.list().await.map(|_| ()),
        }
    }

    fn any(&mut self) -> Option<Known> {
        let known = self.everybodys.lock().unwrap();
        let at = usize::try_from(self.dice.below(known.len().max(1) as u64)).unwrap();
        known.get(at).cloned()
    }

    async fn put(&mut self) -> Result<(), Status> {
        let (seed, length) = (self.dice.below(u64::MAX), 1 + self.dice.below(LARGEST));
        let length = usize::try_from(length).unwrap();
        let tier = if self.dice.below(3) == 0 { Tier::Disk } else { Tier::Ram };
        let id = id_of(&self.rpc.put(tier, &v1::pattern(seed, length)).await?);
        self.everybodys.lock().unwrap().push((id, seed, length));
        Ok(())
    }

    async fn take(&mut self) -> Result<(), Status> {
        let Some(known) = self.any() else { return Ok(()) };
        let lease = self.rpc.lease(known.0.clone()).await?;
        match v1::map(lease.payload_descriptor.as_ref().unwrap()) {
            Ok(bytes) => {
                check(&bytes, &known);
                self.held.push(Held { lease, bytes, known });
                Ok(())
            }
            // Deleted by force between the answer and the opening: existing mappings live on, new ones are not promised.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound);
                let now = self.rpc.descriptor(known.0).await;
                assert_eq!(now.unwrap_err().code(), Code::NotFound, "a leased payload's name must open");
                self.rpc.release(&lease).await
            }
        }
    }

    async fn give_back(&mut self) -> Result<(), Status> {
        let Some(held) = self.held.pop() else { return Ok(()) };
        check(&held.bytes, &held.known);
        self.rpc.release(&held.lease).await
    }

    async fn spill(&mut self) -> Result<(), Status> {
        let ids: Vec<PayloadId> = (0..=self.dice.below(3)).filter_map(|_| self.any()).map(|known| known.0).collect();
        let policy = i32::try_from(self.dice.below(3)).unwrap();
        let request = SpillRequest { ids, policy, fsync: self.dice.below(2) == 0, ..Default::default() };
        for result in self.rpc.spill_all(request).await? {
            if let Some(error) = result.error {
                return Err(error.into());
            }
        }
        Ok(())
    }

    async fn promote(&mut self) -> Result<(), Status> {
        let Some(known) = self.any() else { return Ok(()) };
        self.rpc.promote(known.0, Tier::Ram).await.map(|_| ())
    }

    async fn delete(&mut self) -> Result<(), Status> {
        let Some(known) = self.any() else { return Ok(()) };
        let force = self.dice.below(2) == 0;
        self.rpc.delete(known.0.clone(), force).await?;
        self.everybodys.lock().unwrap().retain(|other| other.0 != known.0);
        Ok(())
    }
}

fn check(bytes: &ReadMap, (id, seed, length): &Known) {
    assert!(bytes[..] == v1::pattern(*seed, *length)[..], "payload {id:?} has other bytes than were put");
}

async fn crowd(daemon: &Daemon, seed: u64) {
    println!("seed {seed}");
    let everybodys = Arc::default();
    let mut clients = Vec::new();
    for number in 1..=CLIENTS {
        let dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(number) | 1);
        let everybodys = Arc::clone(&everybodys);
        let client = Client { rpc: daemon.rpc().await, dice, everybodys, held: Vec::new(), refused: 0 };
        clients.push(tokio::spawn(client.run()));
    }
    let mut refused = 0;
    for client in clients {
        refused += client.await.unwrap();
    }
    println!("{refused} of {} calls were refused", CLIENTS * STEPS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_reads_the_right_bytes_whatever_the_others_do_and_leaves_nothing() {
    let daemon = Setup::new().flag("ram", "1MiB").flag("disk", "128MiB").flag("high-watermark", "90").start();
    let own = daemon.shm();
    let random = uuid::Uuid::now_v7().as_u128();
    for seed in [1, u64::try_from(random & u128::from(u32::MAX)).unwrap()] {
        crowd(&daemon, seed).await;
        let mut rpc = daemon.rpc().await;
        for payload in rpc.list().await.unwrap() {
            rpc.delete(payload.id.unwrap(), false).await.unwrap();
        }
        eventually("nothing is left", || daemon.shm() == own && daemon.disk_files().is_empty());
        let rpc = &rpc;
        let empty = || async move {
            let stats = rpc.clone().stats().await.unwrap();
            let free = stats.tiers.iter().all(|tier| tier.free_bytes == tier.capacity_bytes);
            free && (stats.live_leases, stats.payloads_ram, stats.payloads_disk) == (0, 0, 0)
        };
        eventually_async("nothing is counted", empty).await;
    }
    assert!(!daemon.log().text().contains("ERROR"), "{}", daemon.log().text());
}
