//! Samples of one thing, and how two things are measured beside each other.

use std::time::{Duration, Instant};

use crate::Result;

/// Measured values, in one unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// One more, in whatever unit all of them are.
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value that this share of the samples does not exceed; `NaN` if there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index within the samples")]
        let at = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(at.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
    }

    /// The median.
    pub(crate) fn p50(&self) -> f64 {
        self.quantile(0.5)
    }

    /// What one in a hundred exceeds.
    pub(crate) fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.len()
    }
}

/// The daemon's samples and the floor's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beside {
    /// What is measured.
    pub(crate) ours: Samples,
    /// What it is measured against.
    pub(crate) floor: Samples,
}

/// How often something is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Rounds, with a pause to warm up at the head of each.
    pub(crate) rounds: usize,
    /// Samples of each of the two a round.
    pub(crate) samples: usize,
}

/// Measures two things in turn, sample by sample, so that whatever else the machine does falls on both; in microseconds.
pub(crate) async fn in_turn(
    times: Times,
    mut ours: impl AsyncFnMut() -> Result<()>,
    mut floor: impl AsyncFnMut() -> Result<()>,
) -> Result<Beside> {
    let mut beside = Beside::default();
    for _ in 0..times.rounds {
        for sample in 0..times.samples + times.samples / 10 {
            let (a, b) = (timed(&mut ours).await?, timed(&mut floor).await?);
            // The first tenth warms up.
            if sample >= times.samples / 10 {
                beside.ours.add(micros(a));
                beside.floor.add(micros(b));
            }
        }
    }
    Ok(beside)
}

/// Measures two things in turn, round by round: for what goes on working after it has answered, so that it does so in its own
/// time and not in the other's; in microseconds.
pub(crate) async fn in_rounds(
    times: Times,
    mut ours: impl AsyncFnMut() -> Result<()>,
    mut floor: impl AsyncFnMut() -> Result<()>,
) -> Result<Beside> {
    let mut beside = Beside::default();
    for _ in 0..times.rounds {
        round(times, &mut ours, &mut beside.ours).await?;
        round(times, &mut floor, &mut beside.floor).await?;
    }
    Ok(beside)
}

async fn round(times: Times, work: &mut impl AsyncFnMut() -> Result<()>, samples: &mut Samples) -> Result<()> {
    for sample in 0..times.samples + times.samples / 10 {
        let took = timed(work).await?;
        if sample >= times.samples / 10 {
            samples.add(micros(took));
        }
    }
    Ok(())
}

/// How long it takes.
pub(crate) async fn timed(work: &mut impl AsyncFnMut() -> Result<()>) -> Result<Duration> {
    let begun = Instant::now();
    work().await?;
    Ok(begun.elapsed())
}

/// A duration in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A duration in nanoseconds.
pub(crate) fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// A duration in milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u32>) -> Samples {
        Samples(values.into_iter().map(f64::from).collect())
    }

    #[test]
    fn quantiles_are_samples_that_were_measured() {
        let hundred = of((1..=100).rev());
        assert_eq!((hundred.p50(), hundred.p99(), hundred.quantile(1.0)), (50.0, 99.0, 100.0));
        assert_eq!((of([7]).p50(), of([7]).p99()), (7.0, 7.0));
        assert!(of([]).p50().is_nan());
    }

    #[tokio::test]
    async fn both_are_measured_as_often_as_asked_and_warmed_up_for() {
        let (mut ours, mut floor) = (0..44, 0..44);
        let times = Times { rounds: 2, samples: 20 };
        let next = |left: &mut std::ops::Range<u32>| left.next().map(drop).ok_or_else(|| "too often".into());
        let beside = in_turn(times, async || next(&mut ours), async || next(&mut floor)).await.unwrap();
        assert!(ours.is_empty() && floor.is_empty());
        assert_eq!((beside.ours.len(), beside.floor.len()), (40, 40));
    }
}
