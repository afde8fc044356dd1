//! A batch: rows in memory, in arrival order, in one stretch of words.
//!
//! Appending a row is one copy to the end of a buffer, whatever its shape; turning rows into columns is left to the
//! block encoder, which visits each row once. The memory is taken once and used again.
//!
//! ```text
//! words:  | series u32, shape u32 | time i64 | value 0 | value 1 | ... |  next row ...
//! ```

use super::{SeriesId, Shape, ShapeId, heap_place, heap_word};

/// Rows a batch holds at most.
pub const BATCH_ROWS_MAX: usize = 65_536;

/// Bytes a batch holds at most, words and heap together.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// A batch, a queue or a budget has no room. Nothing was taken; try again after the next commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// Rows in memory, one thread's.
#[derive(Debug)]
pub struct Batch {
    words: Vec<u64>,
    offsets: Vec<u32>,
    heap: Vec<u8>,
    samples: u64,
    time_min: i64,
    time_max: i64,
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
    /// A word a field; types on the heap as a place in [`Batch::heap`].
    pub values: &'a [u64],
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            words: Vec::new(),
            offsets: Vec::new(),
            heap: Vec::new(),
            samples: 0,
            time_min: i64::MAX,
            time_max: i64::MIN,
        }
    }
}

impl Batch {
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
        let bytes = (self.words.len() + ROW_HEAD_WORDS + values.len()) * 8 + self.heap.len() + heap.len();
        if self.offsets.len() == BATCH_ROWS_MAX || (bytes > BATCH_BYTES_MAX && !self.offsets.is_empty()) {
            return Err(Full);
        }
        self.offsets.push(self.words.len() as u32);
        self.words.push(u64::from(series.0) | u64::from(shape_id.0) << 32);
        self.words.push(time_ns as u64);
        if shape.has_heap {
            self.push_with_heap(shape, values, heap);
        } else {
            self.words.extend_from_slice(values);
        }
        self.samples += values.len() as u64;
        self.time_min = self.time_min.min(time_ns);
        self.time_max = self.time_max.max(time_ns);
        Ok(())
    }

    #[cold]
    fn push_with_heap(&mut self, shape: &Shape, values: &[u64], heap: &[u8]) {
        let base = self.heap.len();
        for (field, &word) in shape.fields.iter().zip(values) {
            if field.kind.on_heap() {
                let (start, len) = heap_place(word);
                self.words.push(heap_word(base + start, len));
            } else {
                self.words.push(word);
            }
        }
        self.heap.extend_from_slice(heap);
    }

    /// Rows in the batch.
    #[inline]
    pub fn rows(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Values in the batch, over all rows.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Bytes of rows and heap.
    pub fn bytes(&self) -> usize {
        self.words.len() * 8 + self.heap.len()
    }

    /// Bytes of memory held, used or not.
    pub fn memory_bytes(&self) -> usize {
        self.words.capacity() * 8 + self.offsets.capacity() * 4 + self.heap.capacity()
    }

    /// The least and greatest time; meaningless while the batch is empty.
    pub fn time_range(&self) -> (i64, i64) {
        (self.time_min, self.time_max)
    }

    /// Series and shape of row `i`, without touching its values.
    #[inline]
    pub fn head(&self, i: usize) -> (SeriesId, ShapeId) {
        let word = self.words[self.offsets[i] as usize];
        (SeriesId(word as u32), ShapeId((word >> 32) as u32))
    }

    /// Row `i`.
    #[inline]
    pub fn row(&self, i: usize) -> RowRef<'_> {
        let start = self.offsets[i] as usize;
        let end = self.offsets.get(i + 1).map_or(self.words.len(), |&o| o as usize);
        let words = &self.words[start..end];
        RowRef {
            series: SeriesId(words[0] as u32),
            shape: ShapeId((words[0] >> 32) as u32),
            time_ns: words[1] as i64,
            values: &words[ROW_HEAD_WORDS..],
        }
    }

    /// Where each row starts in [`words`](Batch::words).
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The rows' words, as the module comment draws them.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The bytes that words of heap types point into.
    pub fn heap(&self) -> &[u8] {
        &self.heap
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.words.clear();
        self.offsets.clear();
        self.heap.clear();
        self.samples = 0;
        self.time_min = i64::MAX;
        self.time_max = i64::MIN;
    }
}

const ROW_HEAD_WORDS: usize = 2;
