//! The one FIFO in front of a [`Store`]: what is queued becomes one transaction, answered change by change, in order.
//!
//! ```text
//! submit ──► queue (bounded) ──► batch ──► without what it overwrites itself ──► apply ──► each change's `done`
//!                ▲                                                                 │
//!                └───────── what is Soon, first in line again ◄──── failed ────────┘
//! ```
//!
//! So the changes of one payload are applied in the order they were submitted, also when the store fails in between.
//! What holds several rows together is the caller's: a change is the unit.

mod coalesce;
mod queue;
mod run;
#[cfg(test)]
mod tests;

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use payload_manager_types::InstanceId;

use crate::change::{Change, Durability, Outcome};
use crate::readers::Readers;
use crate::store::{Reader, Store, StoreError};
#[cfg(test)]
pub(crate) use coalesce::Coalesced;
use queue::{Job, Queue};

/// Called once with what came of a change, on the writer's thread and in the order of submission: keep it short.
pub type Done = Box<dyn FnOnce(Result<Outcome, CatalogError>) + Send>;

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no thread for the writer.
    #[error("the catalog's writer can't be started: {0}")]
    NoThread(String),
    /// The catalog was stopped before the change came to it.
    #[error("the catalog is shutting down; the change was not made")]
    Stopped,
}

/// The catalog at work. Dropped, it stops as [`Catalog::stop`] does.
#[derive(Debug)]
pub struct Catalog {
    queue: Arc<Queue>,
    readers: Readers,
    instance: InstanceId,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Catalog {
    /// Starts the thread `catalog-writer` in front of `store`. At most `capacity` changes wait; 0 is taken for 1.
    ///
    /// # Errors
    /// [`CatalogError::NoThread`], or the store's if it can't be read.
    pub fn start(store: Box<dyn Store>, capacity: usize) -> Result<Self, CatalogError> {
        let instance = store.instance();
        let readers = Readers::like(store.reader()?);
        let queue = Arc::new(Queue::new(capacity.max(1)));
        let of_thread = Arc::clone(&queue);
        let builder = thread::Builder::new().name("catalog-writer".to_owned());
        let thread = builder.spawn(move || run::run(store, &of_thread));
        let thread = thread.map_err(|error| CatalogError::NoThread(error.to_string()))?;
        queue.set_writer(thread.thread().id());
        Ok(Self { queue, readers, instance, thread: Mutex::new(Some(thread)) })
    }

    /// Whose catalog this is.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Queues a change; blocks while the queue is full, unless called from a `done`. `done` is called exactly once,
    /// here and now if the catalog is stopped.
    ///
    /// A change that is [`Durability::Soon`] is never answered with an error of the store unless the catalog is stopped
    /// while the store fails.
    pub fn submit(&self, change: Change, durability: Durability, done: Done) {
        if let Err(job) = self.queue.push(Job { change, durability, done }) {
            (job.done)(Err(CatalogError::Stopped));
        }
    }

    /// Makes a change and waits for it. Not for a `done`: it would wait for itself.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn write(&self, change: Change, durability: Durability) -> Result<Outcome, CatalogError> {
        let (sender, answer) = mpsc::sync_channel(1);
        let done = move |outcome| drop(sender.send(outcome));
        self.submit(change, durability, Box::new(done));
        answer.recv().unwrap_or(Err(CatalogError::Stopped))
    }

    /// Counts a start of the daemon, durably, and answers its number: from 1, each time one more.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn next_start(&self) -> Result<u64, CatalogError> {
        match self.write(Change::CountStart, Durability::Synced)? {
            Outcome::Start(number) => Ok(number),
            other => Err(StoreError::Unavailable(format!("a start came back as {other:?}: a bug")).into()),
        }
    }

    /// Lends a reader to `read`, which sees every change that was answered before. It may block; any number may read at
    /// once.
    ///
    /// # Errors
    /// What `read` returns, or why there is no reader.
    pub fn read<T>(&self, read: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.readers.with(read)
    }

    /// Changes submitted and not yet answered.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// Whether the last transaction succeeded.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.queue.healthy()
    }

    /// Writes everything that is queued, then ends the thread and closes the store. What the store still refuses after
    /// some tries is answered with its error. Later changes are answered with [`CatalogError::Stopped`].
    pub fn stop(&self) {
        self.queue.close();
        let Some(thread) = self.thread.lock().take() else { return };
        // The last owner may be a `done`: the thread can't wait for itself, and ends by itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the catalog's writer panicked: a bug; what was queued is lost");
        }
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        self.stop();
    }
}
