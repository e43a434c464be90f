//! Memory that starts at a multiple of 4 KiB, as direct I/O wants it, without unsafe code.

use std::fmt;

/// What direct I/O wants of addresses, offsets and lengths, in bytes.
pub const ALIGNMENT: usize = 4096;

/// Bytes whose address is a multiple of [`ALIGNMENT`]: a larger vector, from its first aligned byte on.
pub struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zero bytes.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let bytes = vec![0u8; len + ALIGNMENT - 1];
        // A vector that is not resized does not move, so this stays true for the life of the buffer.
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT - 1);
        Self { bytes, start, len }
    }

    /// The first `len` bytes, or all if there are fewer.
    #[must_use]
    pub fn head(&self, len: usize) -> &[u8] {
        self.bytes.get(self.start..self.start + len.min(self.len)).unwrap_or_default()
    }

    /// As [`Self::head`], for writing.
    #[must_use]
    pub fn head_mut(&mut self, len: usize) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.start + len.min(self.len)).unwrap_or_default()
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_starts_where_direct_io_wants_it() {
        for len in [1, 4095, 4096, 4097, 1 << 20] {
            let mut buffer = AlignedBuffer::new(len);
            assert_eq!(buffer.head_mut(usize::MAX).len(), len);
            assert_eq!(buffer.head(len).as_ptr().align_offset(ALIGNMENT), 0);
            assert_eq!(buffer.head(len / 2).len(), len / 2);
        }
    }
}
