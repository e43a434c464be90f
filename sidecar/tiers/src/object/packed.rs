//! Compressed copies: an LZ4 frame for each MiB of the payload, one after the other, and a table of their lengths at the end,
//! so that any range is read by unpacking the blocks it lies in. The `lz4` tool unpacks the whole.
//!
//! ```text
//! frame of block 0 │ frame of block 1 │ … │ table
//! table: a frame that readers of LZ4 skip, magic 0x184D2A5E, with the length of its content (4 bytes), then
//!        for each block the lengths of its frame and of its bytes (4 bytes each),
//!        the number of blocks (4 bytes), a descriptor (1 byte, 0), magic 0x8F92EAB1
//! ```
//!
//! All numbers are little-endian. Sources: the LZ4 frame format 1.6.x (frames, skippable frames), and for the table the
//! seekable format of Zstandard 0.1.0.
//!
//! A packed copy is never as long as its payload, so its length alone tells what it is.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

/// Bytes of a payload that are packed together.
pub(super) const BLOCK: usize = 1 << 20;

const TABLE_MAGIC: u32 = 0x184D_2A5E;
const SKIPPED_MAGIC: u32 = 0x184D_2A50;
const END_MAGIC: u32 = 0x8F92_EAB1;

/// No frame is longer than its block by more than this.
const AROUND_BLOCK: usize = 64;

/// Bytes of a table but for its entries, and of an entry.
const AROUND: u64 = 8 + 9;
const ENTRY: u64 = 8;

/// Blocks of a payload of `size` bytes.
fn blocks(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64)
}

/// Bytes of the table of a payload of `size` bytes.
pub(super) fn table_bytes(size: u64) -> u64 {
    AROUND + ENTRY * blocks(size)
}

/// As many bytes as the packed copy of a payload of `size` bytes may take, if nothing of it shrinks.
pub(super) fn bound(size: u64) -> u64 {
    // A frame's header, its one block's length, and its end are 15 bytes and more with a checksum of the header.
    size + AROUND_BLOCK as u64 * blocks(size) + table_bytes(size) + 8
}

/// Packs payloads, a block at a time.
#[derive(Debug, Default)]
pub(super) struct Packer {
    entries: Vec<(u32, u32)>,
}

impl Packer {
    /// The frame of the next block.
    pub(super) fn pack(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let info = FrameInfo::new().block_size(BlockSize::Max1MB).block_mode(BlockMode::Independent);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(block.len() / 2));
        encoder.write_all(block)?;
        let frame = encoder.finish().map_err(io::Error::other)?;
        self.entries.push((length(frame.len())?, length(block.len())?));
        Ok(frame)
    }

    /// Whether a first frame is worth it: an eighth less, with what the table takes of it.
    pub(super) fn is_worth_it(block: usize, frame: usize, size: u64) -> bool {
        let table = table_bytes(size).div_ceil(blocks(size).max(1));
        (frame as u64).saturating_add(table) <= block as u64 - block as u64 / 8
    }

    /// What ends a copy of which `packed` bytes are there, of a payload of `size` bytes.
    pub(super) fn end(self, packed: u64, size: u64) -> io::Result<Vec<u8>> {
        let mut end = Vec::new();
        let count = length(self.entries.len())?;
        if packed + table_bytes(size) == size {
            // By chance as long as the payload, which must not be: something to skip.
            end.extend(SKIPPED_MAGIC.to_le_bytes());
            end.extend(0u32.to_le_bytes());
        }
        end.extend(TABLE_MAGIC.to_le_bytes());
        end.extend(length(self.entries.len() * 8 + 9)?.to_le_bytes());
        for (frame, block) in self.entries {
            end.extend(frame.to_le_bytes());
            end.extend(block.to_le_bytes());
        }
        end.extend(count.to_le_bytes());
        end.push(0);
        end.extend(END_MAGIC.to_le_bytes());
        Ok(end)
    }
}

fn length(n: usize) -> io::Result<u32> {
    u32::try_from(n).map_err(io::Error::other)
}

/// Where the frames of a packed copy lie.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The start of each, and the end of the last.
    starts: Vec<u64>,
}

impl Table {
    /// Reads the table of a payload of `size` bytes; `None` if it is none.
    pub(super) fn read(text: &[u8], stored: u64, size: u64) -> Option<Self> {
        let mut words = text.chunks_exact(4).map(|word| word.try_into().map(u32::from_le_bytes).unwrap_or_default());
        let count = blocks(size);
        let is_table = text.len() as u64 == table_bytes(size)
            && words.next() == Some(TABLE_MAGIC)
            && words.next().map(u64::from) == Some(table_bytes(size) - 8)
            && text.ends_with(&END_MAGIC.to_le_bytes());
        if !is_table {
            return None;
        }
        let mut starts = vec![0];
        let mut end = 0u64;
        for number in 0..count {
            let (frame, block) = (words.next()?, words.next()?);
            let wanted = (size - number * BLOCK as u64).min(BLOCK as u64);
            // As much memory as it says is what unpacking takes.
            if u64::from(block) != wanted || frame == 0 || frame as usize > BLOCK + AROUND_BLOCK {
                return None;
            }
            end += u64::from(frame);
            starts.push(end);
        }
        let is_whole = words.next().map(u64::from) == Some(count) && end + table_bytes(size) <= stored;
        is_whole.then_some(Self { starts })
    }

    /// Where the frame of a block lies.
    pub(super) fn frame(&self, block: u64) -> Option<std::ops::Range<u64>> {
        let block = usize::try_from(block).ok()?;
        Some(*self.starts.get(block)?..*self.starts.get(block + 1)?)
    }
}

/// Unpacks a frame into a block of that length.
pub(super) fn unpack(frame: &[u8], block: &mut [u8]) -> io::Result<()> {
    let mut decoder = FrameDecoder::new(frame);
    decoder.read_exact(block)?;
    match decoder.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a block is longer than it should be")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(payload: &[u8]) -> Vec<u8> {
        let (mut packer, mut all) = (Packer::default(), Vec::new());
        for block in payload.chunks(BLOCK) {
            all.extend(packer.pack(block).unwrap());
        }
        let end = packer.end(all.len() as u64, payload.len() as u64).unwrap();
        all.extend(end);
        assert!(all.len() as u64 <= bound(payload.len() as u64));
        assert_ne!(all.len(), payload.len());
        all
    }

    fn table(packed: &[u8], size: u64) -> Option<Table> {
        let start = packed.len().checked_sub(usize::try_from(table_bytes(size)).unwrap())?;
        Table::read(&packed[start..], packed.len() as u64, size)
    }

    /// Bytes of which nothing is like another.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn every_block_is_unpacked_by_itself() {
        for len in [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
            for payload in [noise(len), vec![7; len]] {
                let packed = packed(&payload);
                let table = table(&packed, len as u64).unwrap();
                for (number, block) in payload.chunks(BLOCK).enumerate() {
                    let at = table.frame(number as u64).unwrap();
                    let frame = &packed[usize::try_from(at.start).unwrap()..usize::try_from(at.end).unwrap()];
                    let mut unpacked = vec![0; block.len()];
                    unpack(frame, &mut unpacked).unwrap();
                    assert!(unpacked == block, "block {number} of {len}");
                    assert!(unpack(frame, &mut vec![0; block.len() + 1]).is_err());
                    assert!(unpack(frame, &mut vec![0; block.len() - 1]).is_err());
                    assert!(unpack(&frame[..frame.len() / 2], &mut unpacked).is_err());
                }
                assert_eq!(table.frame(blocks(len as u64)), None);
            }
        }
    }

    #[test]
    fn a_copy_as_long_as_its_payload_by_chance_is_made_longer() {
        let size = 5000;
        let packer = || Packer { entries: vec![(1, 5000)] };
        let usual = packer().end(100, size).unwrap().len() as u64;
        assert_eq!(usual, table_bytes(size));
        let packed = size - table_bytes(size);
        assert_eq!(packer().end(packed, size).unwrap().len() as u64, table_bytes(size) + 8);
    }

    #[test]
    fn what_is_no_table_is_not_taken_for_one() {
        let packed = packed(&vec![7; 2 * BLOCK + 9]);
        let size = 2 * BLOCK as u64 + 9;
        assert!(table(&packed, size).is_some());
        for other in [size - 1, size + 1, 9, 0, 3 * BLOCK as u64] {
            assert_eq!(table(&packed, other), None, "{other}");
        }
        let start = packed.len() - usize::try_from(table_bytes(size)).unwrap();
        let of_little = [0, 4, 8, 12, packed.len() - start - 9, packed.len() - start - 1];
        for at in of_little {
            let mut spoilt = packed.clone();
            spoilt[start + at] ^= 0x80;
            let read = table(&spoilt, size);
            // A frame's length may be another as long as all of them fit in.
            assert!(read.is_none() || at == 8, "{at}");
        }
        assert_eq!(Table::read(&packed[start..], table_bytes(size), size), None, "more frames than bytes");
        let mut long = packed[start..].to_vec();
        long[8..12].copy_from_slice(&length(BLOCK + AROUND_BLOCK + 1).unwrap().to_le_bytes());
        assert_eq!(Table::read(&long, u64::MAX, size), None, "a frame of more than a block");
    }

    #[test]
    fn what_does_not_shrink_by_an_eighth_is_not_worth_it() {
        let first = |payload: &[u8]| {
            let block = &payload[..payload.len().min(BLOCK)];
            let frame = Packer::default().pack(block).unwrap().len();
            Packer::is_worth_it(block.len(), frame, payload.len() as u64)
        };
        assert!(first(&vec![7; 5 * BLOCK]) && first(&[7; 100]));
        assert!(!first(&noise(5 * BLOCK)) && !first(&noise(100)) && !first(b"x"));
    }
}
