//! The values of one interval, for their count, sum, extremes and percentiles.
//!
//! Up to a limit all values are kept, and percentiles are exact. At the limit they are halved: sorted, and of each
//! two neighbours one stays with the weight of both, by turns the lower and the higher. What a percentile can be off
//! by is about the number of halvings in twice the limit, in ranks.

/// Values with weights.
#[derive(Default, Debug)]
pub(super) struct Observations {
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    values: Vec<(f64, u64)>,
    /// Of the next halving's first two neighbours the higher one stays.
    keep_higher: bool,
}

impl Observations {
    /// Adds a value that stands for `weight`, at least one. `kept_max` is how many values may be kept now.
    pub(super) fn add(&mut self, value: f64, weight: u64, kept_max: usize) {
        let first = self.count == 0;
        self.min = if first { value } else { self.min.min(value) };
        self.max = if first { value } else { self.max.max(value) };
        self.count = self.count.saturating_add(weight);
        self.sum += value * weight as f64;
        if self.values.len() >= kept_max {
            self.halve();
        }
        self.values.push((value, weight));
    }

    /// How many values are kept.
    pub(super) fn kept(&self) -> usize {
        self.values.len()
    }

    /// The value that `percent` of all are not above, by nearest rank. Call [`sort`](Observations::sort) before.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.count as f64).ceil().max(1.0) as u64;
        let mut below = 0u64;
        for &(value, weight) in &self.values {
            below = below.saturating_add(weight);
            if below >= rank {
                return value;
            }
        }
        self.max
    }

    /// Puts the values in order.
    pub(super) fn sort(&mut self) {
        self.values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    }

    /// Begins the next interval; keeps a little memory.
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.values.shrink_to(SPARE_VALUES);
        (self.count, self.sum) = (0, 0.0);
    }

    fn halve(&mut self) {
        self.sort();
        let mut kept = 0;
        for i in (0..self.values.len()).step_by(2) {
            let lower = self.values[i];
            self.values[kept] = match self.values.get(i + 1) {
                Some(&higher) => {
                    let value = if self.keep_higher { higher.0 } else { lower.0 };
                    self.keep_higher = !self.keep_higher;
                    (value, lower.1.saturating_add(higher.1))
                }
                None => lower,
            };
            kept += 1;
        }
        self.values.truncate(kept);
    }
}

/// Values whose room is kept for the next interval.
const SPARE_VALUES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: impl Iterator<Item = u64>, kept_max: usize) -> Observations {
        let mut all = Observations::default();
        values.for_each(|value| all.add(value as f64, 1, kept_max));
        all.sort();
        all
    }

    #[test]
    fn below_the_limit_percentiles_are_exact() {
        let all = filled((1..=100).rev(), 1024);
        assert_eq!((all.count, all.sum, all.min, all.max), (100, 5050.0, 1.0, 100.0));
        for (percent, expected) in [(0.1, 1.0), (50.0, 50.0), (90.0, 90.0), (99.0, 99.0), (99.9, 100.0), (100.0, 100.0)] {
            assert_eq!(all.percentile(percent), expected, "p{percent}");
        }
    }

    #[test]
    fn beyond_the_limit_they_are_near_and_nothing_is_lost() {
        // Every number once, in an order that jumps about.
        let n = 1_000_000u64;
        let all = filled((0..n).map(|i| i * 7_919 % n), 1024);
        assert!(all.kept() <= 1024);
        assert_eq!(all.values.iter().map(|(_, weight)| weight).sum::<u64>(), n);
        assert_eq!((all.count, all.min, all.max), (n, 0.0, (n - 1) as f64));
        for percent in [1.0, 25.0, 50.0, 90.0, 99.0] {
            let off = (all.percentile(percent) - percent / 100.0 * n as f64).abs() / n as f64;
            assert!(off < 0.01, "p{percent} is off by {off}");
        }
    }

    #[test]
    fn weights_count_as_so_many() {
        let mut all = Observations::default();
        all.add(1.0, 9, 8);
        all.add(5.0, 1, 8);
        all.sort();
        assert_eq!((all.count, all.sum), (10, 14.0));
        assert_eq!((all.percentile(90.0), all.percentile(91.0)), (1.0, 5.0));
    }
}
