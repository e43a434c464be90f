//! What the DISK tier does that the conformance suite does not ask of every tier: its folders, files and their names.

mod aside;
mod folder;
mod survey;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use payload_manager_types::{PayloadId, Place};

use crate::conformance::bytes::{checksum_of, new_id, pattern};
use crate::conformance::space::with_small_file_systems;
use crate::conformance::{DiskRig, Rig};
use crate::copy::{self, Job};
use crate::notes::tests::notes_come_back_whole_until_they_are_removed;
use crate::{DiskOptions, DiskTier, Location, Notes, TierError, TierStore};

fn archive(_: crate::Written) -> Vec<u8> {
    b"{}".to_vec()
}

/// A finished copy.
fn put(tier: &DiskTier, bytes: &[u8]) -> PayloadId {
    let id = new_id();
    put_as(tier, id, bytes);
    id
}

fn put_as(tier: &DiskTier, id: PayloadId, bytes: &[u8]) {
    let mut sink = tier.sink(id, bytes.len() as u64).unwrap();
    sink.write_at(0, bytes).unwrap();
    sink.finish(checksum_of(bytes), &archive).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn clients_find_the_file_in_the_shard_of_its_last_two_digits() {
    let rig = DiskRig::with(0);
    let id: PayloadId = "30313233-3435-3637-3839-6162636465AF".parse().unwrap();
    let place = rig.tier.allocate(id, 5).unwrap();
    let path = rig.tier.root().join("af").join("30313233-3435-3637-3839-6162636465af.bin");
    assert_eq!(rig.tier.location(id, place), Location::File { path: path.clone(), offset: 0 });
    assert!(path.is_absolute() && path.exists());
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn notes_lie_beside_the_shards_and_are_no_payloads() {
    let rig = DiskRig::with(0);
    notes_come_back_whole_until_they_are_removed(&rig.tier);
    let notes = rig.tier.root().join("streams");
    assert_eq!(names(&notes), Vec::<String>::new(), "the folders go with what was in them");
    rig.tier.put_note("0a/head.json", b"x").unwrap();
    // Left by a crash, and by somebody.
    fs::write(notes.join("0a/head.json.tmp"), b"half").unwrap();
    fs::write(notes.join("README"), b"mine").unwrap();
    assert_eq!((rig.tier.notes().unwrap(), rig.tier.survey().unwrap()), (vec!["0a/head.json".to_owned()], vec![]));
    rig.tier.remove_note("0a/head.json").unwrap();
    assert_eq!(names(&notes), ["README"]);
}

#[test]
fn a_copy_has_its_name_only_once_it_is_complete() {
    let rig = DiskRig::with(u64::MAX);
    let id = new_id();
    let mut sink = rig.tier.sink(id, 9).unwrap();
    let shard = rig.tier.path(id).parent().unwrap().to_owned();
    assert_eq!(names(&shard), [format!("{id}.bin.tmp")]);
    sink.write_at(0, b"some text").unwrap();
    sink.finish(checksum_of(b"some text"), &archive).unwrap();
    assert_eq!(names(&shard), [format!("{id}.bin"), format!("{id}.meta.json")]);
    assert_eq!(rig.tier.archive(id).unwrap().as_deref(), Some(b"{}".as_slice()));
}

#[test]
fn an_archive_that_cannot_be_written_fails_the_commit_and_the_producer_may_go_on() {
    let rig = DiskRig::with(u64::MAX);
    let (id, bytes) = (new_id(), pattern(5000));
    let place = rig.tier.allocate(id, 5000).unwrap();
    rig.write(id, &bytes);
    let in_the_way = rig.tier.path(id).with_extension("meta.json.tmp");
    fs::create_dir_all(in_the_way.join("full")).unwrap();
    assert!(rig.tier.seal(id, place, 5000, &archive).is_err());
    assert_eq!((rig.mode(id), rig.tier.archive(id).unwrap()), (Some(0o600), None));

    let mut sink = rig.tier.sink(id, 5000).unwrap();
    sink.write_at(0, &pattern(5000)).unwrap();
    assert!(sink.finish(checksum_of(&bytes), &archive).is_err());
    assert_eq!(rig.bytes(id), Some(bytes), "a copy that was there is not harmed by one that failed");

    fs::remove_dir_all(in_the_way).unwrap();
    rig.tier.seal(id, place, 5000, &archive).unwrap();
}

#[test]
fn what_is_a_link_or_no_file_is_not_followed() {
    let rig = DiskRig::with(0);
    let (link, folder) = (put(&rig.tier, b"12345"), put(&rig.tier, b"12345"));
    let elsewhere = rig.folder().join("elsewhere");
    fs::rename(rig.tier.path(link), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, rig.tier.path(link)).unwrap();
    assert!(matches!(rig.tier.source(link, Place::OWN, 5).map(drop), Err(TierError::Io { .. })));
    fs::remove_file(rig.tier.path(folder)).unwrap();
    fs::create_dir(rig.tier.path(folder)).unwrap();
    assert!(matches!(rig.tier.source(folder, Place::OWN, 5).map(drop), Err(TierError::Missing { .. })));
}

#[test]
fn large_copies_pass_the_page_cache_by_until_their_tail() {
    let rig = DiskRig::with(8192);
    let flags = |file: &crate::file::CopyFile| OFlag::from_bits_retain(fcntl(&file.file, FcntlArg::F_GETFL).unwrap());
    let id = put(&rig.tier, &pattern(8193));
    let mut file = rig.tier.open_copy(id, 8193, true).unwrap();
    assert_eq!(file.direct, flags(&file).contains(OFlag::O_DIRECT), "where the file system takes it");
    let mut buffer = crate::AlignedBuffer::new(12288);
    assert_eq!(file.read_at(0, buffer.head_mut(8192)).unwrap(), 8192);
    assert_eq!(file.read_at(8192, buffer.head_mut(1)).unwrap(), 1);
    assert!(!file.direct && !flags(&file).contains(OFlag::O_DIRECT), "the tail is no whole block");
    assert!(!rig.tier.open_copy(id, 8193, false).unwrap().direct);
}

#[test]
fn unaligned_buffers_and_offsets_work_too() {
    let rig = DiskRig::with(0);
    let (id, bytes) = (new_id(), pattern(20_001));
    let mut sink = rig.tier.sink(id, 20_001).unwrap();
    for (n, piece) in bytes.chunks(7000).enumerate() {
        sink.write_at(n as u64 * 7000, piece).unwrap();
    }
    sink.finish(checksum_of(&bytes), &archive).unwrap();
    assert_eq!(rig.bytes(id).as_ref(), Some(&bytes));
    let mut read = vec![0; 15_000];
    assert_eq!(rig.tier.source(id, Place::OWN, 20_001).unwrap().read_at(5001, &mut read).unwrap(), 15_000);
    assert_eq!(read, bytes[5001..]);
}

#[test]
fn a_full_disk_is_full_with_numbers() {
    with_small_file_systems("disk::tests::a_full_disk_is_full_with_numbers", |small| {
        for direct_io_min in [0, u64::MAX] {
            let tier = DiskTier::open(&small.join("payloads"), DiskOptions { direct_io_min }).unwrap();
            let (id, size) = (new_id(), 6 << 20);
            let place = tier.allocate(id, size).unwrap();
            for error in
                [tier.allocate(new_id(), 3 << 20).unwrap_err(), tier.sink(new_id(), 3 << 20).map(drop).unwrap_err()]
            {
                let TierError::Full { asked, free, what, .. } = error else { panic!("{error}") };
                assert!(asked == 3 << 20 && (1 << 20..=2 << 20).contains(&free), "{asked} {free}");
                assert!(what.contains(small.to_str().unwrap()), "{what}");
            }
            assert_eq!(tier.survey().unwrap().len(), 1, "nothing is left of what did not fit");

            // Somebody else takes the rest: there is no room for the metadata either.
            let rest = small.join("rest");
            fs::write(&rest, vec![1; 8 << 20]).unwrap_err();
            let error = tier.seal(id, place, size, &|_| vec![b' '; 9000]).unwrap_err();
            assert!(matches!(error, TierError::Full { .. }), "{error}");
            fs::remove_file(rest).unwrap();
            tier.seal(id, place, size, &archive).unwrap();
            let mut source = tier.source(id, place, size).unwrap();
            let job = Job { id, from: tier.tier(), size };
            assert_eq!(copy::hash(job, &mut *source, &|_| true).unwrap(), checksum_of(&vec![0; 6 << 20]));
            tier.free(id, place).unwrap();
        }
    });
}
