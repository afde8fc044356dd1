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
