//! The changes, each handed to what it changes.

use rusqlite::{Connection, Result};

use super::value::{bound, number};
use super::{doomed, entries, lineage, metadata, payloads, stale, stale_logs, streams};
use crate::change::{Change, Outcome};

/// Applies one change within the transaction that `connection` is in.
pub(super) fn apply(connection: &Connection, change: &Change) -> Result<Outcome> {
    match change {
        Change::Put { facts, doomed } => {
            let first = facts.copies.any_durable() && !stale::is_archived(connection, facts.id)?;
            payloads::put(connection, facts)?;
            if first {
                stale::mark_if_said(connection, facts.id)?;
            }
            doomed::add(connection, doomed.as_slice())?;
        }
        Change::Delete { id, doomed } => {
            payloads::delete(connection, *id)?;
            doomed::add(connection, doomed)?;
        }
        Change::Doom(file) => doomed::add(connection, std::slice::from_ref(file))?,
        Change::Undoom { id, tier } => doomed::remove(connection, *id, *tier)?,
        Change::CreateStream { name, retention, at } => {
            return streams::create(connection, name, *retention, 0, *at);
        }
        Change::RestoreStream { name, retention, next, created } => {
            return streams::create(connection, name, *retention, *next, *created);
        }
        Change::DeleteStream { name } => streams::delete(connection, name)?,
        Change::Append { stream, entries, at } => return entries::append(connection, stream, entries, *at),
        Change::Trim { stream, at } => return entries::trim(connection, stream, *at),
        Change::CommitOffset { stream, group, offset, at } => {
            return streams::commit(connection, stream, group, *offset, *at);
        }
        Change::SetMetadata { id, update, at } => {
            stale::mark(connection, *id)?;
            return metadata::set(connection, *id, update, *at);
        }
        Change::AppendMetadataEvent { id, event, at } => {
            stale::mark(connection, *id)?;
            return metadata::add_event(connection, *id, event, *at);
        }
        Change::AddLineage { child, edges } => {
            stale::mark(connection, *child)?;
            return lineage::add(connection, *child, edges);
        }
        Change::LogArchived { stream, number } => stale_logs::clear(connection, stream, *number)?,
        Change::Archived { id, number } => stale::clear(connection, *id, *number)?,
        Change::SetPin { id, pin } => return payloads::pin(connection, *id, *pin),
        Change::CountStart => return count_start(connection),
        Change::CountStartsFrom(start) => {
            let mut statement = connection.prepare_cached("UPDATE catalog SET starts = max(starts, ?1)")?;
            statement.execute([bound(*start)])?;
        }
    }
    Ok(Outcome::Done)
}

fn count_start(connection: &Connection) -> Result<Outcome> {
    let mut statement = connection.prepare_cached("UPDATE catalog SET starts = starts + 1 RETURNING starts")?;
    statement.query_row([], |row| number(row, 0)).map(Outcome::Start)
}

/// Changes something, so that the commit has something to sync: SQLite writes nothing for a row that stays the same,
/// does not sync such a commit, and so would not sync either what was committed before without being synced.
pub(super) fn barrier(connection: &Connection) -> Result<()> {
    connection.prepare_cached("UPDATE catalog SET barrier = barrier + 1")?.execute([]).map(drop)
}
