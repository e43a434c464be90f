//! A segment from both ends.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::*;
use crate::testing::Names;

const MIB: u64 = 1 << 20;

/// What a client gets: the descriptor, and no name.
fn passed(end: impl AsFd) -> File {
    File::from(end.as_fd().try_clone_to_owned().unwrap())
}

#[test]
fn what_its_producer_writes_everyone_reads_and_nobody_else_can_write() {
    let names = Names::new();
    let segment = Segment::create(&names.name("seg"), 2 * MIB).unwrap();
    object::reserve(segment.file(), 0, MIB).unwrap();
    let producer = Arc::new(SegmentMap::writable(&passed(segment.writable())).unwrap());
    let reader = SegmentMap::read_only(&passed(segment.read_only())).unwrap();
    segment.unlink().unwrap();
    producer.warm(0, MIB).unwrap();
    reader.warm(0, MIB).unwrap();
    let mut part = producer.write(64, 5_000).unwrap();
    part.copy_from_slice(&[7; 5_000]);
    assert_eq!((&part[..], part.len()), (&[7; 5_000][..], 5_000));
    drop(part);
    assert_eq!(reader.bytes(64, 5_000), Some(&[7; 5_000][..]));
    assert_eq!((reader.bytes(0, 64), producer.bytes(64, 1)), (Some(&[0; 64][..]), Some(&[7][..])));
    assert!(SegmentMap::writable(&passed(segment.read_only())).is_err());
    assert!(Arc::new(reader).write(0, 1).is_none());
    assert_eq!(segment.length().unwrap(), segment.capacity());
    passed(segment.writable()).set_len(3 * MIB).unwrap();
    assert_eq!((segment.length().unwrap(), segment.capacity()), (3 * MIB, 2 * MIB));
}

#[test]
fn parts_are_inside_and_do_not_overlap() {
    let names = Names::new();
    let segment = Segment::create(&names.name("seg"), MIB).unwrap();
    let map = Arc::new(SegmentMap::writable(&passed(segment.writable())).unwrap());
    assert_eq!((map.len() as u64, map.is_empty()), (MIB, false));
    for (offset, length) in [(0, MIB + 1), (MIB, 1), (u64::MAX, 2), (1, u64::MAX)] {
        assert!(map.bytes(offset, length).is_none() && map.write(offset, length).is_none(), "{offset} {length}");
        assert!(map.warm(offset, length).is_err());
    }
    assert_eq!((map.bytes(MIB, 0), map.write(MIB, 0).unwrap().len()), (Some(&[][..]), 0));
    let middle = map.write(4096, 4096).unwrap();
    for (offset, length) in [(4096, 4096), (0, 4097), (8191, 1), (0, MIB), (5000, 10)] {
        assert!(map.write(offset, length).is_none(), "{offset} {length}");
    }
    let sides = (map.write(0, 4096).unwrap(), map.write(8192, 10).unwrap(), map.write(5000, 0).unwrap());
    drop((middle, sides));
    assert_eq!(map.write(0, MIB).map(|all| all.len() as u64), Some(MIB));
}

#[test]
fn honest_full_address_space_takes_no_memory_and_memory_goes_back_page_by_page() {
    use std::os::unix::fs::MetadataExt;
    let names = Names::new();
    let segment = Segment::create(&names.name("seg"), 40 * MIB - 5).unwrap();
    let taken = || segment.file().metadata().unwrap().blocks() * 512;
    assert_eq!((segment.capacity(), taken()), (40 * MIB, 0));
    object::reserve(segment.file(), 0, MIB).unwrap();
    assert_eq!(segment.punch(10, 3 * 4096).unwrap(), 2 * 4096);
    assert_eq!(segment.punch(4096, 100).unwrap(), 0);
    assert_eq!(taken(), MIB - 2 * 4096);
}

#[test]
fn survives_kill_a_segment_is_opened_again_with_its_bytes() {
    let names = Names::new();
    let name = names.name("seg");
    assert!(matches!(Segment::open(&name), Err(OpenError::NotThere)));
    let first = Segment::create(&name, MIB).unwrap();
    let map = Arc::new(SegmentMap::writable(&passed(first.writable())).unwrap());
    map.write(100, 4).unwrap().copy_from_slice(b"kept");
    drop(first);
    let again = Segment::open(&name).unwrap();
    assert_eq!((again.capacity(), again.name()), (MIB, name.as_str()));
    assert!(matches!(Segment::create(&name, MIB), Err(ObjectError::AlreadyThere(_))));
    let reader = SegmentMap::read_only(&passed(again.read_only())).unwrap();
    assert_eq!(reader.bytes(100, 4), Some(&b"kept"[..]));
    again.unlink().unwrap();
    again.unlink().unwrap();
    assert!(!object::exists(&name).unwrap());
}
