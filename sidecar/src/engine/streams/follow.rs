//! Following a stream. A subscriber is pulled by whoever reads it: it has a place in the stream and nothing else, no
//! task and no timer, and costs nothing while it waits.

use std::sync::Arc;

use payload_manager_catalog::{Limit, Span};
use payload_manager_types::StreamName;
use tokio::sync::watch;

use super::Error;
use super::live::{Live, Look, Shared};
use super::read::Rows;
use crate::engine::Engine;

/// Where a subscription starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest kept entry.
    Beginning,
    /// The next append.
    Latest,
    /// This offset; one that is not written yet is waited for.
    Offset(u64),
}

/// A subscriber's place in a stream.
pub struct Subscription {
    engine: Engine,
    name: StreamName,
    live: Arc<Live>,
    grown: watch::Receiver<()>,
    /// `None`: at the oldest kept entry, whichever that is by then.
    at: Option<u64>,
    limit: Limit,
}

impl Subscription {
    /// The next entries, at least one; waits for them. May be dropped while it waits, and called again.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`] once the stream is deleted; [`Error::Offset`] if retention overtook the subscriber;
    /// [`Error::Catalog`].
    pub async fn next(&mut self) -> Result<Vec<Shared>, Error> {
        loop {
            self.grown.borrow_and_update();
            match self.live.look(self.at, self.limit) {
                Look::Gone => return Err(Error::NoSuchStream(self.name.clone())),
                Look::Removed { first, next } => return Err(self.overtaken(first, next)),
                Look::Tail(entries) => return Ok(self.went(entries)),
                Look::Behind(from) => {
                    let span = Span { from, to: u64::MAX, not_before: None };
                    match self.engine.rows(&self.name, &self.live, span, self.limit).await? {
                        Rows::Entries(entries) if !entries.is_empty() => return Ok(self.went(entries)),
                        Rows::Entries(_) => {
                            return Err(Error::Bug(format!("stream {}: nothing at offset {from}", self.name)));
                        }
                        Rows::Cut { first, .. } if self.at.is_none() => self.at = Some(first),
                        Rows::Cut { first, next } => return Err(self.overtaken(first, next)),
                    }
                }
                // The sender lives as long as the stream that we hold.
                Look::End(_) => self.grown.changed().await.map_err(|_| Error::ShuttingDown)?,
            }
        }
    }

    fn went(&mut self, entries: Vec<Shared>) -> Vec<Shared> {
        self.at = entries.last().map(|last| last.offset + 1).or(self.at);
        entries
    }

    fn overtaken(&self, first: u64, next: u64) -> Error {
        Error::Offset { stream: self.name.clone(), asked: self.at.unwrap_or(first), first, next }
    }
}

impl Engine {
    /// Follows a stream; what it gives at a time is no more than `limit`.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`]; [`Error::Offset`] if the start is no longer kept.
    pub fn subscribe(&self, name: StreamName, start: Start, limit: Limit) -> Result<Subscription, Error> {
        let live = self.0.streams.find(&name)?;
        let (first, next) = live.bounds();
        let at = match start {
            Start::Beginning => None,
            Start::Latest => Some(next),
            Start::Offset(asked) if asked < first => {
                return Err(Error::Offset { stream: name, asked, first, next });
            }
            Start::Offset(asked) => Some(asked),
        };
        let grown = live.watch();
        Ok(Subscription { engine: self.clone(), name, live, grown, at, limit })
    }
}
