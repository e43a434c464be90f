//! Objects of shared memory, and what can't be one.

use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;
use crate::testing::Names;

#[test]
fn an_object_is_made_once_with_all_its_memory_and_its_mode() {
    let names = Names::new();
    let name = names.name("a");
    let file = create(&name, 10_000, 0o640).unwrap();
    let facts = file.metadata().unwrap();
    assert_eq!((facts.len(), facts.mode() & 0o777), (10_000, 0o640));
    assert!(facts.blocks() * 512 >= 10_000, "backed: {} blocks", facts.blocks());
    assert!(matches!(create(&name, 1, 0o600), Err(ObjectError::AlreadyThere(n)) if n == name));
    file.write_all_at(b"bytes", 9_000).unwrap();
    let mut read = [0; 5];
    open_read_only(&name).unwrap().read_exact_at(&mut read, 9_000).unwrap();
    assert_eq!(&read, b"bytes");
    assert!(open_read_only(&name).unwrap().write_at(b"x", 0).is_err());
    chmod(&file, 0o400).unwrap();
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o400);
}

#[test]
fn an_object_is_listed_until_it_is_unlinked() {
    let names = Names::new();
    for part in ["a", "b"] {
        create(&names.name(part), 4096, 0o600).unwrap();
    }
    let mut listed: Vec<_> = list(names.base()).unwrap().into_iter().map(|o| (o.name, o.bytes)).collect();
    listed.sort();
    assert_eq!(listed, [(names.name("a"), 4096), (names.name("b"), 4096)]);
    assert!(exists(&names.name("a")).unwrap());
    assert!(unlink(&names.name("a")).unwrap());
    assert!(!unlink(&names.name("a")).unwrap() && !exists(&names.name("a")).unwrap());
    assert_eq!(open(&names.name("a")).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(list(names.base()).unwrap().len(), 1);
    assert!(list("/").unwrap().iter().any(|o| o.name == names.name("b")), "all of the folder");
    assert_eq!(list("/nowhere at all/").unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn what_can_name_nothing_is_refused() {
    for name in ["", "/", ".", "/..", "/a\0b", "/a/"] {
        assert!(matches!(path_of(name), Err(ObjectError::BadName(_))), "{name:?}");
    }
    assert_eq!(path_of("/a").unwrap(), Path::new("/dev/shm/a"));
    assert_eq!(path_of("a").unwrap(), Path::new("/dev/shm/a"));
    assert_eq!(path_of("/mnt/huge/a").unwrap(), Path::new("/mnt/huge/a"));
}

#[test]
fn more_than_there_is_leaves_nothing_behind() {
    let names = Names::new();
    let name = names.name("huge");
    // Larger than any tmpfs: the kernel refuses before it takes a page.
    match create(&name, 1 << 60, 0o600) {
        Err(ObjectError::Full { bytes, .. }) => assert_eq!(bytes, 1 << 60),
        other => panic!("{other:?}"),
    }
    assert!(!exists(&name).unwrap());
}

#[test]
fn a_name_that_is_a_link_is_not_followed() {
    let names = Names::new();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    std::fs::write(&target, b"not yours").unwrap();
    std::os::unix::fs::symlink(&target, path_of(&names.name("link")).unwrap()).unwrap();
    assert!(open(&names.name("link")).is_err());
    assert!(matches!(create(&names.name("link"), 1, 0o600), Err(ObjectError::AlreadyThere(_))));
}

#[test]
fn punched_bytes_read_as_zero_and_give_their_memory_back() {
    let names = Names::new();
    let file = create(&names.name("a"), 1 << 16, 0o600).unwrap();
    file.write_all_at(&[1; 1 << 16], 0).unwrap();
    let before = file.metadata().unwrap().blocks();
    punch(&file, 0, 1 << 15).unwrap();
    let facts = file.metadata().unwrap();
    assert!(facts.len() == 1 << 16 && facts.blocks() < before);
    let mut byte = [9];
    file.read_exact_at(&mut byte, 100).unwrap();
    assert_eq!(byte, [0]);
}
