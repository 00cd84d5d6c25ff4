//! What is said about many measurements in one number.

use std::time::Duration;

/// How long each request took. All of them are kept: nothing is lost to buckets.
#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The least latency that `percent` of all requests did not exceed (nearest rank); zero when
    /// there were none. `percent` is 1 to 100.
    pub(crate) fn percentile(&mut self, percent: usize) -> Duration {
        if self.0.is_empty() {
            return Duration::ZERO;
        }
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        *self.0.select_nth_unstable(rank - 1).1
    }
}

/// The middle one; of an even number the mean of the two in the middle. NaN of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Latencies {
        Latencies(millis.into_iter().map(Duration::from_millis).collect())
    }

    #[test]
    fn percentiles_are_measurements_by_nearest_rank() {
        let mut hundred = of((1..=100).rev());
        assert_eq!(hundred.percentile(50), Duration::from_millis(50));
        assert_eq!(hundred.percentile(99), Duration::from_millis(99));
        assert_eq!(hundred.percentile(100), Duration::from_millis(100));
        assert_eq!(of([5, 1, 3]).percentile(99), Duration::from_millis(5));
        assert_eq!(of([5, 1, 3]).percentile(1), Duration::from_millis(1));
        assert_eq!(of([]).percentile(99), Duration::ZERO);
    }

    #[test]
    fn one_slow_request_in_a_hundred_does_not_count_for_p99_but_two_do() {
        let mut one = of(std::iter::repeat_n(1, 99).chain([1000]));
        assert_eq!(one.percentile(99), Duration::from_millis(1));
        let mut two = of(std::iter::repeat_n(1, 98).chain([1000, 1000]));
        assert_eq!(two.percentile(99), Duration::from_secs(1));
    }

    #[test]
    fn the_median_is_not_moved_by_an_outlier() {
        let bits = |values: &[f64]| median(values).to_bits();
        assert_eq!(bits(&[3.0, 1.0, 1000.0]), 3f64.to_bits());
        assert_eq!(bits(&[4.0, 1.0, 2.0, 1000.0]), 3f64.to_bits());
        assert!(median(&[]).is_nan());
    }
}
