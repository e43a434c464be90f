//! What the bytes of a payload have to be: made from its id and its length, so that every page of it says whose it is,
//! and any byte of any other payload, or of another place in it, is seen.

use payload_manager_client::PayloadId;
use payload_manager_tests::crash::Dice;

const PAGE: usize = 4096;
/// Where a page has its number.
const NUMBER: std::ops::Range<usize> = 16..24;

/// A page of this payload, but for its number.
fn page_of(id: PayloadId, length: usize) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let seed = u64::from_le_bytes(*id.as_bytes().last_chunk().unwrap());
    let mut dice = Dice::new(seed ^ length as u64);
    page.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&dice.throw().to_le_bytes()));
    // Backwards: what differs most between ids comes first, and is in the shortest payloads too.
    let backwards: Vec<u8> = id.as_bytes().iter().rev().copied().collect();
    page[..16].copy_from_slice(&backwards);
    page
}

/// Writes them.
pub(crate) fn fill(bytes: &mut [u8], id: PayloadId) {
    let mut page = page_of(id, bytes.len());
    for (number, part) in (0u64..).zip(bytes.chunks_mut(PAGE)) {
        page[NUMBER].copy_from_slice(&number.to_le_bytes());
        part.copy_from_slice(&page[..part.len()]);
    }
}

/// What is wrong with them, if anything is.
pub(crate) fn check(bytes: &[u8], id: PayloadId, length: u64) -> Result<(), String> {
    if bytes.len() as u64 != length {
        return Err(format!("{} bytes instead of {length}", bytes.len()));
    }
    let mut page = page_of(id, bytes.len());
    for (number, part) in (0u64..).zip(bytes.chunks(PAGE)) {
        page[NUMBER].copy_from_slice(&number.to_le_bytes());
        if *part != page[..part.len()] {
            return Err(describe(number, part, &page));
        }
    }
    Ok(())
}

fn describe(number: u64, part: &[u8], page: &[u8]) -> String {
    let at = part.iter().zip(page).position(|(is, should)| is != should).unwrap_or_default();
    let whose = part.first_chunk::<16>().map(|id| {
        let mut id = *id;
        id.reverse();
        PayloadId::from_bytes(id).to_string()
    });
    let zeros = part.iter().all(|byte| *byte == 0);
    format!("page {number} of it differs at {at}: it says it is of {whose:?}, and is all zeros: {zeros}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(id: [u8; 16], length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        fill(&mut bytes, PayloadId::from_bytes(id));
        bytes
    }

    #[test]
    fn what_was_filled_is_right_and_any_other_byte_is_wrong() {
        let (id, other) = ([7; 16], PayloadId::from_bytes([8; 16]));
        for length in [1, 15, 16, 17, 24, 4096, 4097, 10_000] {
            let mut bytes = made(id, length);
            let right = PayloadId::from_bytes(id);
            assert_eq!(check(&bytes, right, length as u64), Ok(()));
            assert!(check(&bytes, other, length as u64).is_err() && check(&bytes, right, length as u64 + 1).is_err());
            for at in [0, length / 2, length - 1] {
                bytes[at] ^= 1;
                assert!(check(&bytes, right, length as u64).is_err(), "{at} of {length}");
                bytes[at] ^= 1;
            }
        }
        let mut pages = made(id, 2 * PAGE);
        pages.rotate_left(PAGE);
        assert!(check(&pages, PayloadId::from_bytes(id), 2 * PAGE as u64).unwrap_err().contains("page 0"));
    }
}
