//! How an object is cut into parts on its way up. Not the upload itself: arithmetic alone, so that the limits of the
//! stores are met before the first byte leaves.
//!
//! | limit | whose | here |
//! | --- | --- | --- |
//! | 10,000 parts an object | S3 | [`MAX_PARTS`] |
//! | 5 MiB a part, but for the last | S3 | [`MIN_PART`] is above it |
//! | the memory an upload holds, whatever the size | ours | [`MAX_HELD`] |

/// From this many bytes on an object goes up in parts; below, in one request.
pub const MULTIPART_FROM: u64 = 8 << 20;
/// The smallest part, in bytes. It grows only where [`MAX_PARTS`] of it are not enough.
pub const MIN_PART: u64 = 8 << 20;
/// Parts that one object may have.
pub const MAX_PARTS: u64 = 10_000;
/// Bytes that all parts in flight of one upload may hold together, the one being filled included.
pub const MAX_HELD: u64 = 64 << 20;
/// Part sizes are multiples of this, the alignment of a copy's blocks.
const GRAIN: u64 = 1 << 20;

/// How one object goes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// In one request.
    Single,
    /// In parts of `part_bytes` each but for the last, at most `in_flight` of them held at once.
    Many {
        /// Bytes a part.
        part_bytes: u64,
        /// Parts that may be held at once; 1 or more.
        in_flight: u64,
    },
}

/// The plan for an object of `size` bytes with up to `wanted` parts in flight; fewer where they would hold more than
/// [`MAX_HELD`]. `None` if even one part of what [`MAX_PARTS`] asks for would: such an object can't go up.
pub const fn plan(size: u64, wanted: u64) -> Option<Parts> {
    if size < MULTIPART_FROM {
        return Some(Parts::Single);
    }
    let part_bytes = part_bytes(size);
    if part_bytes > MAX_HELD {
        return None;
    }
    let fits = MAX_HELD / part_bytes;
    let asked = if wanted == 0 { 1 } else { wanted };
    Some(Parts::Many { part_bytes, in_flight: if asked < fits { asked } else { fits } })
}

/// The smallest part, in bytes, of which [`MAX_PARTS`] hold `size`.
const fn part_bytes(size: u64) -> u64 {
    let grains = size.div_ceil(MAX_PARTS).div_ceil(GRAIN);
    let bytes = grains * GRAIN;
    if bytes < MIN_PART { MIN_PART } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST_PAYLOAD: u64 = 128 << 30;

    #[test]
    fn an_object_below_eight_mebibytes_goes_up_in_one_request() {
        assert_eq!(plan(1, 4), Some(Parts::Single));
        assert_eq!(plan(MULTIPART_FROM - 1, 4), Some(Parts::Single));
        assert_eq!(plan(MULTIPART_FROM, 4), Some(Parts::Many { part_bytes: MIN_PART, in_flight: 4 }));
    }

    #[test]
    fn a_part_grows_only_when_ten_thousand_are_not_enough() {
        let most = MIN_PART * MAX_PARTS;
        assert_eq!(part_bytes(most), MIN_PART);
        assert_eq!(part_bytes(most + 1), MIN_PART + GRAIN);
    }

    #[test]
    fn no_object_has_more_than_ten_thousand_parts_or_holds_more_than_its_bound() {
        for size in [MULTIPART_FROM, 5 << 30, (5 << 30) + 1, 80 << 30, LARGEST_PAYLOAD - 1, LARGEST_PAYLOAD] {
            let Some(Parts::Many { part_bytes, in_flight }) = plan(size, 1000) else {
                unreachable!("{size} bytes go up in parts")
            };
            assert!(size.div_ceil(part_bytes) <= MAX_PARTS, "{size}");
            assert!(part_bytes * in_flight <= MAX_HELD && in_flight >= 1, "{size}");
        }
    }

    #[test]
    fn what_can_not_go_up_within_the_bound_is_refused_and_does_not_overflow() {
        assert_eq!(plan(MAX_HELD * MAX_PARTS, 4), Some(Parts::Many { part_bytes: MAX_HELD, in_flight: 1 }));
        assert_eq!(plan(MAX_HELD * MAX_PARTS + 1, 4), None);
        assert_eq!(plan(u64::MAX, 4), None);
    }

    #[test]
    fn none_wanted_in_flight_is_one_at_a_time() {
        assert_eq!(plan(MULTIPART_FROM, 0), Some(Parts::Many { part_bytes: MIN_PART, in_flight: 1 }));
    }
}
