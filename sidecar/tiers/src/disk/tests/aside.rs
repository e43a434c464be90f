//! What is moved out of the way, and never removed.

use std::fs;

use payload_manager_types::Place;

use super::{names, put, put_as};
use crate::TierStore;
use crate::conformance::DiskRig;
use crate::conformance::bytes::new_id;

#[test]
fn orphans_are_moved_with_what_lies_beside_them_and_never_over_each_other() {
    let rig = DiskRig::with(0);
    let id = put(&rig.tier, b"first");
    let first = rig.tier.orphan(id).unwrap().unwrap();
    put_as(&rig.tier, id, b"second");
    let second = rig.tier.orphan(id).unwrap().unwrap();
    assert_eq!((fs::read(first).unwrap(), fs::read(second).unwrap()), (b"first".to_vec(), b"second".to_vec()));
    let expected = [".1.bin", ".1.meta.json", ".bin", ".meta.json"].map(|end| format!("{id}{end}"));
    assert_eq!(names(&rig.tier.root().join("orphans")), expected);
    assert!(rig.tier.survey().unwrap().is_empty(), "what was moved is nobody's any more");
}

#[test]
fn an_orphan_without_metadata_does_not_take_the_name_of_metadata_that_is_there() {
    let rig = DiskRig::with(0);
    let id = new_id();
    rig.tier.allocate(id, 3).unwrap();
    let orphans = rig.tier.root().join("orphans");
    fs::create_dir(&orphans).unwrap();
    fs::write(orphans.join(format!("{id}.meta.json")), b"older").unwrap();
    assert_eq!(rig.tier.orphan(id).unwrap(), Some(orphans.join(format!("{id}.1.bin"))));
}

#[test]
fn what_is_not_there_cannot_be_moved_and_that_is_fine() {
    let rig = DiskRig::with(0);
    assert_eq!(rig.tier.orphan(new_id()).unwrap(), None);
    rig.tier.set_aside(new_id(), Place::OWN).unwrap();
}

#[test]
fn a_copy_that_failed_its_check_can_be_looked_at() {
    let rig = DiskRig::with(0);
    let id = put(&rig.tier, b"rotten");
    rig.tier.set_aside(id, Place::OWN).unwrap();
    let aside = rig.tier.root().join("set-aside");
    assert_eq!(fs::read(aside.join(format!("{id}.bin"))).unwrap(), b"rotten");
    assert_eq!(names(&aside).len(), 2);
}
