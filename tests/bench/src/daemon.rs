//! A daemon that is measured: a process, a folder and a name of its own, gone without a trace when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use payload_manager::config::{Config, Given, Machine};
use payload_manager::wipe;
use payload_manager_shm::object;
use tempfile::TempDir;

use crate::rpc::Rpc;
use crate::{Result, part};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many there were in this process, for their names.
static STARTED: AtomicU32 = AtomicU32::new(0);
/// Between two looks whether it serves.
const LOOK: Duration = Duration::from_micros(500);

/// A daemon's belongings, and its process while it runs.
pub(crate) struct Daemon {
    child: Option<Child>,
    settings: Vec<(&'static str, String)>,
    prefix: String,
    config: Config,
    folder: TempDir,
}

impl Daemon {
    /// The belongings of one that may hold so many bytes; its process is not started yet.
    pub(crate) fn new(base: &Path, ram: u64, disk: u64) -> Result<Self> {
        Self::with(base, ram, disk, false)
    }

    /// The same, with an OBJECT tier in a folder of its own if `objects`.
    pub(crate) fn with(base: &Path, ram: u64, disk: u64, objects: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("payload-bench-").tempdir_in(base)?;
        let mut machine = Machine::this()?;
        machine.env.retain(|name, _| !part::is_setting(name));
        // What the machine is asked about must be there already.
        std::fs::create_dir(folder.path().join("data"))?;
        let prefix = format!("pm-bench-{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut settings = vec![
            ("runtime-dir", at("run")),
            ("data-dir", at("data")),
            ("shm-prefix", prefix.clone()),
            ("ram", ram.to_string()),
            ("disk", disk.to_string()),
            // Of a million lost payloads it would say so a million times.
            ("log", "off".to_owned()),
        ];
        settings.extend(objects.then(|| ("object-store", format!("file://{}", at("objects")))));
        let given = settings.iter().try_fold(Given::default(), |given, (name, value)| given.with(name, value))?;
        let config = Config::load(&machine, &given)?;
        if config.ram.bytes < ram || config.disk.bytes < disk {
            let (has_ram, has_disk) = (config.ram.to_string(), config.disk.to_string());
            return Err(format!(
                "{ram} bytes of RAM and {disk} of DISK are needed; there are {has_ram} and {has_disk}: \
                 free some, or name another folder with --dir"
            )
            .into());
        }
        Ok(Self { child: None, settings, prefix, config, folder })
    }

    /// The same with another setting, from the next start on.
    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        self.settings.push((name, value));
    }

    /// The same, started.
    pub(crate) async fn start_new(base: &Path, ram: u64, disk: u64) -> Result<Self> {
        let mut daemon = Self::new(base, ram, disk)?;
        daemon.start().await?;
        Ok(daemon)
    }

    /// Starts the process and waits for the answer to a first call; says how long that took.
    pub(crate) async fn start(&mut self) -> Result<Duration> {
        let log = self.folder.path().join("log");
        let begun = Instant::now();
        let child = self.child.insert(part::command(&self.settings, &log)?.spawn()?);
        loop {
            if let Ok(mut rpc) = Rpc::connect(&self.config.runtime_dir.path.join("control.sock")).await
                && rpc.stats().await.is_ok()
            {
                return Ok(begun.elapsed());
            }
            if let Some(status) = child.try_wait()? {
                self.child = None;
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("the daemon ended at once ({status}): {said}").into());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("the daemon did not serve within {} s", PATIENCE.as_secs()).into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Stops the process in order. What it has stays.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM)?;
        let status: ExitStatus = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            tokio::time::sleep(LOOK).await;
        };
        if status.success() { Ok(()) } else { Err(format!("the daemon did not stop in order ({status})").into()) }
    }

    /// Its gRPC socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.config.runtime_dir.path.join("control.sock")
    }

    /// A connection of its own to it.
    pub(crate) async fn rpc(&self) -> Result<Rpc> {
        Ok(Rpc::connect(&self.socket()).await?)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().ok_or("the daemon does not run")?.id())
    }

    /// Where its catalog lies.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.config.data_dir.path
    }

    /// Where its DISK tier's files lie.
    pub(crate) fn disk_root(&self) -> &Path {
        &self.config.disk_root.path
    }

    /// A folder in the same file system as its DISK tier, for what the floor writes.
    pub(crate) fn beside(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        // In one go: a wipe makes sure of every single file, which takes minutes for a hundred thousand.
        let _ = std::fs::remove_dir_all(&self.config.disk_root.path);
        if let Err(error) = wipe::everything(&self.config) {
            eprintln!("payload-bench: not all that the daemon had could be removed: {error}");
        }
        // One that was killed while it started has no catalog yet that says whose these are; the prefix is this run's alone.
        for left in object::list(&format!("/{}-", self.prefix)).unwrap_or_default() {
            let _ = object::unlink(&left.name);
        }
    }
}
