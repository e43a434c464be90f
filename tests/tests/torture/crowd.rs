//! The workers, as the run has them: started, listened to, stopped, killed.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use payload_manager_tests::crash::Dice;
use payload_manager_tests::wait::HANGS;

use crate::kept::{KEPT, Kept};
use crate::tally::Tally;
use crate::worker::{SEED, SOCKET, TALLY};

/// What is heard of a worker.
enum Heard {
    Line(String),
    /// It speaks no more.
    End(u64),
}

/// A worker's process. Dropping it kills it.
struct Worker {
    number: u64,
    child: Child,
    stopped: bool,
}

impl Worker {
    fn signal(&self, signal: Signal) {
        // Not reaped yet, so this is nobody else's number.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

pub(crate) struct Crowd {
    socket: PathBuf,
    /// The same, from where no session socket is to be seen.
    apart: PathBuf,
    workers: Vec<Worker>,
    next: u64,
    heard: Receiver<Heard>,
    say: Sender<Heard>,
    pub(crate) tally: Tally,
    pub(crate) kept: Kept,
}

impl Crowd {
    /// Of the daemon at `socket`, with `folder` for what it needs itself.
    pub(crate) fn new(socket: &Path, folder: &Path) -> Self {
        let (say, heard) = channel();
        let (tally, kept) = (Tally::default(), Kept::default());
        let apart = folder.join("apart.sock");
        symlink(socket, &apart).unwrap();
        Self { socket: socket.to_owned(), apart, workers: Vec::new(), next: 0, heard, say, tally, kept }
    }

    /// Starts one. One in five has no session.
    pub(crate) fn hire(&mut self, dice: &mut Dice) {
        let number = self.next;
        self.next += 1;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "worker::worker", "--nocapture"]);
        let socket = if dice.one_in(5) { &self.apart } else { &self.socket };
        command.env(SOCKET, socket).env(SEED, dice.throw().to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let say = self.say.clone();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| _ = say.send(Heard::Line(line)));
            let _ = say.send(Heard::End(number));
        });
        self.workers.push(Worker { number, child, stopped: false });
    }

    /// Kills one, wherever it is.
    pub(crate) fn kill(&mut self, dice: &mut Dice) {
        let at = usize::try_from(dice.below(self.workers.len() as u64)).unwrap();
        let mut worker = self.workers.swap_remove(at);
        worker.signal(Signal::SIGKILL);
        judge(worker.number, worker.child.wait().unwrap(), true);
    }

    /// Stops one, until [`Self::wake`]. Whether one did run.
    pub(crate) fn stop(&mut self, dice: &mut Dice) -> bool {
        let at = usize::try_from(dice.below(self.workers.len() as u64)).unwrap();
        let worker = &mut self.workers[at];
        worker.signal(Signal::SIGSTOP);
        !std::mem::replace(&mut worker.stopped, true)
    }

    /// Lets all go on that were stopped.
    pub(crate) fn wake(&mut self) {
        for worker in self.workers.iter_mut().filter(|worker| worker.stopped) {
            worker.signal(Signal::SIGCONT);
            worker.stopped = false;
        }
    }

    /// Listens for so long. A worker that ends by itself has found something wrong.
    pub(crate) fn listen(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            match self.heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(heard) => self.hear(heard),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Line(line) => {
                // The first is behind what the test's own frame says.
                if let Some((_, told)) = line.split_once(TALLY) {
                    Tally::of_line(told).iter().for_each(|tally| self.tally.add(tally));
                } else if let Some((_, told)) = line.split_once(KEPT) {
                    self.kept.note(told);
                }
            }
            Heard::End(number) => {
                let Some(at) = self.workers.iter().position(|worker| worker.number == number) else { return };
                let status = self.workers.swap_remove(at).child.wait().unwrap();
                judge(number, status, false);
            }
        }
    }

    /// Asks all to end in order, and waits until they have.
    pub(crate) fn end(&mut self) {
        self.wake();
        self.workers.iter_mut().for_each(|worker| drop(worker.child.stdin.take()));
        let until = Instant::now() + HANGS;
        while !self.workers.is_empty() {
            match self.heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Heard::End(number)) => {
                    let Some(at) = self.workers.iter().position(|worker| worker.number == number) else { continue };
                    let status = self.workers.swap_remove(at).child.wait().unwrap();
                    assert!(status.success(), "worker {number} ended with {status}: it says why above");
                }
                Ok(line) => self.hear(line),
                Err(_) => panic!("{} workers hang", self.workers.len()),
            }
        }
        self.listen(Duration::ZERO);
    }
}

/// What was not killed by the run has found something wrong, or was killed by it: by a signal for what it read.
fn judge(number: u64, status: ExitStatus, killed: bool) {
    use std::os::unix::process::ExitStatusExt;
    let by_us = killed && status.signal() == Some(Signal::SIGKILL as i32);
    assert!(by_us, "worker {number} ended with {status}: it says why above");
}
