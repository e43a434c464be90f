//! Streams' logs, written beside the durable copies: from there a rebuild makes them again.
//!
//! The catalog marks, in the transaction that changes a stream, that its archived log is behind; this brings it up to date
//! soon after, and takes the mark away. A crash in between is made good by the next start. Nobody waits for it.

use std::time::Duration;

use futures_util::StreamExt as _;
use payload_manager_catalog::{Change, Durability, Limit, Span, StaleLog, StreamInfo};
use payload_manager_tiers::{Notes, TierError};
use payload_manager_types::StreamName;

use super::Error;
use crate::engine::{Engine, blocking};
use crate::stream_log::{Archive, CHUNK, Head, chunks};

/// How long changes are gathered: what is appended meanwhile is written at once.
const PACE: Duration = Duration::from_secs(5);

/// How many marks are looked up at once.
const PAGE: usize = 64;

/// What of a chunk is held in memory, and written, at a time.
const PART: Limit = Limit { items: usize::MAX, bytes: 1 << 20 };

/// Streams that are written at a time: an object store answers in milliseconds, and several at once as fast.
const AT_ONCE: usize = 8;

impl Engine {
    /// Brings archived logs up to date until the daemon stops.
    pub(in crate::engine) async fn keep_logs(&self) {
        loop {
            let rung = async {
                self.0.streams.logs.notified().await;
                tokio::time::sleep(PACE).await;
            };
            let well = self.catch_up_logs().await;
            tokio::select! {
                () = self.0.tasks.stopping() => break,
                () = rung => {}
                () = tokio::time::sleep(PACE), if !well => {}
            }
        }
        // What came last is still marked, and the next start sees to it; mostly there is time for it now.
        self.catch_up_logs().await;
    }

    /// Whether all went well.
    async fn catch_up_logs(&self) -> bool {
        let (mut after, mut well): (Option<StreamName>, bool) = (None, true);
        loop {
            let from = after.clone();
            let read = self.look_up(move |reader| reader.stale_logs(from.as_ref(), Limit::items(PAGE)));
            let page = match read.await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "it can't be looked up which streams' archived logs are behind");
                    return false;
                }
            };
            after = page.items.last().map(|stale| stale.stream.clone());
            let written = futures_util::stream::iter(page.items).map(|stale| self.archive_log(stale));
            well &= written.buffer_unordered(AT_ONCE).fold(true, async |all, one| all && one).await;
            if !page.more {
                return well;
            }
        }
    }

    /// Whether it went well.
    async fn archive_log(&self, stale: StaleLog) -> bool {
        let (engine, stream) = (self.clone(), stale.stream.clone());
        let written = blocking(move || {
            let write = |notes| engine.write_log(notes, &stream);
            // Each, also if another can't.
            let all: Vec<_> = engine.0.notes.iter().map(|notes| write(&**notes)).collect();
            all.into_iter().collect::<Result<(), Error>>()
        });
        let done = async {
            written.await?;
            let pass = self.0.gate.pass().await?;
            let done = Change::LogArchived { stream: stale.stream.clone(), number: stale.number };
            self.0.gate.submit(pass, done, Durability::Committed).done().await
        };
        match done.await {
            Ok(_) => true,
            Err(error) => {
                // Of a store that is out of reach the store's own gate tells, once.
                if !matches!(&error, Error::Tier(tier) if matches!(**tier, TierError::Unavailable { .. })) {
                    tracing::warn!(stream = %stale.stream, %error, "its archived log could not be written; it is tried again");
                }
                false
            }
        }
    }

    /// Makes the log on one shelf what the catalog has now. For threads that may block.
    fn write_log(&self, notes: &dyn Notes, stream: &StreamName) -> Result<(), Error> {
        let archive = Archive::of(notes, stream);
        let there = archive.head()?.and_then(|read| {
            read.inspect_err(
                |error| tracing::warn!(%stream, %error, "its archived log can't be read; it is written anew"),
            )
            .ok()
        });
        let now = self.0.gate.catalog().read(|reader| {
            let Some(info) = reader.stream(stream)? else { return Ok(None) };
            let groups = reader.groups(stream, None, Limit::NONE)?.items;
            Ok(Some((Head::of(&info, groups), info)))
        })?;
        match (there, now) {
            (there, Some((head, info))) => self.bring_log_up_to_date(&archive, there, &head, &info),
            (Some(there), None) => Ok(archive.remove(&there)?),
            (None, None) => Ok(()),
        }
    }

    fn bring_log_up_to_date(
        &self,
        archive: &Archive<'_>,
        there: Option<Head>,
        head: &Head,
        info: &StreamInfo,
    ) -> Result<(), Error> {
        let there = match there {
            Some(there) if there == *head => return Ok(()),
            Some(there) if !there.is_of(head) || there.next > head.next => {
                archive.remove(&there)?;
                None
            }
            there => there,
        };
        if there.is_none() {
            // So that whatever comes of this is found again: chunks are found by the head's bounds.
            archive.put_head(head)?;
        }
        let from = there.as_ref().map_or(head.first, |there| there.next.max(head.first));
        for chunk in chunks(from, head.next) {
            self.write_chunk(archive, chunk, head, info)?;
        }
        if let Some(there) = there {
            (there.first / CHUNK..head.first / CHUNK).try_for_each(|chunk| archive.remove_chunk(chunk))?;
            archive.put_head(head)?;
        }
        Ok(())
    }

    /// Writes the entries of a chunk, some at a time: their tags may be long.
    fn write_chunk(&self, archive: &Archive<'_>, chunk: u64, head: &Head, info: &StreamInfo) -> Result<(), Error> {
        let (mut from, to) = (head.first.max(chunk * CHUNK), head.next.min((chunk + 1) * CHUNK) - 1);
        for part in 0.. {
            let span = Span { from, to, not_before: None };
            let page = self.0.gate.catalog().read(|reader| reader.entries(&info.name, span, PART))?;
            let end = page.items.last().map_or(to, |entry| entry.offset);
            archive.put_part((chunk, part), head, page.items, !page.more)?;
            if !page.more {
                break;
            }
            from = end + 1;
        }
        Ok(())
    }
}
