//! What a look through the folders tells apart.

use std::fs;

use payload_manager_types::InstanceId;

use super::{archive, put};
use crate::TierStore;
use crate::conformance::DiskRig;
use crate::conformance::bytes::new_id;
use crate::disk::{Found, write_marker};

#[test]
fn a_survey_tells_copies_from_garbage_from_strangers() {
    let rig = DiskRig::with(0);
    write_marker(rig.tier.root(), InstanceId::from_bytes([1; 16])).unwrap();
    let whole = put(&rig.tier, b"whole");
    let bare = new_id();
    rig.tier.allocate(bare, 77).unwrap();
    let shard = rig.tier.path(whole).parent().unwrap().to_owned();
    let tmp = shard.join(format!("{}.bin.tmp", new_id()));
    let root_tmp = rig.tier.root().join("instance.tmp");
    let misplaced = rig.tier.root().join("zz");
    let end = shard.file_name().unwrap().display();
    let strange = [
        shard.join("README"),
        // Of an id of this shard, but not as ids are written.
        shard.join(format!("ABCDEF01-2345-7789-8ABC-DEF0123456{end}.bin")),
        shard.join("not-an-id.bin"),
        rig.tier.root().join("notes.txt"),
    ];
    for path in strange.iter().chain([&tmp, &root_tmp]) {
        fs::write(path, b"x").unwrap();
    }
    fs::create_dir(&misplaced).unwrap();
    fs::create_dir(shard.join(format!("{}.bin", new_id()))).unwrap();

    let found = rig.tier.survey().unwrap();
    let mut known = vec![
        Found::Bin { id: whole, size: 5 },
        Found::Meta { id: whole },
        Found::Bin { id: bare, size: 77 },
        Found::Tmp { path: tmp },
        Found::Tmp { path: root_tmp },
        Found::Other { path: misplaced },
    ];
    known.extend(strange.map(|path| Found::Other { path }));
    for one in &known {
        assert!(found.contains(one), "{one:?} is missing in {found:?}");
    }
    assert_eq!(found.len(), known.len() + 1, "and the folder that is named as a copy: {found:?}");
}

#[test]
fn a_copy_in_the_shard_of_another_is_a_stranger() {
    let rig = DiskRig::with(0);
    let id = put(&rig.tier, b"bytes");
    let wrong = rig.tier.root().join(if rig.tier.path(id).parent().unwrap().ends_with("00") { "01" } else { "00" });
    fs::create_dir_all(&wrong).unwrap();
    let moved = wrong.join(rig.tier.path(id).file_name().unwrap());
    fs::rename(rig.tier.path(id), &moved).unwrap();
    assert!(rig.tier.survey().unwrap().contains(&Found::Other { path: moved }));
}

#[test]
fn leftovers_of_a_crash_are_found_and_removed_and_nothing_else_is() {
    let rig = DiskRig::with(0);
    let id = new_id();
    // As a kill leaves them: nothing is dropped.
    std::mem::forget(rig.tier.sink(id, 5000).unwrap());
    fs::write(rig.tier.path(id).with_extension("meta.json.tmp"), b"{").unwrap();
    let found = rig.tier.survey().unwrap();
    assert_eq!(found.len(), 2);
    for one in found {
        let Found::Tmp { path } = one else { panic!("{one:?}") };
        rig.tier.remove_tmp(&path).unwrap();
        rig.tier.remove_tmp(&path).unwrap();
    }
    assert!(rig.tier.survey().unwrap().is_empty());

    let kept = put(&rig.tier, b"kept");
    let outside = rig.folder().join("outside.tmp");
    fs::write(&outside, b"x").unwrap();
    let sneaky = rig.tier.root().join("../outside.tmp");
    for path in [&rig.tier.path(kept), &outside, &sneaky] {
        assert!(rig.tier.remove_tmp(path).is_err(), "{}", path.display());
        assert!(path.exists());
    }
}

#[test]
fn a_new_copy_replaces_what_a_crash_left_of_the_last_one() {
    let rig = DiskRig::with(0);
    let id = new_id();
    std::mem::forget(rig.tier.sink(id, 5000).unwrap());
    fs::write(rig.tier.path(id).with_extension("meta.json.tmp"), b"{").unwrap();
    super::put_as(&rig.tier, id, b"fresh");
    assert_eq!(rig.tier.survey().unwrap().len(), 2);
    assert_eq!(
        rig.tier.archive(id).unwrap(),
        Some(archive(crate::Written::plain(crate::conformance::bytes::checksum_of(b"fresh"))))
    );
}
