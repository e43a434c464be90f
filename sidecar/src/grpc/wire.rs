//! What the engine says, as messages.

use payload_manager_api::convert::{self, Location as WireLocation};
use payload_manager_api::core::v1::PayloadDescriptor;
use payload_manager_api::runtime::v1::spill_response;
use payload_manager_core::ledger::{Cursor, Summary};
use payload_manager_core::payload::Descriptor;
use payload_manager_tiers::Location;
use payload_manager_types::{PayloadId, Place, Tier, UnixMillis};
use prost::Message;
use tonic::Status;

use super::status::bad_page_token;
use crate::engine::Engine;

/// No unary answer is larger, in bytes.
pub(super) const ANSWER_LIMIT: usize = 3 << 20;

/// A descriptor with a location that a client can open.
pub(super) fn descriptor(engine: &Engine, descriptor: &Descriptor) -> PayloadDescriptor {
    let facts = &descriptor.facts;
    let location = descriptor.placement.and_then(|(tier, place)| location(engine, facts.id, tier, place, facts.size));
    convert::Descriptor {
        id: facts.id,
        tier: shown_tier(descriptor),
        state: descriptor.state,
        location,
        version: facts.version,
        created: facts.created,
        expires: facts.expires,
        policy: facts.policy,
        size: facts.size,
        checksum: facts.checksum,
        copies: descriptor.copies,
        protection: facts.protection,
        dies_with_daemon: false,
    }
    .into()
}

/// Where its fastest copy is or, of one whose bytes are lost, should be.
fn shown_tier(descriptor: &Descriptor) -> Tier {
    let held = descriptor.facts.copies.iter().last();
    descriptor.placement.map_or_else(|| held.unwrap_or(descriptor.facts.preferred), |(tier, _)| tier)
}

fn location(engine: &Engine, id: PayloadId, tier: Tier, place: Place, length: u64) -> Option<WireLocation> {
    Some(match engine.location(id, tier, place)? {
        Location::SharedMemory { name, offset } => {
            WireLocation::Ram { name, unit: place.unit, offset, segment: length + offset, length }
        }
        Location::File { path, offset } => {
            WireLocation::File { path: path.to_string_lossy().into_owned(), offset, length }
        }
    })
}

/// A row of a listing.
pub(super) fn summary(row: &Summary) -> payload_manager_api::runtime::v1::PayloadSummary {
    let facts = &row.descriptor.facts;
    convert::Summary {
        id: facts.id,
        tier: shown_tier(&row.descriptor),
        state: row.descriptor.state,
        size: facts.size,
        created: facts.created,
        expires: facts.expires,
        active_leases: row.leases,
    }
    .into()
}

/// Where a listing goes on, opaque to its reader: the time and the id of the last row.
pub(super) fn page_token(cursor: Option<Cursor>) -> String {
    cursor.map(|c| format!("{:012x}{}", c.created.0, c.id.to_string().replace('-', ""))).unwrap_or_default()
}

/// The inverse of [`page_token`].
pub(super) fn cursor(token: &str) -> Result<Option<Cursor>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let parse = || {
        let (created, id) = token.split_at_checked(12)?;
        let digits = created.bytes().all(|b| b.is_ascii_hexdigit()) && id.len() == 32;
        let created = u64::from_str_radix(created, 16).ok().filter(|_| digits)?;
        Some(Cursor { created: UnixMillis(created), id: id.parse().ok()? })
    };
    parse().map(Some).ok_or_else(bad_page_token)
}

/// Spill results that fit an answer: what does not fit goes without descriptors, which GetPayload has, and then without
/// the facts of what failed, for its message says them. As many as one call may have always fit then.
pub(super) fn within_limit(mut results: Vec<spill_response::Result>) -> Vec<spill_response::Result> {
    let fits =
        |results: &[spill_response::Result]| results.iter().map(|r| r.encoded_len() + 8).sum::<usize>() <= ANSWER_LIMIT;
    if !fits(&results) {
        results.iter_mut().for_each(|r| r.payload_descriptor = None);
    }
    if !fits(&results) {
        results.iter_mut().for_each(|r| r.error = None);
    }
    results
}

/// What is wrong with one item of a batch: the code's name first.
pub(super) fn item_error(status: &Status) -> String {
    let code: String = format!("{:?}", status.code())
        .chars()
        .enumerate()
        .flat_map(|(at, c)| (at > 0 && c.is_uppercase()).then_some('_').into_iter().chain(c.to_uppercase()))
        .collect();
    format!("{code}: {}", status.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_is_read_back_and_garbage_is_refused() {
        let at = Cursor { created: UnixMillis(1_790_000_000_123), id: PayloadId::from_bytes(*b"0123456789abcdef") };
        assert_eq!(cursor(&page_token(Some(at))).unwrap(), Some(at));
        assert_eq!(cursor(&page_token(None)).unwrap(), None);
        let long = "z".repeat(100_000);
        for garbage in ["x", "0", "ä", "000000000000", &long, "+00000000000303132333435363738396162636465660"] {
            assert_eq!(cursor(garbage).unwrap_err().code(), tonic::Code::InvalidArgument, "{garbage:.20}");
        }
    }
}
