//! Narrow rows: all of one shape, and of one word each. They are kept as columns, as they came or as they will be
//! written: there is nothing to find out about a row, and nothing to pick apart.
//!
//! Samples of a registry or a scrape are such rows, and so are those that come as columns.

use super::{SeriesId, ShapeId};

/// Narrow rows in order of arrival. The columns have one length; there is a shape exactly while there is a row.
#[derive(Debug)]
pub struct NarrowRows {
    shape: ShapeId,
    series: Vec<u32>,
    times_ns: Vec<i64>,
    words: Vec<u64>,
}

/// Series are written over zeros, so many at a time: they are in the nearest cache still. Few in tests, to have several
/// steps.
const STEP_ROWS: usize = if cfg!(test) { 3 } else { 1 << 10 };

impl Default for NarrowRows {
    fn default() -> NarrowRows {
        NarrowRows { shape: ShapeId::NONE, series: Vec::new(), times_ns: Vec::new(), words: Vec::new() }
    }
}

impl NarrowRows {
    /// Rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.shape == ShapeId::NONE
    }

    /// The shape of all rows; [`ShapeId::NONE`] without one.
    #[inline]
    pub fn shape(&self) -> ShapeId {
        self.shape
    }

    /// The number of each row's series.
    pub fn series(&self) -> &[u32] {
        &self.series
    }

    /// Each row's time, in nanoseconds since the Unix epoch.
    pub fn times_ns(&self) -> &[i64] {
        &self.times_ns
    }

    /// Each row's value.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Appends a row.
    #[inline]
    pub(super) fn push(&mut self, shape: ShapeId, series: SeriesId, time_ns: i64, word: u64) {
        self.shape = shape;
        self.series.push(series.0);
        self.times_ns.push(time_ns);
        self.words.push(word);
    }

    /// Appends rows as long as there is a series for each, `rows` at most; gives the times of those appended.
    pub(super) fn extend(
        &mut self,
        shape: ShapeId,
        rows: usize,
        mut series: impl Iterator<Item = SeriesId>,
        times_ns: impl Iterator<Item = i64>,
        words: impl Iterator<Item = u64>,
    ) -> &[i64] {
        let start = self.len();
        let end = start + rows;
        self.series.reserve(rows);
        while self.len() < end {
            let from = self.len();
            let step = (end - from).min(STEP_ROWS);
            self.series.resize(from + step, 0);
            let places = self.series[from..].iter_mut();
            let filled = places.zip(series.by_ref()).map(|(place, series)| *place = series.0).count();
            if filled < step {
                self.series.truncate(from + filled);
                break;
            }
        }
        let taken = self.len() - start;
        self.times_ns.extend(times_ns.take(taken));
        self.words.extend(words.take(taken));
        assert!(
            self.times_ns.len() == self.len() && self.words.len() == self.len(),
            "a time and a word each"
        );
        self.shape = if self.series.is_empty() { ShapeId::NONE } else { shape };
        &self.times_ns[start..]
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.series.truncate(rows);
        self.times_ns.truncate(rows);
        self.words.truncate(rows);
        if self.series.is_empty() {
            self.shape = ShapeId::NONE;
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.series.capacity() * 4 + (self.times_ns.capacity() + self.words.capacity()) * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Batch, FieldType, Full, Shape, ShapeField};
    use proptest::prelude::*;

    const ROWS_MAX: usize = 40;

    /// What is done to a batch: rows of a shape come one by one, or together.
    #[derive(Clone, Debug)]
    enum Step {
        Push { shape: usize, series: u32, time_ns: i64 },
        Extend { shape: usize, series: Vec<u32>, time_ns: i64 },
        Mark,
        TakeBack,
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        let push = (0usize..4, 0u32..5, -9i64..9).prop_map(|(shape, series, time_ns)| Step::Push {
            shape,
            series,
            time_ns,
        });
        let extend = (0usize..2, prop::collection::vec(0u32..5, 0..12), -9i64..9)
            .prop_map(|(shape, series, time_ns)| Step::Extend { shape, series, time_ns });
        prop_oneof![
            8 => push,
            4 => extend,
            1 => Just(Step::Mark),
            1 => Just(Step::TakeBack),
            1 => Just(Step::Clear)
        ]
    }

    fn shapes() -> [Shape; 4] {
        let field = |kind| ShapeField { name: Box::default(), kind, text_end: 0 };
        let shape =
            |kinds: &[FieldType]| Shape::new(Box::default(), kinds.iter().map(|&kind| field(kind)).collect());
        let (f64, i64, start) = (FieldType::F64, FieldType::I64, FieldType::StartTime);
        [shape(&[f64]), shape(&[i64]), shape(&[f64, i64]), shape(&[f64, start])]
    }

    type Row = (u32, u32, i64, Vec<u64>);

    fn check(batch: &Batch, rows: &[Row]) {
        assert_eq!((batch.rows(), batch.samples()), (rows.len(), rows.iter().map(samples).sum::<u64>()));
        for (i, row) in rows.iter().enumerate() {
            let found = batch.row(i);
            assert_eq!((found.series.0, found.shape.0, found.time_ns), (row.0, row.1, row.2));
            assert_eq!(found.values, &row.3[..]);
            assert_eq!(batch.head(i), (found.series, found.shape));
        }
        let times = || rows.iter().map(|row| row.2);
        let range = (times().min().unwrap_or(i64::MAX), times().max().unwrap_or(i64::MIN));
        assert_eq!(batch.time_range(), range);
        assert_eq!(batch.bytes(), rows.iter().map(|row| (2 + row.3.len()) * 8).sum::<usize>());
        if let Some(narrow) = batch.narrow() {
            assert!(rows.iter().all(|row| row.1 == narrow.shape().0 && row.1 < 2));
            assert!(batch.words().is_empty() && narrow.len() == rows.len());
        }
    }

    /// A start time is no sample.
    fn samples(row: &Row) -> u64 {
        if row.1 == 2 { 2 } else { 1 }
    }

    proptest! {
        #[test]
        fn a_batch_has_the_rows_it_was_given_whatever_they_are_kept_as(
            steps in prop::collection::vec(step(), 0..60),
        ) {
            let shapes = shapes();
            let mut batch = Batch::bounded(ROWS_MAX, 1 << 20);
            let mut rows: Vec<Row> = Vec::new();
            let mut mark = None;
            let mut next = 0u64;
            for step in steps {
                match step {
                    Step::Push { shape, series, time_ns } => {
                        let values: Vec<u64> = (next..).take(shapes[shape].fields.len()).collect();
                        next += 2;
                        let id = ShapeId(shape as u32);
                        let pushed = batch.push(SeriesId(series), id, &shapes[shape], time_ns, &values, &[]);
                        prop_assert_eq!(pushed, if rows.len() < ROWS_MAX { Ok(()) } else { Err(Full) });
                        if pushed.is_ok() {
                            rows.push((series, id.0, time_ns, values));
                        }
                    }
                    Step::Extend { shape, series, time_ns } => {
                        let (times, words) = (time_ns.., next..);
                        let taken = batch.extend_narrow(
                            ShapeId(shape as u32),
                            series.len(),
                            // Number 4 has no series: it ends what is taken.
                            series.iter().map_while(|&s| (s < 4).then_some(SeriesId(s))),
                            times.clone(),
                            words.clone(),
                        );
                        let known = series.iter().take_while(|&&s| s < 4).count();
                        prop_assert_eq!(taken, known.min(ROWS_MAX - rows.len()));
                        let new = series.iter().zip(times).zip(words).take(taken);
                        rows.extend(new.map(|((&s, time_ns), word)| (s, shape as u32, time_ns, vec![word])));
                        next += 20;
                    }
                    Step::Mark => mark = Some((batch.mark(), rows.len())),
                    Step::TakeBack => {
                        if let Some((mark, len)) = mark {
                            batch.take_back(mark);
                            rows.truncate(len);
                        }
                    }
                    Step::Clear => {
                        batch.clear();
                        rows.clear();
                        mark = None;
                    }
                }
                check(&batch, &rows);
            }
        }
    }
}
