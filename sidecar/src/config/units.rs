//! Sizes and times as people write them, both directions: what [`size`] prints, [`parse_size`] reads back unchanged.
//!
//! Not a general unit library: bytes with `bytesize`'s units, durations with `humantime`'s.

use std::time::Duration;

use bytesize::ByteSize;

/// The largest size that can be asked for, in bytes: what a signed 64-bit file offset can reach.
pub const LARGEST: u64 = (1 << 63) - 1;

const UNITS: [(&str, u64); 6] =
    [("EiB", 1 << 60), ("PiB", 1 << 50), ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Bytes from `8GiB`, `1.5 TiB`, `500MB` or a plain number of bytes.
///
/// # Errors
/// What is wrong with the text, in words for the person who wrote it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let size = text
        .trim()
        .parse::<ByteSize>()
        .map_err(|_| format!("{text:?} is no size: write a number of bytes, or a number and a unit such as 8GiB"))?;
    // `bytesize` saturates instead of refusing, so what is beyond the last file offset is refused here.
    if size.as_u64() > LARGEST {
        return Err(format!("{text:?} is larger than any file can be (at most {})", size_for_people(LARGEST)));
    }
    Ok(size.as_u64())
}

/// A duration from `20s`, `10min` or `1h 30m`; a bare number is refused, because it names no unit.
///
/// # Errors
/// What is wrong with the text, in words for the person who wrote it.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if !text.is_empty() && text != "0" && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text:?} has no unit: write {text}s for seconds or {text}ms for milliseconds"));
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is no time: write a number and a unit, such as 20s, 500ms or 10min"))
}

/// `bytes` in the largest unit that says it exactly: `8GiB`, `1536MiB`, or a plain number.
#[must_use]
pub fn size(bytes: u64) -> String {
    UNITS
        .iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// `bytes` rounded for reading: `23.5 GiB`.
#[must_use]
pub fn size_for_people(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// `time` so that [`parse_time`] reads it back: `20s`, `1m 30s`.
#[must_use]
pub fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_binary_decimal_and_plain_bytes() {
        assert_eq!(parse_size("8GiB"), Ok(8 << 30));
        assert_eq!(parse_size(" 8 gib "), Ok(8 << 30));
        assert_eq!(parse_size("1.5KiB"), Ok(1536));
        assert_eq!(parse_size("2MB"), Ok(2_000_000));
        assert_eq!(parse_size("4096"), Ok(4096));
    }

    #[test]
    fn what_is_no_size_is_refused_with_an_example() {
        for text in ["", "-1", "lots", "8 bananas", "GiB", "0x10"] {
            let message = parse_size(text).expect_err(text);
            assert!(message.contains("8GiB"), "{message}");
        }
    }

    #[test]
    fn a_size_beyond_any_file_is_refused_rather_than_saturated() {
        assert!(parse_size("99999999EiB").is_err());
        assert!(parse_size("9223372036854775808").is_err());
        assert_eq!(parse_size("9223372036854775807"), Ok(LARGEST));
    }

    #[test]
    fn times_need_a_unit() {
        assert_eq!(parse_time("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(parse_time("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_time("0"), Ok(Duration::ZERO));
        assert!(parse_time("20").expect_err("no unit").contains("20s"));
        assert!(parse_time("soon").is_err());
        assert!(parse_time("").is_err());
    }

    #[test]
    fn printed_sizes_and_times_read_back_unchanged() {
        for bytes in [0, 1, 1023, 1024, 1536, 64 << 20, (64 << 20) + 1, 3 << 40, 1 << 60, LARGEST] {
            assert_eq!(parse_size(&size(bytes)), Ok(bytes), "{}", size(bytes));
        }
        for ms in [0, 1, 999, 1_000, 90_000, 86_400_000, 86_400_001] {
            let wanted = Duration::from_millis(ms);
            assert_eq!(parse_time(&time(wanted)), Ok(wanted), "{}", time(wanted));
        }
    }
}
