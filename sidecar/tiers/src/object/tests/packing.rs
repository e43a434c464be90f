//! Copies that go up compressed: what shrinks, what does not, and what is spoilt on the way.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use super::*;
use crate::object::packed::BLOCK;
use crate::object::tests::moto::{BUCKET, Moto};
use crate::{Packing, Written};

/// Bytes that shrink, no block like another.
fn text(size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 64);
    for n in 0u64.. {
        if bytes.len() >= size {
            break;
        }
        bytes.extend_from_slice(format!("the number {n} and then the number {}; ", n * 7919).as_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn packing() -> ObjectOptions {
    ObjectOptions { pack: true, ..ObjectOptions::default() }
}

/// Puts a copy in pieces of that length; how it lies there.
fn put_in_pieces(tier: &ObjectTier, bytes: &[u8], piece: usize) -> (PayloadId, Packing) {
    let id = new_id();
    let mut sink = tier.sink(id, bytes.len() as u64).unwrap();
    for (n, piece_of_it) in bytes.chunks(piece).enumerate() {
        sink.write_at((n * piece) as u64, piece_of_it).unwrap();
    }
    let said = Cell::new(Packing::Plain);
    let beside = |Written { packing, .. }: Written| {
        said.set(packing);
        b"{}".to_vec()
    };
    sink.finish(checksum_of(bytes), &beside).unwrap();
    (id, said.get())
}

fn read(tier: &ObjectTier, id: PayloadId, size: usize) -> Result<payload_manager_types::Checksum, TierError> {
    let mut source = tier.source(id, Place::OWN, size as u64)?;
    copy::hash(Job { id, from: Tier::Object, size: size as u64 }, &mut *source, &|_| true)
}

/// The packing that a description is given.
fn described(tier: &ObjectTier, id: PayloadId, size: usize) -> Packing {
    let said = Cell::new(Packing::Plain);
    let beside = |packing| {
        said.set(packing);
        b"{\"anew\":1}".to_vec()
    };
    tier.describe(id, size as u64, &beside).unwrap();
    said.get()
}

fn goes_up_and_comes_back(packing: &ObjectTier, plain: &ObjectTier, bytes: &[u8], piece: usize, shrinks: bool) {
    let (id, said) = put_in_pieces(packing, bytes, piece);
    let wanted = if shrinks { Packing::Lz4 { block_bytes: BLOCK as u64 } } else { Packing::Plain };
    assert_eq!((said, described(packing, id, bytes.len())), (wanted, wanted), "{} bytes", bytes.len());
    let stored = packing.uploaded(id).unwrap();
    if shrinks {
        assert!(stored.len() < bytes.len() - bytes.len() / 8);
    } else {
        assert!(stored == bytes);
    }
    for tier in [packing, plain] {
        assert_eq!(read(tier, id, bytes.len()).unwrap(), checksum_of(bytes));
        let mut source = tier.source(id, Place::OWN, bytes.len() as u64).unwrap();
        // Ranges in any order, over the ends of blocks and of the payload.
        for at in [bytes.len() - 1, 0, bytes.len() / 2, bytes.len().saturating_sub(BLOCK + 3)] {
            let mut range = vec![0; 10_000.min(bytes.len())];
            let read = source.read_at(at as u64, &mut range).unwrap();
            assert!(range[..read] == bytes[at..(at + range.len()).min(bytes.len())], "from {at}");
        }
    }
    packing.free(id, Place::OWN).unwrap();
    assert!(matches!(read(packing, id, bytes.len()), Err(TierError::Missing { .. })));
}

#[test]
fn what_shrinks_is_packed_and_comes_back_and_what_does_not_goes_up_as_it_is() {
    let plain = FolderRig::new();
    let packed = FolderRig::beside(&plain, packing());
    let (packed, plain) = (&packed.tier, &plain.object.tier);
    for size in [200, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, (9 << 20) + 5] {
        for piece in [BLOCK, 4 << 20, 100_000] {
            goes_up_and_comes_back(packed, plain, &text(size), piece, true);
            goes_up_and_comes_back(packed, plain, &pattern(size), piece, false);
        }
    }
    for tiny in [&b"x"[..], b"what is short does not shrink"] {
        goes_up_and_comes_back(packed, plain, tiny, BLOCK, false);
    }
    // It is decided by the first block: what comes after it may not shrink.
    let mixed = [text(BLOCK), pattern(2 * BLOCK + 77)].concat();
    let (id, said) = put_in_pieces(packed, &mixed, BLOCK);
    assert_eq!(
        (said, read(plain, id, mixed.len()).unwrap()),
        (Packing::Lz4 { block_bytes: 1 << 20 }, checksum_of(&mixed))
    );
}

#[test]
fn a_packed_copy_goes_up_in_parts_to_s3() {
    let Some(moto) = Moto::start("a_packed_copy_goes_up_in_parts_to_s3") else { return };
    let options = ObjectOptions { pack: true, ..rig::options() };
    let packed = rig::rig(&moto.host, BUCKET, "p", options);
    let plain = rig::rig(&moto.host, BUCKET, "p", rig::options());
    for size in [5000, 7 << 20, (60 << 20) + 9] {
        goes_up_and_comes_back(&packed.tier, &plain.tier, &text(size), 1 << 20, true);
    }
    // Begun, and given up.
    let mut sink = packed.tier.sink(new_id(), 60 << 20).unwrap();
    sink.write_at(0, &text(50 << 20)).unwrap();
    drop(sink);
    assert_eq!((moto.unfinished_uploads(), packed.leftovers()), (0, Vec::new()));
}

#[test]
fn a_packed_copy_that_is_spoilt_is_never_read_as_right() {
    let rig = FolderRig::packed();
    let tier = &rig.object.tier;
    let bytes = text(2 * BLOCK + 99);
    let (id, _) = put_in_pieces(tier, &bytes, BLOCK);
    let path = rig.folder().join(format!("{id}.bin"));
    let whole = fs::read(&path).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        file.write_all_at(&[whole[at] ^ 0x10], at as u64).unwrap();
        // Headers of frames hold what makes no difference: then every byte is right.
        match read(tier, id, bytes.len()) {
            Ok(sum) => assert!(sum != checksum_of(&bytes) || at < 8, "byte {at}"),
            Err(TierError::Damaged { .. } | TierError::WrongSize { .. }) => {}
            Err(other) => panic!("byte {at}: {other}"),
        }
        file.write_all_at(&whole[at..=at], at as u64).unwrap();
    }
    assert_eq!(read(tier, id, bytes.len()).unwrap(), checksum_of(&bytes));
    for length in [0, 1, 20, whole.len() as u64 - 1, whole.len() as u64 / 2] {
        file.set_len(length).unwrap();
        let error = read(tier, id, bytes.len()).unwrap_err();
        assert!(matches!(error, TierError::WrongSize { .. }), "{length}: {error}");
    }
}

#[test]
fn too_few_bytes_or_too_many_are_no_packed_copy() {
    let rig = FolderRig::packed();
    let tier = &rig.object.tier;
    let mut sink = tier.sink(new_id(), 100).unwrap();
    assert!(sink.write_at(1, b"later").is_err());
    assert!(sink.write_at(0, &[7; 101]).is_err());
    sink.write_at(0, &[7; 99]).unwrap();
    assert!(sink.finish(checksum_of(b""), &archive).is_err());
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}
