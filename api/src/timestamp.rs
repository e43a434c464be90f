//! `google.protobuf.Timestamp` as this contract uses it: one type for the wire, for JSON, and towards the vocabulary.
//!
//! On the wire any two numbers may stand in one; only [`TryFrom`] into a type of the vocabulary makes it a time.

mod json;

use payload_manager_types as types;
use payload_manager_types::UnixMillis;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the ends of what RFC 3339 can say.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;

/// A point in time, as it travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// 0 to 999,999,999, counted forward also before 1970.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// Two numbers that are no time this system accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTimestamp {
    /// Beyond the year 9999.
    #[error("a time beyond the year 9999")]
    TooLate,
    /// Before the year 1.
    #[error("a time before the year 1")]
    TooEarly,
    /// Nanoseconds below 0 or above 999,999,999.
    #[error("{0} nanoseconds, where 0 to 999,999,999 are possible")]
    Nanos(i32),
}

impl TryFrom<Timestamp> for types::Timestamp {
    type Error = BadTimestamp;

    fn try_from(wire: Timestamp) -> Result<Self, BadTimestamp> {
        let nanos = u32::try_from(wire.nanos).ok().filter(|n| *n < 1_000_000_000);
        match (wire.seconds, nanos) {
            (s, _) if s > LAST_SECOND => Err(BadTimestamp::TooLate),
            (s, _) if s < FIRST_SECOND => Err(BadTimestamp::TooEarly),
            (_, None) => Err(BadTimestamp::Nanos(wire.nanos)),
            (seconds, Some(nanos)) => Ok(Self { seconds, nanos }),
        }
    }
}

impl TryFrom<Timestamp> for UnixMillis {
    type Error = BadTimestamp;

    /// Times between two milliseconds count as the later one, times before 1970 as 1970.
    fn try_from(wire: Timestamp) -> Result<Self, BadTimestamp> {
        let time = types::Timestamp::try_from(wire)?;
        let seconds = u64::try_from(time.seconds).ok();
        Ok(Self(seconds.map_or(0, |s| s * 1000 + u64::from(time.nanos.div_ceil(1_000_000)))))
    }
}

impl From<types::Timestamp> for Timestamp {
    fn from(time: types::Timestamp) -> Self {
        Self { seconds: time.seconds, nanos: i32::try_from(time.nanos).unwrap_or(0) }
    }
}

impl From<UnixMillis> for Timestamp {
    fn from(UnixMillis(ms): UnixMillis) -> Self {
        let nanos = i32::try_from(ms % 1000 * 1_000_000).unwrap_or(0);
        Self { seconds: i64::try_from(ms / 1000).unwrap_or(LAST_SECOND), nanos }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: i32) -> Timestamp {
        Timestamp { seconds, nanos }
    }

    #[test]
    fn milliseconds_survive_the_wire() {
        for ms in [0, 1, 999, 1000, 1_700_000_000_123, types::YEAR_9999_END.0] {
            assert_eq!(UnixMillis::try_from(Timestamp::from(UnixMillis(ms))), Ok(UnixMillis(ms)));
        }
        assert_eq!(UnixMillis::try_from(at(1, 1)), Ok(UnixMillis(1001)));
        assert_eq!(UnixMillis::try_from(at(-1, 1)), Ok(UnixMillis(0)));
    }

    #[test]
    fn what_a_client_says_survives_to_the_nanosecond() {
        for time in [at(-5, 999_999_999), at(0, 0), at(LAST_SECOND, 1), at(FIRST_SECOND, 0)] {
            assert_eq!(types::Timestamp::try_from(time).map(Timestamp::from), Ok(time));
        }
    }

    #[test]
    fn what_rfc_3339_cannot_say_is_no_time() {
        let time = types::Timestamp::try_from;
        assert_eq!(time(at(LAST_SECOND + 1, 0)), Err(BadTimestamp::TooLate));
        assert_eq!(time(at(i64::MAX, -1)), Err(BadTimestamp::TooLate));
        assert_eq!(time(at(FIRST_SECOND - 1, 0)), Err(BadTimestamp::TooEarly));
        assert_eq!(time(at(0, -1)), Err(BadTimestamp::Nanos(-1)));
        assert_eq!(time(at(0, 1_000_000_000)), Err(BadTimestamp::Nanos(1_000_000_000)));
    }
}
