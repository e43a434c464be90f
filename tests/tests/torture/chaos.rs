//! The run itself: workers and daemon, and what befalls them from round to round.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use payload_manager_tests::Daemon;
use payload_manager_tests::crash::Dice;
use payload_manager_tests::wait::HANGS;

use crate::crowd::Crowd;
use crate::tally::{Kind, Tally};

/// Workers at work at a time.
const WORKERS: usize = 8;
/// Payloads that are kept, before the run looks whether they are.
const HARVEST: usize = 24;
/// Payloads that it then looks for, at most.
const AT_A_TIME: usize = 12;
/// The longest time between two events, in milliseconds.
const LONGEST: u64 = 100;

pub(crate) struct Chaos {
    daemon: Daemon,
    crowd: Crowd,
    dice: Dice,
}

impl Chaos {
    pub(crate) fn new(daemon: Daemon, mut dice: Dice) -> Self {
        let mut crowd = Crowd::new(&daemon.socket(), daemon.setup().folder.path());
        (0..WORKERS).for_each(|_| crowd.hire(&mut dice));
        Self { daemon, crowd, dice }
    }

    fn listen(&mut self) {
        let time = Duration::from_millis(self.dice.below(LONGEST));
        self.crowd.listen(time);
    }

    /// One event, and a while to live with it.
    pub(crate) async fn round(&mut self) {
        self.listen();
        match self.dice.below(32) {
            0..7 => {
                self.crowd.kill(&mut self.dice);
                self.crowd.hire(&mut self.dice);
                self.crowd.tally.count(Kind::WorkerKilled);
            }
            7..16 => self.stop_one(),
            16..24 => self.crowd.wake(),
            24..26 => self.kill_daemon(),
            26..28 => {
                self.daemon.signal(Signal::SIGSTOP);
                self.listen();
                self.daemon.signal(Signal::SIGCONT);
                self.crowd.tally.count(Kind::DaemonStopped);
            }
            _ if self.crowd.kept.count() >= HARVEST => self.harvest(AT_A_TIME).await,
            _ => {}
        }
        self.look().await;
    }

    fn stop_one(&mut self) {
        if self.crowd.stop(&mut self.dice) {
            self.crowd.tally.count(Kind::WorkerStopped);
        }
    }

    /// Clients may die while there is none.
    fn kill_daemon(&mut self) {
        self.daemon.kill();
        well_said(&self.daemon.log_of_last_run());
        if self.dice.one_in(3) {
            self.crowd.kill(&mut self.dice);
            self.crowd.hire(&mut self.dice);
        }
        self.daemon.start_again();
        self.crowd.tally.count(Kind::DaemonKilled);
    }

    async fn look(&mut self) {
        let stats = self.daemon.rpc().await.stats().await.unwrap();
        if stats.backlog_blocks > 0 {
            self.crowd.tally.count(Kind::Backlog);
        }
    }

    async fn harvest(&mut self, most: usize) {
        let mut rpc = self.daemon.rpc().await;
        let Crowd { kept, tally, .. } = &mut self.crowd;
        kept.harvest(&mut rpc, tally, most).await;
    }

    /// All have ended in order, and what was kept is there.
    pub(crate) async fn end(mut self) -> (Daemon, Tally) {
        self.crowd.end();
        let until = Instant::now() + HANGS;
        while self.crowd.kept.count() > 0 {
            assert!(
                Instant::now() < until,
                "{} that were kept can't be read, though nobody reads",
                self.crowd.kept.count()
            );
            self.harvest(usize::MAX).await;
        }
        let Self { daemon, crowd, .. } = self;
        well_said(&daemon.log().text());
        let tally = crowd.tally.clone();
        (daemon, tally)
    }
}

/// Nothing that goes on here is an error of the daemon's.
fn well_said(log: &str) {
    let bad: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked")).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
