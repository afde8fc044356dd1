//! The values of one interval, for their count, sum, extremes and percentiles.
//!
//! Up to a limit all values are kept, and percentiles are exact. At the limit neighbours are joined to their mean,
//! which gets the weight of both, as long as no mean weighs more than four of the limit's equal parts of all: a
//! percentile is then off by about that many ranks, 0.4 % of all with a limit of 1024. (A t-digest whose clusters are
//! all of a size.)

/// Values with weights.
#[derive(Default, Debug)]
pub(super) struct Observations {
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    values: Vec<(f64, u64)>,
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
            self.join(kept_max);
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
        if rank >= self.count {
            return self.max;
        }
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

    /// Begins the next interval; keeps the memory that one like this needs.
    pub(super) fn clear(&mut self) {
        let room = self.values.len().max(SPARE_VALUES) * 2;
        self.values.clear();
        self.values.shrink_to(room);
        (self.count, self.sum) = (0, 0.0);
    }

    /// Joins neighbours until about half of `kept_max` are left.
    fn join(&mut self, kept_max: usize) {
        self.sort();
        // Two that are not joined weigh more than this together: at most half of `kept_max` are left, and one.
        let weight_max = self.count.div_ceil(kept_max as u64).saturating_mul(4);
        let mut kept = 0;
        for i in 1..self.values.len() {
            let ((left, left_weight), (right, right_weight)) = (self.values[kept], self.values[i]);
            let weight = left_weight.saturating_add(right_weight);
            if weight <= weight_max {
                let share = right_weight as f64 / weight as f64;
                // Held between the two, as rounding and overflow may not.
                let mean = (left + (right - left) * share).min(right).max(left);
                self.values[kept] = (mean, weight);
            } else {
                kept += 1;
                self.values[kept] = self.values[i];
            }
        }
        self.values.truncate(kept + 1);
    }
}

/// Values for which room is kept in any case.
const SPARE_VALUES: usize = 32;

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
        for (percent, expected) in
            [(0.1, 1.0), (50.0, 50.0), (90.0, 90.0), (99.0, 99.0), (99.9, 100.0), (100.0, 100.0)]
        {
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
