//! The order in which a table's rows are written: as they arrived, or by series.
//!
//! By series, a value stands beside the last one of its series and their difference is small; arrival order within
//! a series is kept. Sorting is a stable radix sort over series numbers, up to 12 bits a pass; narrow rows of few
//! series are put into their places at once, and those that come in rounds, the same series in the same order again
//! and again, are turned like a matrix, or like several where writers' rows follow one another. Rows that lie in long
//! runs of rising series, as those of scraped pages do, are moved run by run.

use std::ops::Range;

use super::codec::find_starts;
use super::table::RowOrder;
use crate::model::{Batch, NarrowRows};

/// Memory for sorting, kept between blocks.
#[derive(Default)]
pub(super) struct Sorter {
    keys: Vec<u64>,
    swap: Vec<u64>,
    counts: Vec<u32>,
    /// A bit for each series of a round.
    seen: Vec<u64>,
    runs: Vec<Range<usize>>,
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
        let (min, max) = range(rows.iter().map(of));
        self.keys.clear();
        self.keys.extend(rows.iter().map(|row| u64::from(of(row) - min) << 32 | u64::from(*row)));
        self.sort_keys(max - min);
        let time = |row: u32| batch.words()[batch.offsets()[row as usize] as usize + 1];
        if !self.has_repeats() && !self.pays(|i| rows[i], |row| series[row as usize], time) {
            return RowOrder::Arrival;
        }
        for (row, key) in rows.iter_mut().zip(&self.keys) {
            *row = *key as u32;
        }
        RowOrder::Series
    }

    /// Puts the series, times and words of narrow rows into `columns`, in the order to be written; finds where the
    /// runs of one series start.
    pub(super) fn arrange_narrow(
        &mut self,
        rows: &NarrowRows,
        columns: [&mut [u64]; 3],
        starts: &mut Vec<u32>,
    ) -> RowOrder {
        let series = rows.series();
        let sorted = series.is_sorted();
        if sorted || series.len() < SORT_ROWS_MIN {
            fill_narrow(rows, 0..series.len(), columns);
            find_starts(series.iter().copied(), series.len(), starts);
            return if sorted { RowOrder::Series } else { RowOrder::Arrival };
        }
        if self.find_rounds(series) {
            self.turn(rows, columns, starts);
            return RowOrder::Series;
        }
        if self.find_runs(series) {
            let [series_out, times_out, words_out] = columns;
            fill_narrow(rows, self.runs.iter().cloned().flatten(), [&mut *series_out, times_out, words_out]);
            find_starts(series_out.iter().map(|&s| s as u32), series.len(), starts);
            return RowOrder::Series;
        }
        let (min, max) = range(series.iter().copied());
        if max - min < PLACED_SERIES_MAX {
            let (min, span) = (min, (max - min) as usize + 1);
            self.counts.clear();
            self.counts.resize(span, 0);
            series.iter().for_each(|&s| self.counts[(s - min) as usize] += 1);
            starts.clear();
            let [series_out, times_out, words_out] = columns;
            let mut start = 0;
            for (s, count) in (u64::from(min)..).zip(&mut self.counts) {
                let len = std::mem::replace(count, start);
                if len > 0 {
                    series_out[start as usize..(start + len) as usize].fill(s);
                    starts.push(start);
                }
                start += len;
            }
            self.place(rows, min, times_out, words_out);
            return RowOrder::Series;
        }
        self.keys.clear();
        self.keys.extend((0..).zip(series).map(|(row, s): (u64, _)| u64::from(s - min) << 32 | row));
        self.sort_keys(max - min);
        let time = |row: u32| rows.times_ns()[row as usize] as u64;
        if !self.has_repeats() && !self.pays(|i| i as u32, |row| series[row as usize], time) {
            fill_narrow(rows, 0..series.len(), columns);
            find_starts(series.iter().copied(), series.len(), starts);
            return RowOrder::Arrival;
        }
        fill_narrow(rows, self.keys.iter().map(|&key| key as u32 as usize), columns);
        find_starts(self.keys.iter().map(|key| (key >> 32) as u32), series.len(), starts);
        RowOrder::Series
    }

    /// Puts times and words into their places, which the counts have. Where rows come in rounds for a while, all of a
    /// series at once.
    fn place(&mut self, rows: &NarrowRows, min: u32, times_out: &mut [u64], words_out: &mut [u64]) {
        let (series, times_ns, words) = (rows.series(), rows.times_ns(), rows.words());
        let (mut row, mut singly_min) = (0, SINGLY_MIN);
        while row < series.len() {
            let rest = &series[row..];
            let again = rest[..rest.len() / ROUNDS_MIN].iter().skip(1).position(|&s| s == rest[0]);
            let period = again.map_or(0, |at| at + 1);
            let alike = || rest[period..].iter().zip(rest).take_while(|(a, b)| a == b).count();
            let mut len = if period > 0 { period + alike() } else { 0 };
            if period > 0 && len >= ROUNDS_MIN * period && self.are_distinct(&rest[..period], min) {
                singly_min = SINGLY_MIN;
                let end = row + len;
                for first in row..row + period {
                    let place = &mut self.counts[(series[first] - min) as usize];
                    let start = *place as usize;
                    *place += (end - first).div_ceil(period) as u32;
                    let places = start..*place as usize;
                    copy_apart(&mut times_out[places.clone()], &times_ns[first..end], period, |t| t as u64);
                    copy_apart(&mut words_out[places], &words[first..end], period, |word| word);
                }
            } else {
                // Looking for rounds must not cost more than it gives: the longer there were none, the rarer.
                len = singly_min.max(period).min(rest.len());
                singly_min *= 2;
                let of = times_ns[row..row + len].iter().zip(&words[row..row + len]);
                for (&s, (&time_ns, &word)) in rest[..len].iter().zip(of) {
                    let place = &mut self.counts[(s - min) as usize];
                    times_out[*place as usize] = time_ns as u64;
                    words_out[*place as usize] = word;
                    *place += 1;
                }
            }
            row += len;
        }
    }

    /// Whether these series are all different.
    fn are_distinct(&mut self, series: &[u32], min: u32) -> bool {
        self.seen.clear();
        self.seen.resize(self.counts.len().div_ceil(64), 0);
        series.iter().all(|&s| {
            let (word, bit) = (&mut self.seen[(s - min) as usize / 64], 1 << ((s - min) % 64));
            let is_new = *word & bit == 0;
            *word |= bit;
            is_new
        })
    }

    /// Whether rows come in rounds. The keys are then `series << 32 | row` of the first round, sorted.
    fn find_rounds(&mut self, series: &[u32]) -> bool {
        let Some((first, rest)) = series.split_first() else { return false };
        let Some(period) = rest.iter().position(|s| s == first).map(|at| at + 1) else { return false };
        if series.len() < ROUNDS_MIN * period || series[period..] != series[..series.len() - period] {
            return false;
        }
        self.keys.clear();
        self.keys.extend((0..).zip(&series[..period]).map(|(row, &s): (u64, _)| u64::from(s) << 32 | row));
        self.keys.sort_unstable();
        self.keys.is_sorted_by(|a, b| a >> 32 != b >> 32)
    }

    /// Whether rows lie in long runs of rising series that do not overlap. Finds the runs, in the series' order.
    fn find_runs(&mut self, series: &[u32]) -> bool {
        let runs_max = series.len() / RUN_ROWS_MIN;
        self.runs.clear();
        let mut start = 0;
        for end in 1..=series.len() {
            if series.get(end).is_some_and(|s| *s >= series[end - 1]) {
                continue;
            }
            if self.runs.len() == runs_max {
                return false;
            }
            self.runs.push(start..end);
            start = end;
        }
        self.runs.sort_unstable_by_key(|run| series[run.start]);
        self.runs.is_sorted_by(|a, b| series[a.end - 1] < series[b.start])
    }

    /// Puts the rows of rounds into `columns`: each series' are as far apart as a round is long.
    fn turn(&self, rows: &NarrowRows, columns: [&mut [u64]; 3], starts: &mut Vec<u32>) {
        let (times_ns, words) = (rows.times_ns(), rows.words());
        let [series_out, times_out, words_out] = columns;
        let period = self.keys.len();
        starts.clear();
        let mut start = 0;
        for key in &self.keys {
            let row = *key as u32 as usize;
            let end = start + (times_ns.len() - row).div_ceil(period);
            series_out[start..end].fill(key >> 32);
            copy_apart(&mut times_out[start..end], &times_ns[row..], period, |t| t as u64);
            copy_apart(&mut words_out[start..end], &words[row..], period, |word| word);
            starts.push(start as u32);
            start = end;
        }
    }

    /// Whether a good part of the sorted keys' series have several rows.
    fn has_repeats(&self) -> bool {
        let distinct = 1 + self.keys.windows(2).filter(|w| w[0] >> 32 != w[1] >> 32).count();
        self.keys.len() * 5 >= distinct * 6
    }

    /// Sorts the keys, `series << 32 | row`, by series; those are `max` at most.
    fn sort_keys(&mut self, max: u32) {
        let bits = 32 - max.leading_zeros();
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
    fn pays(
        &self,
        arrived: impl Fn(usize) -> u32,
        series: impl Fn(u32) -> u32,
        time: impl Fn(u32) -> u64,
    ) -> bool {
        let bits = |a: u32, b: u32| {
            let apart = |x: u64, y: u64| 64 - (x.wrapping_sub(y) as i64).unsigned_abs().leading_zeros();
            apart(u64::from(series(a)), u64::from(series(b))) + apart(time(a), time(b))
        };
        let steps = self.keys.len() - 1;
        let sample = (0..steps).step_by(steps.div_ceil(SAMPLE));
        let arrival: u32 = sample.clone().map(|i| bits(arrived(i), arrived(i + 1))).sum();
        let sorted: u32 = sample.map(|i| bits(self.keys[i] as u32, self.keys[i + 1] as u32)).sum();
        sorted < arrival
    }
}

fn range(series: impl Iterator<Item = u32>) -> (u32, u32) {
    series.fold((u32::MAX, 0), |(min, max), s| (min.min(s), max.max(s)))
}

/// Copies what stands as far apart as a round is long.
#[inline]
fn copy_apart<T: Copy>(to: &mut [u64], from: &[T], period: usize, word: impl Fn(T) -> u64) {
    to.iter_mut().zip(from.iter().step_by(period)).for_each(|(to, &from)| *to = word(from));
}

/// Fills the columns with the rows of an order.
fn fill_narrow(rows: &NarrowRows, order: impl Iterator<Item = usize>, columns: [&mut [u64]; 3]) {
    let [series, times, words] = columns;
    for (((row, series), time), word) in order.zip(series).zip(times).zip(words) {
        *series = u64::from(rows.series()[row]);
        *time = rows.times_ns()[row] as u64;
        *word = rows.words()[row];
    }
}

/// Fewer rows have nothing to win that 4 KiB, the least a block takes, would show.
const SORT_ROWS_MIN: usize = 32;
const DIGIT_BITS_MAX: u32 = 12;
const SAMPLE: usize = 64;

/// Narrow rows whose series' numbers are no further apart are put into their places without a sort: as many places, of
/// times and words each, are written to in turn, and want to be in the cache.
const PLACED_SERIES_MAX: u32 = 1 << 14;

/// Fewer rounds are not worth to be told apart from other rows.
const ROUNDS_MIN: usize = 4;

/// Rows that a run has at least in the mean, where rows are moved by runs.
const RUN_ROWS_MIN: usize = 64;

/// Rows that are put into their places one by one where no round begins.
const SINGLY_MIN: usize = 256;

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

    /// Arranges narrow rows of these series, and compares with a stable sort.
    fn check_narrow(series: &[u32]) -> Result<(), TestCaseError> {
        let mut batch = Batch::default();
        let of = series.iter().map(|&s| SeriesId(s));
        batch.extend_narrow(ShapeId(0), series.len(), of, (0..).map(|t| t / 7), 5..);
        let mut order: Vec<usize> = (0..series.len()).collect();
        let [mut s, mut t, mut w] = [(); 3].map(|()| vec![u64::MAX; series.len()]);
        let mut starts = vec![9; 3];
        let columns = [&mut s[..], &mut t[..], &mut w[..]];
        let arranged = Sorter::default().arrange_narrow(batch.narrow().unwrap(), columns, &mut starts);
        match arranged {
            RowOrder::Series => order.sort_by_key(|&row| series[row]),
            _ => prop_assert!(!series.is_sorted()),
        }
        let is_start = |&i: &usize| i == 0 || s[i] != s[i - 1];
        let expected: Vec<u32> = (0..s.len()).filter(is_start).map(|i| i as u32).collect();
        prop_assert_eq!(starts, expected);
        for (i, &row) in order.iter().enumerate() {
            prop_assert_eq!((s[i], t[i], w[i]), (u64::from(series[row]), row as u64 / 7, row as u64 + 5));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn narrow_rows_are_placed_as_a_stable_sort_would(
            series in prop::collection::vec(any::<u32>(), 1..2000),
            shift in 0u32..32,
        ) {
            let series: Vec<u32> = series.iter().map(|s| s >> shift).collect();
            check_narrow(&series)?;
        }

        #[test]
        fn so_are_rounds_that_begin_and_end_anywhere_and_what_is_nearly_rounds(
            round in prop::collection::vec(any::<u32>(), 1..300),
            shift in 0u32..32,
            rows in 1usize..2000,
            strange in prop::option::of((any::<prop::sample::Index>(), any::<u32>())),
        ) {
            let mut series: Vec<u32> = round.iter().map(|s| s >> shift).cycle().take(rows).collect();
            if let Some((at, other)) = strange {
                series[at.index(rows)] = other >> shift;
            }
            check_narrow(&series)?;
        }
    }

    proptest! {
        #[test]
        fn so_are_runs_of_rising_series(
            runs in prop::collection::vec((0u32..40, 1usize..200, 0u32..3), 1..12),
        ) {
            let of = |&(from, rows, step): &(u32, usize, u32)| {
                (0..rows as u32).map(move |i| from * 20_000 + i * step)
            };
            check_narrow(&runs.iter().flat_map(of).collect::<Vec<_>>())?;
        }

        #[test]
        fn so_are_the_rounds_of_several_writers_one_behind_the_other(
            parts in prop::collection::vec((0u32..4, 1u32..40, 0u32..40, 1usize..400, prop::bool::ANY), 1..8),
        ) {
            // Each writer has series of its own; some rounds have one series twice.
            let of = |&(writer, period, from, rows, twice): &(u32, u32, u32, usize, bool)| {
                let round = (0..period).map(move |i| writer * 1_000 + if twice && i == 3 { 1 } else { i * 7 % 41 });
                round.cycle().skip(from as usize).take(rows).collect::<Vec<_>>()
            };
            check_narrow(&parts.iter().flat_map(of).collect::<Vec<_>>())?;
        }
    }

    #[test]
    fn only_runs_that_do_not_overlap_are_moved() {
        let mut sorter = Sorter::default();
        let runs = |starts: &[u32]| starts.iter().flat_map(|s| *s..*s + 100).collect::<Vec<u32>>();
        assert!(sorter.find_runs(&runs(&[500, 100, 300])));
        assert_eq!(sorter.runs, [100..300, 0..100]);
        assert!(!sorter.find_runs(&runs(&[500, 100, 599])), "the last of one is the first of another");
        let mut short = runs(&[500, 100, 300]);
        short.extend((0..40).rev());
        assert!(!sorter.find_runs(&short), "too short");
    }

    #[test]
    fn only_rounds_are_turned() {
        let mut sorter = Sorter::default();
        let rounds =
            |round: &[u32], rows: usize| round.iter().copied().cycle().take(rows).collect::<Vec<_>>();
        assert!(sorter.find_rounds(&rounds(&[3, 1, 2], 14)));
        assert_eq!(sorter.keys, [1 << 32 | 1, 2 << 32 | 2, 3 << 32]);
        assert!(!sorter.find_rounds(&rounds(&[3, 1, 2], 11)), "not often enough");
        assert!(!sorter.find_rounds(&rounds(&[3, 1, 1], 14)), "twice in a round");
        assert!(!sorter.find_rounds(&rounds(&[3, 1, 3, 2], 18)), "the first one twice in a round");
        let mut nearly = rounds(&[3, 1, 2], 14);
        nearly[13] = 2;
        assert!(!sorter.find_rounds(&nearly));
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
