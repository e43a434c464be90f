//! A process that uses a card: this program, started again, told what to do line by line. The driver is a process's own, so
//! what has to do with a card is done here and nowhere else.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use payload_manager_client::blocking::{Client, PayloadMut, PayloadView};
use payload_manager_client::{CreateOptions, DeviceUuid, EvictionPolicy, PayloadId, ReadOptions, SpillTarget, Tier};
use payload_manager_test_cuda::Machine;

/// Where the daemon listens; set for a worker alone.
const ADDRESS: &str = "PAYLOAD_MANAGER_TEST_GPU_WORKER";

/// What an answer begins with.
const MARK: &str = "worker: ";

/// Namespaces of its own.
pub(crate) const APART: [&str; 8] =
    ["--user", "--map-root-user", "--mount", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// A process that does as it is told. Killed when it is dropped.
pub(crate) struct Worker {
    child: Child,
    tell: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    pub(crate) fn start(address: &str, machine: &Machine) -> Self {
        Self::start_with(address, machine.environment())
    }

    pub(crate) fn start_with(
        address: &str,
        environment: impl IntoIterator<Item = (&'static str, impl AsRef<std::ffi::OsStr>)>,
    ) -> Self {
        Self::spawn(Command::new(std::env::current_exe().unwrap()), address, environment)
    }

    /// One with IPC, PID and user namespaces of its own, as in a container.
    pub(crate) fn contained(address: &str, machine: &Machine) -> Self {
        let mut command = Command::new("unshare");
        command.args(APART).arg("--").arg(std::env::current_exe().unwrap());
        Self::spawn(command, address, machine.environment())
    }

    fn spawn(
        mut command: Command,
        address: &str,
        environment: impl IntoIterator<Item = (&'static str, impl AsRef<std::ffi::OsStr>)>,
    ) -> Self {
        command.args(["--exact", "worker::work", "--nocapture"]).env(ADDRESS, address).envs(environment);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { tell: child.stdin.take().unwrap(), said, child }
    }

    /// What it answers: of what failed, what went wrong.
    pub(crate) fn ask(&mut self, words: &[&dyn Display]) -> Result<String, String> {
        let line: Vec<String> = words.iter().map(ToString::to_string).collect();
        writeln!(self.tell, "{}", line.join(" ")).unwrap();
        let answers = self.said.by_ref().map_while(Result::ok);
        let answer = answers.filter_map(|line| line.split_once(MARK).map(|(_, rest)| rest.to_owned())).next();
        let answer = answer.unwrap_or_else(|| panic!("the worker ended at {line:?}"));
        match answer.split_once(' ').unwrap_or((&answer, "")) {
            ("ok", rest) => Ok(rest.to_owned()),
            ("failed", why) => Err(why.to_owned()),
            _ => panic!("{answer}"),
        }
    }

    /// A payload of so many bytes on a card; its name.
    pub(crate) fn put(&mut self, bytes: u64) -> PayloadId {
        self.put_as(bytes, "any", false).unwrap()
    }

    /// The same, on this device (or any), and to be durable or not.
    pub(crate) fn put_as(&mut self, bytes: u64, device: &str, durable: bool) -> Result<PayloadId, String> {
        self.ask(&[&"put", &bytes, &device, &durable]).map(|id| id.parse().unwrap())
    }

    /// Takes a lease where it is, and checks every byte: where it was.
    pub(crate) fn view(&mut self, id: PayloadId) -> Result<String, String> {
        self.ask(&[&"view", &id, &"any"])
    }

    /// The same once it is on a card.
    pub(crate) fn view_on_card(&mut self, id: PayloadId) -> Result<String, String> {
        self.ask(&[&"view", &id, &"gpu"])
    }

    /// Checks the bytes of a lease that it holds: whether it is still valid.
    pub(crate) fn look(&mut self, id: PayloadId) -> Result<bool, String> {
        self.ask(&[&"look", &id]).map(|valid| valid == "true")
    }

    /// Gives a lease back.
    pub(crate) fn give_back(&mut self, id: PayloadId) {
        self.ask(&[&"drop", &id]).unwrap();
    }

    /// Kills it as abruptly as it gets.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// What a byte of a payload has to be.
fn byte(id: PayloadId, at: u64) -> u8 {
    let [.., last] = *id.as_bytes();
    last ^ (at.wrapping_mul(0x9E37_79B9) >> 13).to_le_bytes()[0]
}

fn bytes(id: PayloadId, length: u64) -> Vec<u8> {
    (0..length).map(|at| byte(id, at)).collect()
}

fn is_whole(id: PayloadId, view: &PayloadView) -> Result<(), String> {
    let length = view.descriptor().size;
    let mut found = vec![0; usize::try_from(length).unwrap()];
    view.copy_to_host(0, &mut found).map_err(|error| error.to_string())?;
    if found == bytes(id, length) { Ok(()) } else { Err("other bytes than were written".to_owned()) }
}

/// What a worker has.
#[derive(Default)]
struct Has {
    views: HashMap<PayloadId, PayloadView>,
    open: HashMap<PayloadId, PayloadMut>,
}

impl Has {
    fn allocate(&mut self, client: &Client, words: &[&str]) -> Result<PayloadId, String> {
        let (length, device, durable) = (words[0].parse().unwrap(), words[1], words[2] == "true");
        let device = device.parse::<DeviceUuid>().ok();
        let policy = EvictionPolicy { require_durable: durable, ..EvictionPolicy::default() };
        let options = CreateOptions { tier: Tier::Gpu, device, policy, ..CreateOptions::default() };
        let mut payload = client.create_with(length, options).map_err(|error| error.to_string())?;
        let id = payload.id();
        assert!(payload.is_empty() && payload.device_ptr().is_some());
        payload.copy_from_host(0, &bytes(id, length)).map_err(|error| error.to_string())?;
        assert!(payload.copy_from_host(length, &[1]).is_err());
        self.open.insert(id, payload);
        Ok(id)
    }

    fn does(&mut self, client: &Client, words: &[&str]) -> Result<String, String> {
        let text = |error: payload_manager_client::Error| error.to_string();
        let id = |word: &str| word.parse::<PayloadId>().unwrap();
        match words {
            ["put", rest @ ..] => {
                let id = self.allocate(client, rest)?;
                self.open.remove(&id).unwrap().commit().map_err(text)?;
                Ok(id.to_string())
            }
            ["allocate", rest @ ..] => self.allocate(client, rest).map(|id| id.to_string()),
            ["commit", name] => self.open.remove(&id(name)).unwrap().commit().map(|_| String::new()).map_err(text),
            ["abort", name] => self.open.remove(&id(name)).unwrap().abort().map(|()| String::new()).map_err(text),
            ["view", name, place] => {
                let device = place.parse::<DeviceUuid>().ok();
                let min_tier = (*place == "gpu" || device.is_some()).then_some(Tier::Gpu);
                let options = ReadOptions { min_tier, on_device: true, device, ..ReadOptions::default() };
                let view = client.read_with(id(name), options).map_err(text)?;
                is_whole(id(name), &view)?;
                let at = view.device_ptr().map_or("the host".to_owned(), |place| place.device.to_string());
                self.views.insert(id(name), view);
                Ok(at)
            }
            ["look", name] => {
                let view = &self.views[&id(name)];
                is_whole(id(name), view).map(|()| view.is_valid().to_string())
            }
            ["valid", name] => Ok(self.views[&id(name)].is_valid().to_string()),
            ["host", name] => client.read(id(name)).map(|view| view.len().to_string()).map_err(text),
            ["drop", name] => Ok(self.views.remove(&id(name)).map(drop).map_or("nothing", |()| "it").to_owned()),
            ["spill", name, tier] => {
                let tier = if *tier == "ram" { Tier::Ram } else { Tier::Disk };
                let target = Some(SpillTarget::Tier(tier));
                let options = payload_manager_client::SpillOptions { target, ..Default::default() };
                let spilled = client.spill_with(&[id(name)], options).and_then(|mut all| all.remove(0));
                spilled.map(|_| String::new()).map_err(text)
            }
            ["delete", name] => client.delete(id(name)).map(|()| String::new()).map_err(text),
            _ => panic!("{words:?}"),
        }
    }
}

/// The worker's part. By itself it has nothing to do.
#[test]
fn work() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let client = Client::connect(address.as_str()).unwrap();
    let mut has = Has::default();
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match has.does(&client, &words) {
            Ok(answer) => println!("{MARK}ok {answer}"),
            Err(why) => println!("{MARK}failed {}", why.replace('\n', " ")),
        }
    }
}
