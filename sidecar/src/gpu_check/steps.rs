//! The checks, in their order.

use std::time::{Duration, Instant};

use payload_manager_client::blocking::Client;
use payload_manager_client::{CreateOptions, EvictionPolicy, PayloadId, Reason, SpillOptions, SpillTarget, Tier};
use payload_manager_shm::device::{Device, DeviceMemory, PinnedBuffer};
use serde_json::{Value, json};

use super::ground::{Ground, Second};
use super::part::{fill, seed};
use super::report::Report;
use super::stress;
use crate::cli::GpuCheckArgs;

/// What a check answers: its figures, or why it says nothing here.
type Checked = Result<Value, String>;

/// Why a check says nothing here.
const NO_DESCRIPTORS: &str = "this card passes no descriptors";
const NO_NAMESPACES: &str = "a user may make no PID namespaces here, or not say what numbers they give";

/// How long memory may take to come back: clients close what they do not use after a while.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// What the driver may keep for itself, in bytes: a card gives out no less than 2 MiB, so a leak is far more.
const SLACK: u64 = 32 << 20;

/// Payloads that are allocated and freed.
const MANY: u64 = 1000;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// All that is checked of one card.
pub(super) struct Check<'a> {
    pub(super) device: &'a Device,
    pub(super) size: u64,
    floor: Floor,
    pub(super) ground: Ground,
    pub(super) client: Client,
    pub(super) second: Second,
}

/// Runs all checks on a card.
///
/// # Errors
/// They could not even begin.
pub(super) fn all(report: &mut Report, device: &Device, args: &GpuCheckArgs) -> Result<(), String> {
    let mut take = |what: &str, checked: Checked| match checked {
        Ok(Value::String(why)) => report.left_out(what, &why),
        Ok(figures) => report.passed(what, figures),
        Err(why) => report.failed(what, &why),
    };
    let floor = floor(device, args.size)?;
    take("plain copies from and to pinned memory", Ok(json!({ "from_gpu_gb_s": floor.from, "to_gpu_gb_s": floor.to })));
    let before = device.free_bytes().map_err(text)?;
    let mut ground = Ground::start(device.uuid(), args.size.saturating_mul(6).max(256 << 20))?;
    let client = ground.client()?;
    let second = Second::start(&ground.socket())?;
    let mut check = Check { device, size: args.size, floor, ground, client, second };
    take("an allocation opened by its CUDA IPC handle in a second process", check.by_handle());
    take("written, committed, leased and compared in a second process", check.between_processes());
    take("the same in a PID namespace of its own, where its number is another", check.apart(|daemon| daemon ^ 1));
    take("the same where its number is the daemon's", check.apart(|daemon| daemon));
    take("a second lease on what is open, beside one in RAM", check.leases());
    take("to RAM and back", check.there_and_back(Tier::Ram));
    take("to DISK and back", check.there_and_back(Tier::Disk));
    take("deleted by force under a lease", check.deleted_by_force());
    take("a thousand payloads leave nothing behind", check.many());
    if let Some(time) = args.stress {
        take("under stress", stress::run(&mut check, time));
    }
    take("its daemon killed and started again", check.killed());
    drop(check);
    take("the card's memory is as free as before", is_free(device, before));
    Ok(())
}

fn rate(bytes: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes = bytes as f64;
    bytes / time.as_secs_f64() / 1e9
}

/// What plain copies between the card and pinned memory do, in gigabytes a second.
struct Floor {
    from: f64,
    to: f64,
}

/// The best of a few.
fn best(mut once: impl FnMut() -> Result<Duration, String>) -> Result<Duration, String> {
    let mut least = once()?;
    for _ in 0..4 {
        least = least.min(once()?);
    }
    Ok(least)
}

/// What the card's own copies do: the floor that the tier's moves are compared with.
fn floor(device: &Device, size: u64) -> Result<Floor, String> {
    let length = usize::try_from(size).map_err(text)?;
    let mut buffer = PinnedBuffer::new(device, length).map_err(text)?;
    let memory = device.allocate(size).map_err(text)?;
    let timed = |work: &mut dyn FnMut() -> Result<(), String>| {
        let began = Instant::now();
        work().map(|()| began.elapsed())
    };
    let to = best(|| timed(&mut || memory.write(0, &buffer).map_err(text)))?;
    let from = best(|| timed(&mut || memory.read(0, &mut buffer).map_err(text)))?;
    Ok(Floor { from: rate(size, from), to: rate(size, to) })
}

fn is_free(device: &Device, before: u64) -> Checked {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = device.free_bytes().map_err(text)?;
        if now.saturating_add(SLACK) >= before {
            return Ok(json!({ "free_bytes": now }));
        }
        if Instant::now() > until {
            return Err(format!("{} bytes of it are still taken", before - now));
        }
        std::thread::sleep(PAUSE);
    }
}

impl Check<'_> {
    /// Waits for something that another process does.
    fn eventually(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            if Instant::now() > until {
                return Err(format!("{what} did not come"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// A payload on the card, with its bytes.
    pub(super) fn put(&self, bytes: u64, durable: bool) -> Result<PayloadId, String> {
        let policy = EvictionPolicy { require_durable: durable, ..EvictionPolicy::default() };
        let device = Some(self.device.uuid());
        let options = CreateOptions { tier: Tier::Gpu, device, policy, ..CreateOptions::default() };
        let mut payload = self.client.create_with(bytes, options).map_err(text)?;
        let mut wanted = vec![0; usize::try_from(bytes).map_err(text)?];
        fill(seed(payload.id()), &mut wanted);
        payload.copy_from_host(0, &wanted).map_err(text)?;
        payload.commit().map(|made| made.id).map_err(text)
    }

    /// CUDA IPC, without the daemon: between this process and the second.
    fn by_handle(&mut self) -> Checked {
        let memory: DeviceMemory = self.device.allocate(2 << 20).map_err(text)?;
        let mut wanted = vec![0; usize::try_from(memory.bytes()).map_err(text)?];
        fill(7, &mut wanted);
        memory.write(0, &wanted).map_err(text)?;
        let handle = memory.handle().map_err(text)?.to_wire(memory.bytes());
        let hex: String = handle.iter().map(|byte| format!("{byte:02x}")).collect();
        let ns: f64 = self.second.ask(&format!("open {} {hex} 7", self.device.uuid()))?.parse().map_err(text)?;
        Ok(json!({ "open_us": ns / 1e3 }))
    }

    fn between_processes(&mut self) -> Checked {
        let began = Instant::now();
        let id = self.put(self.size, false)?;
        let put = began.elapsed();
        let open = self.second.view(id, "gpu")?;
        if self.client.delete(id).is_ok() {
            return Err("a leased payload could be deleted".to_owned());
        }
        self.second.ask(&format!("drop {id}"))?;
        self.client.delete(id).map_err(text)?;
        Ok(json!({ "put_ms": put.as_secs_f64() * 1e3, "open_us": open / 1e3 }))
    }

    /// The same with a process that shares neither PID nor IPC namespace with the daemon, and has this number in its own: what
    /// is passed as a descriptor needs none of these.
    fn apart(&mut self, number: impl Fn(u32) -> u32) -> Checked {
        if !self.device.passes_descriptors() {
            return Ok(NO_DESCRIPTORS.into());
        }
        let number = number(self.ground.pid()?);
        let Some(apart) = Second::start_apart(&self.ground.socket(), number)? else {
            return Ok(NO_NAMESPACES.into());
        };
        let usual = std::mem::replace(&mut self.second, apart);
        let checked = self.between_processes();
        self.second = usual;
        checked
    }

    fn leases(&mut self) -> Checked {
        let (on_card, in_ram) = (self.put(4096, false)?, self.put(4096, false)?);
        self.move_to(in_ram, Tier::Ram)?;
        for (id, tier) in [(on_card, "gpu"), (in_ram, "ram")] {
            self.second.view(id, tier)?;
        }
        let ns = |answer: Result<String, String>| answer.and_then(|ns| ns.parse::<f64>().map_err(text));
        let card = ns(self.second.ask(&format!("again {on_card} gpu")))?;
        let ram = ns(self.second.ask(&format!("again {in_ram} ram")))?;
        for id in [on_card, in_ram] {
            self.second.ask(&format!("drop {id}"))?;
            self.client.delete(id).map_err(text)?;
        }
        Ok(json!({ "gpu_ns": card, "ram_ns": ram }))
    }

    pub(super) fn move_to(&self, id: PayloadId, tier: Tier) -> Result<(), String> {
        let options = SpillOptions { target: Some(SpillTarget::Tier(tier)), ..SpillOptions::default() };
        let mut moved = self.client.spill_with(&[id], options).map_err(text)?;
        moved.pop().map_or(Err("no answer".to_owned()), |moved| moved.map(drop).map_err(text))
    }

    fn there_and_back(&mut self, tier: Tier) -> Checked {
        let (mut down, mut up) = (Duration::MAX, Duration::MAX);
        for _ in 0..3 {
            let id = self.put(self.size, false)?;
            let began = Instant::now();
            self.move_to(id, tier)?;
            down = down.min(began.elapsed());
            self.second.view(id, "any")?;
            self.second.ask(&format!("drop {id}"))?;
            let began = Instant::now();
            self.client.promote(id, Tier::Gpu).map_err(text)?;
            up = up.min(began.elapsed());
            self.second.view(id, "gpu")?;
            self.second.ask(&format!("drop {id}"))?;
            self.client.delete(id).map_err(text)?;
        }
        let (down, up) = (rate(self.size, down), rate(self.size, up));
        let (of_from, of_to) = (down / self.floor.from, up / self.floor.to);
        Ok(json!({ "down_gb_s": down, "up_gb_s": up, "down_of_plain": of_from, "up_of_plain": of_to }))
    }

    fn deleted_by_force(&mut self) -> Checked {
        let id = self.put(1 << 20, false)?;
        self.second.view(id, "gpu")?;
        self.client.delete_by_force(id).map_err(text)?;
        if self.second.ask(&format!("look {id}"))? != "false" {
            return Err("a lease is still valid".to_owned());
        }
        self.second.ask(&format!("drop {id}"))?;
        Ok(Value::Null)
    }

    fn many(&mut self) -> Checked {
        let free = self.device.free_bytes().map_err(text)?;
        for _ in 0..MANY / 50 {
            let ids = (0..50).map(|n| self.put(1 + n * 10_000, false)).collect::<Result<Vec<_>, _>>()?;
            for id in ids {
                self.client.delete(id).map_err(text)?;
            }
        }
        let figures = is_free(self.device, free)?;
        Ok(json!({ "payloads": MANY, "free_bytes": figures["free_bytes"] }))
    }

    /// Memory of a card goes with its exporter; what has a copy elsewhere does not.
    fn killed(&mut self) -> Checked {
        let (only, copied) = (self.put(1 << 20, false)?, self.put(1 << 20, true)?);
        self.eventually("a durable copy", |check| {
            check.client.get(copied).is_ok_and(|info| info.descriptor.copies.any_durable())
        })?;
        self.second.view(only, "gpu")?;
        self.ground.kill();
        self.ground.serve()?;
        self.client = self.ground.client()?;
        self.eventually("the end of a lease", |check| {
            check.second.ask(&format!("valid {only}")) == Ok("false".into())
        })?;
        self.second.ask(&format!("drop {only}"))?;
        match self.client.read(only) {
            Err(error) if error.reason() == Some(Reason::BytesLost) => {}
            other => return Err(format!("what was on the card alone is not said to be lost: {other:?}")),
        }
        self.second.view(copied, "gpu")?;
        self.second.ask(&format!("drop {copied}"))?;
        for id in [only, copied] {
            self.client.delete(id).map_err(text)?;
        }
        Ok(Value::Null)
    }
}
