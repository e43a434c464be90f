//! Which archives are behind what is said about their payloads, as statements. A mark goes with its payload's row.

use payload_manager_types::{PayloadId, TierSet};
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::rows;
use super::value::{known, number, stored};
use crate::page::{Limit, Page};
use crate::store::StaleArchive;

/// 24: the bits of DISK and OBJECT.
const MARK: &str = "INSERT INTO stale_archives (id, number) SELECT id, 1 FROM payloads WHERE id = ?1 AND copies & 24 <> 0 \
    ON CONFLICT (id) DO UPDATE SET number = number + 1";

const MARK_IF_SAID: &str = "INSERT INTO stale_archives (id, number) SELECT id, 1 FROM payloads WHERE id = ?1 AND ( \
    EXISTS (SELECT 1 FROM metadata WHERE id = ?1) OR EXISTS (SELECT 1 FROM metadata_events WHERE id = ?1) \
    OR EXISTS (SELECT 1 FROM lineage WHERE child = ?1)) \
    ON CONFLICT (id) DO UPDATE SET number = number + 1";

const COPIES: &str = "SELECT copies FROM payloads WHERE id = ?1";

const CLEAR: &str = "DELETE FROM stale_archives WHERE id = ?1 AND number = ?2";

const AFTER: &str = "SELECT id, number FROM stale_archives WHERE id > ?1 ORDER BY id";

/// The statements that must find what they look for without looking through everything.
#[cfg(test)]
pub(super) const SEARCHES: &[&str] = &[MARK, MARK_IF_SAID, COPIES, CLEAR, AFTER];

/// Something was said about a payload: its archive, if it has one, is behind now.
pub(super) fn mark(connection: &Connection, id: PayloadId) -> Result<()> {
    connection.prepare_cached(MARK)?.execute([id.as_bytes()]).map(drop)
}

/// Whether a payload's row says that it has a durable copy.
pub(super) fn is_archived(connection: &Connection, id: PayloadId) -> Result<bool> {
    let copies = connection.prepare_cached(COPIES)?.query_row([id.as_bytes()], copies).optional()?;
    Ok(copies.is_some_and(TierSet::any_durable))
}

/// A payload has a first durable copy, beside which is nothing of what was said before.
pub(super) fn mark_if_said(connection: &Connection, id: PayloadId) -> Result<()> {
    connection.prepare_cached(MARK_IF_SAID)?.execute([id.as_bytes()]).map(drop)
}

/// The archive is as it was to be as of that mark.
pub(super) fn clear(connection: &Connection, id: PayloadId, number: u64) -> Result<()> {
    connection.prepare_cached(CLEAR)?.execute(params![id.as_bytes(), stored(number)]).map(drop)
}

pub(super) fn after(connection: &Connection, after: Option<PayloadId>, limit: Limit) -> Result<Page<StaleArchive>> {
    // No id is empty, and every one comes after that.
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    rows::page(connection, AFTER, [after], stale, (limit, |_| size_of::<StaleArchive>()))
}

fn stale(row: &Row<'_>) -> Result<StaleArchive> {
    Ok(StaleArchive { id: row.get(0).map(PayloadId::from_bytes)?, number: number(row, 1)? })
}

fn copies(row: &Row<'_>) -> Result<TierSet> {
    known(row, 0, |n| Some(TierSet::from_bits(n)).filter(|set| set.bits() == n))
}
