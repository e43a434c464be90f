//! Pages that lie: whatever a header or an entry claims, opening and reading is an answer and not a crash.

use std::os::unix::fs::FileExt;

use crate::testing::{Names, US, id};
use crate::{Directory, DirectoryReader, Face, OpenError, Records, RpcLeases, object};

/// A directory of 100 entries of which one byte range was overwritten, opened by its daemon and by a client.
fn with(offset: u64, bytes: &[u8]) -> [Result<(), OpenError>; 2] {
    let names = Names::new();
    let name = names.name("dir");
    Directory::create(&name, &US, 100).unwrap();
    let file = object::open(&name).unwrap();
    file.write_all_at(bytes, offset).unwrap();
    [Directory::open(&name, &US).map(drop), DirectoryReader::of_file(file).map(drop)]
}

#[test]
fn a_header_that_contradicts_itself_is_torn() {
    let lies: [(u64, &[u8]); 6] = [
        (0, b"SOMEBODY"),
        (8, &[0, 0, 0, 0]),
        (12, &[2, 0, 0, 0]),
        (56, &0u64.to_le_bytes()),
        (56, &u64::MAX.to_le_bytes()),
        (64, &101u64.to_le_bytes()),
    ];
    for (offset, bytes) in lies {
        for opened in with(offset, bytes) {
            assert!(matches!(opened, Err(OpenError::Torn { .. })), "{offset}: {opened:?}");
        }
    }
    for opened in with(56, &200u64.to_le_bytes()) {
        assert!(matches!(opened, Err(OpenError::Torn { .. })), "not as long as that: {opened:?}");
    }
}

#[test]
fn another_layout_is_refused_with_both_numbers() {
    for other in [2, 4] {
        for opened in with(8, &[other, 0, 0, 0]) {
            let refused =
                matches!(opened, Err(OpenError::OtherLayout { found, known: 3, .. }) if found == u32::from(other));
            assert!(refused, "{opened:?}");
        }
    }
}

#[test]
fn an_object_of_another_length_is_torn() {
    let names = Names::new();
    for (part, bytes) in [("empty", 0), ("short", 100), ("header", 4096)] {
        let name = names.name(part);
        let file = object::create(&name, bytes, 0o600).unwrap();
        assert!(matches!(Records::open(&name, &US), Err(OpenError::Torn { .. })), "{part}");
        assert!(matches!(DirectoryReader::of_file(file), Err(OpenError::Torn { .. })), "{part}");
    }
    let name = names.name("cut");
    Directory::create(&name, &US, 100).unwrap();
    object::open(&name).unwrap().set_len(8192).unwrap();
    assert!(matches!(Directory::open(&name, &US), Err(OpenError::Torn { .. })));
}

#[test]
fn a_page_of_another_kind_is_not_taken_for_one() {
    let names = Names::new();
    let name = names.name("lease-0");
    Records::create(&name, &US, 4096).unwrap();
    assert!(matches!(Directory::open(&name, &US), Err(OpenError::Torn { .. })));
    let opened = RpcLeases::open(names.base(), &US, 0, 10, 0, payload_manager_types::LeaseDeadline(1));
    assert!(matches!(opened, Err(OpenError::Torn { .. })));
}

#[test]
fn any_bytes_in_buckets_and_entries_are_read_without_harm() {
    let names = Names::new();
    let name = names.name("dir");
    let mut directory = Directory::create(&name, &US, 100).unwrap();
    for n in 0..100 {
        directory.insert(&face(n)).unwrap();
    }
    let file = object::open(&name).unwrap();
    let reader = DirectoryReader::of_file(object::open_read_only(&name).unwrap()).unwrap();
    let length = file.metadata().unwrap().len();
    let mut state = 7;
    for round in 0..2_000usize {
        state = crate::layout::mix(state, &[round as u64]);
        let offset = 4096 + state % (length - 4096 - 8);
        let garbage = crate::layout::mix(state, &[1]) & [u64::MAX, 0xff, u64::MAX << 40, 0][round % 4];
        file.write_all_at(&garbage.to_ne_bytes(), offset).unwrap();
        for n in 0..100 {
            assert!(reader.lookup(id(n)).is_none_or(|(_, shown, _)| shown.id == id(n)));
            let _ = directory.lookup(id(n));
        }
        if round % 100 == 0 {
            directory = Directory::open(&name, &US).unwrap();
            let _ = directory.insert(&face(1_000 + round as u64));
            let found: Vec<_> = directory.entries().collect();
            directory.remove(found[round / 40 % found.len()].index);
        }
    }
}

fn face(n: u64) -> Face {
    Face {
        id: id(n),
        version: n,
        tier: payload_manager_types::Tier::Ram,
        place: payload_manager_types::Place::OWN,
        length: n,
        state: crate::EntryState::Closed,
        expires: None,
        generations: [0; 4],
        last_generation: 0,
    }
}
