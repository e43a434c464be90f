//! A daemon of the check's own, and the second process. Both end with the check, and leave nothing behind.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use payload_manager_client::blocking::Client;
use payload_manager_shm::device::LIBRARY_ENV;
use payload_manager_types::{DeviceUuid, PayloadId};
use tempfile::TempDir;

use crate::config::ENV_PREFIX;

/// How long a daemon may take to come up, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A program of ours, without the settings of whoever runs the check.
fn ourselves(words: &[&str]) -> Result<Command, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    let settings = std::env::vars_os().map(|(name, _)| name);
    // What tests say to a stand-in for the driver is no setting of the daemon's.
    let is_setting = |name: &std::ffi::OsString| {
        let name = name.to_string_lossy().into_owned();
        name.starts_with(ENV_PREFIX) && name != LIBRARY_ENV && !name.starts_with("PAYLOAD_MANAGER_TEST_")
    };
    settings.filter(is_setting).for_each(|name| _ = command.env_remove(name));
    command.args(words);
    Ok(command)
}

/// Where everything of the check lies.
pub(super) struct Ground {
    folder: TempDir,
    flags: Vec<String>,
    prefix: String,
    daemon: Option<Child>,
}

impl Ground {
    /// A daemon that may take so much of this card, in bytes, and as much of RAM.
    pub(super) fn start(device: DeviceUuid, bytes: u64) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("pm-gpu-check-").tempdir().map_err(|error| error.to_string())?;
        let prefix = format!("pm-check-{}", std::process::id());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let flags = [
            ("--runtime-dir", path("run")),
            ("--data-dir", path("data")),
            ("--shm-prefix", prefix.clone()),
            ("--gpu-memory", format!("{device}={bytes}")),
            ("--ram", bytes.to_string()),
            ("--high-watermark", "100".to_owned()),
        ];
        let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        let mut ground = Self { folder, flags, prefix, daemon: None };
        ground.serve()?;
        Ok(ground)
    }

    /// Starts its daemon, again or for the first time.
    pub(super) fn serve(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.log()).map_err(|error| error.to_string())?;
        let mut command = ourselves(&["serve"])?;
        command.args(&self.flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        self.daemon = Some(command.spawn().map_err(|error| error.to_string())?);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Where it listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("run/control.sock")
    }

    /// A client of it, once it serves.
    pub(super) fn client(&mut self) -> Result<Client, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            match Client::connect(self.socket().as_path()) {
                Ok(client) => return Ok(client),
                Err(error) if self.has_ended() || Instant::now() > until => {
                    let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                    return Err(format!("its daemon does not serve: {error}\n{log}"));
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    fn has_ended(&mut self) -> bool {
        self.daemon.as_mut().is_none_or(|daemon| daemon.try_wait().is_ok_and(|ended| ended.is_some()))
    }

    /// Its daemon's process.
    pub(super) fn pid(&self) -> Result<u32, String> {
        self.daemon.as_ref().map(Child::id).ok_or_else(|| "its daemon does not run".to_owned())
    }

    /// Kills the daemon as abruptly as it gets.
    pub(super) fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // It may have ended already.
            let _ = (daemon.kill(), daemon.wait());
        }
    }

    /// Ends the daemon in order.
    fn stop(&mut self) {
        let pid = self.daemon.as_ref().and_then(|daemon| i32::try_from(daemon.id()).ok());
        if let Some(pid) = pid {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let until = Instant::now() + PATIENCE;
        while !self.has_ended() && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
        self.kill();
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.stop();
        let wiped = ourselves(&["wipe", "--yes"]).map(|mut command| {
            let own = ["--runtime-dir", "--data-dir", "--shm-prefix"];
            let pairs =
                self.flags.chunks(2).filter(|pair| own.iter().any(|flag| pair.first().is_some_and(|f| f == flag)));
            command.args(pairs.flatten()).stdout(Stdio::null()).stderr(Stdio::null()).status()
        });
        if !matches!(wiped, Ok(Ok(status)) if status.success()) {
            eprintln!("payload-manager: shared memory named {}-* may be left", self.prefix);
        }
    }
}

/// Namespaces of its own for a process that is told by a shell, which has no more rights outside than whoever runs the check.
const APART: [&str; 8] = ["--user", "--map-root-user", "--pid", "--ipc", "--fork", "--kill-child", "--", "sh"];

/// Where a PID namespace is told which number it gave last.
const LAST: &str = "/proc/sys/kernel/ns_last_pid";

/// The second process.
pub(super) struct Second {
    child: Child,
    tell: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Second {
    /// A client of the daemon at this socket.
    pub(super) fn start(socket: &Path) -> Result<Self, String> {
        Self::of(ourselves(&["gpu-check-part", "--socket"])?.arg(socket))
    }

    /// The same in a PID and an IPC namespace of its own, where its number is this one. `None`: that is not allowed here.
    pub(super) fn start_apart(socket: &Path, number: u32) -> Result<Option<Self>, String> {
        let one_before = number.saturating_sub(1);
        let told = format!("echo {one_before} >{LAST} && ");
        let mut probe = Command::new("unshare");
        probe.args(APART).args(["-c", &format!("{told}true")]).stdout(Stdio::null()).stderr(Stdio::null());
        if !probe.status().is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let alone = ourselves(&["gpu-check-part", "--socket"])?;
        let mut command = Command::new("unshare");
        // The shell stays, as the first of its namespace; the one that it starts is the next.
        command.args(APART).args(["-c", &format!("{told}\"$@\"; exit"), "sh"]).arg(alone.get_program());
        command.args(alone.get_args()).arg(socket);
        alone.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| _ = command.env_remove(name));
        let mut second = Self::of(&mut command)?;
        let found = second.ask("pid")?;
        if found == number.to_string() {
            Ok(Some(second))
        } else {
            Err(format!("a process that should be number {number} is number {found}"))
        }
    }

    fn of(command: &mut Command) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let (tell, said) = (child.stdin.take().ok_or("no pipe")?, child.stdout.take().ok_or("no pipe")?);
        Ok(Self { child, tell, said: BufReader::new(said).lines() })
    }

    /// What it answers.
    ///
    /// # Errors
    /// What went wrong there.
    pub(super) fn ask(&mut self, line: &str) -> Result<String, String> {
        let gone = |error: std::io::Error| format!("the second process is gone: {error}");
        writeln!(self.tell, "{line}").map_err(gone)?;
        let answer = self.said.next().ok_or("the second process is gone")?.map_err(gone)?;
        match answer.split_once(' ').unwrap_or((&answer, "")) {
            ("ok", rest) => Ok(rest.to_owned()),
            (_, why) => Err(why.to_owned()),
        }
    }

    /// Takes a lease on a card and compares every byte; how many nanoseconds the lease and the opening took.
    pub(super) fn view(&mut self, id: PayloadId, tier: &str) -> Result<f64, String> {
        self.ask(&format!("view {id} {tier}"))?.parse().map_err(|_| "no number of nanoseconds".to_owned())
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}
