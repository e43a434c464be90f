//! The suite over each back end, whole and faulty, and the back ends against each other.

use std::sync::atomic::{AtomicU64, Ordering};

use payload_manager_core::facts::{Facts, Pin};
use payload_manager_types::{InstanceId, Retention, Tier, TierSet, UnixMillis};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::conformance::samples::{
    add_event, append, commit, create, doomed, edge, entry, event, facts, id, lineage, metadata, put, set,
    strange_entry, strange_facts, stream,
};
use crate::conformance::{self, Subject, content};
use crate::faulty::{Call, Faulty};
use crate::page::Limit;
use crate::store::StaleArchive;
use crate::writer::Coalesced;
use crate::{Change, Memory, MetadataMode, Sqlite, Store, StoreError};

const INSTANCE: InstanceId = InstanceId::from_bytes([7; 16]);

impl Subject for Memory {
    fn open(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }
}

impl Subject for TempDir {
    fn open(&self) -> Box<dyn Store> {
        Box::new(Sqlite::open_or_create(&self.path().join("catalog.db"), INSTANCE).unwrap().0)
    }
}

/// Fails every other call.
struct Limping<T>(T);

impl<T: Subject> Subject for Limping<T> {
    fn open(&self) -> Box<dyn Store> {
        let calls = AtomicU64::new(0);
        let faults = move |_: &Call<'_>| {
            let odd = calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            odd.then(|| StoreError::Unavailable("on purpose".to_owned()))
        };
        Box::new(Faulty::new(self.0.open(), faults))
    }
}

#[test]
fn memory_conforms() {
    conformance::run(&|| Box::new(Memory::new(INSTANCE)));
}

#[test]
fn memory_conforms_when_every_other_call_fails() {
    conformance::run(&|| Box::new(Limping(Memory::new(INSTANCE))));
}

#[test]
fn sqlite_conforms() {
    conformance::run(&|| Box::new(tempfile::tempdir().unwrap()));
}

#[test]
fn sqlite_conforms_when_every_other_call_fails() {
    conformance::run(&|| Box::new(Limping(tempfile::tempdir().unwrap())));
}

/// A change of a row or a file; of a few of each, so that changes meet.
/// Of one batch that takes a payload's durable copy away and makes another, the other one's archive is to be written.
#[test]
fn a_copy_made_anew_within_a_batch_is_told_what_was_said() {
    let durable = || put(Facts { copies: TierSet::EMPTY.with(Tier::Disk), ..facts(1) });
    let mut store = Memory::new(INSTANCE);
    store.apply(&[durable(), add_event(1, event("x"), 1)], false).unwrap();
    let batch = [put(facts(1)), put(facts(1)), durable(), durable()];
    let coalesced = Coalesced::new(&batch);
    assert_eq!(coalesced.changes(&batch).len(), 2, "what comes twice is written once");
    store.apply(&coalesced.changes(&batch), false).unwrap();
    let stale = store.reader().unwrap().stale_archives(None, Limit::NONE).unwrap().items;
    assert_eq!(stale, [StaleArchive { id: id(1), number: 2 }]);
}

fn any_change_of_a_row() -> impl Strategy<Value = Change> {
    let (n, tier) = (0..3u64, prop::sample::select(Tier::ALL.to_vec()));
    let file = (n.clone(), tier.clone(), any::<u8>()).prop_map(|(n, tier, generation)| doomed(n, tier, generation));
    let row = (n.clone(), any::<bool>(), any::<u32>()).prop_map(|(n, strange, version)| Facts {
        version: version.into(),
        ..if strange { strange_facts(n) } else { facts(n) }
    });
    prop_oneof![
        4 => (row, prop::option::of(file.clone())).prop_map(|(row, doomed)| Change::Put { facts: Box::new(row), doomed }),
        2 => (n.clone(), prop::collection::vec(file.clone(), 0..3))
            .prop_map(|(n, doomed)| Change::Delete { id: id(n), doomed }),
        1 => file.prop_map(Change::Doom),
        2 => (n, tier).prop_map(|(n, tier)| Change::Undoom { id: id(n), tier }),
    ]
}

/// Something that is said about one of the same few payloads, or that pins it.
fn any_saying() -> impl Strategy<Value = Change> {
    let text = prop::sample::select(vec!["", "a", "b"]);
    let mode = prop::sample::select(vec![MetadataMode::Replace, MetadataMode::Merge]);
    prop_oneof![
        2 => (0..3u64, text.clone(), text.clone(), mode)
            .prop_map(|(n, data, schema, mode)| set(n, metadata(data.as_bytes(), schema), mode)),
        1 => (0..3u64, text, 0..9u64).prop_map(|(n, what, at)| add_event(n, event(what), at)),
        1 => (0..3u64, prop::option::of(Just(Pin::UntilUnpinned))).prop_map(|(n, pin)| Change::SetPin { id: id(n), pin }),
        3 => (0..3u64, prop::collection::vec(0..4u64, 0..4))
            .prop_map(|(n, parents)| lineage(n, parents.into_iter().map(edge).collect())),
    ]
}

/// A change of one of a few streams, one of which keeps little.
fn any_change_of_a_stream() -> impl Strategy<Value = Change> {
    let name = prop::sample::select(vec![stream("", "a"), stream("b", "a")]);
    let little = Retention { max_entries: 4, max_age_sec: 1 };
    prop_oneof![
        1 => name.clone().prop_map(|name| create(&name)),
        1 => name.clone()
            .prop_map(move |name| Change::CreateStream { name, retention: little, at: UnixMillis(7) }),
        1 => name.clone().prop_map(move |name| Change::RestoreStream {
            name, retention: little, next: 3, created: UnixMillis(5),
        }),
        1 => name.clone().prop_map(|name| Change::DeleteStream { name }),
        3 => (name.clone(), 0..3u64, 0..4usize, 0..9u64).prop_map(|(name, n, count, at)| {
            append(&name, vec![if at == 0 { strange_entry(n) } else { entry(n) }; count], at * 300)
        }),
        1 => (name.clone(), 0..9u64).prop_map(|(stream, at)| Change::Trim { stream, at: UnixMillis(at * 300) }),
        2 => (name, prop::sample::select(vec!["g", "h"]), 0..9u64)
            .prop_map(|(name, group, offset)| commit(&name, group, offset, offset)),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => any_change_of_a_row(),
        3 => any_saying(),
        4 => any_change_of_a_stream(),
        1 => Just(Change::CountStart),
        1 => (0..4u64).prop_map(|number| Change::LogArchived { stream: stream("b", "a"), number }),
    ]
}

fn any_batches() -> impl Strategy<Value = Vec<Vec<Change>>> {
    prop::collection::vec(prop::collection::vec(any_change(), 0..12), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn sqlite_agrees_with_memory(batches in any_batches()) {
        let folder = tempfile::tempdir().unwrap();
        let (mut memory, mut sqlite) = (Memory::new(INSTANCE), folder.open());
        for batch in batches {
            prop_assert_eq!(sqlite.apply(&batch, false), memory.apply(&batch, false));
        }
        prop_assert_eq!(content(&*sqlite), content(&memory));
    }

    #[test]
    fn leaving_out_what_a_batch_overwrites_makes_no_difference(batches in any_batches()) {
        let (mut whole, mut reduced) = (Memory::new(INSTANCE), Memory::new(INSTANCE));
        for batch in batches {
            let coalesced = Coalesced::new(&batch);
            let applied = reduced.apply(&coalesced.changes(&batch), false).unwrap();
            prop_assert_eq!(coalesced.outcomes(applied), whole.apply(&batch, false).unwrap());
            prop_assert_eq!(content(&reduced), content(&whole));
        }
    }
}
