//! The plain program: what it takes to write and to read the same bytes without any daemon.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use payload_manager_tiers::AlignedBuffer;

use crate::Result;

/// What is written or read at a time, in bytes.
const PIECE: usize = 4 << 20;

/// `len` bytes that nothing can make smaller, at an address that direct I/O takes.
pub(crate) fn noise(len: usize) -> Noise {
    let mut buffer = AlignedBuffer::new(len);
    let mut word = 0x9e37_79b9_7f4a_7c15u64;
    for bytes in buffer.head_mut(len).chunks_mut(8) {
        // xorshift64
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        let fresh = word.to_le_bytes();
        bytes.copy_from_slice(fresh.get(..bytes.len()).unwrap_or_default());
    }
    Noise(buffer)
}

/// Bytes for the floor to write, or to be written over.
pub(crate) struct Noise(AlignedBuffer);

impl std::ops::Deref for Noise {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.head(self.0.len())
    }
}

impl std::ops::DerefMut for Noise {
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.0.len();
        self.0.head_mut(len)
    }
}

/// Writes a new file, past the page cache where that is possible, and waits until it is on the disk.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<Duration> {
    let begun = Instant::now();
    let file = open(path, OpenOptions::new().write(true).create(true))?;
    for (at, piece) in bytes.chunks(PIECE).enumerate() {
        file.write_all_at(piece, (at * PIECE) as u64)?;
    }
    file.sync_all()?;
    Ok(begun.elapsed())
}

/// Reads a file of `len` bytes into memory of its own, past the page cache where that is possible.
pub(crate) fn read(path: &Path, len: usize) -> Result<Duration> {
    let begun = Instant::now();
    let file = open(path, OpenOptions::new().read(true))?;
    let mut memory = AlignedBuffer::new(len);
    for (at, piece) in memory.head_mut(len).chunks_mut(PIECE).enumerate() {
        file.read_exact_at(piece, (at * PIECE) as u64)?;
    }
    let taken = begun.elapsed();
    std::hint::black_box(memory.head(len));
    Ok(taken)
}

fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
    match options.clone().custom_flags(libc::O_DIRECT).open(path) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => options.open(path),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_is_no_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = (folder.path().join("file"), noise(PIECE + 4096));
        write(&path, &bytes).unwrap();
        assert!(std::fs::read(&path).unwrap() == *bytes);
        read(&path, bytes.len()).unwrap();
        assert_ne!(bytes.get(..64), bytes.get(64..128));
    }
}
