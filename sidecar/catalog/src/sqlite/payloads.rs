//! Payload rows, as statements.

use payload_manager_core::facts::{Facts, Labels, Phase, Pin};
use payload_manager_types::{Checksum, EvictionPolicy, PayloadId, Protection, TierSet, UnixMillis};
use rusqlite::{Connection, Result, Row, params};

use super::rows;
use super::value::{known, number, optional, read_tags, stored, tags, tier};
use crate::change::{Outcome, Refusal};

/// Every column of the row is given: a row is replaced whole. Not `INSERT OR REPLACE`, which would take away first what
/// refers to the row.
const PUT: &str = "INSERT INTO payloads (id, size, phase, version, preferred, copies, created, expires, reclaim_at, \
    policy, no_evict, protection, checksum, pinned, pin_until, dataset, producer, tags) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18) \
    ON CONFLICT (id) DO UPDATE SET size = ?2, phase = ?3, version = ?4, preferred = ?5, copies = ?6, created = ?7, \
    expires = ?8, reclaim_at = ?9, policy = ?10, no_evict = ?11, protection = ?12, checksum = ?13, pinned = ?14, \
    pin_until = ?15, dataset = ?16, producer = ?17, tags = ?18";

const PAYLOADS: &str = "SELECT id, size, phase, version, preferred, copies, created, expires, reclaim_at, policy, \
    no_evict, protection, checksum, pinned, pin_until, dataset, producer, tags FROM payloads";

const DELETE: &str = "DELETE FROM payloads WHERE id = ?1";

const PIN: &str = "UPDATE payloads SET pinned = ?2, pin_until = ?3 WHERE id = ?1";

const EXISTS: &str = "SELECT 1 FROM payloads WHERE id = ?1";

/// The statements that must find what they look for without looking through everything.
#[cfg(test)]
pub(super) const SEARCHES: &[&str] = &[DELETE, PIN, EXISTS];

pub(super) fn put(connection: &Connection, facts: &Facts) -> Result<()> {
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
        pin_until(facts.pin),
        facts.labels.dataset,
        facts.labels.producer,
        tags(&facts.labels.tags)?,
    ];
    connection.prepare_cached(PUT)?.execute(row).map(drop)
}

fn pin_until(pin: Option<Pin>) -> Option<i64> {
    match pin {
        Some(Pin::Until(time)) => Some(stored(time.0)),
        Some(Pin::UntilUnpinned) | None => None,
    }
}

/// Changes how long a row is pinned, and nothing else of it.
pub(super) fn pin(connection: &Connection, id: PayloadId, pin: Option<Pin>) -> Result<Outcome> {
    let row = params![id.as_bytes(), pin.is_some(), pin_until(pin)];
    let changed = connection.prepare_cached(PIN)?.execute(row)?;
    Ok(if changed == 0 { Outcome::Refused(Refusal::NoSuchPayload) } else { Outcome::Done })
}

/// What refers to the row goes with it.
pub(super) fn delete(connection: &Connection, id: PayloadId) -> Result<()> {
    connection.prepare_cached(DELETE)?.execute([id.as_bytes()]).map(drop)
}

pub(super) fn exists(connection: &Connection, id: PayloadId) -> Result<bool> {
    connection.prepare_cached(EXISTS)?.exists([id.as_bytes()])
}

/// Calls `each` with every row.
pub(super) fn each(connection: &Connection, each: &mut dyn FnMut(Facts)) -> Result<()> {
    rows::each(connection, PAYLOADS, [], facts, &mut |row| {
        each(row);
        true
    })
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
