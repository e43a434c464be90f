//! What is written beside every durable copy, `<uuid>.meta.json`: a `PayloadArchiveMetadata` in protobuf JSON, from
//! which a catalog can be made again.

use payload_manager_api::catalog::v1::{Compression, Integrity};
use payload_manager_api::catalog::v1::{CompressionType, HashAlgorithm, PayloadArchiveMetadata};
use payload_manager_api::convert;
use payload_manager_api::core::v1::{PayloadId as WireId, Protection as WireProtection};
use payload_manager_catalog::{LineageEdge, MetadataEvent, MetadataRecord};
use payload_manager_core::facts::{Facts, Labels, Phase};
use payload_manager_tiers::Packing;
use payload_manager_types::{Checksum, PayloadId, PayloadState, Tier, TierSet, UnixMillis};

use crate::said;

/// What was said about a payload, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Its metadata, if any was ever set.
    pub metadata: Option<MetadataRecord>,
    /// Its history, oldest first.
    pub events: Vec<MetadataEvent>,
    /// What it was made from: the edges to its parents.
    pub lineage: Vec<LineageEdge>,
}

/// What is known of the bytes beside which it is written: their checksum, and how they lie there.
pub type Bytes = (Option<Checksum>, Packing);

/// Makes the archive metadata.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArchiveWriter;

impl ArchiveWriter {
    /// The bytes of the file, for a payload that is durable as of now.
    #[must_use]
    pub fn encode(self, facts: &Facts, bytes: Bytes, said: Said, now: UnixMillis) -> Vec<u8> {
        match convert::to_json(&metadata(facts, bytes, said, now)) {
            Ok(text) => text.into_bytes(),
            Err(error) => {
                // Times and enum numbers are valid by construction.
                tracing::error!(payload = %facts.id, %error, "the archive metadata can't be written as JSON");
                Vec::new()
            }
        }
    }
}

/// A payload as an archive has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// What is known of it. Its copies are not: they are where the archive was found.
    pub facts: Facts,
    /// What was said about it. Who set its metadata and why no archive tells.
    pub said: Said,
    /// When the archive was written.
    pub at: UnixMillis,
}

/// Reads such a file.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(text: &[u8]) -> Result<Archived, String> {
    let archive = convert::from_json(text).map_err(|error| error.to_string())?;
    let at = archive.archived_at.map_or(UnixMillis(0), said::time);
    let descriptor = convert::descriptor(archive.payload_descriptor).map_err(|error| error.to_string())?;
    let of = |found: Option<WireId>| found.and_then(|id| PayloadId::try_from(id).ok());
    if of(archive.uuid) != Some(descriptor.id) {
        return Err("uuid and payload_descriptor name different payloads".into());
    }
    let facts = Facts {
        id: descriptor.id,
        size: descriptor.size,
        phase: Phase::Committed,
        version: descriptor.version,
        preferred: descriptor.tier,
        copies: TierSet::EMPTY,
        created: descriptor.created,
        expires: descriptor.expires,
        reclaim_at: None,
        policy: descriptor.policy,
        no_evict: archive.no_evict,
        protection: descriptor.protection,
        checksum: descriptor.checksum,
        pin: None,
        labels: Labels {
            dataset: archive.dataset,
            producer: archive.producer,
            tags: archive.tags.into_iter().collect(),
        },
    };
    let metadata = archive.metadata.map(said::read_metadata).map(|metadata| MetadataRecord {
        metadata,
        actor: String::new(),
        reason: String::new(),
        updated: at,
    });
    let events = (0..).zip(archive.metadata_events).map(|(number, event)| said::read_event(number, event));
    let edges = archive.lineage.into_iter().map(|edge| said::read_edge(descriptor.id, edge));
    let lineage = edges.collect::<Option<Vec<LineageEdge>>>().ok_or("an edge of its lineage names no parent")?;
    Ok(Archived { facts, said: Said { metadata, events: events.collect(), lineage }, at })
}

/// The checksum that such a file tells; none if it can't be read, or tells one of another kind.
#[must_use]
pub fn checksum(text: &[u8]) -> Option<Checksum> {
    let integrity = convert::from_json(text).ok()?.integrity?;
    let ours = integrity.algorithm == HashAlgorithm::HashXxh3128 as i32;
    integrity.checksum.try_into().ok().filter(|_| ours).map(Checksum)
}

fn metadata(facts: &Facts, (checksum, packing): Bytes, said: Said, now: UnixMillis) -> PayloadArchiveMetadata {
    let integrity = checksum.map(|Checksum(value)| Integrity {
        algorithm: HashAlgorithm::HashXxh3128 as i32,
        checksum: value.to_vec(),
        chunk_hashes: Vec::new(),
    });
    PayloadArchiveMetadata {
        uuid: Some(facts.id.into()),
        metadata_version: convert::METADATA_VERSION,
        created_at: Some(facts.created.into()),
        archived_at: Some(now.into()),
        dataset: facts.labels.dataset.clone(),
        producer: facts.labels.producer.clone(),
        payload_descriptor: Some(descriptor(facts, checksum).into()),
        lineage: said.lineage.into_iter().map(said::edge).collect(),
        integrity,
        metadata: said.metadata.map(|record| said::metadata(facts.id, record.metadata)),
        metadata_events: said.events.into_iter().map(|event| said::event(facts.id, event)).collect(),
        compression: Some(compression(packing)),
        tags: facts.labels.tags.clone().into_iter().collect(),
        no_evict: facts.no_evict,
        protection: WireProtection::from(facts.protection) as i32,
        ..PayloadArchiveMetadata::default()
    }
}

/// What lies beside one copy, as it is to lie beside another of the same bytes.
#[must_use]
pub fn of_copy(text: &[u8], packing: Packing) -> Vec<u8> {
    let changed = convert::from_json(text).ok().and_then(|archive| {
        let archive = PayloadArchiveMetadata { compression: Some(compression(packing)), ..archive };
        convert::to_json(&archive).ok()
    });
    changed.map_or_else(|| text.to_vec(), String::into_bytes)
}

fn compression(packing: Packing) -> Compression {
    match packing {
        Packing::Plain => Compression::default(),
        Packing::Lz4 { block_bytes } => Compression {
            r#type: CompressionType::CompressionLz4 as i32,
            block_size: block_bytes,
            ..Compression::default()
        },
    }
}

/// The payload as the archive has it: durable, here, and nowhere else.
fn descriptor(facts: &Facts, checksum: Option<Checksum>) -> convert::Descriptor {
    convert::Descriptor {
        id: facts.id,
        tier: Tier::Disk,
        state: PayloadState::Durable,
        location: None,
        version: facts.version,
        created: facts.created,
        expires: facts.expires,
        policy: facts.policy,
        size: facts.size,
        checksum,
        copies: TierSet::EMPTY.with(Tier::Disk),
        protection: facts.protection,
        dies_with_daemon: false,
    }
}
