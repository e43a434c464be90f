//! Streams and their consumer groups, as statements.
//!
//! A deleted stream loses its name at once, and its entries some at a time: changes that wait must not wait for all of
//! them. A stream without a name is one that is being swept away.

use payload_manager_types::{Retention, StreamName, UnixMillis};
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::value::{number, stored};
use super::{entries, rows, stale_logs};
use crate::change::{Outcome, Refusal};
use crate::page::{Limit, Page};
use crate::store::{ConsumerGroup, StreamInfo};

/// Entries of deleted streams that are swept away at a time.
pub(super) const SWEEP: u64 = 4096;

const CREATE: &str = "INSERT INTO streams (namespace, name, max_entries, max_age_sec, created, first_offset, next_offset) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (namespace, name) DO NOTHING";

const DELETE: &str = "UPDATE streams SET namespace = NULL, name = NULL WHERE namespace = ?1 AND name = ?2";

const DELETED: &str = "SELECT id, first_offset, next_offset FROM streams WHERE namespace IS NULL LIMIT 1";

const AFTER: &str = "SELECT namespace, name, max_entries, max_age_sec, next_offset, created, first_offset FROM streams \
    WHERE namespace IS NOT NULL AND (namespace, name) > (?1, ?2) ORDER BY namespace, name";

const ONE: &str = "SELECT namespace, name, max_entries, max_age_sec, next_offset, created, first_offset FROM streams \
    WHERE namespace = ?1 AND name = ?2";

const COMMIT: &str = "INSERT INTO consumer_groups (stream, name, \"offset\", at) \
    SELECT id, ?3, ?4, ?5 FROM streams WHERE namespace = ?1 AND name = ?2 \
    ON CONFLICT (stream, name) DO UPDATE SET \"offset\" = ?4, at = ?5";

const COMMITTED: &str = "SELECT \"offset\" FROM consumer_groups \
    WHERE stream = (SELECT id FROM streams WHERE namespace = ?1 AND name = ?2) AND name = ?3";

const GROUPS: &str = "SELECT name, \"offset\", at FROM consumer_groups \
    WHERE stream = (SELECT id FROM streams WHERE namespace = ?1 AND name = ?2) AND name > ?3 ORDER BY name";

const SWEPT: &str = "DELETE FROM streams WHERE id = ?1";

/// The statements that must find what they look for without looking through everything.
#[cfg(test)]
pub(super) const SEARCHES: &[&str] = &[DELETE, DELETED, AFTER, ONE, COMMIT, COMMITTED, GROUPS, SWEPT];

pub(super) fn create(
    connection: &Connection,
    name: &StreamName,
    retention: Retention,
    next: u64,
    at: UnixMillis,
) -> Result<Outcome> {
    let (entries, age) = (stored(retention.max_entries), stored(retention.max_age_sec));
    let row = params![name.namespace(), name.name(), entries, age, stored(at.0), stored(next)];
    if connection.prepare_cached(CREATE)?.execute(row)? == 0 {
        return Ok(Outcome::Refused(Refusal::StreamExists));
    }
    stale_logs::mark(connection, name)?;
    Ok(Outcome::Done)
}

pub(super) fn delete(connection: &Connection, name: &StreamName) -> Result<()> {
    let gone = connection.prepare_cached(DELETE)?.execute([name.namespace(), name.name()])?;
    if gone == 0 { Ok(()) } else { stale_logs::mark(connection, name) }
}

/// Removes a part of a deleted stream; false if there was none.
pub(super) fn sweep(connection: &Connection) -> Result<bool> {
    let deleted = connection
        .prepare_cached(DELETED)?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, number(row, 1)?, number(row, 2)?)))
        .optional()?;
    let Some((id, first, next)) = deleted else { return Ok(false) };
    let kept = next.min(first.saturating_add(SWEEP));
    entries::remove_before(connection, id, kept)?;
    if kept == next {
        connection.prepare_cached(SWEPT)?.execute([id])?;
    }
    Ok(true)
}

pub(super) fn all(connection: &Connection) -> Result<Vec<StreamInfo>> {
    // No name is empty, so that all come after these.
    rows::all(connection, AFTER, ["", ""], stream)
}

pub(super) fn after(connection: &Connection, after: Option<&StreamName>, limit: Limit) -> Result<Page<StreamInfo>> {
    let after = after.map_or(["", ""], |name| [name.namespace(), name.name()]);
    rows::page(connection, AFTER, after, stream, (limit, StreamInfo::weight))
}

pub(super) fn one(connection: &Connection, name: &StreamName) -> Result<Option<StreamInfo>> {
    connection.prepare_cached(ONE)?.query_row([name.namespace(), name.name()], stream).optional()
}

pub(super) fn commit(
    connection: &Connection,
    name: &StreamName,
    group: &str,
    offset: u64,
    at: UnixMillis,
) -> Result<Outcome> {
    let Some(StreamInfo { next, .. }) = one(connection, name)? else {
        return Ok(Outcome::Refused(Refusal::NoSuchStream));
    };
    if offset > next {
        return Ok(Outcome::Refused(Refusal::OffsetBeyondEnd { next }));
    }
    let row = params![name.namespace(), name.name(), group, stored(offset), stored(at.0)];
    connection.prepare_cached(COMMIT)?.execute(row)?;
    stale_logs::mark(connection, name)?;
    Ok(Outcome::Done)
}

pub(super) fn committed(connection: &Connection, name: &StreamName, group: &str) -> Result<Option<u64>> {
    let mut statement = connection.prepare_cached(COMMITTED)?;
    statement.query_row([name.namespace(), name.name(), group], |row| number(row, 0)).optional()
}

pub(super) fn groups(
    connection: &Connection,
    name: &StreamName,
    after: Option<&str>,
    limit: Limit,
) -> Result<Page<ConsumerGroup>> {
    // As above.
    let params = [name.namespace(), name.name(), after.unwrap_or_default()];
    rows::page(connection, GROUPS, params, group, (limit, ConsumerGroup::weight))
}

fn stream(row: &Row<'_>) -> Result<StreamInfo> {
    Ok(StreamInfo {
        name: stream_name(row)?,
        retention: Retention { max_entries: number(row, 2)?, max_age_sec: number(row, 3)? },
        first: number(row, 6)?,
        next: number(row, 4)?,
        created: number(row, 5).map(UnixMillis)?,
    })
}

pub(super) fn stream_name(row: &Row<'_>) -> Result<StreamName> {
    StreamName::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into()))
}

fn group(row: &Row<'_>) -> Result<ConsumerGroup> {
    Ok(ConsumerGroup { name: row.get(0)?, offset: number(row, 1)?, at: number(row, 2).map(UnixMillis)? })
}
