//! The root: made, refused, and marked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use payload_manager_types::InstanceId;

use crate::disk::{read_marker, write_marker};
use crate::{DiskOptions, DiskTier, TierError};

#[test]
fn a_missing_root_is_made_for_its_owner_alone() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("a/b/payloads");
    let tier = DiskTier::open(&root, DiskOptions::default()).unwrap();
    assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(tier.root().is_absolute() && tier.survey().unwrap().is_empty());
    DiskTier::open(&root, DiskOptions::default()).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_to_is_said_to_be_so() {
    // Not even root writes here, and it can be had on every system.
    let error = DiskTier::open(Path::new("/proc"), DiskOptions::default()).unwrap_err();
    assert!(error.to_string().contains("/proc can't be written to"), "{error}");
}

#[test]
fn a_root_that_is_a_file_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = DiskTier::open(file.path(), DiskOptions::default()).unwrap_err();
    assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
}

#[test]
fn a_marker_says_whose_folder_it_is_and_is_not_taken_over() {
    let root = tempfile::tempdir().unwrap();
    let (ours, others) = (InstanceId::from_bytes([1; 16]), InstanceId::from_bytes([2; 16]));
    assert_eq!(read_marker(root.path()).unwrap(), None);
    assert_eq!(read_marker(&root.path().join("nowhere")).unwrap(), None);
    for _ in 0..2 {
        write_marker(root.path(), ours).unwrap();
        assert_eq!(read_marker(root.path()).unwrap(), Some(ours));
    }
    let error = write_marker(root.path(), others).unwrap_err();
    assert!(
        error.to_string().contains(&ours.to_string()) && error.to_string().contains(&others.to_string()),
        "{error}"
    );
    assert_eq!(read_marker(root.path()).unwrap(), Some(ours));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn a_marker_that_holds_no_id_is_an_error_and_is_kept() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("instance"), "not an id\n").unwrap();
    assert!(matches!(read_marker(root.path()), Err(TierError::Io { .. })));
    assert!(write_marker(root.path(), InstanceId::from_bytes([1; 16])).is_err());
    assert_eq!(fs::read_to_string(root.path().join("instance")).unwrap(), "not an id\n");
}
