//! What users say about payloads, as statements. It goes with the payload's row, to which it refers.

use payload_manager_types::{PayloadId, UnixMillis};
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::payloads;
use super::rows;
use super::value::{bound, number, stored};
use crate::change::{Outcome, Refusal};
use crate::metadata::{Metadata, MetadataEvent, MetadataMode, MetadataRecord, MetadataUpdate, NewMetadataEvent};
use crate::page::{Limit, Page};

const GET: &str = "SELECT data, schema, actor, reason, updated FROM metadata WHERE id = ?1";

const SET: &str = "INSERT INTO metadata (id, data, schema, actor, reason, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
    ON CONFLICT (id) DO UPDATE SET data = ?2, schema = ?3, actor = ?4, reason = ?5, updated = ?6";

/// Events are only ever removed all at once, so the number after the last was never used. Not a part of `ADD`, for which
/// SQLite would make a temporary table each time.
const NEXT: &str = "SELECT coalesce(max(number) + 1, 0) FROM metadata_events WHERE id = ?1";

const ADD: &str = "INSERT INTO metadata_events (id, number, at, data, schema, source, version) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const EVENTS: &str = "SELECT number, at, data, schema, source, version FROM metadata_events \
    WHERE id = ?1 AND number > ?2 ORDER BY number";

/// The statements that must find what they look for without looking through everything.
#[cfg(test)]
pub(super) const SEARCHES: &[&str] = &[GET, NEXT, EVENTS];

pub(super) fn get(connection: &Connection, id: PayloadId) -> Result<Option<MetadataRecord>> {
    connection.prepare_cached(GET)?.query_row([id.as_bytes()], record).optional()
}

pub(super) fn set(connection: &Connection, id: PayloadId, update: &MetadataUpdate, at: UnixMillis) -> Result<Outcome> {
    if !payloads::exists(connection, id)? {
        return Ok(Outcome::Refused(Refusal::NoSuchPayload));
    }
    let before = match update.mode {
        MetadataMode::Replace => None,
        MetadataMode::Merge => get(connection, id)?.map(|record| record.metadata),
    };
    let record = update.apply(before, at);
    let MetadataRecord { metadata: Metadata { data, schema }, actor, reason, updated } = &record;
    let row = params![id.as_bytes(), data, schema, actor, reason, stored(updated.0)];
    connection.prepare_cached(SET)?.execute(row)?;
    Ok(Outcome::Metadata(Box::new(record)))
}

pub(super) fn add_event(
    connection: &Connection,
    id: PayloadId,
    event: &NewMetadataEvent,
    at: UnixMillis,
) -> Result<Outcome> {
    if !payloads::exists(connection, id)? {
        return Ok(Outcome::Refused(Refusal::NoSuchPayload));
    }
    let NewMetadataEvent { metadata: Metadata { data, schema }, source, version } = event;
    let number: i64 = connection.prepare_cached(NEXT)?.query_row([id.as_bytes()], |row| row.get(0))?;
    let row = params![id.as_bytes(), number, stored(at.0), data, schema, source, version];
    connection.prepare_cached(ADD)?.execute(row)?;
    Ok(Outcome::Done)
}

pub(super) fn events(
    connection: &Connection,
    id: PayloadId,
    after: Option<u64>,
    limit: Limit,
) -> Result<Page<MetadataEvent>> {
    let after = after.map_or(-1, bound);
    rows::page(connection, EVENTS, params![id.as_bytes(), after], event, (limit, MetadataEvent::weight))
}

fn record(row: &Row<'_>) -> Result<MetadataRecord> {
    Ok(MetadataRecord {
        metadata: Metadata { data: row.get(0)?, schema: row.get(1)? },
        actor: row.get(2)?,
        reason: row.get(3)?,
        updated: number(row, 4).map(UnixMillis)?,
    })
}

fn event(row: &Row<'_>) -> Result<MetadataEvent> {
    Ok(MetadataEvent {
        number: number(row, 0)?,
        at: number(row, 1).map(UnixMillis)?,
        what: NewMetadataEvent {
            metadata: Metadata { data: row.get(2)?, schema: row.get(3)? },
            source: row.get(4)?,
            version: row.get(5)?,
        },
    })
}
