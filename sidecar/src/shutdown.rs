//! How the daemon stops, and that nothing runs which nobody waits for.
//!
//! Every task is started through [`Tasks`], which counts it; [`Tasks::drain`] asks all to end and waits. A task that
//! panics stops the daemon: it would otherwise go on with a part missing.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The signals that ask for a stop.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes SIGTERM and SIGINT over from their default of ending the process at once. To be called inside the runtime.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one's name. A caller that gets a second one while it drains should stop waiting.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The tasks of the daemon and the wish that they end. Clones speak of the same tasks.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failed: Arc<Mutex<Option<&'static str>>>,
}

/// What [`Tasks::drain`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Tasks that still ran when the time was up.
    pub left: usize,
    /// The first task that panicked, if one did.
    pub failed: Option<&'static str>,
}

impl Drained {
    /// Whether every task ended, and in order.
    #[must_use]
    pub fn clean(&self) -> bool {
        self.left == 0 && self.failed.is_none()
    }
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task until it is done; one that runs for long listens to [`Self::stopping`].
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let watch = Watch { name, tasks: self.clone() };
        self.tracker.spawn(async move {
            task.await;
            drop(watch);
        });
    }

    /// Runs what blocks, on a thread for that. It can't be interrupted: [`Self::drain`] waits for it like for the rest.
    pub fn spawn_blocking(&self, name: &'static str, work: impl FnOnce() + Send + 'static) {
        let watch = Watch { name, tasks: self.clone() };
        self.tracker.spawn_blocking(move || {
            work();
            drop(watch);
        });
    }

    /// Asks every task to end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Ready once the tasks are asked to end.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// The token behind it, for libraries that want one.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Asks every task to end, and waits for them, `grace` at most. Tasks that are started meanwhile are waited for too.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.stop();
        self.tracker.close();
        // Out of time or not, what is left is counted.
        let _ = tokio::time::timeout(grace, self.tracker.wait()).await;
        Drained { left: self.tracker.len(), failed: *self.failed.lock() }
    }
}

/// Stands beside a task; notices, by being dropped while its thread unwinds, that it panicked.
struct Watch {
    name: &'static str,
    tasks: Tasks,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tasks.failed.lock().get_or_insert(self.name);
            self.tasks.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, raise};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_signal_is_told_by_name_and_does_not_end_the_process() {
        let mut signals = StopSignals::listen().unwrap();
        raise(Signal::SIGTERM).unwrap();
        assert_eq!(signals.next().await, "SIGTERM");
        raise(Signal::SIGINT).unwrap();
        assert_eq!(signals.next().await, "SIGINT");
    }

    #[tokio::test]
    async fn draining_waits_for_tasks_that_end_when_asked() {
        let tasks = Tasks::new();
        let (done, ended) = oneshot::channel();
        let stop = tasks.clone();
        tasks.spawn("listener", async move {
            stop.stopping().await;
            done.send(()).unwrap();
        });
        assert!(tasks.drain(Duration::from_secs(60)).await.clean());
        ended.await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_counted_when_the_time_is_up() {
        let tasks = Tasks::new();
        tasks.spawn("deaf", std::future::pending());
        let drained = tasks.drain(Duration::ZERO).await;
        assert_eq!(drained, Drained { left: 1, failed: None });
    }

    #[tokio::test]
    async fn a_task_that_panics_stops_the_rest_and_is_named() {
        let tasks = Tasks::new();
        tasks.spawn("broken", async { panic!("on purpose") });
        tasks.stopping().await;
        let drained = tasks.drain(Duration::from_secs(60)).await;
        assert_eq!(drained, Drained { left: 0, failed: Some("broken") });
    }

    #[tokio::test]
    async fn blocking_work_is_waited_for_and_its_panic_is_seen() {
        let tasks = Tasks::new();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        tasks.spawn_blocking("copy", move || wait.recv().unwrap());
        assert_eq!(tasks.drain(Duration::ZERO).await.left, 1);
        drop(go);
        let drained = tasks.drain(Duration::from_secs(60)).await;
        assert_eq!(drained, Drained { left: 0, failed: Some("copy") });
    }
}
