//! A daemon under test: a process of the program as it is built, gone without a trace when it is dropped.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::log::Log;
use crate::remains::{files_under, shm_left, unlink_shm};
use crate::rpc::Rpc;
use crate::setup::{Refused, Setup};
use crate::wire::Wire;

/// A daemon in a process of its own. Dropping it kills it and removes all it owned; if the test has failed, its log is
/// shown.
#[derive(Debug)]
pub struct Daemon {
    setup: Setup,
    running: Option<Running>,
    earlier: Vec<Log>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    log: Log,
    reader: JoinHandle<()>,
}

impl Running {
    fn start(setup: &Setup) -> Self {
        let mut command = setup.command("serve", true);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, reader) = Log::follow(child.stderr.take().unwrap());
        Self { child, log, reader }
    }

    /// Waits for its end, and for the last line of its log.
    fn ended(mut self) -> (ExitStatus, Log) {
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        (status, self.log)
    }

    fn signal(&self, signal: Signal) {
        // It may have ended by itself; it is not reaped yet, so this is nobody else's number.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }
}

impl Daemon {
    /// A small one.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start() -> Self {
        Setup::new().start()
    }

    pub(crate) fn launch(setup: Setup) -> Result<Self, Refused> {
        let running = Running::start(&setup);
        if running.log.wait_for(is_ready).is_none() {
            let (status, log) = running.ended();
            return Err(Refused { code: status.code(), log: log.text() });
        }
        Ok(Self { setup, running: Some(running), earlier: Vec::new() })
    }

    /// How it was started.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Changes how it is started next time.
    pub fn change(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(self.setup.clone());
    }

    /// Its gRPC socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.setup.runtime_dir().join("control.sock")
    }

    /// Where it serves gRPC over TCP, if it was asked to.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        let line = self.running().log.wait_for(is_ready)?;
        let (_, rest) = line.split_once("tcp=Some(")?;
        rest.split_once(')')?.0.parse().ok()
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// A gRPC client of it.
    pub async fn rpc(&self) -> Rpc {
        Rpc::unix(&self.socket()).await
    }

    /// A bare HTTP/2 connection to it.
    pub async fn wire(&self) -> Wire {
        Wire::unix(&self.socket()).await
    }

    /// What this run has said so far.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn log(&self) -> Log {
        self.running().log.clone()
    }

    /// The first line of this run's log with `text` in it, waited for.
    ///
    /// # Panics
    /// If the process ends without it.
    pub fn wait_for_line(&self, text: &str) -> String {
        let line = self.log().wait_for(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("ended without saying {text:?}"))
    }

    /// All that the run before this one has said.
    #[must_use]
    pub fn log_of_last_run(&self) -> String {
        self.earlier.last().map(Log::text).unwrap_or_default()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it does not run.
    pub fn signal(&self, signal: Signal) {
        self.running().signal(signal);
    }

    /// Kills it as abruptly as it gets, and waits for its end.
    pub fn kill(&mut self) {
        if let Some(running) = &self.running {
            running.signal(Signal::SIGKILL);
            self.wait();
        }
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Panics
    /// If it does not run.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it does not run.
    pub fn wait(&mut self) -> ExitStatus {
        let (status, log) = self.running.take().expect("it does not run").ended();
        self.earlier.push(log);
        status
    }

    /// Starts it again in the same folders, after [`Self::kill`], [`Self::stop`] or [`Self::wait`].
    ///
    /// # Panics
    /// If it does not come up, or still runs.
    pub fn start_again(&mut self) {
        self.try_start_again().unwrap_or_else(|refused| panic!("not started again ({:?})", refused.code));
    }

    /// As [`Self::start_again`].
    ///
    /// # Errors
    /// It did not come up.
    ///
    /// # Panics
    /// If it still runs.
    pub fn try_start_again(&mut self) -> Result<(), Refused> {
        assert!(self.running.is_none(), "it still runs");
        self.running = Some(Running::start(&self.setup));
        if self.running().log.wait_for(is_ready).is_some() {
            return Ok(());
        }
        let status = self.wait();
        Err(Refused { code: status.code(), log: self.log_of_last_run() })
    }

    /// Kills it and starts it again in the same folders.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// The shared-memory objects under its prefix.
    #[must_use]
    pub fn shm(&self) -> BTreeSet<String> {
        shm_left(&self.setup.prefix)
    }

    /// The files of its DISK tier, by their path from its root, in order; its own mark is not one of them, nor are the
    /// streams' logs, which follow their streams by seconds.
    #[must_use]
    pub fn disk_files(&self) -> Vec<PathBuf> {
        let mut files = files_under(&self.setup.disk_root());
        files.retain(|file| file.as_os_str() != "instance" && !file.starts_with("streams"));
        files
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it does not run")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        unlink_shm(&self.setup.prefix);
        if std::thread::panicking() {
            for (run, log) in self.earlier.iter().enumerate() {
                eprintln!("--- the daemon's log, run {} ---\n{}", run + 1, log.text());
            }
        }
    }
}

fn is_ready(line: &str) -> bool {
    line.contains(" serving ") && line.contains("socket=")
}
