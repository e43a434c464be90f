//! Lineage as statements.
//!
//! An edge closes a circle only if something was made of the child, which most children are too new for. For the others
//! it is asked once the edges are there: is the child among what it was made of, which is the same as among what was made
//! of it? Both ways are searched in turns, and the shorter one decides. What a search has seen is kept by SQLite, on disk
//! if it is much.

use std::collections::HashSet;

use payload_manager_types::PayloadId;
use rusqlite::{Connection, Result, Row, Rows, params};
use xxhash_rust::xxh3::Xxh3;

use super::payloads;
use super::rows;
use crate::change::{Outcome, Refusal};
use crate::lineage::{Direction, Edge, Lineage, LineageEdge, LineageQuery};

const ADD: &str = "INSERT INTO lineage (child, parent, operation, role, parameters, digest) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Left to itself, SQLite goes through all edges of the child. Not a part of `ADD`, for which it would make a temporary
/// table each time.
const IS_THERE: &str = "SELECT 1 FROM lineage INDEXED BY lineage_by_digest \
    WHERE child = ?1 AND digest = ?6 AND parent = ?2 AND operation = ?3 AND role = ?4 AND parameters = ?5";

const HAS_CHILDREN: &str = "SELECT 1 FROM lineage WHERE parent = ?1";

/// Everything that ?1 was made of; ?1 itself only if it is in a circle.
const ABOVE: &str = "WITH RECURSIVE above (id) AS (SELECT parent FROM lineage WHERE child = ?1 \
    UNION SELECT lineage.parent FROM above CROSS JOIN lineage ON lineage.child = above.id) SELECT id FROM above";

/// Everything that was made of ?1; ?1 itself only if it is in a circle.
const BELOW: &str = "WITH RECURSIVE below (id) AS (SELECT child FROM lineage WHERE parent = ?1 \
    UNION SELECT lineage.child FROM below CROSS JOIN lineage ON lineage.parent = below.id) SELECT id FROM below";

/// By rowid: in the order in which they were added.
const PARENTS: &str = "SELECT child, parent, operation, role, parameters FROM lineage WHERE child = ?1 ORDER BY edge";
const CHILDREN: &str = "SELECT child, parent, operation, role, parameters FROM lineage WHERE parent = ?1 ORDER BY edge";

/// The statements that must find what they look for without looking through everything.
#[cfg(test)]
pub(super) const SEARCHES: &[&str] = &[IS_THERE, HAS_CHILDREN, ABOVE, BELOW, PARENTS, CHILDREN];

/// Adds edges, all or none.
pub(super) fn add(connection: &Connection, child: PayloadId, edges: &[Edge]) -> Result<Outcome> {
    if !payloads::exists(connection, child)? {
        return Ok(Outcome::Refused(Refusal::NoSuchPayload));
    }
    let may_close = edges.iter().any(|edge| edge.parent == child)
        || connection.prepare_cached(HAS_CHILDREN)?.exists([child.as_bytes()])?;
    if may_close {
        return add_carefully(connection, child, edges);
    }
    insert(connection, child, edges).map(|_| Outcome::Done)
}

/// Adds edges of which one may close a circle, and undoes them if one does, without the rest of the transaction.
fn add_carefully(connection: &Connection, child: PayloadId, edges: &[Edge]) -> Result<Outcome> {
    connection.prepare_cached("SAVEPOINT lineage")?.execute([])?;
    let circle = insert(connection, child, edges)? && is_in_a_circle(connection, child)?;
    if circle {
        connection.prepare_cached("ROLLBACK TO lineage")?.execute([])?;
    }
    connection.prepare_cached("RELEASE lineage")?.execute([])?;
    if circle { refused(connection, child, edges) } else { Ok(Outcome::Done) }
}

/// Adds those edges that are not there already; says whether there were any.
fn insert(connection: &Connection, child: PayloadId, edges: &[Edge]) -> Result<bool> {
    let (mut is_there, mut add) = (connection.prepare_cached(IS_THERE)?, connection.prepare_cached(ADD)?);
    let mut any = false;
    for edge in edges {
        let Edge { parent, operation, role, parameters } = edge;
        let digest = digest(edge).cast_signed();
        let row = params![child.as_bytes(), parent.as_bytes(), operation, role, parameters, digest];
        if !is_there.exists(row)? {
            add.execute(row)?;
            any = true;
        }
    }
    Ok(any)
}

/// Leads to those edges of a child that may be equal to this one. It is written down: it must not change.
fn digest(edge: &Edge) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(edge.parent.as_bytes());
    for part in [edge.operation.as_bytes(), edge.role.as_bytes(), &edge.parameters] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest()
}

fn is_in_a_circle(connection: &Connection, id: PayloadId) -> Result<bool> {
    let (mut above, mut below) = (connection.prepare_cached(ABOVE)?, connection.prepare_cached(BELOW)?);
    let (mut above, mut below) = (above.query([id.as_bytes()])?, below.query([id.as_bytes()])?);
    loop {
        for way in [&mut below, &mut above] {
            match next(way)? {
                None => return Ok(false),
                Some(met) if met == id => return Ok(true),
                Some(_) => {}
            }
        }
    }
}

fn next(ids: &mut Rows<'_>) -> Result<Option<PayloadId>> {
    ids.next()?.map(id).transpose()
}

/// Names the first edge that would close a circle, now that they are gone again.
fn refused(connection: &Connection, child: PayloadId, edges: &[Edge]) -> Result<Outcome> {
    let parents: HashSet<_> = edges.iter().map(|edge| edge.parent).collect();
    let mut met = HashSet::from([child]);
    rows::each(connection, BELOW, [child.as_bytes()], id, &mut |id| {
        if parents.contains(&id) {
            met.insert(id);
        }
        true
    })?;
    let via = edges.iter().map(|edge| edge.parent).find(|parent| met.contains(parent));
    Ok(Outcome::Refused(Refusal::LineageCycle { via: via.unwrap_or(child) }))
}

/// Answers `query` from one state of the catalog.
pub(super) fn walk(connection: &Connection, query: &LineageQuery) -> Result<Lineage> {
    let _one_state = connection.unchecked_transaction()?;
    query.walk(|id, direction, each| {
        let sql = match direction {
            Direction::Upstream => PARENTS,
            Direction::Downstream => CHILDREN,
        };
        rows::each(connection, sql, [id.as_bytes()], edge, each)
    })
}

fn id(row: &Row<'_>) -> Result<PayloadId> {
    row.get(0).map(PayloadId::from_bytes)
}

fn edge(row: &Row<'_>) -> Result<LineageEdge> {
    let parent = row.get(1).map(PayloadId::from_bytes)?;
    let edge = Edge { parent, operation: row.get(2)?, role: row.get(3)?, parameters: row.get(4)? };
    Ok(LineageEdge { child: id(row)?, edge })
}
