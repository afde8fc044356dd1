//! A worker's ingest: the table, the shapes and the batch that a [`Writer`] fills.

use std::sync::Arc;

use crate::model::{
    BATCH_ROWS_MAX, Batch, BatchMark, DictionaryMark, Exemplar, FieldText, Full, LabelsBuf, Metadata,
    NarrowRows, Refusal, Rewrite, SIDE_TEXT_BYTES_MAX, SeriesId, ShapeId, SymbolId,
};

use super::announced::Announced;
use super::budget::SeriesBudget;
use super::hash::KeyHasher;
use super::registry::{Registry, SeriesHandle};
use super::rehearsal::Rehearsal;
use super::said::Said;
use super::shapes::Shapes;
use super::stream::{ContextId, NO_KEY, Stream};
use super::table::Table;

pub use intake::Writer;

/// The bounds that ingest keeps.
#[derive(Clone, Debug)]
pub struct IngestLimits {
    /// Series over all workers.
    pub series: SeriesBudget,
    /// Rows older than this are counted as far off.
    pub time_min_ns: i64,
    /// Rows newer than this are counted as far off.
    pub time_max_ns: i64,
}

/// The memory of one worker's ingest.
#[derive(Debug)]
pub struct Ingest {
    hasher: KeyHasher,
    table: Table,
    previous: Option<Arc<Table>>,
    /// Rows until the previous table is let go.
    promote_rows_left: u64,
    /// Series of the previous table that have not come again: until it is let go they keep their places.
    places_kept: u64,
    shapes: Shapes,
    batch: Batch,
    batch_number: u64,
    epoch: u64,
    defined: DictionaryMark,
    /// Bytes that the batch's block will have to define, about; past [`DEFINE_BYTES_MAX`] the batch is full.
    define_bytes: u64,
    limits: IngestLimits,
    registry: Option<Arc<Registry>>,
    /// Series of the table whose places the registry has.
    joined: Vec<SeriesHandle>,
    rows_far_off: u64,
    rows_dropped: u64,
    announced: Announced,
    /// What was said of metrics; `None` where that is the business of who takes the parcels in.
    said: Option<Said>,
    side_symbols: SideSymbols,
    side_refused: u64,
    scratch: Vec<u8>,
    #[cfg(test)]
    pub(crate) is_full: bool,
}

/// The names in a batch's side records, as symbols of the dictionary.
#[derive(Default, Debug)]
pub struct SideSymbols {
    /// The field of each exemplar.
    pub exemplar_fields: Vec<SymbolId>,
    /// The metric of each metadata.
    pub metadata_names: Vec<SymbolId>,
}

/// Bytes of definitions after which a batch takes no more rows: one of the longest lines may still reach over it.
pub(super) const DEFINE_BYTES_MAX: u64 = 6 << 20;

/// How much was in the batch at some moment: see [`Ingest::mark`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    batch: BatchMark,
    batch_number: u64,
    rows_far_off: u64,
    rows_dropped: u64,
}

impl Ingest {
    /// An empty ingest of generation 1.
    pub fn new(hasher: KeyHasher, limits: IngestLimits) -> Ingest {
        let said = Said::new(hasher.clone());
        Ingest {
            table: Table::new(1, hasher.clone()),
            shapes: Shapes::new(hasher.clone()),
            hasher,
            previous: None,
            promote_rows_left: 0,
            places_kept: 0,
            batch: Batch::default(),
            batch_number: 1,
            epoch: 1,
            defined: DictionaryMark::default(),
            define_bytes: 0,
            limits,
            registry: None,
            joined: Vec::new(),
            rows_far_off: 0,
            rows_dropped: 0,
            announced: Announced::default(),
            said: Some(said),
            side_symbols: SideSymbols::default(),
            side_refused: 0,
            scratch: Vec::new(),
            #[cfg(test)]
            is_full: false,
        }
    }

    /// The intake of a stream.
    pub fn writer<'a>(&'a mut self, stream: &'a mut Stream) -> Writer<'a> {
        if stream.generation != self.table.generation() {
            stream.generation = self.table.generation();
            stream.previous = NO_KEY;
            stream.expected = NO_KEY;
        }
        self.announced.forget();
        Writer::new(self, stream)
    }

    /// Checks rows that a writer of this stream is to be given, and keeps none.
    pub fn rehearsal<'a>(&'a self, stream: &Stream, rewrite: Option<&'a dyn Rewrite>) -> Rehearsal<'a> {
        Rehearsal::new(self, stream.context, rewrite)
    }

    /// The hasher of keys.
    pub(super) fn hasher(&self) -> KeyHasher {
        self.hasher.clone()
    }

    /// The batch being filled.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The table of the present generation.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The shapes of the batch's rows.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Rows with a time outside of the expected range, ever.
    pub fn rows_far_off(&self) -> u64 {
        self.rows_far_off
    }

    /// Rows that a context's [`Rewrite`] dropped, ever.
    pub fn rows_dropped(&self) -> u64 {
        self.rows_dropped
    }

    /// Sets the range of times that are not worth a warning.
    pub fn expect_times(&mut self, min_ns: i64, max_ns: i64) {
        self.limits.time_min_ns = min_ns;
        self.limits.time_max_ns = max_ns;
    }

    /// The names in the side records of a batch that was sealed.
    pub fn side_symbols(&self) -> &SideSymbols {
        &self.side_symbols
    }

    /// Side records over the format's bound, which were not taken, ever.
    pub fn side_refused(&self) -> u64 {
        self.side_refused
    }

    /// What is in the batch now, for [`take_back`](Ingest::take_back).
    pub fn mark(&self) -> Mark {
        let Ingest { batch_number, rows_far_off, rows_dropped, .. } = *self;
        Mark { batch: self.batch.mark(), batch_number, rows_far_off, rows_dropped }
    }

    /// Takes back the rows and side records that came since `mark`, in the same batch. Keys and series that they
    /// brought stay known.
    pub fn take_back(&mut self, mark: Mark) {
        assert_eq!(self.batch_number, mark.batch_number, "a batch that was sealed cannot be taken back");
        self.batch.take_back(mark.batch);
        self.rows_far_off = mark.rows_far_off;
        self.rows_dropped = mark.rows_dropped;
        // What they said of metrics is not written.
        self.said.iter_mut().for_each(Said::forget);
    }

    /// Makes the batch ready to be encoded: its names get their symbols. Gives the part of the dictionary that no
    /// block has defined yet, from and to; `None` if the dictionary is full.
    pub fn seal(&mut self) -> Option<(DictionaryMark, DictionaryMark)> {
        #[cfg(test)]
        if self.is_full {
            return None;
        }
        let generation = u64::from(self.table.generation());
        let table = &mut self.table;
        self.shapes.resolve(generation, |text| table.intern(text))?;
        self.side_symbols.resolve(&self.batch, |text| table.intern(text))?;
        Some((self.defined, self.table.dictionary().mark()))
    }

    /// The batch was encoded together with the definitions that [`seal`](Ingest::seal) named, or is given up: it is
    /// emptied.
    pub fn end_batch(&mut self) {
        self.defined = self.table.dictionary().mark();
        self.define_bytes = 0;
        self.batch.clear();
        self.batch_number += 1;
        if self.shapes.end_batch() {
            self.epoch += 1;
        }
    }

    /// Starts a new generation, for a new segment; the batch must be empty. Series of the old one are promoted when
    /// they send again. Gives the old table for its segment's footer.
    pub fn rotate(&mut self) -> Arc<Table> {
        assert!(self.batch.is_empty(), "rows of a batch have the numbers of one generation");
        let next = Table::new(self.table.generation() + 1, self.hasher.clone());
        let old = Arc::new(std::mem::replace(&mut self.table, next));
        self.forget_previous();
        self.places_kept = old.series_count() - self.leave_joined();
        self.promote_rows_left = old.series_count().max(BATCH_ROWS_MAX as u64) * PROMOTE_ROWS_PER_SERIES;
        self.previous = Some(Arc::clone(&old));
        if self.shapes.is_running_out() {
            // The keys of the old table remember numbers that will be given again.
            self.shapes = Shapes::new(self.hasher.clone());
            self.forget_previous();
        }
        self.defined = DictionaryMark::default();
        self.epoch += 1;
        // Each segment has what it says of its metrics.
        self.said.iter_mut().for_each(Said::forget);
        old
    }

    /// Lets go of the table before the present one, if it is still kept: its series are then new when they send again.
    pub fn forget_previous(&mut self) {
        self.previous = None;
        self.promote_rows_left = 0;
        self.limits.series.end_table(std::mem::take(&mut self.places_kept));
    }

    /// Whether a key is known here or in the table before.
    pub(super) fn knows_key(&self, context: ContextId, key: &[u8], hash: u64) -> bool {
        let mut tables = [Some(&self.table), self.previous.as_deref()].into_iter().flatten();
        tables.any(|table| table.find(context, key, hash).is_some())
    }

    /// Whether labels in canonical form are a series here or in the table before. `scratch` is written over.
    pub(super) fn knows_series(&self, labels: &LabelsBuf, scratch: &mut Vec<u8>) -> bool {
        let mut tables = [Some(&self.table), self.previous.as_deref()].into_iter().flatten();
        tables.any(|table| table.has_series(labels, scratch))
    }

    /// The bound on series.
    pub(super) fn series_budget(&self) -> &SeriesBudget {
        &self.limits.series
    }

    /// Series that come in parcels may be registered ones: they have their places.
    pub fn know(&mut self, registry: Arc<Registry>) {
        self.registry = Some(registry);
    }

    /// The places that new series took since this was last asked, of which somebody else is to give them back.
    pub(super) fn take_claims(&mut self) -> u64 {
        self.limits.series.take_claims()
    }

    /// The table ends: what it has joined are its series no more. Gives how many these were, which needed no places.
    fn leave_joined(&mut self) -> u64 {
        let joined = self.joined.len() as u64;
        if let Some(registry) = &self.registry {
            self.joined.drain(..).for_each(|handle| registry.leave(handle));
        }
        joined
    }

    /// Leaves it to others to find out what was said before.
    pub(super) fn keep_all_metadata(&mut self) {
        self.said = None;
    }

    /// Exchanges the batch being filled for another one.
    pub(super) fn swap_batch(&mut self, batch: &mut Batch) {
        std::mem::swap(&mut self.batch, batch);
    }

    /// Bytes that the batch's block will have to define, about.
    pub(super) fn define_bytes(&self) -> u64 {
        self.define_bytes
    }

    /// The series of a key: known, promoted, or new. Bounded by the table alone: a limit on series was kept before.
    pub(super) fn adopt(
        &mut self,
        context: ContextId,
        key: &[u8],
        labels: &mut LabelsBuf,
    ) -> Result<SeriesId, Refusal> {
        let hash = self.table.hash(context, key);
        let (before, kept) = (self.table.series_count(), self.places_kept);
        let found = self.table.find(context, key, hash).or_else(|| self.promote(context, key, hash));
        let known = match found {
            Some(known) => known,
            None => self.define(context, key, hash, labels)?,
        };
        if self.table.series_count() > before
            && let Some(handle) = self.registry.as_ref().and_then(|registry| registry.join(key))
        {
            self.joined.push(handle);
            // The registry has its place, and had it while it was in the table before.
            match kept - self.places_kept {
                0 => self.limits.series.end_table(1),
                came => self.places_kept += came,
            }
        }
        Ok(self.table.key(known).series)
    }

    /// The number of a shape: see [`Shapes`].
    pub(super) fn define_shape_in(
        &mut self,
        context: ContextId,
        metric: &[u8],
        fields: &[FieldText<'_>],
    ) -> Result<ShapeId, Refusal> {
        // Field names become symbols when the batch is sealed; those known already are counted in vain.
        self.define_bytes += fields.iter().map(|f| f.name.len() as u64).sum::<u64>();
        self.shapes.define(context, metric, fields)
    }

    /// The shape that the next row of this key will probably have.
    pub(super) fn remember_shape(&mut self, key: u32, shape: ShapeId) {
        self.table.set_shape(key, shape);
    }

    /// Appends a row of another batch under this ingest's numbers.
    #[inline]
    pub(super) fn copy_row(
        &mut self,
        from: &Batch,
        row: usize,
        series: SeriesId,
        shape: ShapeId,
    ) -> Result<(), Full> {
        self.batch.push_row(from, row, series, shape, self.shapes.shape(shape))?;
        self.shapes.mark_used(shape, self.batch_number);
        self.judge_times(from.row(row).time_ns, 1);
        Ok(())
    }

    /// Appends a row as [`Batch::push_words`] does. The batch has a row of this shape.
    #[inline]
    pub(super) fn copy_words(
        &mut self,
        series: SeriesId,
        shape: ShapeId,
        samples: u32,
        words: &[u64],
    ) -> Result<(), Full> {
        self.batch.push_words(series, shape, samples, words)?;
        self.judge_times(words[0] as i64, 1);
        Ok(())
    }

    /// Appends narrow rows from number `from` on, under their numbers here, as long as `series_of` has one for each and
    /// there is room; gives how many. The batch has a row of this shape.
    pub(super) fn copy_narrow(
        &mut self,
        rows: &NarrowRows,
        from: usize,
        series_of: impl Fn(u32) -> Option<SeriesId>,
        shape: ShapeId,
    ) -> usize {
        let series = rows.series()[from..].iter().map_while(|&series| series_of(series));
        let (times_ns, words) = (&rows.times_ns()[from..], &rows.words()[from..]);
        let (times, words) = (times_ns.iter().copied(), words.iter().copied());
        let taken = self.batch.extend_narrow(shape, rows.len() - from, series, times, words);
        let expected = self.limits.time_min_ns..=self.limits.time_max_ns;
        let (min_ns, max_ns) = self.batch.time_range();
        if !(expected.contains(&min_ns) && expected.contains(&max_ns)) {
            let far_off = times_ns[..taken].iter().filter(|time_ns| !expected.contains(time_ns)).count();
            self.rows_far_off += far_off as u64;
        }
        taken
    }

    /// Appends an exemplar of a series.
    pub(super) fn take_exemplar(&mut self, series: SeriesId, exemplar: &Exemplar<'_>) -> Result<(), Full> {
        if exemplar.text_bytes() > SIDE_TEXT_BYTES_MAX {
            self.side_refused += 1;
            return Ok(());
        }
        self.check_definitions()?;
        let heap = self.batch.heap();
        let known = self.batch.exemplars().last().is_some_and(|last| last.read(heap).field == exemplar.field);
        self.batch.push_exemplar(series, exemplar)?;
        // As with shapes: fields known already are counted in vain.
        self.define_bytes += if known { 0 } else { exemplar.field.len() as u64 };
        Ok(())
    }

    /// Appends what is said of a metric, unless it was said before in this generation.
    pub(super) fn take_metadata(&mut self, metadata: &Metadata<'_>) -> Result<(), Full> {
        if metadata.text_bytes() > SIDE_TEXT_BYTES_MAX {
            self.side_refused += 1;
            return Ok(());
        }
        if self.said.as_mut().is_some_and(|said| said.knows(metadata)) {
            return Ok(());
        }
        self.check_definitions()?;
        self.batch.push_metadata(metadata)?;
        self.define_bytes += metadata.name.len() as u64;
        self.said.iter_mut().for_each(|said| said.learn(metadata));
        Ok(())
    }

    /// Whether the batch's block may have to define more.
    fn check_definitions(&self) -> Result<(), Full> {
        if self.define_bytes > DEFINE_BYTES_MAX && !self.batch.is_empty() { Err(Full) } else { Ok(()) }
    }

    /// So many rows have come since the previous table was last of use.
    pub(super) fn age_previous(&mut self, rows: u64) {
        if self.promote_rows_left > 0 {
            self.promote_rows_left = self.promote_rows_left.saturating_sub(rows);
            if self.promote_rows_left == 0 {
                self.forget_previous();
            }
        }
    }

    #[inline]
    fn judge_times(&mut self, time_ns: i64, rows: u64) {
        if time_ns < self.limits.time_min_ns || time_ns > self.limits.time_max_ns {
            self.rows_far_off += rows;
        }
    }

    #[cold]
    fn promote(&mut self, context: ContextId, key: &[u8], hash: u64) -> Option<u32> {
        let old = self.previous.as_ref()?;
        let old_key = old.find(context, key, hash)?;
        let before = self.defined_so_far();
        let promoted = self.table.promote(old, old_key, hash).ok();
        self.count_definitions(before);
        // It brings its place along.
        let came = (self.table.series_count() - before.0).min(self.places_kept);
        self.places_kept -= came;
        self.limits.series.end_table(came);
        promoted
    }

    fn define(
        &mut self,
        context: ContextId,
        key: &[u8],
        hash: u64,
        labels: &mut LabelsBuf,
    ) -> Result<u32, Refusal> {
        let before = self.defined_so_far();
        let defined = self.table.define(context, key, hash, labels);
        self.count_definitions(before);
        defined
    }

    fn defined_so_far(&self) -> (u64, u64) {
        (self.table.series_count(), self.table.dictionary().content_bytes())
    }

    fn count_definitions(&mut self, (series, bytes): (u64, u64)) {
        self.limits.series.add(self.table.series_count() - series);
        self.define_bytes += self.table.dictionary().content_bytes() - bytes;
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
            + self.previous.as_ref().map_or(0, |t| t.memory_bytes())
            + self.shapes.memory_bytes()
            + self.batch.memory_bytes()
            + self.said.as_ref().map_or(0, Said::memory_bytes)
    }
}

/// After a rotation the old table is kept for so many rows per series of it: by then who still sends has sent.
const PROMOTE_ROWS_PER_SERIES: u64 = 2;

impl SideSymbols {
    fn resolve(&mut self, batch: &Batch, mut intern: impl FnMut(&[u8]) -> Option<SymbolId>) -> Option<()> {
        self.exemplar_fields.clear();
        self.metadata_names.clear();
        let mut last = None;
        for exemplar in batch.exemplars() {
            let symbol = match last {
                Some((place, symbol)) if place == exemplar.field => symbol,
                _ => intern(exemplar.read(batch.heap()).field)?,
            };
            last = Some((exemplar.field, symbol));
            self.exemplar_fields.push(symbol);
        }
        for metadata in batch.metadata() {
            self.metadata_names.push(intern(metadata.read(batch.heap()).name)?);
        }
        Some(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.forget_previous();
        let places = self.table.series_count() - self.leave_joined();
        self.limits.series.end_table(places);
        self.limits.series.end();
    }
}

mod intake;
#[cfg(test)]
mod short_tests;
#[cfg(test)]
mod side_tests;
#[cfg(test)]
mod tests;
