//! A batch: rows in memory, in arrival order, in one stretch of words.
//!
//! Appending a row is one copy to the end of a buffer, whatever its shape; turning rows into columns is left to the
//! block encoder, which visits each row once. The memory is taken once and used again.
//!
//! ```text
//! words:  | series u32, shape u32 | time i64 | value 0 | value 1 | ... |  next row ...
//! ```
//!
//! As long as all rows are [narrow](NarrowRows) ones of one shape they are columns instead, and become words with the
//! first row that is not: a batch has either, never both.
//!
//! Side records lie beside the rows and cost them nothing: what they take is taken off the bound on bytes.

use super::{
    Exemplar, ExemplarRef, Metadata, MetadataRef, NarrowRows, SeriesId, Shape, ShapeId, heap_place, heap_word,
};

/// Rows a batch holds at most.
pub const BATCH_ROWS_MAX: usize = 65_536;

/// Bytes a batch holds at most: words, heap and side records together.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// A batch, a queue or a budget has no room. Nothing was taken; try again after the next commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// Rows in memory, one thread's.
#[derive(Debug)]
pub struct Batch {
    words: Vec<u64>,
    offsets: Vec<u32>,
    narrow: NarrowRows,
    heap: Vec<u8>,
    exemplars: Vec<ExemplarRef>,
    metadata: Vec<MetadataRef>,
    samples: u64,
    time_min: i64,
    time_max: i64,
    rows_max: usize,
    /// What words and heap may take: the bound without what side records take.
    bytes_max: usize,
    bytes_bound: usize,
}

/// One row of a batch.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    /// Its series.
    pub series: SeriesId,
    /// Its fields.
    pub shape: ShapeId,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// A word a field, a start time included; types on the heap as a place in [`Batch::heap`].
    pub values: &'a [u64],
}

/// How much a batch held at some moment: see [`Batch::mark`].
#[derive(Clone, Copy, Debug)]
pub struct BatchMark {
    /// As if all rows were words.
    words: usize,
    rows: usize,
    heap: usize,
    exemplars: usize,
    metadata: usize,
    samples: u64,
    time_min: i64,
    time_max: i64,
    bytes_max: usize,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::bounded(BATCH_ROWS_MAX, BATCH_BYTES_MAX)
    }
}

impl Batch {
    /// An empty batch with bounds of its own, below the usual ones. It always has room for one row, or one side record.
    pub fn bounded(rows_max: usize, bytes_max: usize) -> Batch {
        debug_assert!((1..=BATCH_ROWS_MAX).contains(&rows_max) && bytes_max <= BATCH_BYTES_MAX);
        Batch {
            rows_max,
            bytes_max,
            bytes_bound: bytes_max,
            words: Vec::new(),
            offsets: Vec::new(),
            narrow: NarrowRows::default(),
            heap: Vec::new(),
            exemplars: Vec::new(),
            metadata: Vec::new(),
            samples: 0,
            time_min: i64::MAX,
            time_max: i64::MIN,
        }
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`Full`] if the row would not fit; nothing was appended.
    #[inline]
    pub fn push(
        &mut self,
        series: SeriesId,
        shape_id: ShapeId,
        shape: &Shape,
        time_ns: i64,
        values: &[u64],
        heap: &[u8],
    ) -> Result<(), Full> {
        debug_assert_eq!(values.len(), shape.fields.len());
        if let ([word], true) = (values, shape.is_narrow()) {
            return self.push_narrow(series, shape_id, time_ns, *word);
        }
        if !self.has_room(values.len(), heap.len()) {
            return Err(Full);
        }
        self.widen();
        self.push_head(series, shape_id, time_ns, shape.samples);
        if shape.has_heap {
            self.push_with_heap(shape, values, heap, 0);
        } else {
            self.words.extend_from_slice(values);
        }
        Ok(())
    }

    /// Appends a row of one field, a float: as [`push`](Batch::push) with its bits.
    ///
    /// # Errors
    /// As [`push`](Batch::push).
    #[inline]
    pub fn push_value(
        &mut self,
        series: SeriesId,
        shape_id: ShapeId,
        time_ns: i64,
        value: f64,
    ) -> Result<(), Full> {
        self.push_narrow(series, shape_id, time_ns, value.to_bits())
    }

    /// Appends a [narrow](NarrowRows) row.
    ///
    /// # Errors
    /// As [`push`](Batch::push).
    #[inline(always)]
    pub fn push_narrow(
        &mut self,
        series: SeriesId,
        shape: ShapeId,
        time_ns: i64,
        word: u64,
    ) -> Result<(), Full> {
        if shape != self.narrow.shape() {
            return self.push_other_narrow(series, shape, time_ns, word);
        }
        if !self.has_room(1, 0) {
            return Err(Full);
        }
        self.narrow.push(shape, series, time_ns, word);
        self.samples += 1;
        self.time_min = self.time_min.min(time_ns);
        self.time_max = self.time_max.max(time_ns);
        Ok(())
    }

    /// The same if it is the first row, or not like those before.
    #[inline(never)]
    fn push_other_narrow(
        &mut self,
        series: SeriesId,
        shape: ShapeId,
        time_ns: i64,
        word: u64,
    ) -> Result<(), Full> {
        if self.rows() > 0 {
            return self.push_words(series, shape, 1, &[time_ns as u64, word]);
        }
        match self.extend_narrow(shape, 1, [series].into_iter(), [time_ns].into_iter(), [word].into_iter()) {
            0 => Err(Full),
            _ => Ok(()),
        }
    }

    /// Appends narrow rows: as long as there is a series for each, and room, and `rows` at most. There are as many
    /// times and words. Gives how many were appended.
    pub fn extend_narrow(
        &mut self,
        shape: ShapeId,
        rows: usize,
        mut series: impl Iterator<Item = SeriesId>,
        mut times_ns: impl Iterator<Item = i64>,
        mut words: impl Iterator<Item = u64>,
    ) -> usize {
        if self.rows() > 0 && shape != self.narrow.shape() {
            let mut row = || {
                // Room is asked for first: a row that finds none is not taken from the iterators in vain.
                let series = if self.has_room(1, 0) { series.next()? } else { return None };
                self.push_words(series, shape, 1, &[times_ns.next()? as u64, words.next()?]).ok()
            };
            return (0..rows).map_while(|_| row()).count();
        }
        let room = (self.bytes_max.saturating_sub(self.row_bytes()) / NARROW_ROW_BYTES)
            .min(self.rows_max - self.rows())
            .max(usize::from(self.is_empty()));
        let appended = self.narrow.extend(shape, rows.min(room), series, times_ns, words);
        self.samples += appended.len() as u64;
        let mut last_ns = None;
        for &time_ns in appended {
            // Rows of one time mostly come together. All of them would be compared as vectors, for which SSE2 has no
            // instruction.
            if last_ns != Some(time_ns) {
                last_ns = Some(time_ns);
                self.time_min = self.time_min.min(time_ns);
                self.time_max = self.time_max.max(time_ns);
            }
        }
        appended.len()
    }

    /// Appends a row none of whose values lies on the heap: its words behind series and shape, `samples` as its shape
    /// has them.
    ///
    /// # Errors
    /// As [`push`](Batch::push).
    #[inline]
    pub fn push_words(
        &mut self,
        series: SeriesId,
        shape_id: ShapeId,
        samples: u32,
        words: &[u64],
    ) -> Result<(), Full> {
        if !self.has_room(words.len() - 1, 0) {
            return Err(Full);
        }
        self.widen();
        self.push_head(series, shape_id, words[0] as i64, samples);
        self.words.extend_from_slice(&words[1..]);
        Ok(())
    }

    /// Narrow rows become words, before a row that is not like them.
    #[inline]
    fn widen(&mut self) {
        if !self.narrow.is_empty() {
            self.widen_all();
        }
    }

    #[cold]
    fn widen_all(&mut self) {
        for i in 0..self.narrow.len() {
            let row = self.row(i);
            let head = head_word(row.series, row.shape);
            let words = [head, row.time_ns as u64, row.values[0]];
            self.offsets.push(self.words.len() as u32);
            self.words.extend_from_slice(&words);
        }
        self.narrow.truncate(0);
    }

    /// Appends row `i` of another batch, under the numbers that it has here; `shape` is the same there and here.
    ///
    /// # Errors
    /// As [`push`](Batch::push).
    #[inline]
    pub fn push_row(
        &mut self,
        from: &Batch,
        i: usize,
        series: SeriesId,
        shape_id: ShapeId,
        shape: &Shape,
    ) -> Result<(), Full> {
        let row = from.row(i);
        if !shape.has_heap {
            return self.push(series, shape_id, shape, row.time_ns, row.values, &[]);
        }
        let (start, end) = heap_extent(shape, row.values);
        if !self.has_room(row.values.len(), end - start) {
            return Err(Full);
        }
        self.widen();
        self.push_head(series, shape_id, row.time_ns, shape.samples);
        self.push_with_heap(shape, row.values, &from.heap[start..end], start);
        Ok(())
    }

    #[inline]
    fn has_room(&self, values: usize, heap_bytes: usize) -> bool {
        let bytes = self.row_bytes() + (ROW_HEAD_WORDS + values) * 8 + heap_bytes;
        self.rows() < self.rows_max && (bytes <= self.bytes_max || self.is_empty())
    }

    #[inline]
    fn push_head(&mut self, series: SeriesId, shape: ShapeId, time_ns: i64, samples: u32) {
        self.offsets.push(self.words.len() as u32);
        self.words.push(head_word(series, shape));
        self.words.push(time_ns as u64);
        self.samples += u64::from(samples);
        self.time_min = self.time_min.min(time_ns);
        self.time_max = self.time_max.max(time_ns);
    }

    /// The values' places in `heap` count from `origin`.
    #[cold]
    fn push_with_heap(&mut self, shape: &Shape, values: &[u64], heap: &[u8], origin: usize) {
        let base = self.heap.len();
        for (field, &word) in shape.fields.iter().zip(values) {
            if field.kind.on_heap() {
                let (start, len) = heap_place(word);
                self.words.push(heap_word(base + start - origin, len));
            } else {
                self.words.push(word);
            }
        }
        self.heap.extend_from_slice(heap);
    }

    /// Appends an exemplar of a series.
    ///
    /// # Errors
    /// [`Full`] if it would not fit; nothing was appended.
    #[cold]
    pub fn push_exemplar(&mut self, series: SeriesId, exemplar: &Exemplar<'_>) -> Result<(), Full> {
        if self.exemplars.len() >= (self.rows_max / 2).max(1) {
            return Err(Full);
        }
        // Most are of one field.
        let last = self.exemplars.last().filter(|last| last.read(&self.heap).field == exemplar.field);
        let known = last.map(|last| last.field);
        let field_len = if known.is_some() { 0 } else { exemplar.field.len() };
        self.reserve_side(size_of::<ExemplarRef>(), exemplar.labels.len() + field_len)?;
        let field = known.unwrap_or_else(|| self.push_text(exemplar.field));
        let labels = self.push_text(exemplar.labels);
        let Exemplar { time_ns, value_bits, .. } = *exemplar;
        self.exemplars.push(ExemplarRef { series, time_ns, value_bits, field, labels });
        self.time_min = self.time_min.min(time_ns);
        self.time_max = self.time_max.max(time_ns);
        Ok(())
    }

    /// Appends what is said of a metric.
    ///
    /// # Errors
    /// [`Full`] if it would not fit; nothing was appended.
    #[cold]
    pub fn push_metadata(&mut self, metadata: &Metadata<'_>) -> Result<(), Full> {
        self.reserve_side(size_of::<MetadataRef>(), metadata.text_bytes())?;
        let [name, unit, help] =
            [metadata.name, metadata.unit, metadata.help].map(|text| self.push_text(text));
        self.metadata.push(MetadataRef { kind: metadata.kind, name, unit, help });
        Ok(())
    }

    /// Takes the room for a side record of `bytes` off that of the rows, if there is some for its texts, too.
    fn reserve_side(&mut self, bytes: usize, text_bytes: usize) -> Result<(), Full> {
        if self.row_bytes() + bytes + text_bytes > self.bytes_max && !self.is_empty() {
            return Err(Full);
        }
        self.bytes_max = self.bytes_max.saturating_sub(bytes);
        Ok(())
    }

    fn push_text(&mut self, text: &[u8]) -> u64 {
        self.heap.extend_from_slice(text);
        heap_word(self.heap.len() - text.len(), text.len())
    }

    /// Its exemplars, in order of arrival.
    pub fn exemplars(&self) -> &[ExemplarRef] {
        &self.exemplars
    }

    /// Its metadata, in order of arrival.
    pub fn metadata(&self) -> &[MetadataRef] {
        &self.metadata
    }

    /// Rows in the batch.
    #[inline]
    pub fn rows(&self) -> usize {
        self.offsets.len() + self.narrow.len()
    }

    /// Whether there is no row and no side record.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0 && self.exemplars.is_empty() && self.metadata.is_empty()
    }

    /// Values in the batch, over all rows. Start times are none.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Bytes of rows, heap and side records.
    pub fn bytes(&self) -> usize {
        self.row_bytes() + self.bytes_bound - self.bytes_max
    }

    /// Bytes of rows and heap.
    #[inline]
    fn row_bytes(&self) -> usize {
        self.words.len() * 8 + self.narrow.len() * NARROW_ROW_BYTES + self.heap.len()
    }

    /// Bytes of memory held, used or not.
    pub fn memory_bytes(&self) -> usize {
        self.words.capacity() * 8
            + self.offsets.capacity() * 4
            + self.narrow.memory_bytes()
            + self.heap.capacity()
            + self.exemplars.capacity() * size_of::<ExemplarRef>()
            + self.metadata.capacity() * size_of::<MetadataRef>()
    }

    /// The least and greatest time of rows and exemplars; without either the least is above the greatest.
    pub fn time_range(&self) -> (i64, i64) {
        (self.time_min, self.time_max)
    }

    /// Series and shape of row `i`, without touching its values.
    #[inline]
    pub fn head(&self, i: usize) -> (SeriesId, ShapeId) {
        if !self.narrow.is_empty() {
            return (SeriesId(self.narrow.series()[i]), self.narrow.shape());
        }
        let word = self.words[self.offsets[i] as usize];
        (SeriesId(word as u32), ShapeId((word >> 32) as u32))
    }

    /// The words of row `i`, from its series and shape on, if rows are words.
    #[inline]
    pub fn row_words(&self, i: usize) -> &[u64] {
        let start = self.offsets[i] as usize;
        let end = self.offsets.get(i + 1).map_or(self.words.len(), |&o| o as usize);
        &self.words[start..end]
    }

    /// Row `i`.
    #[inline]
    pub fn row(&self, i: usize) -> RowRef<'_> {
        if let Some(narrow) = self.narrow() {
            return RowRef {
                series: SeriesId(narrow.series()[i]),
                shape: narrow.shape(),
                time_ns: narrow.times_ns()[i],
                values: std::slice::from_ref(&narrow.words()[i]),
            };
        }
        let words = self.row_words(i);
        RowRef {
            series: SeriesId(words[0] as u32),
            shape: ShapeId((words[0] >> 32) as u32),
            time_ns: words[1] as i64,
            values: &words[ROW_HEAD_WORDS..],
        }
    }

    /// The rows as columns, if they are all narrow ones of one shape; then there are no words.
    #[inline]
    pub fn narrow(&self) -> Option<&NarrowRows> {
        (!self.narrow.is_empty()).then_some(&self.narrow)
    }

    /// Where each row starts in [`words`](Batch::words).
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The rows' words, as the module comment draws them.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The bytes that words of heap types, and side records, point into.
    pub fn heap(&self) -> &[u8] {
        &self.heap
    }

    /// Whether it may take no further row, however small.
    pub fn is_full(&self) -> bool {
        self.rows() == self.rows_max || self.row_bytes() >= self.bytes_max
    }

    /// What it holds now, for [`take_back`](Batch::take_back).
    pub fn mark(&self) -> BatchMark {
        debug_assert!(self.narrow.is_empty() || self.offsets.is_empty(), "rows are kept in one way");
        BatchMark {
            words: self.words.len() + self.narrow.len() * (NARROW_ROW_BYTES / 8),
            rows: self.rows(),
            heap: self.heap.len(),
            exemplars: self.exemplars.len(),
            metadata: self.metadata.len(),
            samples: self.samples,
            time_min: self.time_min,
            time_max: self.time_max,
            bytes_max: self.bytes_max,
        }
    }

    /// Takes back what was appended since `mark`, between which and now the batch was not cleared.
    pub fn take_back(&mut self, mark: BatchMark) {
        // What was narrow then may be words by now, never the other way round.
        self.words.truncate(mark.words);
        self.offsets.truncate(mark.rows);
        self.narrow.truncate(mark.rows);
        self.heap.truncate(mark.heap);
        self.exemplars.truncate(mark.exemplars);
        self.metadata.truncate(mark.metadata);
        let BatchMark { samples, time_min, time_max, bytes_max, .. } = mark;
        (self.samples, self.time_min, self.time_max, self.bytes_max) =
            (samples, time_min, time_max, bytes_max);
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.words.clear();
        self.offsets.clear();
        self.narrow.truncate(0);
        self.heap.clear();
        self.exemplars.clear();
        self.metadata.clear();
        self.bytes_max = self.bytes_bound;
        self.samples = 0;
        self.time_min = i64::MAX;
        self.time_max = i64::MIN;
    }
}

/// Where the values of a row lie on its batch's heap: start and end of the stretch that holds them all.
fn heap_extent(shape: &Shape, values: &[u64]) -> (usize, usize) {
    let on_heap = shape.fields.iter().zip(values).filter(|(field, _)| field.kind.on_heap());
    let places = on_heap.map(|(_, &word)| heap_place(word));
    places.fold((usize::MAX, 0), |(low, high), (start, len)| (low.min(start), high.max(start + len)))
}

#[inline]
fn head_word(series: SeriesId, shape: ShapeId) -> u64 {
    u64::from(series.0) | u64::from(shape.0) << 32
}

const ROW_HEAD_WORDS: usize = 2;

/// What a narrow row takes of a batch's bytes: as many as if it were words.
const NARROW_ROW_BYTES: usize = (ROW_HEAD_WORDS + 1) * 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FieldType, ShapeField};

    fn shape(kinds: &[FieldType]) -> Shape {
        let field = |&kind| ShapeField { name: Box::default(), kind, text_end: 0 };
        Shape::new(Box::default(), kinds.iter().map(field).collect())
    }

    /// Rows that a batch holds before others come: none, of two words, of one, of one and another shape.
    fn held_before(batch: &mut Batch, kind: usize, rows: u32) {
        let values = [5, 6, 7];
        let (shape, values) = [(2, &values[..]), (3, &values[..2]), (4, &values[..2])][kind];
        let shape_of = shape_of_f64(values.len() - 1);
        let push = |i| batch.push(SeriesId(i), ShapeId(shape), &shape_of, 5, &values[1..], &[]);
        (0..rows).map(push).for_each(|_| {});
    }

    fn shape_of_f64(fields: usize) -> Shape {
        shape(&vec![FieldType::F64; fields])
    }

    proptest::proptest! {
        #[test]
        fn rows_that_come_together_are_the_rows_pushed_one_by_one(
            (kind, before) in (0usize..3, 0u32..6),
            counts in proptest::collection::vec(0u32..9, 1..6),
            rows_max in 1usize..24,
            bytes_max in 0usize..600,
            said in 0usize..2,
        ) {
            let (mut at_once, mut singly) = (Batch::bounded(rows_max, bytes_max), Batch::bounded(rows_max, bytes_max));
            for batch in [&mut at_once, &mut singly] {
                let metadata = Metadata { name: b"n", kind: crate::model::MetricType::Gauge, unit: b"", help: b"" };
                (0..said).for_each(|_| _ = batch.push_metadata(&metadata));
                held_before(batch, kind, before);
            }
            for (time_ns, count) in (-1..).zip(counts) {
                let (series, words) = ((0..count).map(SeriesId), (0..count).map(|i| u64::from(i) << 40));
                let times = std::iter::repeat(time_ns);
                let taken = at_once.extend_narrow(ShapeId(3), count as usize, series.clone(), times, words.clone());
                let one = shape_of_f64(1);
                let push = |(series, bits)| singly.push(series, ShapeId(3), &one, time_ns, &[bits], &[]).is_ok();
                proptest::prop_assert_eq!(taken, series.zip(words).map(push).take_while(|&taken| taken).count());
            }
            let row = |batch: &Batch, i| {
                let row = batch.row(i);
                (row.series.0, row.shape.0, row.time_ns, row.values.to_vec())
            };
            let rows = |batch: &Batch| (0..batch.rows()).map(|i| row(batch, i)).collect::<Vec<_>>();
            proptest::prop_assert_eq!(rows(&at_once), rows(&singly));
            proptest::prop_assert_eq!(at_once.narrow().is_some(), singly.narrow().is_some());
            proptest::prop_assert_eq!(at_once.samples(), singly.samples());
            proptest::prop_assert_eq!(at_once.time_range(), singly.time_range());
        }
    }

    #[test]
    fn a_row_taken_over_from_another_batch_is_the_same_row() {
        let shape = shape(&[FieldType::String, FieldType::I64, FieldType::Bytes, FieldType::StartTime]);
        let (mut from, mut to) = (Batch::default(), Batch::default());
        for i in 0..20u64 {
            let heap = format!("text {i}bytes");
            let values = [heap_word(0, heap.len() - 5), i, heap_word(heap.len() - 5, i as usize % 6), 9 + i];
            from.push(SeriesId(i as u32), ShapeId(7), &shape, i as i64, &values, heap.as_bytes()).unwrap();
        }
        let picked = [3, 19, 3, 0];
        for i in picked {
            to.push_row(&from, i, SeriesId(100 + i as u32), ShapeId(1), &shape).unwrap();
        }
        let text = |batch: &Batch, word| {
            let (start, len) = heap_place(word);
            batch.heap()[start..start + len].to_vec()
        };
        for (at, i) in picked.into_iter().enumerate() {
            let (new, old) = (to.row(at), from.row(i));
            assert_eq!((new.series.0, new.shape.0, new.time_ns), (100 + i as u32, 1, i as i64));
            assert_eq!((new.values[1], new.values[3]), (old.values[1], 9 + i as u64));
            for field in [0, 2] {
                assert_eq!(text(&to, new.values[field]), text(&from, old.values[field]));
            }
        }
        assert_eq!((to.samples(), to.time_range()), (12, (0, 19)), "a start time is no sample");
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let shape = shape(&[FieldType::String, FieldType::I64]);
        let exemplar = Exemplar { field: b"value", time_ns: -70, value_bits: 1, labels: b"0123456789" };
        let metadata =
            Metadata { name: b"m", kind: crate::model::MetricType::Gauge, unit: b"s", help: b"Help." };
        let push = |batch: &mut Batch, times: [i64; 2]| {
            for time_ns in times {
                let values = [heap_word(0, 4), time_ns as u64];
                batch.push(SeriesId(1), ShapeId(0), &shape, time_ns, &values, b"text").unwrap();
            }
            batch.push_exemplar(SeriesId(9), &exemplar).unwrap();
            batch.push_metadata(&metadata).unwrap();
        };
        let told = |batch: &Batch| format!("{batch:?}");
        for before in [0, 1] {
            let (mut batch, mut other) = (Batch::default(), Batch::default());
            for _ in 0..before {
                push(&mut batch, [5, 6]);
                push(&mut other, [5, 6]);
            }
            let mark = batch.mark();
            push(&mut batch, [i64::MIN, i64::MAX]);
            batch.take_back(mark);
            assert_eq!(told(&batch), told(&other));
        }
    }

    #[test]
    fn bounds_of_its_own_are_kept() {
        let shape = shape(&[FieldType::F64]);
        let mut batch = Batch::bounded(3, 1 << 10);
        for _ in 0..3 {
            assert!(!batch.is_full());
            batch.push(SeriesId(0), ShapeId(0), &shape, 0, &[0], &[]).unwrap();
        }
        assert!(batch.is_full());
        assert_eq!(batch.push(SeriesId(0), ShapeId(0), &shape, 0, &[0], &[]), Err(Full));
        let mut small = Batch::bounded(100, 40);
        small.push(SeriesId(0), ShapeId(0), &shape, 0, &[0], &[]).unwrap();
        assert_eq!(small.push(SeriesId(0), ShapeId(0), &shape, 0, &[0], &[]), Err(Full), "48 bytes");
    }

    #[test]
    fn side_records_take_the_room_of_rows() {
        let shape = shape(&[FieldType::F64]);
        let exemplar = Exemplar { field: b"value", time_ns: -7, value_bits: 1, labels: b"0123456789" };
        let metadata =
            Metadata { name: b"m", kind: crate::model::MetricType::Gauge, unit: b"s", help: b"Help." };
        let mut batch = Batch::bounded(100, 200);
        let before = batch.bytes();
        assert!(batch.is_empty());
        let mut taken = 0;
        while batch.push_exemplar(SeriesId(9), &exemplar) == Ok(()) {
            taken += 1;
        }
        assert_eq!((taken, batch.bytes() - before), (3, 5 + 3 * 50), "the field's name is there once");
        assert_eq!(batch.push_metadata(&metadata), Ok(()));
        assert_eq!(batch.push_metadata(&metadata), Err(Full));
        assert_eq!(batch.push(SeriesId(0), ShapeId(0), &shape, 3, &[0], &[]), Err(Full));
        assert_eq!((batch.rows(), batch.samples(), batch.time_range()), (0, 0, (-7, -7)));
        assert!(!batch.is_empty());
        let read = batch.exemplars()[2].read(batch.heap());
        assert_eq!((read.field, read.labels), (exemplar.field, exemplar.labels));
        assert_eq!(batch.metadata()[0].read(batch.heap()), metadata);
        batch.clear();
        assert!(batch.is_empty() && batch.bytes() == 0);
        for _ in 0..8 {
            batch.push(SeriesId(0), ShapeId(0), &shape, 3, &[0], &[]).unwrap();
        }
    }

    #[test]
    fn an_empty_batch_has_room_for_any_side_record() {
        let labels = [7; 100];
        let exemplar = Exemplar { field: b"f", time_ns: 0, value_bits: 0, labels: &labels };
        let mut batch = Batch::bounded(1, 10);
        assert_eq!(batch.push_exemplar(SeriesId(0), &exemplar), Ok(()));
        assert_eq!(batch.push_exemplar(SeriesId(0), &exemplar), Err(Full));
    }
}
