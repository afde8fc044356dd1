//! Latencies, counted in buckets whose width grows with the value.
//!
//! Comes in: nanoseconds. Goes out: percentiles, never too small and at most 1/128 too large, and the exact maximum.
//! Keeps: recording is one index and one add, and memory is fixed, however long the run.

/// Counts per bucket. Values below 128 have a bucket each; above, every power of two has 128 of them.
#[derive(Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(super) fn new() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }

    pub(super) fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    pub(super) fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// The least bucket bound that at least `fraction` of the values do not exceed; 0 if there are none.
    pub(super) fn percentile(&self, fraction: f64) -> u64 {
        let rank = ((self.total as f64 * fraction).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return bucket_max(index).min(self.max);
            }
        }
        self.max
    }
}

/// For `value` with its highest bit at `SUB_BITS + shift`, the top `SUB_BITS + 1` bits choose the bucket: the leading
/// one adds the 128 that tells this power from the one below.
fn bucket(value: u64) -> usize {
    if value < SUB_COUNT {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - SUB_BITS;
    ((u64::from(shift) << SUB_BITS) + (value >> shift)) as usize
}

/// The greatest value in a bucket.
fn bucket_max(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * SUB_COUNT {
        return index;
    }
    let shift = (index >> SUB_BITS) - 1;
    let base = (index - (shift << SUB_BITS)) << shift;
    base + ((1 << shift) - 1)
}

const SUB_BITS: u32 = 7;
const SUB_COUNT: u64 = 1 << SUB_BITS;
/// Index of the greatest u64, plus one: shift 56, mantissa 255.
const BUCKETS: usize = ((56 << SUB_BITS) + 255) + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::random::Random;

    #[test]
    fn every_value_lies_in_its_bucket() {
        let mut random = Random::new(1, 0);
        let mut values = vec![0, 1, 127, 128, 129, 255, 256, 257, u64::MAX - 1, u64::MAX];
        values.extend((0..10_000).map(|i| random.next_u64() >> (i % 64)));
        for value in values {
            let index = bucket(value);
            assert!(index < BUCKETS);
            assert!(value <= bucket_max(index), "{value} is over its bucket");
            assert!(index == 0 || value > bucket_max(index - 1), "{value} is under its bucket");
            assert!(bucket_max(index) - value <= value / 128, "bucket of {value} is too wide");
        }
    }

    #[test]
    fn percentiles_match_a_sorted_list() {
        let mut random = Random::new(2, 0);
        let mut values: Vec<u64> = (0..9_999).map(|_| (random.normal().abs() * 1e6) as u64).collect();
        let (mut whole, mut half) = (Histogram::new(), Histogram::new());
        for (place, value) in values.iter().enumerate() {
            if place % 2 == 0 { whole.record(*value) } else { half.record(*value) }
        }
        whole.add(&half);
        values.sort_unstable();
        for fraction in [0.0, 0.01, 0.5, 0.99, 0.999, 1.0] {
            let exact = values[((values.len() as f64 * fraction).ceil() as usize).max(1) - 1];
            let told = whole.percentile(fraction);
            assert!(told >= exact && told - exact <= exact / 128, "p{fraction}: {told} for {exact}");
        }
        assert_eq!(whole.max(), values[values.len() - 1]);
        assert_eq!(whole.percentile(1.0), whole.max());
    }

    #[test]
    fn an_empty_histogram_says_zero() {
        assert_eq!(Histogram::new().percentile(0.99), 0);
    }
}
