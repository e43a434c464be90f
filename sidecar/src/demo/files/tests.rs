//! Which files are taken.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

const PLENTY: Most = Most { bytes: 1 << 30, files: 1000 };

fn write(folder: &Path, name: &str, len: usize) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, vec![b'x'; len]).unwrap();
}

fn picked(folder: &Path, most: Most) -> Picked {
    let mut picked = Picked::default();
    picked.add(folder, most).unwrap();
    picked
}

fn names(picked: &Picked) -> Vec<&str> {
    picked.files.iter().filter_map(|file| file.path.file_name()?.to_str()).collect()
}

#[test]
fn files_come_in_the_order_of_their_names_and_caches_last() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "built/CACHEDIR.TAG", 5);
    write(folder.path(), "built/a.o", 1);
    for name in ["z/2.rs", "b.rs", "z/1.rs", "a.rs", "m.rs"] {
        write(folder.path(), name, 3);
    }
    let picked = picked(folder.path(), PLENTY);
    assert_eq!(names(&picked), ["a.rs", "b.rs", "m.rs", "1.rs", "2.rs", "CACHEDIR.TAG", "a.o"]);
    assert_eq!((picked.bytes, picked.largest()), (21, 5));
    assert!(picked.left_out.is_empty());
}

#[test]
fn what_is_left_out_is_counted_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(folder.path(), "1", 10);
    write(folder.path(), "empty", 0);
    write(folder.path(), ".hidden", 10);
    write(folder.path(), ".git/pack", 10);
    fs::hard_link(at("1"), at("2")).unwrap();
    symlink(at("1"), at("link")).unwrap();
    symlink(folder.path(), at("loop")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let picked = picked(folder.path(), PLENTY);
    assert_eq!(names(&picked), ["1"]);
    let left =
        [(LeftOut::Empty, 1), (LeftOut::Hidden, 2), (LeftOut::Link, 2), (LeftOut::NotAFile, 1), (LeftOut::Again, 1)];
    assert_eq!(picked.left_out, BTreeMap::from(left));
}

#[test]
fn the_limits_hold_and_smaller_files_still_come_in() {
    let folder = tempfile::tempdir().unwrap();
    for (name, len) in [("1", 60), ("2", 50), ("3", 40), ("4", 1)] {
        write(folder.path(), name, len);
    }
    let by_bytes = picked(folder.path(), Most { bytes: 100, files: 9 });
    assert_eq!((names(&by_bytes), by_bytes.bytes), (vec!["1", "3"], 100));
    assert_eq!(by_bytes.left_out, BTreeMap::from([(LeftOut::OverLimit, 2)]));
    let by_count = picked(folder.path(), Most { bytes: 1000, files: 3 });
    assert_eq!(names(&by_count), ["1", "2", "3"]);
    assert_eq!(by_count.left_out, BTreeMap::from([(LeftOut::TooMany, 1)]));
}

#[test]
fn a_file_or_a_link_may_be_named_itself_but_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "real", 3);
    symlink(folder.path().join("real"), folder.path().join("link")).unwrap();
    let mut picked = picked(&folder.path().join("link"), PLENTY);
    assert_eq!(names(&picked), ["real"]);
    picked.add(&folder.path().join("real"), PLENTY).unwrap();
    assert_eq!(picked.left_out, BTreeMap::from([(LeftOut::Again, 1)]));
    assert!(picked.add(&folder.path().join("nothing"), PLENTY).is_err());
}

#[test]
fn the_usual_files_are_the_projects_own() {
    let usual = usual(Path::new("/"), Path::new("/nowhere/payload-manager"));
    assert_eq!(usual, [Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()]);
}
