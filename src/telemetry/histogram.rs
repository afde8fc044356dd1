//! A histogram of durations with fixed buckets.

use crate::sync::SharedCount;

/// The buckets' upper bounds in nanoseconds: from a fast device's sync to one that is in trouble.
const BOUNDS_NS: [u64; 14] = [
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    2_000_000_000,
    10_000_000_000,
];

/// Durations, counted by size.
#[derive(Default, Debug)]
pub struct DurationHistogram {
    buckets: [SharedCount; BOUNDS_NS.len() + 1],
    sum_ns: SharedCount,
}

impl DurationHistogram {
    /// Counts a duration.
    pub fn observe(&self, duration_ns: u64) {
        let bucket = BOUNDS_NS.partition_point(|&bound| bound < duration_ns);
        self.buckets[bucket].add(1);
        self.sum_ns.add(duration_ns);
    }

    /// The buckets as Prometheus has them: upper bound in seconds (infinite for the last) and how many durations are at
    /// most so long.
    pub fn cumulative(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS_NS.iter().map(|&ns| ns as f64 / 1e9).chain([f64::INFINITY]);
        let mut total = 0;
        bounds
            .zip(&self.buckets)
            .map(|(bound, count)| {
                total += count.value();
                (bound, total)
            })
            .collect()
    }

    /// The sum of all durations in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns.value() as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_every_bucket_that_is_not_shorter() {
        let histogram = DurationHistogram::default();
        for ns in [50_000, 50_001, 20_000_000_000] {
            histogram.observe(ns);
        }
        let counts: Vec<u64> = histogram.cumulative().iter().map(|&(_, n)| n).collect();
        assert_eq!((counts[0], counts[1], counts[13], counts[14]), (1, 2, 2, 3));
        assert!((histogram.sum_seconds() - 20.000_100_001).abs() < 1e-9);
    }
}
