//! Changing streams: each change is the catalog's, and what comes of it is taken in on its thread, in its order.

use payload_manager_catalog::{CatalogError, Change, Durability, Outcome, Refusal};
use payload_manager_types::{NewEntry, Retention, StreamName, UnixMillis};

use super::{Error, Streams};
use crate::engine::Engine;

/// Payloads that are looked up at a time: who waits for the ledger must not wait for all of an append.
const LOOK_UPS: usize = 256;

impl Engine {
    /// Makes a stream.
    ///
    /// # Errors
    /// [`Error::StreamExists`], [`Error::Catalog`].
    pub async fn create_stream(&self, name: StreamName, retention: Retention) -> Result<(), Error> {
        let change = Change::CreateStream { name: name.clone(), retention, at: self.now().wall };
        self.change_streams("create-stream", change, move |streams, result| match result? {
            Outcome::Refused(_) => Err(Error::StreamExists(name)),
            _ => {
                streams.made(name, retention);
                Ok(())
            }
        })
        .await
    }

    /// Removes a stream and ends its subscriptions; none is fine.
    ///
    /// # Errors
    /// [`Error::Catalog`].
    pub async fn delete_stream(&self, name: StreamName) -> Result<(), Error> {
        let engine = self.clone();
        self.detached("delete-stream", async move {
            let pass = engine.0.gate.pass().await?;
            // From here on what is read by this name may be another stream's.
            engine.0.streams.leaving(&name);
            let (change, worker) = (Change::DeleteStream { name: name.clone() }, engine.clone());
            let pending = engine.0.gate.submit_then(pass, change, Durability::Synced, move |result| {
                worker.0.streams.left(&name, result.is_ok());
                Ok(result.map(drop)?)
            });
            pending.done().await
        })
        .await
    }

    /// Appends entries, all or none; answers their first and last offset once they are durable. No entries: nothing
    /// changes, and there are no offsets.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`], [`Error::Catalog`]; [`Error::Refused`] if a payload is not there or not committed.
    pub async fn append(&self, name: StreamName, entries: Vec<NewEntry>) -> Result<Option<(u64, u64)>, Error> {
        self.0.streams.find(&name)?;
        if entries.is_empty() {
            return Ok(None);
        }
        let at = self.check_entries(&entries)?;
        let change = Change::Append { stream: name.clone(), entries: entries.clone(), at };
        self.change_streams("append", change, move |streams, result| match result? {
            Outcome::Appended { first, last, oldest } => {
                streams.appended(&name, first, at, entries, oldest);
                Ok(Some((first, last)))
            }
            Outcome::Refused(Refusal::NoSuchStream) => Err(Error::NoSuchStream(name)),
            other => Err(Error::Bug(format!("an append came back as {other:?}"))),
        })
        .await
    }

    fn check_entries(&self, entries: &[NewEntry]) -> Result<UnixMillis, Error> {
        let now = self.now();
        for some in entries.chunks(LOOK_UPS) {
            let ledger = self.ledger();
            some.iter().try_for_each(|entry| ledger.check_committed(entry.payload, now))?;
        }
        Ok(now.wall)
    }

    /// Says how far a consumer group has come.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`], [`Error::Catalog`]; [`Error::Offset`] beyond the next offset to be written.
    pub async fn commit_offset(&self, name: StreamName, group: String, offset: u64) -> Result<(), Error> {
        let change = Change::CommitOffset { stream: name.clone(), group, offset, at: self.now().wall };
        self.change_streams("commit-offset", change, move |streams, result| match result? {
            Outcome::Refused(Refusal::OffsetBeyondEnd { next }) => {
                let (first, _) = streams.find(&name)?.bounds();
                Err(Error::Offset { stream: name, asked: offset, first, next })
            }
            Outcome::Refused(_) => Err(Error::NoSuchStream(name)),
            _ => {
                streams.logs.notify_one();
                Ok(())
            }
        })
        .await
    }

    /// Makes a change durable, and takes in on the catalog's thread what came of it.
    async fn change_streams<T: Send + 'static>(
        &self,
        task: &'static str,
        change: Change,
        then: impl FnOnce(&Streams, Result<Outcome, CatalogError>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let engine = self.clone();
        self.detached(task, async move {
            let pass = engine.0.gate.pass().await?;
            let worker = engine.clone();
            let taken_in = move |result| then(&worker.0.streams, result);
            engine.0.gate.submit_then(pass, change, Durability::Synced, taken_in).done().await
        })
        .await
    }
}
