//! The second process of the check, from inside: does what it is told, a line at a time.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{BufRead as _, Write as _};
use std::time::Instant;

use nix::sys::signal::Signal;
use payload_manager_client::blocking::{Client, PayloadView};
use payload_manager_client::{PayloadId, ReadOptions, Tier};
use payload_manager_shm::device::{Driver, IpcHandle};
use payload_manager_types::DeviceUuid;

use crate::cli::{Exit, GpuCheckPartArgs};

/// What a byte of a payload has to be.
pub(super) fn fill(seed: u64, bytes: &mut [u8]) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        let mixed = (at as u64).wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        [*byte, ..] = mixed.to_be_bytes();
    }
}

/// What a payload is filled with.
pub(super) fn seed(id: PayloadId) -> u64 {
    id.to_words().1
}

/// Leases that are timed together.
const LEASES: u32 = 20_000;

/// Plays the part.
#[must_use]
pub fn part(args: &GpuCheckPartArgs) -> Exit {
    // The check may be killed.
    if nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).is_err() {
        return Exit::Failure;
    }
    let client = match Client::connect(args.socket.as_path()) {
        Ok(client) => client,
        Err(error) => {
            eprintln!("payload-manager: {error}");
            return Exit::Failure;
        }
    };
    let mut second = Second { client, views: HashMap::new() };
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match second.does(&words) {
            Ok(answer) => format!("ok {answer}"),
            Err(why) => format!("failed {}", why.replace('\n', " ")),
        };
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return Exit::Failure;
        }
    }
    Exit::Success
}

struct Second {
    client: Client,
    views: HashMap<PayloadId, PayloadView>,
}

impl Second {
    fn does(&mut self, words: &[&str]) -> Result<String, String> {
        let id = |text: &str| text.parse::<PayloadId>().map_err(|error| error.to_string());
        match words {
            ["view", name, tier] => {
                let (view, ns) = self.view(id(name)?, tier)?;
                compare(id(name)?, &view)?;
                self.views.insert(id(name)?, view);
                Ok(ns.to_string())
            }
            ["again", name, tier] => self.again(id(name)?, tier),
            ["look", name] => {
                let view = self.views.get(&id(name)?).ok_or("no such view")?;
                compare(id(name)?, view).map(|()| view.is_valid().to_string())
            }
            ["valid", name] => Ok(self.views.get(&id(name)?).is_some_and(PayloadView::is_valid).to_string()),
            ["drop", name] => Ok(self.views.remove(&id(name)?).is_some().to_string()),
            ["pid"] => Ok(std::process::id().to_string()),
            ["open", uuid, handle, seed] => open(uuid, handle, seed),
            _ => Err(format!("{words:?} means nothing")),
        }
    }

    fn options(tier: &str) -> ReadOptions {
        let min_tier = match tier {
            "gpu" => Some(Tier::Gpu),
            "ram" => Some(Tier::Ram),
            _ => None,
        };
        ReadOptions { min_tier, on_device: tier != "ram", ..ReadOptions::default() }
    }

    fn view(&self, id: PayloadId, tier: &str) -> Result<(PayloadView, f64), String> {
        let began = Instant::now();
        let view = self.client.read_with(id, Self::options(tier)).map_err(|error| error.to_string())?;
        Ok((view, nanoseconds(began)))
    }

    /// Nanoseconds of a lease on what is open already: the median of some rounds.
    fn again(&self, id: PayloadId, tier: &str) -> Result<String, String> {
        let mut rounds = Vec::new();
        for _ in 0..9 {
            let began = Instant::now();
            for _ in 0..LEASES {
                black_box(self.view_only(id, tier)?);
            }
            rounds.push(nanoseconds(began) / f64::from(LEASES));
        }
        rounds.sort_by(f64::total_cmp);
        Ok(rounds.get(rounds.len() / 2).copied().unwrap_or_default().to_string())
    }

    fn view_only(&self, id: PayloadId, tier: &str) -> Result<PayloadView, String> {
        self.client.read_with(id, Self::options(tier)).map_err(|error| error.to_string())
    }
}

fn nanoseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e9
}

/// Every byte.
fn compare(id: PayloadId, view: &PayloadView) -> Result<(), String> {
    let length = usize::try_from(view.descriptor().size).map_err(|error| error.to_string())?;
    let (mut found, mut wanted) = (vec![0; length], vec![0; length]);
    view.copy_to_host(0, &mut found).map_err(|error| error.to_string())?;
    fill(seed(id), &mut wanted);
    if found == wanted { Ok(()) } else { Err(format!("payload {id} has other bytes than were written")) }
}

/// Opens an allocation of the first process by its handle alone, and compares every byte; nanoseconds of the opening.
fn open(uuid: &str, handle: &str, seed: &str) -> Result<String, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let uuid: DeviceUuid = uuid.parse().map_err(|error| text(&error))?;
    let digits: Vec<u8> =
        (0..handle.len() / 2).filter_map(|at| u8::from_str_radix(handle.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    let (bytes, handle) = IpcHandle::from_wire(&digits).ok_or("no handle")?;
    let driver = Driver::shared().map_err(|error| text(&error))?;
    let device = driver.device(uuid).map_err(|error| text(&error))?.ok_or("no such card")?;
    let began = Instant::now();
    let memory = device.open(&handle, bytes).map_err(|error| text(&error))?;
    let ns = nanoseconds(began);
    let length = usize::try_from(bytes).map_err(|error| text(&error))?;
    let (mut found, mut wanted) = (vec![0; length], vec![0; length]);
    memory.read(0, &mut found).map_err(|error| text(&error))?;
    fill(seed.parse().map_err(|error| text(&error))?, &mut wanted);
    if found == wanted { Ok(ns.to_string()) } else { Err("other bytes than were written".to_owned()) }
}
