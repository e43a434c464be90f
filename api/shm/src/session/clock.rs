//! The clock that deadlines are counted on, read without a system call.

use nix::time::{ClockId, clock_getres, clock_gettime};
use payload_manager_types::{LeaseDeadline, UnixMillis};

/// `CLOCK_MONOTONIC` as the daemon reads it.
///
/// It is read coarsely (a few milliseconds late, which costs a tenth), so an answer is a span: the time is not before
/// [`Self::now_ms`] and before [`Self::latest_ms`]. Whoever asks whether a lease is over takes the later end, whoever
/// counts a new deadline the earlier one: both err on the side on which bytes are not lost.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    offset_ms: i64,
    coarseness_ms: u64,
}

impl Clock {
    /// This process's clock, of a daemon whose clock shows `offset_ms` more: 0 unless the two are in different time
    /// namespaces. Exchange readings when the session begins, and take half of the round trip off.
    #[must_use]
    pub fn with_offset(offset_ms: i64) -> Self {
        let coarseness = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE);
        let nanos = coarseness.map_or(10_000_000, |step| u64::try_from(step.tv_nsec()).unwrap_or(0));
        Self { offset_ms, coarseness_ms: nanos.div_ceil(1_000_000).max(1) }
    }

    /// Milliseconds of the daemon's `CLOCK_MONOTONIC`, perhaps a few ago.
    #[inline]
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        millis(ClockId::CLOCK_MONOTONIC_COARSE).saturating_add_signed(self.offset_ms)
    }

    /// The latest that it can be.
    #[inline]
    #[must_use]
    pub fn latest_ms(&self) -> u64 {
        self.latest_after(self.now_ms())
    }

    /// The latest that it can be when this was read.
    #[inline]
    pub(super) const fn latest_after(&self, read_ms: u64) -> u64 {
        read_ms.saturating_add(self.coarseness_ms)
    }

    /// When a lease of `duration_ms` from now ends.
    #[inline]
    #[must_use]
    pub fn deadline(&self, duration_ms: u64) -> LeaseDeadline {
        LeaseDeadline(self.now_ms().saturating_add(duration_ms))
    }

    /// Whether a time of day is over.
    #[must_use]
    pub fn is_past(&self, at: UnixMillis) -> bool {
        millis(ClockId::CLOCK_REALTIME_COARSE).saturating_add(self.coarseness_ms) >= at.0
    }
}

/// 0 if the clock can't be read, which Linux does not let happen.
#[inline]
fn millis(clock: ClockId) -> u64 {
    let Ok(now) = clock_gettime(clock) else { return 0 };
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    seconds * 1_000 + u64::try_from(now.tv_nsec()).unwrap_or(0) / 1_000_000
}
