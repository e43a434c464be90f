//! Reads a copy, a few parts ahead of who reads it. Memory is bounded: [`PART`] bytes for each part that is under way or
//! being read, [`AHEAD_MAX`] of them at most.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, GetResultPayload, ObjectStore};
use payload_manager_types::{PayloadId, Tier};

use super::driver::Running;
use super::fail;
use super::held::{Held, Part};
use super::remote::Remote;
use crate::{Source, TierError};

/// How much one request asks for, in bytes.
pub(super) const PART: u64 = 8 << 20;
/// Parts that may be held at once, so that a reader holds 64 MiB at most.
pub(super) const AHEAD_MAX: u64 = 8;

/// One copy being read.
#[derive(Debug)]
pub(super) struct ObjectSource {
    remote: Arc<Remote>,
    id: PayloadId,
    size: u64,
    /// The part that is being read, by number.
    current: Option<(u64, Part)>,
    /// Parts under way, one after the other.
    ahead: VecDeque<(u64, Running<Part>)>,
}

impl ObjectSource {
    /// The copy is there, with that size.
    pub(super) fn new(remote: Arc<Remote>, id: PayloadId, size: u64) -> Self {
        Self { remote, id, size, current: None, ahead: VecDeque::new() }
    }

    /// The part of that number, having asked for those after it.
    fn part(&mut self, number: u64) -> Result<&Part, TierError> {
        if self.current.as_ref().is_none_or(|(have, _)| *have != number) {
            // What was read is let go before more is asked for: that keeps the bound.
            self.current = None;
            self.ask_from(number);
            let part = match self.ahead.pop_front() {
                Some((_, running)) => running.wait()?,
                None => return Err(self.odd("no part was asked for")),
            };
            self.current = Some((number, part));
        }
        self.current.as_ref().map(|(_, part)| part).ok_or_else(|| self.odd("no part"))
    }

    /// Sees to it that `number` and the parts after it are under way.
    fn ask_from(&mut self, number: u64) {
        if self.ahead.front().is_none_or(|(first, _)| *first != number) {
            self.ahead.clear();
        }
        let most = self.remote.options.in_flight.clamp(1, AHEAD_MAX);
        let next = self.ahead.back().map_or(number, |(last, _)| last + 1);
        for wanted in (next..self.size.div_ceil(PART)).take_while(|wanted| wanted - number < most) {
            let running = self.ask(wanted);
            self.ahead.push_back((wanted, running));
        }
    }

    fn ask(&self, number: u64) -> Running<Part> {
        let start = number * PART;
        let key = self.remote.layout.bin(self.id);
        let fetch = Fetch {
            store: Arc::clone(&self.remote.store),
            held: Arc::clone(&self.remote.held),
            doing: self.remote.doing("reading", &key),
            key,
            id: self.id,
            size: self.size,
            range: start..(start + PART).min(self.size),
        };
        self.remote.driver.start_work(fetch.run())
    }

    fn odd(&self, what: &str) -> TierError {
        fail::odd(format!("reading payload {}", self.id), io::ErrorKind::Other, what)
    }
}

impl Source for ObjectSource {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as u64;
            if at >= self.size {
                break;
            }
            let within = usize::try_from(at % PART).unwrap_or(usize::MAX);
            let bytes = self.part(at / PART)?.bytes().get(within..).unwrap_or_default();
            let now = bytes.len().min(rest.len());
            let (Some(to), Some(from)) = (rest.get_mut(..now), bytes.get(..now)) else { break };
            to.copy_from_slice(from);
            done += now;
        }
        Ok(done)
    }
}

/// One request for a part.
struct Fetch {
    store: Arc<dyn ObjectStore>,
    held: Arc<Held>,
    doing: String,
    key: Path,
    id: PayloadId,
    size: u64,
    range: Range<u64>,
}

impl Fetch {
    /// The part, whole. Whatever went wrong, an object that changed its length is what is said.
    async fn run(self) -> Result<Part, TierError> {
        match self.get().await {
            Ok(part) => Ok(part),
            Err(error) => Err(self.resized().await.unwrap_or(error)),
        }
    }

    async fn get(&self) -> Result<Part, TierError> {
        let failed = |e: Error| fail::on_copy(self.id, self.doing.clone(), &e);
        let range = Some(GetRange::Bounded(self.range.clone()));
        let found =
            self.store.get_opts(&self.key, GetOptions { range, ..GetOptions::default() }).await.map_err(failed)?;
        if found.meta.size != self.size {
            return Err(self.wrong_size(found.meta.size));
        }
        let room = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let mut part = Part::new(&self.held, room);
        part = match found.payload {
            // The crate would read it in pieces of 8 KiB.
            GetResultPayload::File(file, _) => self.read(part, file).await?,
            GetResultPayload::Stream(mut pieces) => {
                while let Some(piece) = pieces.next().await {
                    part.take(&piece.map_err(failed)?);
                }
                part
            }
        };
        if part.is_full() {
            return Ok(part);
        }
        let what = format!("{} bytes came instead of {room}", part.bytes().len());
        Err(TierError::Unavailable { tier: Tier::Object, doing: self.doing.clone(), what })
    }

    async fn read(&self, part: Part, file: File) -> Result<Part, TierError> {
        let start = self.range.start;
        let read = tokio::task::spawn_blocking(move || part.read_from(&file, start)).await;
        let read = read.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        read.map_err(|error| crate::fail::io(Tier::Object, self.doing.clone(), error))
    }

    async fn resized(&self) -> Option<TierError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found = self.store.get_opts(&self.key, options).await.ok()?.meta.size;
        (found != self.size).then(|| self.wrong_size(found))
    }

    fn wrong_size(&self, found: u64) -> TierError {
        TierError::WrongSize { id: self.id, tier: Tier::Object, expected: self.size, found }
    }
}
