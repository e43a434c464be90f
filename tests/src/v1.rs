//! What a client of the first version does with a location: opens it by name, sizes it, maps it. It knows the fields of
//! the first version and no others, and nothing of this workspace but safe mappings.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;

use payload_manager_api::core::v1::PayloadDescriptor;
use payload_manager_api::core::v1::payload_descriptor::Location;
use payload_manager_shm::{ReadMap, WriteMap};

/// Where a client finds the bytes: file, offset, length.
///
/// # Panics
/// If the descriptor names no place that opens by name.
#[must_use]
pub fn place(descriptor: &PayloadDescriptor) -> (PathBuf, u64, u64) {
    match descriptor.location.as_ref() {
        Some(Location::Ram(ram)) => {
            assert!(ram.shm_name.starts_with('/') && !ram.shm_name[1..].contains('/'), "{}", ram.shm_name);
            (PathBuf::from("/dev/shm").join(&ram.shm_name[1..]), 0, ram.length_bytes)
        }
        Some(Location::Disk(disk)) => (path_of(&disk.path), disk.offset_bytes, disk.length_bytes),
        other => panic!("no place to open: {other:?}"),
    }
}

/// An object of a `file://` store is a file.
fn path_of(path: &str) -> PathBuf {
    PathBuf::from(path.strip_prefix("file://").unwrap_or(path))
}

/// Writes a payload as its producer does: opens, truncates to its length, maps, fills.
///
/// # Errors
/// As the system says.
///
/// # Panics
/// If the bytes are not as many as were allocated.
pub fn write(descriptor: &PayloadDescriptor, bytes: &[u8]) -> io::Result<()> {
    let (path, offset, length) = place(descriptor);
    assert_eq!(length, bytes.len() as u64, "allocated for another length");
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    file.set_len(offset + length)?;
    WriteMap::of_file(&file, offset, bytes.len())?.copy_from_slice(bytes);
    Ok(())
}

/// Maps a payload for reading, as a consumer does. What is mapped stays readable when the name is gone.
///
/// # Errors
/// As the system says.
///
/// # Panics
/// If it is too long for this machine.
pub fn map(descriptor: &PayloadDescriptor) -> io::Result<ReadMap> {
    let (path, offset, length) = place(descriptor);
    ReadMap::of_file(&File::open(path)?, offset, usize::try_from(length).unwrap())
}

/// The bytes of a payload.
///
/// # Errors
/// As the system says.
pub fn read(descriptor: &PayloadDescriptor) -> io::Result<Vec<u8>> {
    map(descriptor).map(|map| map.to_vec())
}

/// Bytes that are like no others: `length` of them, by `seed`.
#[must_use]
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
