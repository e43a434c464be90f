//! How figures read: sizes and times for people, and for programs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytesize::ByteSize;
use payload_manager_client::{Location, UnixMillis};

/// `23.5 MiB`
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// `2026-01-31T12:00:00.000Z`; nothing for a time that can't be written so.
pub(crate) fn timestamp(at: UnixMillis) -> Option<String> {
    // Beyond the year 9999 the formatter would panic.
    let at = Some(at).filter(|at| *at <= UnixMillis(253_402_300_799_999))?;
    Some(humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at.0)).to_string())
}

/// `3m`, `1h 59m`: the distance to a time, in its largest units.
pub(crate) fn distance(at: UnixMillis, now: SystemTime) -> String {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = now.abs_diff(Duration::from_millis(at.0)).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Where bytes are, in one word.
pub(crate) fn place(location: &Location) -> String {
    match location {
        Location::Gpu { device, offset, .. } => format!("gpu:{device}+{offset}"),
        Location::Ram { name: place, offset: 0, .. } | Location::File { path: place, offset: 0, .. } => place.clone(),
        Location::Ram { name: place, offset, .. } | Location::File { path: place, offset, .. } => {
            format!("{place}+{offset}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_told_in_their_largest_units_both_ways() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let told = |seconds: u64| distance(UnixMillis(seconds * 1000), now);
        assert_eq!((told(1_000_000 - 59), told(1_000_000 + 60)), ("59s".to_owned(), "1m".to_owned()));
        assert_eq!((told(1_000_000 - 7200), told(1_000_000 - 90_000)), ("2h 0m".to_owned(), "1d 1h".to_owned()));
    }

    #[test]
    fn sizes_and_times_read_well() {
        assert_eq!((size(512), size(24_641_536)), ("512 B".to_owned(), "23.5 MiB".to_owned()));
        assert_eq!(timestamp(UnixMillis(1_500)).as_deref(), Some("1970-01-01T00:00:01.500Z"));
        assert_eq!(timestamp(UnixMillis(u64::MAX)), None);
    }
}
