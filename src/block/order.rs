//! The order in which a table's rows are written: as they arrived, or by series.
//!
//! By series, a value stands beside the last one of its series and their difference is small; arrival order within
//! a series is kept. Sorting is a stable radix sort over series numbers, 11 bits a pass.

use super::table::RowOrder;
use crate::model::Batch;

/// Memory for sorting, kept between blocks.
#[derive(Default)]
pub(super) struct Sorter {
    keys: Vec<u64>,
    swap: Vec<u64>,
    counts: Vec<u32>,
}

impl Sorter {
    /// Puts `rows`, a table's rows in arrival order, into the order to be written.
    ///
    /// `series` has the series of each row of the batch.
    pub(super) fn arrange(&mut self, rows: &mut [u32], series: &[u32], batch: &Batch) -> RowOrder {
        let of = |&row: &u32| series[row as usize];
        if rows.is_sorted_by_key(of) {
            return RowOrder::Series;
        }
        if rows.len() < SORT_ROWS_MIN {
            return RowOrder::Arrival;
        }
        self.sort(rows, series);
        let distinct = 1 + self.keys.windows(2).filter(|w| w[0] >> 32 != w[1] >> 32).count();
        if rows.len() * 5 < distinct * 6 && !self.pays(rows, series, batch) {
            return RowOrder::Arrival;
        }
        for (row, key) in rows.iter_mut().zip(&self.keys) {
            *row = *key as u32;
        }
        RowOrder::Series
    }

    /// Fills the keys, `series << 32 | row`, and sorts them.
    fn sort(&mut self, rows: &[u32], series: &[u32]) {
        let (mut min, mut max) = (u32::MAX, 0);
        for &row in rows {
            let s = series[row as usize];
            min = min.min(s);
            max = max.max(s);
        }
        self.keys.clear();
        self.keys
            .extend(rows.iter().map(|&row| u64::from(series[row as usize] - min) << 32 | u64::from(row)));
        let bits = 32 - (max - min).leading_zeros();
        let passes = bits.div_ceil(DIGIT_BITS_MAX).max(1);
        let digit_bits = bits.div_ceil(passes);
        self.swap.resize(self.keys.len(), 0);
        for pass in 0..passes {
            let shift = 32 + pass * digit_bits;
            let mask = (1usize << digit_bits) - 1;
            self.counts.clear();
            self.counts.resize(mask + 1, 0);
            for &key in &self.keys {
                self.counts[(key >> shift) as usize & mask] += 1;
            }
            let mut start = 0;
            for count in &mut self.counts {
                start += std::mem::replace(count, start);
            }
            for &key in &self.keys {
                let place = &mut self.counts[(key >> shift) as usize & mask];
                self.swap[*place as usize] = key;
                *place += 1;
            }
            std::mem::swap(&mut self.keys, &mut self.swap);
        }
    }

    /// Whether series and times alone get shorter by sorting, judged by neighbours in a sample. This is asked where
    /// hardly a series has two rows, so that the values win nothing either way.
    fn pays(&self, rows: &[u32], series: &[u32], batch: &Batch) -> bool {
        let time = |row: u32| batch.words()[batch.offsets()[row as usize] as usize + 1];
        let bits = |a: u32, b: u32| {
            let apart = |x: u64, y: u64| 64 - (x.wrapping_sub(y) as i64).unsigned_abs().leading_zeros();
            apart(u64::from(series[a as usize]), u64::from(series[b as usize])) + apart(time(a), time(b))
        };
        let step = (rows.len() - 1).div_ceil(SAMPLE);
        let sample = (0..rows.len() - 1).step_by(step);
        let arrival: u32 = sample.clone().map(|i| bits(rows[i], rows[i + 1])).sum();
        let sorted: u32 = sample.map(|i| bits(self.keys[i] as u32, self.keys[i + 1] as u32)).sum();
        sorted < arrival
    }
}

/// Fewer rows have nothing to win that 4 KiB, the least a block takes, would show.
const SORT_ROWS_MIN: usize = 32;
const DIGIT_BITS_MAX: u32 = 12;
const SAMPLE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SeriesId, Shape, ShapeId};
    use proptest::prelude::*;

    fn batch(series: &[u32], time: impl Fn(usize) -> i64) -> Batch {
        let shape = Shape::new(Box::default(), Box::default());
        let mut batch = Batch::default();
        for (i, &s) in series.iter().enumerate() {
            batch.push(SeriesId(s), ShapeId(0), &shape, time(i), &[], &[]).unwrap();
        }
        batch
    }

    proptest! {
        #[test]
        fn sorting_is_stable_and_loses_no_row(
            series in prop::collection::vec(any::<u32>(), 1..2000),
            shift in 0u32..32,
            skip in 1usize..4,
        ) {
            let series: Vec<u32> = series.iter().map(|s| s >> shift).collect();
            let batch = batch(&series, |i| i as i64);
            let mut rows: Vec<u32> = (0..series.len() as u32).step_by(skip).collect();
            let mut sorted = rows.clone();
            sorted.sort_by_key(|&row| series[row as usize]);
            let arrived = rows.clone();
            match Sorter::default().arrange(&mut rows, &series, &batch) {
                RowOrder::Series => prop_assert_eq!(rows, sorted),
                _ => prop_assert_eq!(rows, arrived),
            }
        }
    }

    #[test]
    fn rows_of_few_series_are_sorted_and_rows_in_order_stay() {
        let rounds: Vec<u32> = (0..1000).map(|i| i % 100).collect();
        let mut rows: Vec<u32> = (0..1000).collect();
        let order = Sorter::default().arrange(&mut rows, &rounds, &batch(&rounds, |i| i as i64 / 100));
        assert_eq!((order, &rows[..3]), (RowOrder::Series, &[0, 100, 200][..]));
        let few = [5, 3, 4];
        let mut rows = vec![0, 1, 2];
        assert_eq!(Sorter::default().arrange(&mut rows, &few, &batch(&few, |_| 0)), RowOrder::Arrival);
    }

    #[test]
    fn rows_of_as_many_series_are_sorted_only_if_times_allow() {
        let series: Vec<u32> = (0..1000u32).map(|i| i.wrapping_mul(0x9e37_79b1) >> 12).collect();
        let mut rows: Vec<u32> = (0..1000).collect();
        assert_eq!(Sorter::default().arrange(&mut rows, &series, &batch(&series, |_| 7)), RowOrder::Series);
        let mut rows: Vec<u32> = (0..1000).collect();
        let jitter = |i: usize| i as i64 * 1_000_000_000_000;
        assert_eq!(Sorter::default().arrange(&mut rows, &series, &batch(&series, jitter)), RowOrder::Arrival);
    }
}
