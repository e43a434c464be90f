//! The changes, as statements.

use payload_manager_core::facts::{Facts, Pin};
use payload_manager_types::{NewEntry, PayloadId, Retention, StreamName, Tier, UnixMillis};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::value::{stored, tags};
use crate::change::{Change, DoomedFile, Outcome, Refusal};

/// Every column of the row is given: a row is replaced whole. Not `INSERT OR REPLACE`, which would take away first what
/// refers to the row.
const PUT: &str = "INSERT INTO payloads (id, size, phase, version, preferred, copies, created, expires, reclaim_at, \
    policy, no_evict, protection, checksum, pinned, pin_until, dataset, producer, tags) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18) \
    ON CONFLICT (id) DO UPDATE SET size = ?2, phase = ?3, version = ?4, preferred = ?5, copies = ?6, created = ?7, \
    expires = ?8, reclaim_at = ?9, policy = ?10, no_evict = ?11, protection = ?12, checksum = ?13, pinned = ?14, \
    pin_until = ?15, dataset = ?16, producer = ?17, tags = ?18";

const DOOM: &str = "INSERT INTO doomed (id, tier, block_index, block_generation, size) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (id, tier) DO UPDATE SET block_index = ?3, block_generation = ?4, size = ?5";

const CREATE: &str = "INSERT INTO streams (namespace, name, max_entries, max_age_sec, created) \
    VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (namespace, name) DO NOTHING";

/// Takes offsets for the entries that follow.
const TAKE: &str = "UPDATE streams SET next_offset = next_offset + ?3 WHERE namespace = ?1 AND name = ?2 \
    RETURNING id, next_offset - ?3";

const ENTRY: &str = "INSERT INTO entries (stream, \"offset\", append_time, payload, event_seconds, event_nanos, \
    duration_ns, tags) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Applies one change within the transaction that `connection` is in.
pub(super) fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<Outcome> {
    match change {
        Change::Put { facts, doomed } => {
            put(connection, facts)?;
            doom(connection, doomed.as_slice())?;
        }
        Change::Delete { id, doomed } => {
            delete(connection, *id)?;
            doom(connection, doomed)?;
        }
        Change::Doom(file) => doom(connection, std::slice::from_ref(file))?,
        Change::Undoom { id, tier } => undoom(connection, *id, *tier)?,
        Change::CreateStream { name, retention, at } => return create_stream(connection, name, *retention, *at),
        Change::DeleteStream { name } => delete_stream(connection, name)?,
        Change::Append { stream, entries, at } => return append(connection, stream, entries, *at),
    }
    Ok(Outcome::Done)
}

/// Changes something, so that the commit has something to sync: SQLite writes nothing for a row that stays the same,
/// does not sync such a commit, and so would not sync either what was committed before without being synced.
pub(super) fn barrier(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE catalog SET barrier = barrier + 1")?.execute([]).map(drop)
}

fn put(connection: &Connection, facts: &Facts) -> rusqlite::Result<()> {
    let pin_until = facts.pin.and_then(|pin| match pin {
        Pin::UntilUnpinned => None,
        Pin::Until(time) => Some(stored(time.0)),
    });
    let row = params![
        facts.id.as_bytes(),
        stored(facts.size),
        facts.phase as u8,
        stored(facts.version),
        facts.preferred as u8,
        facts.copies.bits(),
        stored(facts.created.0),
        facts.expires.map(|time| stored(time.0)),
        facts.reclaim_at.map(|time| stored(time.0)),
        facts.policy.to_bits(),
        facts.no_evict,
        facts.protection as u8,
        facts.checksum.as_ref().map(|sum| &sum.0),
        facts.pin.is_some(),
        pin_until,
        facts.labels.dataset,
        facts.labels.producer,
        tags(&facts.labels.tags)?,
    ];
    connection.prepare_cached(PUT)?.execute(row).map(drop)
}

fn delete(connection: &Connection, id: PayloadId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM payloads WHERE id = ?1")?.execute([id.as_bytes()]).map(drop)
}

fn doom(connection: &Connection, files: &[DoomedFile]) -> rusqlite::Result<()> {
    for file in files {
        let DoomedFile { id, tier, block, size } = file;
        let row = params![id.as_bytes(), *tier as u8, block.index.get(), block.generation, stored(*size)];
        connection.prepare_cached(DOOM)?.execute(row)?;
    }
    Ok(())
}

fn undoom(connection: &Connection, id: PayloadId, tier: Tier) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM doomed WHERE id = ?1 AND tier = ?2")?;
    statement.execute(params![id.as_bytes(), tier as u8]).map(drop)
}

fn create_stream(
    connection: &Connection,
    name: &StreamName,
    retention: Retention,
    at: UnixMillis,
) -> rusqlite::Result<Outcome> {
    let (entries, age) = (stored(retention.max_entries), stored(retention.max_age_sec));
    let row = params![name.namespace(), name.name(), entries, age, stored(at.0)];
    let made = connection.prepare_cached(CREATE)?.execute(row)?;
    Ok(if made == 1 { Outcome::Done } else { Outcome::Refused(Refusal::StreamExists) })
}

/// Its entries go with it: they refer to it.
fn delete_stream(connection: &Connection, name: &StreamName) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM streams WHERE namespace = ?1 AND name = ?2")?;
    statement.execute([name.namespace(), name.name()]).map(drop)
}

fn append(
    connection: &Connection,
    stream: &StreamName,
    entries: &[NewEntry],
    at: UnixMillis,
) -> rusqlite::Result<Outcome> {
    if entries.is_empty() {
        return exists(connection, stream);
    }
    let count = stored(entries.len() as u64);
    let mut take = connection.prepare_cached(TAKE)?;
    let taken = take.query_row(params![stream.namespace(), stream.name(), count], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    let Some((id, first)) = taken.optional()? else { return Ok(Outcome::Refused(Refusal::NoSuchStream)) };
    let mut insert = connection.prepare_cached(ENTRY)?;
    for (offset, entry) in (first..).zip(entries) {
        let (seconds, nanos) = entry.event_time.map(|t| (t.seconds, t.nanos)).unzip();
        let duration = stored(entry.duration_ns);
        let tags = tags(&entry.tags)?;
        insert.execute(params![id, offset, stored(at.0), entry.payload.as_bytes(), seconds, nanos, duration, tags])?;
    }
    Ok(Outcome::Appended { first: first.cast_unsigned(), last: (first + count - 1).cast_unsigned() })
}

fn exists(connection: &Connection, stream: &StreamName) -> rusqlite::Result<Outcome> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM streams WHERE namespace = ?1 AND name = ?2")?;
    let there = statement.exists([stream.namespace(), stream.name()])?;
    Ok(if there { Outcome::Done } else { Outcome::Refused(Refusal::NoSuchStream) })
}
