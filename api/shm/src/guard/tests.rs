//! Objects that are cut short while they are read: by us, by another process, and where nobody watches.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use super::*;
use crate::layout::PAGE_BYTES;
use crate::object;
use crate::testing::Names;

const LEN: usize = 8 * PAGE_BYTES;
const VICTIM: &str = "PM_TEST_GUARD_OBJECT";

fn filled(name: &str) -> File {
    use std::os::unix::fs::FileExt;
    let file = object::create(name, LEN as u64, 0o600).unwrap();
    file.write_all_at(&[7; LEN], 0).unwrap();
    file
}

#[test]
fn honest_full_a_copy_from_an_object_that_was_cut_short_fails_and_the_process_lives() {
    let names = Names::new();
    let file = filled(&names.name("a"));
    let map = GuardedMap::of_file(&file, LEN).unwrap();
    let mut to = vec![0; LEN];
    map.copy_to(0, &mut to).unwrap();
    assert!(to.iter().all(|byte| *byte == 7));
    // Another process does it, with no more than the name.
    let path = object::path_of(&names.name("a")).unwrap();
    assert!(Command::new("truncate").args(["-s", "10000"]).arg(path).status().unwrap().success());
    map.copy_to(0, &mut to[..8192]).unwrap();
    assert_eq!(map.copy_to(0, &mut to), Err(Condemned));
    assert!(map.is_condemned());
    assert_eq!(map.copy_to(0, &mut to[..1]), Err(Condemned), "and for good");
    let other = GuardedMap::of_file(&file, 10_000).unwrap();
    assert_eq!(other.copy_to(0, &mut to[..10_000]), Ok(()), "other mappings are other ranges");
}

#[test]
fn a_copy_beyond_the_mapping_is_refused() {
    let names = Names::new();
    let map = GuardedMap::of_file(&filled(&names.name("a")), 100).unwrap();
    let mut to = [0; 10];
    assert_eq!(map.copy_to(90, &mut to), Ok(()));
    assert_eq!((map.copy_to(91, &mut to), map.copy_to(usize::MAX, &mut to)), (Err(Condemned), Err(Condemned)));
    assert!(!map.is_condemned());
    assert!(GuardedMap::of_file(&filled(&names.name("b")), LEN + 1).is_err());
}

#[test]
fn many_ranges_are_watched_at_once_and_their_places_used_again() {
    let names = Names::new();
    let file = filled(&names.name("a"));
    for _ in 0..3 {
        let maps: Vec<_> = (0..200).map(|_| GuardedMap::of_file(&file, LEN).unwrap()).collect();
        file.set_len(PAGE_BYTES as u64).unwrap();
        let mut to = [0; 1];
        for (n, map) in maps.iter().enumerate() {
            let offset = if n % 2 == 0 { 0 } else { LEN - 1 };
            assert_eq!(map.copy_to(offset, &mut to).is_err(), n % 2 == 1, "{n}");
        }
        drop(maps);
        file.set_len(LEN as u64).unwrap();
    }
}

/// A child of ours: loads from a mapping that nobody watches, with the handler installed.
#[test]
fn a_fault_elsewhere_still_kills() {
    if let Ok(name) = std::env::var(VICTIM) {
        let file = object::open(&name).unwrap();
        let watched = GuardedMap::of_file(&file, LEN).unwrap();
        let foreign = crate::ReadMap::of_file(&file, 0, LEN).unwrap();
        file.set_len(0).unwrap();
        assert_eq!(watched.copy_to(0, &mut [0]), Err(Condemned));
        println!("watched");
        std::process::exit(i32::from(foreign[0]));
    }
    let names = Names::new();
    filled(&names.name("a"));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guard::tests::a_fault_elsewhere_still_kills", "--nocapture"])
        .env(VICTIM, names.name("a"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    assert!(said.contains("watched"), "{said}");
    assert_eq!(status.signal(), Some(nix::libc::SIGBUS), "{status:?}");
}
