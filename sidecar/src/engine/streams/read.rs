//! Looking at streams: their entries, from the tail or the catalog, their bounds and their consumer groups.

use std::sync::Arc;

use payload_manager_catalog::{ConsumerGroup, Limit, Page, Reader, Span, StoreError, StreamInfo};
use payload_manager_types::{StreamName, UnixMillis};

use super::live::{Live, Look, Shared};
use super::{Error, Standing};
use crate::engine::Engine;

/// Bytes read at a time, as the catalog counts them; one entry whatever its size. No answer is larger than 3 MiB.
const READ_BYTES: usize = 3 << 20;
/// What is read at a time of a range.
const CHUNK: Limit = Limit { items: 4096, bytes: 1 << 20 };

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

/// What the catalog has from an offset on.
pub(super) enum Rows {
    /// These, the first of them at that offset; with a time to look from possibly later, possibly none.
    Entries(Vec<Shared>),
    /// Retention has removed that offset meanwhile.
    Cut { first: u64, next: u64 },
}

impl Engine {
    /// Reads entries.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`], [`Error::Catalog`]; [`Error::Offset`] outside what is kept.
    pub async fn read_stream(&self, name: &StreamName, span: ReadSpan) -> Result<Vec<Shared>, Error> {
        let live = self.0.streams.find(name)?;
        let offset = |asked, first, next| Error::Offset { stream: name.clone(), asked, first, next };
        let limit = Limit { items: span.max, bytes: READ_BYTES };
        let mut from = span.from;
        loop {
            let at = match (live.look(from, limit), span.not_before) {
                (Look::Gone, _) => return Err(Error::NoSuchStream(name.clone())),
                (Look::Removed { first, next }, _) => return Err(offset(from.unwrap_or(first), first, next)),
                (Look::End(next), _) => {
                    let asked = from.unwrap_or(next);
                    return if asked > next { Err(offset(asked, live.bounds().0, next)) } else { Ok(Vec::new()) };
                }
                (Look::Tail(entries), None) => return Ok(entries),
                (Look::Tail(entries), Some(_)) => entries.first().map_or(0, |entry| entry.offset),
                (Look::Behind(at), _) => at,
            };
            match self.rows(name, &live, Span { from: at, to: u64::MAX, not_before: span.not_before }, limit).await? {
                Rows::Entries(entries) => return Ok(entries),
                Rows::Cut { first, next } if span.from.is_some() => return Err(offset(at, first, next)),
                Rows::Cut { first, .. } => from = Some(first),
            }
        }
    }

    /// Gives `take` the entries from `start` to `end`, both inclusive, as far as they exist, until it takes no more.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`], [`Error::Catalog`]; [`Error::RangeCut`] if retention has removed any of them, also while
    /// they are read.
    pub async fn read_range(
        &self,
        name: &StreamName,
        (start, end): (u64, u64),
        mut take: impl FnMut(&Shared) -> bool + Send,
    ) -> Result<(), Error> {
        let live = self.0.streams.find(name)?;
        let cut = |asked, first| Error::RangeCut { stream: name.clone(), asked, first };
        let mut at = start;
        loop {
            let entries = match live.look(Some(at), CHUNK) {
                Look::Gone => return Err(Error::NoSuchStream(name.clone())),
                Look::Removed { first, .. } => return Err(cut(at, first)),
                Look::End(_) => return Ok(()),
                Look::Tail(entries) => entries,
                Look::Behind(from) => {
                    match self.rows(name, &live, Span { from, to: end, not_before: None }, CHUNK).await? {
                        Rows::Entries(entries) => entries,
                        Rows::Cut { first, .. } => return Err(cut(at, first)),
                    }
                }
            };
            for entry in entries.iter().take_while(|entry| entry.offset <= end) {
                if !take(entry) {
                    return Ok(());
                }
            }
            match entries.last() {
                Some(last) if last.offset < end => at = last.offset + 1,
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// Reads what lies behind the tail of `live`; the stream of that name still was this one afterwards.
    pub(super) async fn rows(
        &self,
        name: &StreamName,
        live: &Arc<Live>,
        span: Span,
        limit: Limit,
    ) -> Result<Rows, Error> {
        let mut grown = live.watch();
        loop {
            grown.borrow_and_update();
            let stream = name.clone();
            let rows = self.look_up(move |reader| rows_now(reader, &stream, span, limit)).await;
            match self.0.streams.standing(name, live) {
                Standing::Here => return rows,
                Standing::Gone => return Err(Error::NoSuchStream(name.clone())),
                // Whoever deletes it wakes us.
                Standing::Leaving => grown.changed().await.map_err(|_| Error::ShuttingDown)?,
            }
        }
    }

    /// How far a consumer group has come; `None` if it never said so.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`], [`Error::Catalog`].
    pub async fn committed(&self, name: StreamName, group: String) -> Result<Option<u64>, Error> {
        self.0.streams.find(&name)?;
        self.look_up(move |reader| reader.committed(&name, &group)).await
    }

    /// A stream's bounds and retention, and its consumer groups by name, as many as `limit` says.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`], [`Error::Catalog`].
    pub async fn stream_info(
        &self,
        name: StreamName,
        limit: Limit,
    ) -> Result<(StreamInfo, Page<ConsumerGroup>), Error> {
        let stream = name.clone();
        let found = self.look_up(move |reader| {
            let Some(info) = reader.stream(&stream)? else { return Ok(None) };
            Ok(Some((info, reader.groups(&stream, None, limit)?)))
        });
        found.await?.ok_or(Error::NoSuchStream(name))
    }

    /// Streams by namespace and name, from after `after` on.
    ///
    /// # Errors
    /// [`Error::Catalog`].
    pub async fn streams(&self, after: Option<StreamName>, limit: Limit) -> Result<Page<StreamInfo>, Error> {
        self.look_up(move |reader| reader.streams_after(after.as_ref(), limit)).await
    }
}

fn rows_now(reader: &mut dyn Reader, name: &StreamName, span: Span, limit: Limit) -> Result<Rows, StoreError> {
    let entries = reader.entries(name, span, limit)?.items;
    let begins = entries.first().is_some_and(|entry| entry.offset == span.from);
    // What was removed before the entries were read is gone from these bounds, too.
    let info = if begins { None } else { reader.stream(name)? };
    Ok(match info {
        Some(StreamInfo { first, next, .. }) if first > span.from => Rows::Cut { first, next },
        Some(_) | None => Rows::Entries(entries.into_iter().map(Arc::new).collect()),
    })
}
