//! Things to put into a catalog.

use payload_manager_core::facts::{Facts, Labels, Phase, Pin};
use payload_manager_types::{
    BlockName, Checksum, EntryIndex, EvictionPolicy, NewEntry, PayloadId, Priority, Protection, Retention, SpillTarget,
    StreamName, Tier, TierSet, Timestamp, UnixMillis,
};

use crate::change::{Change, DoomedFile};
use crate::lineage::Edge;
use crate::metadata::{Metadata, MetadataMode, MetadataUpdate, NewMetadataEvent};

/// The id numbered `n`.
#[must_use]
pub fn id(n: u64) -> PayloadId {
    PayloadId::from_words(0x0190_0000_0000_7000, n)
}

/// A plain row.
#[must_use]
pub fn facts(n: u64) -> Facts {
    Facts {
        id: id(n),
        size: 4096,
        phase: Phase::Committed,
        version: 1,
        preferred: Tier::Ram,
        copies: TierSet::EMPTY.with(Tier::Ram),
        created: UnixMillis(1_700_000_000_000),
        expires: None,
        reclaim_at: None,
        policy: EvictionPolicy::default(),
        no_evict: false,
        protection: Protection::Shared,
        checksum: None,
        pin: None,
        labels: Labels::default(),
    }
}

/// [`facts`] of another size.
#[must_use]
pub fn longer(n: u64) -> Facts {
    Facts { size: 8192, ..facts(n) }
}

/// A row in which nothing has the value that [`facts`] gives it, and numbers and texts are as bad as they get.
#[must_use]
pub fn strange_facts(n: u64) -> Facts {
    let policy = EvictionPolicy {
        priority: Priority::Never,
        require_durable: true,
        spill_target: Some(SpillTarget::Void),
        min_residency: Some(Tier::Object),
    };
    let tags = [("", ""), ("quote\"", "back\\slash"), ("nul\0", "\u{1f980}\n"), ("x", "{\"y\": null}")];
    Facts {
        id: id(n),
        size: u64::MAX,
        phase: Phase::Allocated,
        version: (1 << 63) + 1,
        preferred: Tier::Object,
        copies: Tier::ALL.into_iter().collect(),
        created: UnixMillis(0),
        expires: Some(UnixMillis(0)),
        reclaim_at: Some(UnixMillis(u64::MAX)),
        policy,
        no_evict: true,
        protection: Protection::Sealed,
        checksum: Some(Checksum([0xff; 16])),
        pin: Some(Pin::Until(UnixMillis(7))),
        labels: Labels {
            dataset: "données\0; DROP TABLE payloads".to_owned(),
            producer: "p".repeat(100_000),
            tags: tags.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        },
    }
}

/// Writes a row.
#[must_use]
pub fn put(facts: Facts) -> Change {
    Change::Put { facts: Box::new(facts), doomed: None }
}

/// A file of payload `n` in `tier` that is to be removed.
#[must_use]
pub fn doomed(n: u64, tier: Tier, generation: u8) -> DoomedFile {
    let index = EntryIndex::new(EntryIndex::LIMIT - 1 - u32::from(generation));
    let block = BlockName { index: index.unwrap(), generation };
    DoomedFile { id: id(n), tier, block, size: u64::MAX - u64::from(generation) }
}

/// A stream's name.
#[must_use]
pub fn stream(namespace: &str, name: &str) -> StreamName {
    StreamName::new(namespace, name).unwrap()
}

/// Makes a stream.
#[must_use]
pub fn create(name: &StreamName) -> Change {
    let retention = Retention { max_entries: u64::MAX, max_age_sec: 3 };
    Change::CreateStream { name: name.clone(), retention, at: UnixMillis(5) }
}

/// A plain entry.
#[must_use]
pub fn entry(n: u64) -> NewEntry {
    NewEntry { payload: id(n), event_time: None, duration_ns: 0, tags: [].into() }
}

/// An entry with everything said, as badly as possible.
#[must_use]
pub fn strange_entry(n: u64) -> NewEntry {
    NewEntry {
        payload: id(n),
        event_time: Some(Timestamp { seconds: -62_135_596_800, nanos: 999_999_999 }),
        duration_ns: u64::MAX,
        tags: [("k\0".to_owned(), "\"v\"".to_owned()), (String::new(), String::new())].into(),
    }
}

/// Appends at time `at`.
#[must_use]
pub fn append(stream: &StreamName, entries: Vec<NewEntry>, at: u64) -> Change {
    Change::Append { stream: stream.clone(), entries, at: UnixMillis(at) }
}

/// Metadata of a few bytes, or of none.
#[must_use]
pub fn metadata(data: &[u8], schema: &str) -> Metadata {
    Metadata { data: data.to_owned(), schema: schema.to_owned() }
}

/// Sets the metadata of payload `n`.
#[must_use]
pub fn set(n: u64, metadata: Metadata, mode: MetadataMode) -> Change {
    let (actor, reason) = ("an \0 actor".to_owned(), format!("to try {n}"));
    let update = Box::new(MetadataUpdate { metadata, mode, actor, reason });
    Change::SetMetadata { id: id(n), update, at: UnixMillis(u64::MAX - n) }
}

/// An event that says `what`.
#[must_use]
pub fn event(what: &str) -> NewMetadataEvent {
    let (source, version) = (format!("source of {what}"), format!("\0{what}\n"));
    NewMetadataEvent { metadata: metadata(what.as_bytes(), "text"), source, version }
}

/// Adds to the history of payload `n`.
#[must_use]
pub fn add_event(n: u64, event: NewMetadataEvent, at: u64) -> Change {
    Change::AppendMetadataEvent { id: id(n), event: Box::new(event), at: UnixMillis(at) }
}

/// An edge to payload `parent`.
#[must_use]
pub fn edge(parent: u64) -> Edge {
    Edge { parent: id(parent), operation: "crop".to_owned(), role: String::new(), parameters: vec![] }
}

/// Adds edges from payload `child`.
#[must_use]
pub fn lineage(child: u64, edges: Vec<Edge>) -> Change {
    Change::AddLineage { child: id(child), edges }
}

/// Says that `group` has come to `offset`.
#[must_use]
pub fn commit(stream: &StreamName, group: &str, offset: u64, at: u64) -> Change {
    Change::CommitOffset { stream: stream.clone(), group: group.to_owned(), offset, at: UnixMillis(at) }
}
