//! Streams: ordered logs of payload ids, kept by the catalog, with their newest entries in memory.
//!
//! ```text
//! append ─► ledger: all committed? ─► catalog, synced ─► tail, in the order of the catalog ─► subscribers wake
//! ```
//!
//! A subscriber reads the tail, or the catalog where the tail does not reach back far enough, at its own pace: nobody
//! waits for it, and nothing is kept for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use payload_manager_catalog::{Catalog, Change, Durability, Limit, Outcome, Refusal, Span, StreamInfo};
use payload_manager_types::{NewEntry, Retention, StreamEntry, StreamName, UnixMillis};
use tokio::sync::{oneshot, watch};

use super::{Engine, Error, blocking};

/// Entries a stream keeps in memory, and their bytes; the newest one whatever its size.
const TAIL: Limit = Limit { items: 1024, bytes: 1 << 20 };
/// Bytes read at a time, as the catalog counts them; one entry whatever its size. No answer is larger than 3 MiB.
const READ_BYTES: usize = 3 << 20;
/// Entries read at a time for a subscriber.
const CHUNK: usize = 256;

/// Which entries to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadSpan {
    /// From this offset; `None`: from the oldest kept.
    pub from: Option<u64>,
    /// At most so many.
    pub max: usize,
    /// Only those appended then or later.
    pub not_before: Option<UnixMillis>,
}

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

/// All streams.
pub(super) struct Streams {
    live: RwLock<HashMap<StreamName, Arc<Live>>>,
}

/// One stream.
struct Live {
    state: Mutex<State>,
    /// The next offset; closed when the stream is deleted.
    grown: watch::Sender<u64>,
}

struct State {
    first: u64,
    next: u64,
    tail: VecDeque<StreamEntry>,
    gone: bool,
}

impl Live {
    fn new(first: u64, next: u64) -> Arc<Self> {
        let state = State { first, next, tail: VecDeque::new(), gone: false };
        Arc::new(Self { state: Mutex::new(state), grown: watch::Sender::new(next) })
    }

    /// Takes in what the catalog has written and what it no longer keeps, in its order.
    fn extend(&self, first: u64, at: UnixMillis, entries: Vec<NewEntry>, oldest: u64) {
        let mut state = self.state.lock();
        state.first = oldest;
        for (offset, what) in (first..).zip(entries) {
            state.tail.push_back(StreamEntry { offset, append_time: at, what });
            state.next = offset + 1;
        }
        let over = state.tail.len() - newest(&state.tail);
        let gone = state.tail.iter().take_while(|entry| entry.offset < oldest).count();
        state.tail.drain(..over.max(gone));
        self.grown.send_replace(state.next);
    }

    /// Entries from `from` on, at most `max`, if the tail reaches back that far.
    fn tail_at(&self, from: u64, max: usize) -> Option<Vec<StreamEntry>> {
        let state = self.state.lock();
        if from >= state.next {
            return Some(Vec::new());
        }
        let skip = from.checked_sub(state.tail.front()?.offset)?;
        Some(state.tail.iter().skip(usize::try_from(skip).ok()?).take(max).cloned().collect())
    }

    fn bounds(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.first, state.next)
    }
}

/// How many entries from the end on are kept.
fn newest(tail: &VecDeque<StreamEntry>) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&StreamEntry| {
        bytes += entry.what.tags.iter().map(|(name, value)| name.len() + value.len() + 16).sum::<usize>() + 128;
        bytes <= TAIL.bytes
    };
    tail.iter().rev().take(TAIL.items).take_while(fits).count().max(usize::from(!tail.is_empty()))
}

impl Streams {
    /// Every stream of the catalog.
    pub(super) fn load(catalog: &Catalog) -> Result<Self, Error> {
        let known = catalog.read(|reader| reader.streams())?;
        let live = known.into_iter().map(|StreamInfo { name, first, next, .. }| (name, Live::new(first, next)));
        Ok(Self { live: RwLock::new(live.collect()) })
    }

    fn find(&self, name: &StreamName) -> Result<Arc<Live>, Error> {
        self.live.read().get(name).cloned().ok_or_else(|| Error::NoSuchStream(name.clone()))
    }
}

/// A subscriber's place in a stream.
pub struct Subscription {
    engine: Engine,
    name: StreamName,
    live: Arc<Live>,
    grown: watch::Receiver<u64>,
    at: u64,
}

impl Subscription {
    /// The next entries, at least one; waits for them.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`] once the stream is deleted; [`Error::Offset`] if retention overtook the subscriber.
    pub async fn next(&mut self) -> Result<Vec<StreamEntry>, Error> {
        loop {
            if self.live.state.lock().gone {
                return Err(Error::NoSuchStream(self.name.clone()));
            }
            let span = ReadSpan { from: Some(self.at), max: CHUNK, not_before: None };
            let next = *self.grown.borrow_and_update();
            if self.at < next {
                let entries = self.engine.read_live(&self.live, &self.name, span).await?;
                if let Some(last) = entries.last() {
                    self.at = last.offset + 1;
                    return Ok(entries);
                }
            }
            self.grown.changed().await.map_err(|_| Error::NoSuchStream(self.name.clone()))?;
        }
    }
}

impl Engine {
    /// Makes a stream.
    ///
    /// # Errors
    /// [`Error::StreamExists`], [`Error::Catalog`].
    pub async fn create_stream(&self, name: StreamName, retention: Retention) -> Result<(), Error> {
        let engine = self.clone();
        self.detached("create-stream", async move {
            let change = Change::CreateStream { name: name.clone(), retention, at: engine.now().wall };
            let (sender, receiver) = oneshot::channel();
            let pass = engine.0.gate.pass().await?;
            let worker = engine.clone();
            engine.0.gate.submit_then(pass, change, Durability::Synced, move |result| {
                let made = match result {
                    Ok(Outcome::Refused(_)) => Err(Error::StreamExists(name)),
                    Ok(_) => {
                        worker.0.streams.live.write().insert(name, Live::new(0, 0));
                        Ok(())
                    }
                    Err(error) => Err(error.into()),
                };
                drop(sender.send(made));
            });
            receiver.await.unwrap_or(Err(Error::ShuttingDown))
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
            let (sender, receiver) = oneshot::channel();
            let pass = engine.0.gate.pass().await?;
            let worker = engine.clone();
            let change = Change::DeleteStream { name: name.clone() };
            engine.0.gate.submit_then(pass, change, Durability::Synced, move |result| {
                let done = result.map_err(Error::from).map(|_| {
                    if let Some(live) = worker.0.streams.live.write().remove(&name) {
                        live.state.lock().gone = true;
                        live.grown.send_modify(|_| {});
                    }
                });
                drop(sender.send(done));
            });
            receiver.await.unwrap_or(Err(Error::ShuttingDown))
        })
        .await
    }

    /// Appends entries, all or none; answers their first and last offset once they are durable. No entries: nothing
    /// changes, and the answer is the offset the next one would get, twice.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`], [`Error::Catalog`]; [`Error::Refused`] if a payload is not there or not committed.
    pub async fn append(&self, name: StreamName, entries: Vec<NewEntry>) -> Result<(u64, u64), Error> {
        let live = self.0.streams.find(&name)?;
        if entries.is_empty() {
            let (_, next) = live.bounds();
            return Ok((next, next));
        }
        let engine = self.clone();
        self.detached("append", async move {
            let at = engine.check_entries(&entries)?;
            let (sender, receiver) = oneshot::channel();
            let change = Change::Append { stream: name.clone(), entries: entries.clone(), at };
            let pass = engine.0.gate.pass().await?;
            engine.0.gate.submit_then(pass, change, Durability::Synced, move |result| {
                let appended = match result {
                    Ok(Outcome::Appended { first, last, oldest }) => {
                        live.extend(first, at, entries, oldest);
                        Ok((first, last))
                    }
                    Ok(Outcome::Refused(Refusal::NoSuchStream)) => Err(Error::NoSuchStream(name)),
                    Ok(other) => Err(Error::Bug(format!("an append came back as {other:?}"))),
                    Err(error) => Err(error.into()),
                };
                drop(sender.send(appended));
            });
            receiver.await.unwrap_or(Err(Error::ShuttingDown))
        })
        .await
    }

    fn check_entries(&self, entries: &[NewEntry]) -> Result<UnixMillis, Error> {
        let (ledger, now) = (self.ledger(), self.now());
        entries.iter().try_for_each(|e| ledger.check_committed(e.payload, now))?;
        Ok(now.wall)
    }

    /// Reads entries.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`], [`Error::Catalog`]; [`Error::Offset`] outside what is kept.
    pub async fn read_stream(&self, name: &StreamName, span: ReadSpan) -> Result<Vec<StreamEntry>, Error> {
        let live = self.0.streams.find(name)?;
        self.read_live(&live, name, span).await
    }

    async fn read_live(&self, live: &Live, name: &StreamName, span: ReadSpan) -> Result<Vec<StreamEntry>, Error> {
        let (first, next) = live.bounds();
        let from = span.from.unwrap_or(first);
        if from < first || from > next {
            return Err(Error::Offset { stream: name.clone(), asked: from, first, next });
        }
        if span.not_before.is_none()
            && let Some(entries) = live.tail_at(from, span.max)
        {
            return Ok(entries);
        }
        let (catalog, name) = (Arc::clone(self.0.gate.catalog()), name.clone());
        let asked = Span { from, to: u64::MAX, not_before: span.not_before };
        blocking(move || {
            Ok(catalog.read(|reader| reader.entries(&name, asked, Limit { items: span.max, bytes: READ_BYTES }))?.items)
        })
        .await
    }

    /// Follows a stream.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`]; [`Error::Offset`] if the start is no longer kept.
    pub fn subscribe(&self, name: StreamName, start: Start) -> Result<Subscription, Error> {
        let live = self.0.streams.find(&name)?;
        let (first, next) = live.bounds();
        let at = match start {
            Start::Beginning => first,
            Start::Latest => next,
            Start::Offset(asked) if asked < first => {
                return Err(Error::Offset { stream: name, asked, first, next });
            }
            Start::Offset(asked) => asked,
        };
        let grown = live.grown.subscribe();
        Ok(Subscription { engine: self.clone(), name, live, grown, at })
    }
}
