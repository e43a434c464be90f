//! Wall-clock time as this system counts it.

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct UnixMillis(pub u64);

/// The last millisecond of the year 9999: later times can't be written as RFC 3339 and are refused.
pub const YEAR_9999_END: UnixMillis = UnixMillis(253_402_300_799_999);

impl UnixMillis {
    /// This time and `ms` milliseconds, or `None` beyond the year 9999.
    #[must_use]
    pub fn checked_add(self, ms: u64) -> Option<Self> {
        self.0.checked_add(ms).map(Self).filter(|t| *t <= YEAR_9999_END)
    }
}

/// A point in time as clients give it: seconds since 1970 (negative before), and nanoseconds into that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}
