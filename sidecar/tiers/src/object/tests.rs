//! What holds of OBJECT alone. What holds of every tier is the conformance suite's.

mod azure;
mod faults;
#[allow(unreachable_pub, dead_code, reason = "the whole-system tests use it, too")]
mod moto;
mod packing;
#[expect(unreachable_pub, reason = "the whole-system tests use it, too")]
mod proxy;
mod rig;
mod s3;

use std::fs;
use std::io;

use payload_manager_types::{PayloadId, Place};

use super::*;
use crate::Notes;
use crate::conformance::bytes::{checksum_of, new_id, pattern};
use crate::conformance::{FolderRig, ObjectRig, Rig};
use crate::copy::Job;
use crate::notes::tests::notes_come_back_whole_until_they_are_removed;

impl ObjectTier {
    /// Does as a producer with a client of its own.
    pub(crate) fn upload(&self, id: PayloadId, bytes: Vec<u8>) {
        self.remote.put(&self.remote.layout.bin(id), Bytes::from(bytes)).unwrap();
    }

    /// What lies there.
    pub(crate) fn uploaded(&self, id: PayloadId) -> Option<Vec<u8>> {
        self.remote.get(&self.remote.layout.bin(id)).unwrap().map(Vec::from)
    }
}

fn archive(_: crate::Written) -> Vec<u8> {
    b"{}".to_vec()
}

/// Puts a copy through the port.
fn put(tier: &ObjectTier, bytes: &[u8]) -> PayloadId {
    let id = new_id();
    let mut sink = tier.sink(id, bytes.len() as u64).unwrap();
    for (n, piece) in bytes.chunks(1 << 20).enumerate() {
        sink.write_at((n as u64) << 20, piece).unwrap();
    }
    sink.finish(checksum_of(bytes), &archive).unwrap();
    id
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn notes_lie_below_the_prefix_and_are_no_payloads() {
    let rig = FolderRig::new();
    notes_come_back_whole_until_they_are_removed(&rig.object.tier);
    rig.object.tier.put_note("0a/head.json", b"x").unwrap();
    assert_eq!(rig.object.tier.survey().count(), 0);
}

#[test]
fn an_allocation_makes_nothing_and_says_where_to_upload() {
    let rig = FolderRig::new();
    let id = new_id();
    let place = rig.store().allocate(id, 5).unwrap();
    let uri = format!("file://{}/{id}.bin", rig.folder().display());
    assert_eq!(rig.store().location(id, place), Location::Object { uri });
    assert_eq!(names(&rig.folder()), Vec::<String>::new());
}

#[test]
fn what_a_killed_daemon_left_of_an_upload_goes_with_the_copy() {
    let rig = FolderRig::new();
    let tier = &rig.object.tier;
    let (id, size) = (new_id(), 9u64 << 20);
    let mut sinks = Vec::new();
    for _ in 0..2 {
        let mut sink = tier.sink(id, size).unwrap();
        for n in 0..9 {
            sink.write_at(n << 20, &[7; 1 << 20]).unwrap();
        }
        sinks.push(sink);
    }
    assert_eq!(names(&rig.folder()), [format!("{id}.bin#1"), format!("{id}.bin#2")]);
    tier.free(id, Place::OWN).unwrap();
    assert_eq!(names(&rig.folder()), Vec::<String>::new());
}

#[test]
fn a_prefix_is_claimed_once_and_by_one_instance() {
    let rig = FolderRig::new();
    let tier = &rig.object.tier;
    let (ours, other) = (InstanceId::from_bytes([1; 16]), InstanceId::from_bytes([2; 16]));
    assert_eq!(tier.marker().unwrap(), None);
    tier.claim(ours).unwrap();
    tier.claim(ours).unwrap();
    let error = tier.claim(other).unwrap_err();
    assert!(error.to_string().contains(&ours.to_string()) && error.to_string().contains(&other.to_string()), "{error}");
    assert!(matches!(error, TierError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists));
    assert_eq!(tier.marker().unwrap(), Some(ours));
    fs::write(rig.folder().join("instance"), "nobody").unwrap();
    assert!(
        matches!(tier.claim(ours), Err(TierError::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidData)
    );
}

#[test]
fn of_those_who_claim_a_prefix_at_once_one_wins() {
    let rig = FolderRig::new();
    let claims: Vec<_> = std::thread::scope(|scope| {
        let claim = |n| move |tier: &ObjectTier| tier.claim(InstanceId::from_bytes([n; 16])).is_ok();
        let running: Vec<_> = (0..8)
            .map(|n| {
                let tier = &rig.object.tier;
                scope.spawn(move || claim(n)(tier))
            })
            .collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(claims.iter().filter(|won| **won).count(), 1, "{claims:?}");
}

#[test]
fn a_check_leaves_nothing_and_says_what_is_wrong() {
    let rig = FolderRig::new();
    rig.object.tier.check().unwrap();
    assert_eq!(names(&rig.folder()), Vec::<String>::new());
    fs::remove_dir_all(rig.folder()).unwrap();
    fs::write(rig.folder(), "in the way").unwrap();
    let error = rig.object.tier.check().unwrap_err();
    assert!(error.to_string().contains(rig.folder().to_str().unwrap()), "{error}");
}

#[test]
fn a_survey_names_what_lies_there_and_nothing_that_is_set_aside() {
    let rig = FolderRig::new();
    let tier = &rig.object.tier;
    tier.claim(InstanceId::from_bytes([1; 16])).unwrap();
    let (id, aside) = (put(tier, b"12345"), put(tier, b"123"));
    tier.set_aside(aside, Place::OWN).unwrap();
    fs::write(rig.folder().join("notes"), "").unwrap();
    fs::write(rig.folder().join(format!("{}.bin", id.to_string().to_uppercase())), "").unwrap();
    let mut found: Vec<_> = tier.survey().map(Result::unwrap).collect();
    found.sort_by_key(|found| match found {
        Found::Bin { .. } => 0,
        Found::Meta { .. } => 1,
        Found::Other { .. } => 2,
    });
    assert_eq!(found[..2], [Found::Bin { id, size: 5 }, Found::Meta { id }]);
    let mut others: Vec<_> = found[2..].iter().map(|found| format!("{found:?}")).collect();
    others.sort();
    assert_eq!(others.len(), 2, "{others:?}");
    assert!(others[1].contains("notes"), "{others:?}");
}

#[test]
fn a_survey_goes_on_after_its_first_page() {
    let rig = FolderRig::new();
    for _ in 0..1001 {
        fs::write(rig.folder().join(format!("{}.bin", new_id())), "").unwrap();
    }
    assert_eq!(rig.object.tier.survey().filter(Result::is_ok).count(), 1001);
}

#[test]
fn what_is_set_aside_twice_lies_there_twice() {
    let rig = FolderRig::new();
    let tier = &rig.object.tier;
    let id = new_id();
    for copy_max in [u64::MAX, 0] {
        let mut sink = tier.sink(id, 9 << 20).unwrap();
        sink.write_at(0, &vec![7; 9 << 20]).unwrap();
        sink.finish(checksum_of(b""), &archive).unwrap();
        aside::move_pair(&tier.remote, id, copy_max).unwrap();
    }
    let aside = rig.folder().join("set-aside");
    let (first, second) = (id.to_string(), format!("{id}.1"));
    assert_eq!(
        names(&aside),
        [format!("{second}.bin"), format!("{second}.meta.json"), format!("{first}.bin"), format!("{first}.meta.json")]
    );
    assert_eq!(fs::read(aside.join(format!("{second}.bin"))).unwrap(), vec![7; 9 << 20]);
}

#[test]
fn memory_is_bounded_whatever_the_size() {
    let rig = FolderRig::new();
    let uri = format!("file://{}", rig.folder().display());
    let many = ObjectOptions { in_flight: 100, ..ObjectOptions::default() };
    for (options, most) in [(ObjectOptions::default(), 32 << 20), (many, parts::MAX_HELD)] {
        let tier = ObjectRig::at(&uri, options).tier;
        let size = 160 << 20;
        let id = put(&tier, &vec![3; size]);
        let mut source = tier.source(id, Place::OWN, size as u64).unwrap();
        copy::hash(Job { id, from: Tier::Object, size: size as u64 }, &mut *source, &|_| true).unwrap();
        drop(source);
        assert!(tier.peak_held_bytes() <= most && tier.peak_held_bytes() > 8 << 20, "{}", tier.peak_held_bytes());
        tier.free(id, Place::OWN).unwrap();
    }
}

#[test]
fn bytes_out_of_order_or_too_many_are_refused_and_too_few_are_not_finished() {
    let rig = FolderRig::new();
    for (offset, bytes) in [(1, &b"12"[..]), (0, b"123456")] {
        let mut sink = rig.store().sink(new_id(), 5).unwrap();
        assert!(matches!(sink.write_at(offset, bytes), Err(TierError::Io { .. })));
    }
    let mut sink = rig.store().sink(new_id(), 5).unwrap();
    sink.write_at(0, b"1234").unwrap();
    let error = sink.finish(checksum_of(b"1234"), &archive).unwrap_err();
    assert!(error.to_string().contains("4 of 5 bytes"), "{error}");
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

#[test]
fn a_copy_in_parts_that_is_dropped_half_way_leaves_nothing() {
    let rig = FolderRig::new();
    let mut sink = rig.store().sink(new_id(), 40 << 20).unwrap();
    sink.write_at(0, &pattern(20 << 20)).unwrap();
    assert_eq!(rig.leftovers().len(), 1, "it is on its way");
    drop(sink);
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

#[test]
fn callers_may_block_every_thread_of_a_runtime() {
    let rig = FolderRig::new();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).max_blocking_threads(2).build().unwrap();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let tier = rig.object.tier.clone();
            runtime.spawn_blocking(move || put(&tier, b"12345"))
        })
        .collect();
    for call in calls {
        let id = runtime.block_on(call).unwrap();
        assert_eq!(rig.bytes(id).unwrap(), b"12345");
    }
    // Even where it is wrong to block, nothing panics.
    let tier = rig.object.tier.clone();
    assert!(runtime.block_on(async move { tier.check().is_ok() }));
}
