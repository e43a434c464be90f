//! The directory as its daemon and its clients see it, one at a time and at once.

use payload_manager_types::{Checksum, EvictionPolicy, PayloadState, Place, Priority, Protection, Tier, UnixMillis};

use super::*;
use crate::object;
use crate::sync::Ordering;
use crate::testing::{Names, US, id, index};

fn face(n: u64) -> Face {
    Face {
        id: id(n),
        version: 2 + n,
        tier: Tier::Ram,
        place: Place { unit: 3, offset: 4096 * n },
        length: 1000 + n,
        state: EntryState::Shown(PayloadState::Active),
        expires: Some(UnixMillis(1_700_000_000_000 + n)),
        generations: [0, 1, 2, 0],
        last_generation: 2,
    }
}

fn reader(name: &str) -> DirectoryReader {
    DirectoryReader::of_file(object::open_read_only(name).unwrap()).unwrap()
}

#[test]
fn every_face_survives_its_words() {
    for state in PayloadState::ALL.into_iter().map(EntryState::Shown).chain([EntryState::Closed]) {
        for tier in Tier::ALL {
            for expires in [None, Some(payload_manager_types::YEAR_9999_END)] {
                let face = Face { state, tier, expires, last_generation: 255, generations: [1, 255, 3, 4], ..face(1) };
                assert_eq!(Face::from_words(face.to_words()), Some(face));
            }
        }
    }
    let mut words = face(1).to_words();
    words[6] |= 0xf << 48;
    assert_eq!(Face::from_words(words), None, "tier 15");
    assert_eq!(Face::from_words(face::vacant(9)), None);
    assert!(face(1).is_readable() && face(1).generation() == 1);
}

#[test]
fn what_the_daemon_publishes_its_clients_find() {
    let names = Names::new();
    let name = names.name("dir");
    let mut directory = Directory::create(&name, &US, 100).unwrap();
    let client = reader(&name);
    assert_eq!((client.instance(), client.epoch_ms()), (US.instance, directory.epoch_ms()));
    assert_eq!(client.lookup(id(1)), None);
    let at = directory.insert(&face(1)).unwrap();
    let (found, shown, seq) = client.lookup(id(1)).unwrap();
    assert_eq!((found, shown), (at, face(1)));
    assert_eq!(directory.lookup(id(1)), Some((at, face(1), seq)));

    let moved = Face { tier: Tier::Disk, version: 9, ..face(1) };
    directory.publish(at, &moved);
    let (_, shown, later) = client.lookup(id(1)).unwrap();
    assert!(shown == moved && later > seq && later % 2 == 0);

    directory.close(at);
    assert_eq!(client.lookup(id(1)).unwrap().1, Face { state: EntryState::Closed, ..moved });
    directory.remove(at);
    assert_eq!((client.lookup(id(1)), directory.lookup(id(1)), directory.len()), (None, None, 0));
}

#[test]
fn an_entry_keeps_its_number_and_its_last_generation_when_it_is_used_again() {
    let names = Names::new();
    let mut directory = Directory::create(&names.name("dir"), &US, 1).unwrap();
    let at = directory.insert(&Face { last_generation: 17, ..face(1) }).unwrap();
    let seq = directory.read(at).unwrap().1;
    directory.remove(at);
    assert_eq!(directory.next_entry().unwrap(), (at, 17));
    assert_eq!(directory.insert(&face(2)).unwrap(), at);
    assert!(directory.read(at).unwrap().1 > seq);
    assert!(matches!(directory.insert(&face(3)), Err(Full::Limit { max: 1, .. })));
    assert_eq!(directory.insert(&Face { version: 50, ..face(2) }).unwrap(), at, "an id has one entry");
}

#[test]
fn a_directory_opened_again_shows_what_it_showed() {
    let names = Names::new();
    let name = names.name("dir");
    let mut directory = Directory::create(&name, &US, 100).unwrap();
    let at: Vec<_> = (0..50).map(|n| directory.insert(&face(n)).unwrap()).collect();
    at.iter().step_by(2).for_each(|at| directory.remove(*at));
    let (epoch, before) = (directory.epoch_ms(), directory.entries().collect::<Vec<_>>());
    drop(directory);

    let mut directory = Directory::open(&name, &US).unwrap();
    assert_eq!((directory.len(), directory.epoch_ms()), (25, epoch));
    assert_eq!(directory.entries().collect::<Vec<_>>(), before);
    for n in 0..50 {
        assert_eq!(directory.lookup(id(n)).map(|found| found.1), (n % 2 == 1).then(|| face(n)));
    }
    let again: Vec<_> = (100..125).map(|n| directory.insert(&face(n)).unwrap()).collect();
    assert!(again.iter().all(|index| index.get() < 50), "vacant entries are used before new ones: {again:?}");
}

#[test]
fn an_entry_whose_writer_died_is_found_torn_and_mended_by_publishing() {
    let names = Names::new();
    let name = names.name("dir");
    let mut directory = Directory::create(&name, &US, 10).unwrap();
    let at = directory.insert(&face(1)).unwrap();
    let entry = directory.table.entry(at).unwrap();
    entry.seq.store(entry.seq() + 1, Ordering::Relaxed);
    entry.body[2].store(99, Ordering::Relaxed);
    let number = entry.seq();

    let mut directory = Directory::open(&name, &US).unwrap();
    let client = reader(&name);
    assert_eq!((client.lookup(id(1)), directory.lookup(id(1))), (None, None));
    let found: Vec<_> = directory.entries().collect();
    assert_eq!(found, [FoundEntry { index: at, id: id(1), face: Some(Face { version: 99, ..face(1) }), torn: true }]);
    directory.publish(at, &face(1));
    let (_, shown, seq) = client.lookup(id(1)).unwrap();
    assert!(shown == face(1) && seq > number);
}

#[test]
fn ids_that_share_buckets_are_found_until_each_is_removed() {
    let names = Names::new();
    let mut directory = Directory::create(&names.name("dir"), &US, 64).unwrap();
    // 64 ids in 128 buckets collide many times over; each removal must leave all others findable.
    for round in 0..8 {
        let ids: Vec<u64> = (0..64).map(|n| n + 1000 * round).collect();
        let at: Vec<_> = ids.iter().map(|n| directory.insert(&face(*n)).unwrap()).collect();
        for gone in 0..ids.len() {
            directory.remove(at[gone]);
            for (n, at) in ids.iter().zip(&at).skip(gone + 1) {
                assert_eq!(directory.lookup(id(*n)).unwrap().0, *at, "round {round}, {gone} removed");
            }
            assert_eq!(directory.lookup(id(ids[gone])), None);
        }
        assert!(directory.is_empty());
    }
}

#[test]
fn a_directory_grows_as_it_fills_and_reserves_no_more() {
    use std::os::unix::fs::MetadataExt;
    let names = Names::new();
    let name = names.name("dir");
    let mut directory = Directory::create(&name, &US, 100_000).unwrap();
    let memory = || object::open(&name).unwrap().metadata().unwrap().blocks() * 512;
    let empty = memory();
    let client = reader(&name);
    for n in 0..20_000 {
        directory.insert(&face(n)).unwrap();
    }
    assert!(empty < 2 << 20 && memory() <= empty + (4 << 20), "{empty} then {}", memory());
    assert!((0..20_000).all(|n| client.lookup(id(n)).is_some_and(|(_, shown, _)| shown == face(n))));
    assert_eq!(directory.entries().count(), 20_000);
}

fn details(n: u64) -> Details {
    let policies = EvictionPolicy { priority: Priority::High, require_durable: true, ..EvictionPolicy::default() };
    Details {
        created: UnixMillis(1_600_000_000_000 + n),
        policy: if n.is_multiple_of(2) { policies } else { EvictionPolicy::default() },
        protection: if n.is_multiple_of(3) { Protection::Strict } else { Protection::Shared },
        checksum: (n > 2).then(|| Checksum([u8::try_from(n).unwrap(); 16])),
    }
}

#[test]
fn what_is_said_of_a_payload_is_read_of_that_payload_alone() {
    let names = Names::new();
    let name = names.name("dir");
    let mut directory = Directory::create(&name, &US, 100).unwrap();
    let client = reader(&name);
    for n in 0..10 {
        let at = directory.insert(&face(n)).unwrap();
        let before = directory.read(at).unwrap().1;
        directory.describe(at, id(n), &details(n));
        assert!(directory.read(at).unwrap().1 > before, "who reads at that moment reads again");
        let after = directory.read(at).unwrap().1;
        directory.describe(at, id(n), &details(n));
        directory.describe(at, id(n + 1), &details(n + 1));
        assert_eq!(directory.read(at), Some((face(n), after)), "nothing to say");
        assert_eq!((client.details(at, id(n)), client.details(at, id(n + 1))), (Some(details(n)), None));
    }
    let at = directory.lookup(id(4)).unwrap().0;
    directory.publish(at, &Face { version: 99, ..face(4) });
    assert_eq!(client.details(at, id(4)), Some(details(4)));
    directory.remove(at);
    assert_eq!(client.details(at, id(4)), None);
    let again = directory.insert_at(at, &face(50)).unwrap();
    assert_eq!((again, client.details(at, id(4)), client.details(index(90), id(4))), (true, None, None));
}

#[test]
fn a_directory_made_anew_gives_payloads_the_entries_that_leases_name() {
    let names = Names::new();
    let mut directory = Directory::create(&names.name("dir"), &US, 100).unwrap();
    assert!(directory.insert_at(index(40), &face(1)).unwrap());
    assert!(!directory.insert_at(index(40), &face(2)).unwrap(), "taken");
    assert!(!directory.insert_at(index(41), &face(1)).unwrap(), "there already");
    assert!(directory.insert_at(index(3), &face(3)).unwrap());
    assert!(matches!(directory.insert_at(index(100), &face(4)), Err(Full::Limit { max: 100, .. })));
    let taken: Vec<_> = (10..108).map(|n| directory.insert(&face(n)).unwrap().get()).collect();
    assert!(taken.iter().all(|at| *at != 40 && *at != 3), "{taken:?}");
    assert!(matches!(directory.insert(&face(5)), Err(Full::Limit { .. })));
    assert_eq!(directory.lookup(id(1)).unwrap().0, index(40));
}

#[test]
fn a_directory_that_is_not_ours_is_not_opened() {
    let names = Names::new();
    let name = names.name("dir");
    assert!(matches!(Directory::open(&name, &US), Err(OpenError::NotThere)));
    Directory::create(&name, &US, 10).unwrap();
    assert!(matches!(Directory::create(&name, &US, 10), Err(ObjectError::AlreadyThere(_))));
    let them = Identity { instance: payload_manager_types::InstanceId::from_bytes([1; 16]), ..US };
    assert!(matches!(Directory::open(&name, &them), Err(OpenError::Foreign { found, .. }) if found == US.instance));
    let other_boot = Identity { boot: [1; 16], ..US };
    assert!(matches!(Directory::open(&name, &other_boot), Err(OpenError::OtherBoot { .. })));
}

#[test]
fn a_reader_sees_whole_entries_while_the_daemon_writes() {
    let names = Names::new();
    let name = names.name("dir");
    let mut directory = Directory::create(&name, &US, 10).unwrap();
    let at = directory.insert(&Face { version: 0, length: 0, ..face(1) }).unwrap();
    let client = reader(&name);
    let (mut seen, mut last) = (0, 0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for n in 1..200_000 {
                directory.publish(at, &Face { version: n, length: n, ..face(1) });
            }
        });
        while !writer.is_finished() {
            if let Some((_, shown, seq)) = client.lookup(id(1)) {
                assert_eq!(shown.version, shown.length, "half of one and half of another");
                assert!(seq >= last);
                (seen, last) = (seen + 1, seq);
            }
        }
    });
    assert!(client.lookup(id(1)).is_some_and(|found| found.1.version == 199_999) && seen < u64::MAX);
}

/// Random enough, and the same each time.
fn random(state: &mut u64) -> u64 {
    *state = crate::layout::mix(*state, &[1]);
    *state >> 16
}

#[test]
fn a_directory_does_what_a_map_does_through_any_number_of_restarts() {
    let names = Names::new();
    let name = names.name("dir");
    let mut directory = Directory::create(&name, &US, 300).unwrap();
    let client = reader(&name);
    let mut model = std::collections::HashMap::new();
    let mut state = 1;
    for step in 0..20_000 {
        let wanted = face(random(&mut state) % 400);
        match (model.get(&wanted.id).copied(), random(&mut state) % 8) {
            (None, 0..4) => match directory.insert(&wanted) {
                Ok(at) => assert_eq!(model.insert(wanted.id, (at, wanted)), None),
                Err(_) => assert_eq!(model.len(), 300),
            },
            (Some((at, _)), 0..2) => {
                let moved = Face { version: step, ..wanted };
                directory.publish(at, &moved);
                model.insert(wanted.id, (at, moved));
            }
            (Some((at, _)), 2..=5) => {
                directory.remove(at);
                model.remove(&wanted.id);
            }
            (_, 7) if step % 100 == 0 => directory = Directory::open(&name, &US).unwrap(),
            _ => {}
        }
        let expected = model.get(&wanted.id).copied();
        assert_eq!(client.lookup(wanted.id).map(|(at, shown, _)| (at, shown)), expected, "step {step}");
        assert_eq!(directory.lookup(wanted.id).map(|(at, shown, _)| (at, shown)), expected, "step {step}");
    }
    assert_eq!(directory.len() as usize, model.len());
    let mut all: Vec<_> = directory.entries().map(|found| (found.id, (found.index, found.face.unwrap()))).collect();
    let mut expected: Vec<_> = model.into_iter().collect();
    all.sort_by_key(|(id, _)| *id);
    expected.sort_by_key(|(id, _)| *id);
    assert_eq!(all, expected);
}
