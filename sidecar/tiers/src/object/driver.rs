//! The threads that speak to the store. Not the callers' runtime: a caller waits on a thread that may block, and whoever
//! waits for one pool from inside it, with all its threads, waits for ever. These are nobody else's, so no number of
//! callers can take them away (name look-ups and `file://` need blocking threads of their own, too).

use std::future::Future;
use std::io;
use std::sync::mpsc::{Receiver, sync_channel};

use payload_manager_types::Tier;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use crate::TierError;

/// Threads that speak; more would only hash parts for their signatures faster.
const WORKERS: usize = 2;

/// Runs what is asynchronous for callers who block.
#[derive(Debug)]
pub(super) struct Driver {
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl Driver {
    pub(super) fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(WORKERS).thread_name("pm-object").enable_all().build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Starts `work`; dropping what is returned ends it.
    pub(super) fn start_work<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, TierError>> + Send + 'static,
    ) -> Running<T> {
        let (tell, told) = sync_channel(1);
        let task = self.runtime.as_ref().map(|runtime| {
            // Whoever stopped listening wants no answer.
            runtime.spawn(async move { drop(tell.send(work.await)) }).abort_handle()
        });
        Running { told, task }
    }

    /// Does `work`, and waits for it. Never panics, whatever thread this is.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, TierError>> + Send + 'static,
    ) -> Result<T, TierError> {
        self.start_work(work).wait()
    }
}

impl Drop for Driver {
    /// Waits for nobody, as the last owner may be a thread of another runtime, which may not block.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Work under way; dropped, it is given up.
#[derive(Debug)]
pub(super) struct Running<T> {
    told: Receiver<Result<T, TierError>>,
    task: Option<AbortHandle>,
}

impl<T> Running<T> {
    /// What became of it.
    pub(super) fn wait(self) -> Result<T, TierError> {
        let gone = || TierError::Unavailable {
            tier: Tier::Object,
            doing: "waiting for an answer".to_owned(),
            what: "the work was given up, because the daemon ends or because of a bug".to_owned(),
        };
        self.told.recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}
