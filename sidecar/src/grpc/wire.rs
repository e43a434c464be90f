//! What the engine says, as messages.

use payload_manager_api::convert::{self, Location as WireLocation};
use payload_manager_api::core::v1::PayloadDescriptor;
use payload_manager_api::runtime::v1::spill_response;
use payload_manager_core::facts::Phase;
use payload_manager_core::ledger::Summary;
use payload_manager_core::payload::Descriptor;
use payload_manager_tiers::Location;
use payload_manager_types::{PayloadId, Place, Tier};
use prost::Message;
use tonic::Status;

use crate::engine::Engine;

/// No unary answer is larger, in bytes.
pub(super) const ANSWER_LIMIT: usize = 3 << 20;

/// A descriptor with a location that a client can open.
pub(crate) fn descriptor(engine: &Engine, descriptor: &Descriptor) -> PayloadDescriptor {
    let facts = &descriptor.facts;
    // What is to be uploaded is nowhere yet.
    let opened = descriptor.placement.filter(|_| !is_to_be_uploaded(descriptor));
    let location = opened.and_then(|(tier, place)| location(engine, facts.id, tier, place, facts.size));
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
        dies_with_daemon: descriptor.dies_with_daemon(),
    }
    .into()
}

fn is_to_be_uploaded(descriptor: &Descriptor) -> bool {
    descriptor.facts.phase == Phase::Allocated && descriptor.facts.preferred == Tier::Object
}

/// Where its producer uploads it to; empty if it does not.
pub(super) fn upload_path(engine: &Engine, descriptor: &Descriptor) -> String {
    let to = descriptor.placement.filter(|_| is_to_be_uploaded(descriptor));
    match to.and_then(|(tier, place)| engine.location(descriptor.facts.id, tier, place)) {
        Some(Location::Object { uri }) => uri,
        _ => String::new(),
    }
}

/// Where its fastest copy is or, of one whose bytes are lost, should be.
fn shown_tier(descriptor: &Descriptor) -> Tier {
    let held = descriptor.facts.copies.iter().last();
    descriptor.placement.map_or_else(|| held.unwrap_or(descriptor.facts.preferred), |(tier, _)| tier)
}

fn location(engine: &Engine, id: PayloadId, tier: Tier, place: Place, length: u64) -> Option<WireLocation> {
    Some(match engine.location(id, tier, place)? {
        Location::SharedMemory { name, offset, object_bytes } => {
            let segment = object_bytes.unwrap_or(length);
            WireLocation::Ram { name, unit: place.unit, offset, segment, length }
        }
        Location::Device { uuid, ordinal, handle, offset, bytes } => {
            let (uuid, unit) = (Some(uuid), place.unit);
            WireLocation::Gpu { device: ordinal, uuid, unit, handle, offset, segment: bytes, length }
        }
        Location::Passed => WireLocation::Ram { name: String::new(), unit: 0, offset: 0, segment: length, length },
        Location::File { path, offset } => {
            WireLocation::File { path: path.to_string_lossy().into_owned(), offset, length }
        }
        Location::Object { uri } => WireLocation::File { path: uri, offset: 0, length },
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

/// Bytes that a message takes in an answer, with its field number and its length.
pub(super) fn taken(message: &impl Message) -> usize {
    message.encoded_len() + 8
}

/// Spill results that fit an answer: what does not fit goes without descriptors, which GetPayload has, and then without
/// the facts of what failed, for its message says them. As many as one call may have always fit then.
pub(super) fn within_limit(mut results: Vec<spill_response::Result>) -> Vec<spill_response::Result> {
    let fits = |results: &[spill_response::Result]| results.iter().map(taken).sum::<usize>() <= ANSWER_LIMIT;
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
