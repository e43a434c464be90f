//! Reading: a connection of its own that can't write. Each call is one statement, so it sees one state of the catalog.

use std::path::PathBuf;

use payload_manager_core::facts::{Facts, Labels, Phase, Pin};
use payload_manager_types::{
    BlockName, Checksum, EntryIndex, EvictionPolicy, NewEntry, PayloadId, Protection, Retention, StreamEntry,
    StreamName, Tier, TierSet, Timestamp, UnixMillis,
};
use rusqlite::{Connection, OpenFlags, Params, Result, Row, params};

use super::error::store_error;
use super::open::connect;
use super::value::{bound, known, number, optional, read_tags};
use crate::change::DoomedFile;
use crate::store::{Reader, StoreError, StreamInfo};

const PAYLOADS: &str = "SELECT id, size, phase, version, preferred, copies, created, expires, reclaim_at, policy, \
    no_evict, protection, checksum, pinned, pin_until, dataset, producer, tags FROM payloads";

const DOOMED: &str = "SELECT id, tier, block_index, block_generation, size FROM doomed";

const STREAMS: &str = "SELECT namespace, name, max_entries, max_age_sec, next_offset, created, \
    (SELECT min(\"offset\") FROM entries WHERE stream = streams.id) FROM streams ORDER BY namespace, name";

const ENTRIES: &str = "SELECT \"offset\", append_time, payload, event_seconds, event_nanos, duration_ns, tags \
    FROM entries WHERE stream = (SELECT id FROM streams WHERE namespace = ?1 AND name = ?2) \
    AND \"offset\" >= ?3 AND append_time >= ?4 ORDER BY \"offset\" LIMIT ?5";

/// Reads one catalog file.
pub(super) struct SqliteReader {
    pub(super) connection: Connection,
    path: PathBuf,
}

impl SqliteReader {
    /// Opens `path`, a catalog that a [`super::Sqlite`] has open.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        match connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
            Ok(connection) => Ok(Self { connection, path }),
            Err(error) => Err(store_error(&path, &error)),
        }
    }

    /// Calls `each` with every row of `sql`'s answer.
    fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: fn(&Row<'_>) -> Result<T>,
        each: &mut dyn FnMut(T),
    ) -> Result<(), StoreError> {
        let run = || -> Result<()> {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            while let Some(row) = rows.next()? {
                each(read(row)?);
            }
            Ok(())
        };
        run().map_err(|error| store_error(&self.path, &error))
    }

    fn all<T>(&self, sql: &str, params: impl Params, read: fn(&Row<'_>) -> Result<T>) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        self.rows(sql, params, read, &mut |row| all.push(row))?;
        Ok(all)
    }
}

impl Reader for SqliteReader {
    fn another(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(Self::open(self.path.clone())?))
    }

    fn payloads(&mut self, each: &mut dyn FnMut(Facts)) -> Result<(), StoreError> {
        self.rows(PAYLOADS, [], facts, each)
    }

    fn doomed(&mut self) -> Result<Vec<DoomedFile>, StoreError> {
        self.all(DOOMED, [], doomed)
    }

    fn streams(&mut self) -> Result<Vec<StreamInfo>, StoreError> {
        self.all(STREAMS, [], stream)
    }

    fn entries(
        &mut self,
        stream: &StreamName,
        from: u64,
        max: usize,
        not_before: Option<UnixMillis>,
    ) -> Result<Vec<StreamEntry>, StoreError> {
        let (from, max) = (bound(from), bound(max as u64));
        let not_before = not_before.map_or(i64::MIN, |time| bound(time.0));
        self.all(ENTRIES, params![stream.namespace(), stream.name(), from, not_before, max], entry)
    }
}

fn facts(row: &Row<'_>) -> Result<Facts> {
    let pin_until = optional(row, 14)?.map_or(Pin::UntilUnpinned, |time| Pin::Until(UnixMillis(time)));
    Ok(Facts {
        id: row.get(0).map(PayloadId::from_bytes)?,
        size: number(row, 1)?,
        phase: known(row, 2, |n: u8| Phase::try_from(n).ok())?,
        version: number(row, 3)?,
        preferred: tier(row, 4)?,
        copies: known(row, 5, |n| Some(TierSet::from_bits(n)).filter(|set| set.bits() == n))?,
        created: number(row, 6).map(UnixMillis)?,
        expires: optional(row, 7)?.map(UnixMillis),
        reclaim_at: optional(row, 8)?.map(UnixMillis),
        policy: known(row, 9, EvictionPolicy::from_bits)?,
        no_evict: row.get(10)?,
        protection: known(row, 11, |n: u8| Protection::try_from(n).ok())?,
        checksum: row.get::<_, Option<_>>(12)?.map(Checksum),
        pin: row.get::<_, bool>(13)?.then_some(pin_until),
        labels: Labels { dataset: row.get(15)?, producer: row.get(16)?, tags: read_tags(row, 17)? },
    })
}

fn tier(row: &Row<'_>, column: usize) -> Result<Tier> {
    known(row, column, |n: u8| Tier::try_from(n).ok())
}

fn doomed(row: &Row<'_>) -> Result<DoomedFile> {
    let index = known(row, 2, EntryIndex::new)?;
    Ok(DoomedFile {
        id: row.get(0).map(PayloadId::from_bytes)?,
        tier: tier(row, 1)?,
        block: BlockName { index, generation: row.get(3)? },
        size: number(row, 4)?,
    })
}

fn stream(row: &Row<'_>) -> Result<StreamInfo> {
    let next = number(row, 4)?;
    Ok(StreamInfo {
        name: stream_name(row)?,
        retention: Retention { max_entries: number(row, 2)?, max_age_sec: number(row, 3)? },
        first: optional(row, 6)?.unwrap_or(next),
        next,
        created: number(row, 5).map(UnixMillis)?,
    })
}

fn stream_name(row: &Row<'_>) -> Result<StreamName> {
    StreamName::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into()))
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
