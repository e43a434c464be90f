//! Files to be removed, as statements.

use payload_manager_types::{BlockName, EntryIndex, PayloadId, Tier};
use rusqlite::{Connection, Result, Row, params};

use super::rows;
use super::value::{known, number, stored, tier};
use crate::change::DoomedFile;

const DOOM: &str = "INSERT INTO doomed (id, tier, block_index, block_generation, size) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (id, tier) DO UPDATE SET block_index = ?3, block_generation = ?4, size = ?5";

const DOOMED: &str = "SELECT id, tier, block_index, block_generation, size FROM doomed";

pub(super) fn add(connection: &Connection, files: &[DoomedFile]) -> Result<()> {
    for file in files {
        let DoomedFile { id, tier, block, size } = file;
        let row = params![id.as_bytes(), *tier as u8, block.index.get(), block.generation, stored(*size)];
        connection.prepare_cached(DOOM)?.execute(row)?;
    }
    Ok(())
}

pub(super) fn remove(connection: &Connection, id: PayloadId, tier: Tier) -> Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM doomed WHERE id = ?1 AND tier = ?2")?;
    statement.execute(params![id.as_bytes(), tier as u8]).map(drop)
}

pub(super) fn all(connection: &Connection) -> Result<Vec<DoomedFile>> {
    rows::all(connection, DOOMED, [], doomed)
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
