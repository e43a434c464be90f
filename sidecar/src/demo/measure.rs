//! What was measured, and what to say of it: how often, how many bytes, the median, the 99th percentile, the slowest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::Measure;

/// All measured times of one kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    nanos: Vec<u64>,
    bytes: u64,
}

impl Samples {
    /// One more.
    pub(super) fn add(&mut self, bytes: u64, nanos: u64) {
        self.nanos.push(nanos);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// What to say of them; nothing of none.
    pub(super) fn figures(&self) -> Option<Figures> {
        let mut sorted = self.nanos.clone();
        sorted.sort_unstable();
        let total = sorted.iter().fold(0u64, |sum, n| sum.saturating_add(*n));
        Some(Figures {
            count: sorted.len(),
            bytes: self.bytes,
            p50: Duration::from_nanos(percentile(&sorted, 50)?),
            p99: Duration::from_nanos(percentile(&sorted, 99)?),
            slowest: Duration::from_nanos(*sorted.last()?),
            total: Duration::from_nanos(total),
        })
    }
}

/// What is said of the times of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Figures {
    /// How often.
    pub(super) count: usize,
    /// The bytes of all.
    pub(super) bytes: u64,
    /// Half took no longer.
    pub(super) p50: Duration,
    /// 99 of 100 took no longer.
    pub(super) p99: Duration,
    /// The longest.
    pub(super) slowest: Duration,
    /// All together.
    pub(super) total: Duration,
}

impl Figures {
    /// Bytes per second while it was done.
    pub(super) fn rate(&self) -> Option<u64> {
        let nanos = self.total.as_nanos();
        u64::try_from((u128::from(self.bytes) * 1_000_000_000).checked_div(nanos)?).ok()
    }
}

/// The smallest value that is no less than `percent` of all: the nearest rank, so always one that was measured.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The times of every kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured(BTreeMap<Measure, Samples>);

impl Measured {
    /// One more time.
    pub(super) fn add(&mut self, what: Measure, bytes: u64, nanos: u64) {
        self.0.entry(what).or_default().add(bytes, nanos);
    }

    /// What to say of one kind; nothing if it was never measured.
    pub(super) fn figures(&self, what: Measure) -> Option<Figures> {
        self.0.get(&what)?.figures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(nanos: impl IntoIterator<Item = u64>) -> Option<Figures> {
        let mut samples = Samples::default();
        nanos.into_iter().for_each(|n| samples.add(10, n));
        samples.figures()
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred = figures((1..=100).rev()).unwrap();
        let nanos = |time: Duration| time.as_nanos();
        assert_eq!((nanos(hundred.p50), nanos(hundred.p99), nanos(hundred.slowest)), (50, 99, 100));
        assert_eq!((hundred.count, hundred.bytes, nanos(hundred.total)), (100, 1000, 5050));
        let two = figures([7, 3]).unwrap();
        assert_eq!((nanos(two.p50), nanos(two.p99)), (3, 7));
        let one = figures([9]).unwrap();
        assert_eq!((nanos(one.p50), nanos(one.p99)), (9, 9));
    }

    #[test]
    fn nothing_measured_is_nothing_to_say() {
        assert_eq!(figures([]), None);
        assert_eq!(Measured::default().figures(Measure::Put), None);
    }

    #[test]
    fn the_rate_is_bytes_per_second() {
        assert_eq!(figures([500_000_000, 500_000_000]).unwrap().rate(), Some(20));
        assert_eq!(figures([0]).unwrap().rate(), None);
    }
}
