//! Whether a payload is what was put: compared with its file byte by byte, and with what the producer's bytes hashed to
//! where the file is another by now.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use payload_manager_types::Checksum;
use xxhash_rust::xxh3::Xxh3;

/// How many bytes of a file are read at once.
pub(super) const CHUNK: usize = 1 << 20;

/// What came of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every byte is the file's.
    Right,
    /// It is what was put, and the file has changed since.
    Changed,
    /// It is neither the file nor what was put; this is the first byte that differs from the file, if the file has it.
    Wrong {
        /// Bytes from the start.
        at: Option<u64>,
    },
}

/// Compares a payload with its file and, where they differ, with the checksum of what was read from it.
pub(super) fn check(payload: &[u8], file: &Path, put: &str) -> Verdict {
    let at = match first_difference(payload, file) {
        Ok(None) => return Verdict::Right,
        Ok(Some(at)) => Some(at),
        // Gone, or shorter.
        Err(_) => None,
    };
    if sum(payload).to_string() == put { Verdict::Changed } else { Verdict::Wrong { at } }
}

fn first_difference(payload: &[u8], file: &Path) -> io::Result<Option<u64>> {
    let file = File::open(file)?;
    let mut buffer = vec![0; CHUNK.min(payload.len())];
    let mut at = 0u64;
    for part in payload.chunks(CHUNK) {
        let read = buffer.get_mut(..part.len()).unwrap_or_default();
        file.read_exact_at(read, at)?;
        if *read != *part {
            let same = read.iter().zip(part).take_while(|(a, b)| a == b).count();
            return Ok(Some(at + same as u64));
        }
        at += part.len() as u64;
    }
    Ok(None)
}

/// What these bytes hash to.
pub(super) fn sum(bytes: &[u8]) -> Checksum {
    let mut hash = Xxh3::new();
    hash.update(bytes);
    digest(&hash)
}

/// What the bytes hashed so far hash to.
pub(super) fn digest(hash: &Xxh3) -> Checksum {
    Checksum(hash.digest128().to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn long() -> Vec<u8> {
        (0..CHUNK * 2 + 17).map(|i| u8::try_from(i % 251).unwrap()).collect()
    }

    #[test]
    fn the_same_bytes_are_right_even_if_the_file_has_grown() {
        let mut bytes = long();
        let put = sum(&bytes).to_string();
        assert_eq!(check(&bytes, file(&bytes).path(), &put), Verdict::Right);
        let payload = bytes.clone();
        bytes.push(b'x');
        assert_eq!(check(&payload, file(&bytes).path(), &put), Verdict::Right);
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_told_from_a_wrong_payload() {
        let payload = long();
        let put = sum(&payload).to_string();
        let mut other = payload.clone();
        other[CHUNK + 3] ^= 1;
        assert_eq!(check(&payload, file(&other).path(), &put), Verdict::Changed);
        assert_eq!(check(&payload, file(&payload[..9]).path(), &put), Verdict::Changed);
        assert_eq!(check(&payload, Path::new("/nothing/here"), &put), Verdict::Changed);
    }

    #[test]
    fn one_flipped_bit_is_wrong_and_its_place_is_known() {
        let bytes = long();
        let put = sum(&bytes).to_string();
        let mut payload = bytes.clone();
        payload[CHUNK * 2 + 16] ^= 1;
        assert_eq!(check(&payload, file(&bytes).path(), &put), Verdict::Wrong { at: Some(CHUNK as u64 * 2 + 16) });
        assert_eq!(check(&payload, Path::new("/nothing/here"), &put), Verdict::Wrong { at: None });
    }
}
