//! How long things took.

use std::time::Duration;

/// Sorted, in microseconds.
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    pub(crate) fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        Self::of_microseconds(times.into_iter().map(|time| time.as_micros().try_into().unwrap_or(u64::MAX)).collect())
    }

    pub(crate) fn of_microseconds(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// In milliseconds; none of nothing.
    #[expect(clippy::cast_precision_loss, reason = "no wait is so long")]
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map(|time| *time as f64 / 1000.0)
    }

    /// As `wrk` does with its own: a client that waited for long could not ask meanwhile, and would have waited too.
    pub(crate) fn with_omitted(self, clients: u64, run: Duration) -> Self {
        let each = (self.0.len() as u64 / clients).max(1);
        let interval = (u64::try_from(run.as_micros()).unwrap_or(u64::MAX) / each).max(1);
        let mut all = self.0.clone();
        for time in self.0.into_iter().filter(|time| *time >= 2 * interval) {
            let mut missed = time - interval;
            while missed > interval {
                all.push(missed);
                missed -= interval;
            }
        }
        Self::of_microseconds(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let latencies = Latencies::of((1..=200).map(Duration::from_millis));
        let found = [50, 99, 100].map(|percent| latencies.percentile(percent).map(f64::to_bits));
        assert_eq!(found, [100.0, 198.0, 200.0].map(|expected: f64| Some(expected.to_bits())));
        assert!(Latencies::of([]).percentile(99).is_none());
    }

    #[test]
    fn who_waited_for_ten_intervals_is_counted_for_those_he_missed() {
        let times = [Duration::from_millis(1), Duration::from_millis(10)];
        let corrected = Latencies::of(times).with_omitted(1, Duration::from_millis(2));
        assert_eq!(corrected.0, [1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000]);
    }
}
