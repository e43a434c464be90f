//! The demo's processes: the daemon, and those who play a part. Each in a group of its own, so that Ctrl-C in a terminal
//! reaches the demo alone, which then ends them in order; and each ends by itself when the demo is killed.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::ground::is_setting;
use super::plan::Event;
use super::signals::Signals;
use crate::cli::DemoPart;

/// A process of the demo.
pub(super) struct Process {
    child: Child,
    /// Its number.
    pub(super) pid: u32,
    log: PathBuf,
}

impl Process {
    fn start(part: DemoPart, folder: &Path, pipes: bool) -> Result<Self, String> {
        let (name, log) = (word(part), folder.join(format!("{}.log", word(part))));
        let failed = |error: std::io::Error| format!("the {name} can't be started: {error}");
        let program = std::env::current_exe().map_err(failed)?;
        let pipe = || if pipes { Stdio::piped() } else { Stdio::null() };
        let mut command = Command::new(program);
        command.args(["demo-part", name, "--folder"]).arg(folder);
        std::env::vars_os().filter(|(name, _)| is_setting(name)).for_each(|(name, _)| {
            command.env_remove(name);
        });
        let errors = std::fs::File::create(&log).map_err(failed)?;
        command.stdin(pipe()).stdout(pipe()).stderr(errors).process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(failed)?;
        let pid = child.id().unwrap_or_default();
        Ok(Self { child, pid, log })
    }

    /// Ready when it has ended.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus, String> {
        self.child.wait().await.map_err(|error| error.to_string())
    }

    /// The last lines that it wrote for people, indented.
    pub(super) fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(LAST_WORDS)).map(|line| format!("\n  {line}")).collect()
    }

    /// Ends it at once.
    async fn kill(&mut self) {
        // It has ended already, or it does now.
        let _ = self.child.kill().await;
    }

    /// Asks it to end, and ends it if it takes too long or one more signal says that it does. Says whether it ended well.
    async fn stop(&mut self, signals: &mut Signals) -> bool {
        let alive = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = alive.map(Pid::from_raw) {
            // It may end by itself in this very moment.
            let _ = kill(pid, Signal::SIGTERM);
        }
        tokio::select! {
            status = self.child.wait() => return status.is_ok_and(|status| status.success()),
            () = tokio::time::sleep(PATIENCE) => {}
            _ = signals.next() => {}
        }
        self.kill().await;
        false
    }
}

/// How many lines of a log are shown when something failed.
const LAST_WORDS: usize = 12;
/// How long the daemon may take to stop: longer than its own grace.
const PATIENCE: Duration = Duration::from_secs(15);

fn word(part: DemoPart) -> &'static str {
    match part {
        DemoPart::Daemon => "daemon",
        DemoPart::Producer => "producer",
        DemoPart::Consumer => "consumer",
    }
}

/// A process that plays a part and reports on it.
pub(super) struct Player {
    /// The process.
    pub(super) process: Process,
    name: &'static str,
    lines: Lines<BufReader<ChildStdout>>,
    stdin: Option<ChildStdin>,
    failed: Option<String>,
}

impl Player {
    fn start(part: DemoPart, folder: &Path) -> Result<Self, String> {
        let mut process = Process::start(part, folder, true)?;
        let name = word(part);
        let stdout = process.child.stdout.take().ok_or_else(|| format!("the {name} can't be heard"))?;
        let stdin = process.child.stdin.take();
        Ok(Self { process, name, lines: BufReader::new(stdout).lines(), stdin, failed: None })
    }

    /// Its next report; `None` when it has ended well.
    ///
    /// # Errors
    /// It failed; why, in its own words.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, String> {
        let name = self.name;
        while let Some(line) = self.lines.next_line().await.map_err(|e| format!("the {name} can't be heard: {e}"))? {
            match serde_json::from_str(&line) {
                Ok(Event::Failed { why }) => self.failed = Some(why),
                Ok(event) => return Ok(Some(event)),
                Err(error) => return Err(format!("the {name} said what nobody understands ({error}): {line}")),
            }
        }
        let status = self.process.ended().await?;
        match self.failed.take() {
            Some(why) => Err(format!("the {name} gave up: {why}")),
            None if status.success() => Ok(None),
            None => Err(format!("the {name} ended early ({status}){}", self.process.last_words())),
        }
    }

    /// Says something to it: one line, and nothing after it.
    ///
    /// # Errors
    /// It does not listen.
    pub(super) async fn say(&mut self, line: &str) -> Result<(), String> {
        let Some(mut stdin) = self.stdin.take() else { return Ok(()) };
        let said = stdin.write_all(format!("{line}\n").as_bytes()).await;
        said.map_err(|error| format!("the {} does not listen: {error}", self.name))
    }
}

/// All processes that were started. Dropped, they are killed.
#[derive(Default)]
pub(super) struct Cast {
    /// The daemon.
    pub(super) daemon: Option<Process>,
    /// The producer.
    pub(super) producer: Option<Player>,
    /// The consumer.
    pub(super) consumer: Option<Player>,
}

impl Cast {
    /// Starts the daemon.
    ///
    /// # Errors
    /// It can't be started, in words.
    pub(super) fn start_daemon(&mut self, folder: &Path) -> Result<&mut Process, String> {
        Ok(self.daemon.insert(Process::start(DemoPart::Daemon, folder, false)?))
    }

    /// Starts the two who play a part: first the one who listens.
    ///
    /// # Errors
    /// One can't be started, in words.
    pub(super) fn start_players(&mut self, folder: &Path) -> Result<(), String> {
        self.consumer = Some(Player::start(DemoPart::Consumer, folder)?);
        self.producer = Some(Player::start(DemoPart::Producer, folder)?);
        Ok(())
    }

    /// The last lines of the daemon's log.
    pub(super) fn daemons_last_words(&self) -> String {
        self.daemon.as_ref().map(Process::last_words).unwrap_or_default()
    }

    /// Ends everybody, the daemon last and in order. Says whether the daemon ended well.
    pub(super) async fn end(mut self, signals: &mut Signals) -> bool {
        for player in [&mut self.producer, &mut self.consumer].into_iter().flatten() {
            player.process.kill().await;
        }
        match &mut self.daemon {
            Some(daemon) => daemon.stop(signals).await,
            None => true,
        }
    }
}
