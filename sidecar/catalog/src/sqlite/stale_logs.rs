//! Which streams' archived logs are behind, as statements. A mark outlives its stream.

use payload_manager_types::StreamName;
use rusqlite::{Connection, Result, Row, params};

use super::rows;
use super::streams::stream_name;
use super::value::{number, stored};
use crate::page::{Limit, Page};
use crate::store::StaleLog;

const MARK: &str = "INSERT INTO stale_logs (namespace, name, number) VALUES (?1, ?2, 1) \
    ON CONFLICT (namespace, name) DO UPDATE SET number = number + 1";

const CLEAR: &str = "DELETE FROM stale_logs WHERE namespace = ?1 AND name = ?2 AND number = ?3";

const AFTER: &str = "SELECT namespace, name, number FROM stale_logs WHERE (namespace, name) > (?1, ?2) \
    ORDER BY namespace, name";

/// The statements that must find what they look for without looking through everything.
#[cfg(test)]
pub(super) const SEARCHES: &[&str] = &[CLEAR, AFTER];

/// A stream has changed, or is there no more.
pub(super) fn mark(connection: &Connection, stream: &StreamName) -> Result<()> {
    connection.prepare_cached(MARK)?.execute([stream.namespace(), stream.name()]).map(drop)
}

/// The archived log is as the stream was as of that mark.
pub(super) fn clear(connection: &Connection, stream: &StreamName, number: u64) -> Result<()> {
    let params = params![stream.namespace(), stream.name(), stored(number)];
    connection.prepare_cached(CLEAR)?.execute(params).map(drop)
}

pub(super) fn after(connection: &Connection, after: Option<&StreamName>, limit: Limit) -> Result<Page<StaleLog>> {
    // No name is empty, so that all come after these.
    let after = after.map_or(["", ""], |name| [name.namespace(), name.name()]);
    rows::page(connection, AFTER, after, stale, (limit, StaleLog::weight))
}

fn stale(row: &Row<'_>) -> Result<StaleLog> {
    Ok(StaleLog { stream: stream_name(row)?, number: number(row, 2)? })
}
