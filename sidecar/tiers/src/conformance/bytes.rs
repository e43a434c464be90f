//! Ids and bytes for tests.

use payload_manager_types::{Checksum, PayloadId};
use xxhash_rust::xxh3::xxh3_128;

pub(crate) fn new_id() -> PayloadId {
    PayloadId::from_bytes(*uuid::Uuid::now_v7().as_bytes())
}

/// Bytes of which no block equals another, and different ones at every call.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    let mut word = PayloadId::to_words(new_id()).1 | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.truncate(size);
    bytes
}

pub(crate) fn checksum_of(bytes: &[u8]) -> Checksum {
    Checksum(xxh3_128(bytes).to_be_bytes())
}
