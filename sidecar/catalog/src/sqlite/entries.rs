//! A stream's entries, and what retention keeps of them, as statements.
//!
//! What is kept is always a range of offsets, whose bounds stand in the stream's row: nothing looks for them.

use payload_manager_types::{NewEntry, PayloadId, Retention, StreamEntry, StreamName, Timestamp, UnixMillis};
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::rows;
use super::stale_logs;
use super::value::{bound, number, read_tags, stored, tags};
use crate::change::{Outcome, Refusal, TRIM};
use crate::page::{Limit, Page};
use crate::store::{Span, entry_weight, horizon};

const FIND: &str = "SELECT id, first_offset, next_offset, max_entries, max_age_sec FROM streams \
    WHERE namespace = ?1 AND name = ?2";

/// Takes offsets for the entries that follow.
const TAKE: &str = "UPDATE streams SET next_offset = next_offset + ?3 WHERE namespace = ?1 AND name = ?2 \
    RETURNING id, first_offset, next_offset, max_entries, max_age_sec";

const ADD: &str = "INSERT INTO entries (stream, \"offset\", append_time, payload, event_seconds, event_nanos, \
    duration_ns, tags) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const SPAN: &str = "SELECT \"offset\", append_time, payload, event_seconds, event_nanos, duration_ns, tags \
    FROM entries WHERE stream = (SELECT id FROM streams WHERE namespace = ?1 AND name = ?2) \
    AND \"offset\" BETWEEN ?3 AND ?4 AND append_time >= ?5 ORDER BY \"offset\"";

/// The first entry that is young enough, among those that may be removed.
const YOUNG: &str = "SELECT \"offset\" FROM entries WHERE stream = ?1 AND \"offset\" >= ?2 AND \"offset\" < ?3 \
    AND append_time >= ?4 ORDER BY \"offset\" LIMIT 1";

const CUT: &str = "UPDATE streams SET first_offset = ?2 WHERE id = ?1";

const REMOVE: &str = "DELETE FROM entries WHERE stream = ?1 AND \"offset\" < ?2";

/// The statements that must find what they look for without looking through everything.
#[cfg(test)]
pub(super) const SEARCHES: &[&str] = &[FIND, TAKE, SPAN, YOUNG, CUT, REMOVE];

/// A stream's bounds, as its row has them.
struct Log {
    id: i64,
    first: u64,
    next: u64,
    retention: Retention,
}

pub(super) fn append(
    connection: &Connection,
    stream: &StreamName,
    entries: &[NewEntry],
    at: UnixMillis,
) -> Result<Outcome> {
    let count = entries.len() as u64;
    let log = if count == 0 { find(connection, stream)? } else { take(connection, stream, count)? };
    let Some(log) = log else { return Ok(Outcome::Refused(Refusal::NoSuchStream)) };
    if count == 0 {
        return Ok(Outcome::Done);
    }
    let first = log.next - count;
    let mut insert = connection.prepare_cached(ADD)?;
    for (offset, entry) in (first..).zip(entries) {
        let (seconds, nanos) = entry.event_time.map(|t| (t.seconds, t.nanos)).unzip();
        let (payload, duration, tags) = (entry.payload.as_bytes(), stored(entry.duration_ns), tags(&entry.tags)?);
        insert.execute(params![log.id, stored(offset), stored(at.0), payload, seconds, nanos, duration, tags])?;
    }
    let (oldest, _) = keep(connection, &log, at)?;
    stale_logs::mark(connection, stream)?;
    Ok(Outcome::Appended { first, last: log.next - 1, oldest })
}

pub(super) fn trim(connection: &Connection, stream: &StreamName, at: UnixMillis) -> Result<Outcome> {
    let Some(log) = find(connection, stream)? else { return Ok(Outcome::Refused(Refusal::NoSuchStream)) };
    let (oldest, more) = keep(connection, &log, at)?;
    if oldest > log.first {
        stale_logs::mark(connection, stream)?;
    }
    Ok(Outcome::Trimmed { oldest, more })
}

fn find(connection: &Connection, stream: &StreamName) -> Result<Option<Log>> {
    connection.prepare_cached(FIND)?.query_row([stream.namespace(), stream.name()], log).optional()
}

fn take(connection: &Connection, stream: &StreamName, count: u64) -> Result<Option<Log>> {
    let params = params![stream.namespace(), stream.name(), stored(count)];
    connection.prepare_cached(TAKE)?.query_row(params, log).optional()
}

/// Keeps what retention keeps: the oldest of it, and whether there may be more to remove.
fn keep(connection: &Connection, log: &Log, at: UnixMillis) -> Result<(u64, bool)> {
    let most = log.retention.max_entries;
    let counted = if most == 0 { log.first } else { log.first.max(log.next.saturating_sub(most)) };
    let (oldest, more) = young(connection, log, counted, horizon(log.retention, at))?;
    if oldest > log.first {
        remove_before(connection, log.id, oldest)?;
    }
    Ok((oldest, more))
}

/// The first offset from `from` on that is young enough, as far as one change looks; and whether there may be more.
fn young(connection: &Connection, log: &Log, from: u64, horizon: UnixMillis) -> Result<(u64, bool)> {
    if horizon == UnixMillis(0) {
        return Ok((from, false));
    }
    let end = log.next.min(from.saturating_add(TRIM));
    let params = params![log.id, bound(from), bound(end), bound(horizon.0)];
    let young = connection.prepare_cached(YOUNG)?.query_row(params, |row| number(row, 0)).optional()?;
    Ok(young.map_or((end, end < log.next), |offset| (offset, false)))
}

/// Removes the entries of the stream `id` before `oldest`.
pub(super) fn remove_before(connection: &Connection, id: i64, oldest: u64) -> Result<()> {
    for sql in [CUT, REMOVE] {
        connection.prepare_cached(sql)?.execute(params![id, stored(oldest)])?;
    }
    Ok(())
}

pub(super) fn span(
    connection: &Connection,
    stream: &StreamName,
    Span { from, to, not_before }: Span,
    limit: Limit,
) -> Result<Page<StreamEntry>> {
    let not_before = not_before.map_or(i64::MIN, |time| bound(time.0));
    let params = params![stream.namespace(), stream.name(), bound(from), bound(to), not_before];
    rows::page(connection, SPAN, params, entry, (limit, |entry: &StreamEntry| entry_weight(stream, entry)))
}

fn log(row: &Row<'_>) -> Result<Log> {
    let retention = Retention { max_entries: number(row, 3)?, max_age_sec: number(row, 4)? };
    Ok(Log { id: row.get(0)?, first: number(row, 1)?, next: number(row, 2)?, retention })
}

fn entry(row: &Row<'_>) -> Result<StreamEntry> {
    let seconds: Option<i64> = row.get(3)?;
    let nanos: Option<u32> = row.get(4)?;
    Ok(StreamEntry {
        offset: number(row, 0)?,
        append_time: number(row, 1).map(UnixMillis)?,
        what: NewEntry {
            payload: row.get(2).map(PayloadId::from_bytes)?,
            event_time: seconds.zip(nanos).map(|(seconds, nanos)| Timestamp { seconds, nanos }),
            duration_ns: number(row, 5)?,
            tags: read_tags(row, 6)?,
        },
    })
}
