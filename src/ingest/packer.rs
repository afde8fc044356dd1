//! Fills parcels: the half of ingest that runs on a thread without an engine.
//!
//! In: rows of registered series, or the rows of a decoder. Out: [`Parcel`]s, for a [`Guest`](super::Guest) to take in.
//! Kept: a row's series and shape are defined in the row's parcel or in an earlier one. It has an [`Ingest`] of its
//! own, so decoders find series here as they do in a worker; its table is let go when it has grown large, or when
//! most of its series were released, and registered series then go on under new numbers.

use std::sync::Arc;

use crate::bytes::write_varint;
use crate::model::{
    Batch, FieldText, FieldType, Full, Intake, LabelsBuf, Refusal, SeriesId, ShapeField, ShapeId, heap_word,
};

use super::acquaintance::{Acquaintance, Met};
use super::budget::SeriesBudget;
use super::hash::KeyHasher;
use super::parcel::{self, Parcel, write_sized};
use super::registry::{Registry, SeriesHandle};
use super::stream::{ContextId, Stream};
use super::writer::{Ingest, IngestLimits, Writer};

/// The context of series that are registered by their labels, here and in the worker that takes them in.
pub(super) const LIBRARY: ContextId = ContextId(u16::MAX as u32);

/// Series in the packer's table at which it starts a new one, should most of them not be registered.
const TABLE_SERIES_MAX: u64 = 1 << 20;

/// Released series in the packer's table at which it starts a new one, should they be most of it.
const GONE_SERIES_MAX: u64 = 4_096;

/// The value of a field.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum FieldValue<'a> {
    /// IEEE 754 binary64; every bit is kept.
    F64(f64),
    /// Signed.
    I64(i64),
    /// Unsigned.
    U64(u64),
    /// Truth value.
    Bool(bool),
    /// Text.
    String(&'a str),
    /// Any bytes.
    Bytes(&'a [u8]),
    /// There, without a value.
    Null,
}

/// Why a row was not pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotPushed {
    /// The parcel has no room: hand it over and push the row into the next one.
    Full,
    /// The row will never be taken.
    Refused(Refusal),
    /// The handle means no series: it was released, or is another engine's.
    Unknown,
    /// A row needs a field, and no two of one name.
    Fields,
}

/// Fills parcels, one at a time.
#[derive(Debug)]
pub struct Packer {
    registry: Arc<Registry>,
    ingest: Ingest,
    own: Stream,
    lines: Stream,
    acquaintance: Acquaintance,
    /// The shape of rows that have only a value; none until it is defined in a parcel.
    value_shape: ShapeId,
    series_sent: Bits,
    shapes_sent: Bits,
    shapes_from: u32,
    /// Rows of registered series since the parcel was started: decoders' rows age the table before by themselves.
    rows_direct: u64,
    key: Vec<u8>,
    labels: LabelsBuf,
    values: Vec<u64>,
    heap: Vec<u8>,
}

/// A parcel's batch while it is the ingest's: it is given back also when a decoder panics.
struct Lent<'a> {
    ingest: &'a mut Ingest,
    batch: &'a mut Batch,
}

/// A set of small numbers.
#[derive(Default, Debug)]
struct Bits(Vec<u64>);

impl Packer {
    /// A packer of rows whose series are in `registry`. New series that are not take places of `budget`; each parcel
    /// says how many its taker is to [give back](SeriesBudget::give_back).
    pub fn new(registry: Arc<Registry>, hasher: KeyHasher, budget: &SeriesBudget) -> Packer {
        let limits =
            IngestLimits { series: budget.for_packer(), time_min_ns: i64::MIN, time_max_ns: i64::MAX };
        let mut ingest = Ingest::new(hasher, limits);
        ingest.keep_all_metadata();
        Packer {
            registry,
            ingest,
            own: Stream::new(LIBRARY),
            lines: Stream::new(LIBRARY),
            acquaintance: Acquaintance::default(),
            value_shape: ShapeId::NONE,
            series_sent: Bits::default(),
            shapes_sent: Bits::default(),
            shapes_from: 0,
            rows_direct: 0,
            key: Vec::new(),
            labels: LabelsBuf::default(),
            values: Vec::new(),
            heap: Vec::new(),
        }
    }

    /// The registry that knows its rows' series.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Pushes a row whose only field is `value`.
    ///
    /// # Errors
    /// [`NotPushed`]; nothing was taken.
    #[inline]
    pub fn push_value(
        &mut self,
        parcel: &mut Parcel,
        series: SeriesHandle,
        time_ns: i64,
        value: f64,
    ) -> Result<(), NotPushed> {
        self.acquaintance.follow(&self.registry);
        self.push_one(parcel, series, time_ns, value)
    }

    /// Pushes a row for each of `times_ns`, all of one series, whose only field is `value`. Gives how many were taken,
    /// from the first on, and why it was not all.
    ///
    /// # Panics
    /// If there are not as many values as times.
    pub fn push_times(
        &mut self,
        parcel: &mut Parcel,
        series: SeriesHandle,
        times_ns: &[i64],
        values: &[f64],
    ) -> (usize, Result<(), NotPushed>) {
        assert_eq!(times_ns.len(), values.len());
        let (Some((&time_ns, times_ns)), Some((&value, values))) =
            (times_ns.split_first(), values.split_first())
        else {
            return (0, Ok(()));
        };
        if let Err(why) = self.push_value(parcel, series, time_ns, value) {
            return (0, Err(why));
        }
        // The first one has defined what these need.
        let (series, shape) = parcel.batch.head(parcel.batch.rows() - 1);
        let rows = times_ns.len();
        let (times, words) = (times_ns.iter().copied(), values.iter().map(|value| value.to_bits()));
        let taken = parcel.batch.extend_narrow(shape, rows, std::iter::repeat_n(series, rows), times, words);
        self.note_direct(parcel, taken);
        (taken + 1, if taken == rows { Ok(()) } else { Err(NotPushed::Full) })
    }

    /// Pushes a row for each of `series`, all of one time, whose only field is `value`. Gives how many were taken, from
    /// the first on, and why it was not all.
    ///
    /// # Panics
    /// If there are not as many values as series.
    pub fn push_series(
        &mut self,
        parcel: &mut Parcel,
        series: &[SeriesHandle],
        time_ns: i64,
        values: &[f64],
    ) -> (usize, Result<(), NotPushed>) {
        assert_eq!(series.len(), values.len());
        self.acquaintance.follow(&self.registry);
        let mut taken = 0;
        while taken < series.len() {
            // One that was not met, or has no room; those behind it are likely to have been met.
            if let Err(why) = self.push_one(parcel, series[taken], time_ns, values[taken]) {
                return (taken, Err(why));
            }
            taken += 1;
            let (rest, values) = (&series[taken..], &values[taken..]);
            let met = rest.iter().map_while(|&handle| self.acquaintance.of(handle).map(|met| met.series));
            let (times, words) = (std::iter::repeat(time_ns), values.iter().map(|value| value.to_bits()));
            let more = parcel.batch.extend_narrow(self.value_shape, rest.len(), met, times, words);
            self.note_direct(parcel, more);
            taken += more;
        }
        (taken, Ok(()))
    }

    /// Pushes a row of any fields. Fastest where rows of a series have the same fields in the same order.
    ///
    /// # Errors
    /// [`NotPushed`]; nothing was taken.
    pub fn push_fields(
        &mut self,
        parcel: &mut Parcel,
        series: SeriesHandle,
        time_ns: i64,
        fields: &[(&str, FieldValue<'_>)],
    ) -> Result<(), NotPushed> {
        self.push_row_of(parcel, series, time_ns, fields.len(), |i| fields[i])
    }

    /// Pushes a row of so many fields, each as `field` has it.
    pub(super) fn push_row_of<'a>(
        &mut self,
        parcel: &mut Parcel,
        handle: SeriesHandle,
        time_ns: i64,
        fields: usize,
        field: impl Fn(usize) -> (&'a str, FieldValue<'a>),
    ) -> Result<(), NotPushed> {
        self.acquaintance.follow(&self.registry);
        let met = self.acquaintance.of(handle);
        let Met { series, key, .. } = met.map_or_else(|| self.locate(parcel, handle), Ok)?;
        let mut shape = self.ingest.table().key(key).shape;
        if !self.ingest.shapes().knows(shape) || !self.has_fields(shape, fields, &field) {
            // As for series: what a parcel defines is bounded.
            if parcel.is_full() && !parcel.batch.is_empty() {
                return Err(NotPushed::Full);
            }
            shape = self.define_shape(key, fields, &field)?;
        }
        self.push_values(parcel, (series, shape), time_ns, (0..fields).map(|i| field(i).1))?;
        self.define_shape_in(parcel, shape);
        if met.is_none() {
            self.define_series_in(parcel, series);
            self.acquaintance.remember(handle, series, key);
        }
        Ok(())
    }

    /// Pushes a row whose series and shape are known, and will be defined in this parcel if they are not yet.
    #[inline]
    pub(super) fn push_values<'a>(
        &mut self,
        parcel: &mut Parcel,
        (series, shape): (SeriesId, ShapeId),
        time_ns: i64,
        values: impl Iterator<Item = FieldValue<'a>>,
    ) -> Result<(), NotPushed> {
        self.values.clear();
        self.heap.clear();
        for value in values {
            let word = match value {
                FieldValue::F64(v) => v.to_bits(),
                FieldValue::I64(v) => v as u64,
                FieldValue::U64(v) => v,
                FieldValue::Bool(v) => u64::from(v),
                FieldValue::Null => 0,
                FieldValue::String(v) => heap_value(&mut self.heap, v.as_bytes()),
                FieldValue::Bytes(v) => heap_value(&mut self.heap, v),
            };
            self.values.push(word);
        }
        if self.heap.len() > ROW_BYTES_MAX {
            let max = ROW_BYTES_MAX as u64;
            return Err(NotPushed::Refused(Refusal::TooLarge { what: "the row", max }));
        }
        let known = self.ingest.shapes().shape(shape);
        let pushed = parcel.batch.push(series, shape, known, time_ns, &self.values, &self.heap);
        pushed.map_err(|Full| NotPushed::Full)?;
        self.note_direct(parcel, 1);
        Ok(())
    }

    /// Lets a decoder push rows into the parcel, by way of this packer's table. [`pack`](Packer::pack) it before
    /// anything else is done to it.
    pub fn fill<R>(
        &mut self,
        parcel: &mut Parcel,
        context: ContextId,
        decode: impl FnOnce(&mut Writer<'_>) -> R,
    ) -> R {
        self.lines.set_context(context);
        let lent = Lent::new(&mut self.ingest, &mut parcel.batch);
        let decoded = decode(&mut lent.ingest.writer(&mut self.lines));
        drop(lent);
        parcel.claims += self.ingest.take_claims();
        decoded
    }

    /// Prepares for filling `parcel`, which is empty; the parcel before it is away.
    pub fn start(&mut self, parcel: &mut Parcel) {
        self.ingest.end_batch();
        self.ingest.age_previous(std::mem::take(&mut self.rows_direct));
        let (series, gone) = (self.ingest.table().series_count(), self.acquaintance.gone());
        let is_large = series > TABLE_SERIES_MAX && series > 2 * self.acquaintance.present();
        let is_deserted = gone > GONE_SERIES_MAX && 2 * gone > series;
        if is_large || is_deserted || self.ingest.shapes().is_running_out() {
            self.start_generation();
        }
        let from = self.ingest.shapes().first();
        if from != self.shapes_from {
            self.shapes_from = from;
            self.shapes_sent.clear();
            self.value_shape = ShapeId::NONE;
        }
        parcel.clear();
        parcel.generation = self.ingest.table().generation();
        parcel.shapes_from = from;
    }

    /// Adds what the parcel's rows need and no parcel has defined. To be called before anybody else gets hold of it.
    #[inline]
    pub fn pack(&mut self, parcel: &mut Parcel) {
        if parcel.packed_rows < parcel.batch.rows()
            || parcel.packed_exemplars < parcel.batch.exemplars().len()
        {
            self.pack_rest(parcel);
        }
    }

    fn pack_rest(&mut self, parcel: &mut Parcel) {
        let rows = parcel.batch.rows();
        for row in parcel.packed_rows..rows {
            let (series, shape) = parcel.batch.head(row);
            self.define_series_in(parcel, series);
            self.define_shape_in(parcel, shape);
        }
        self.ingest.age_previous((rows - parcel.packed_rows) as u64);
        parcel.packed_rows = rows;
        let exemplars = parcel.batch.exemplars().len();
        for at in parcel.packed_exemplars..exemplars {
            let series = parcel.batch.exemplars()[at].series;
            self.define_series_in(parcel, series);
        }
        parcel.packed_exemplars = exemplars;
    }

    /// Bytes of memory held, about.
    pub fn memory_bytes(&self) -> usize {
        self.ingest.memory_bytes() + self.acquaintance.memory_bytes() + self.series_sent.0.capacity() * 8
    }

    pub(super) fn start_generation(&mut self) {
        self.ingest.rotate();
        self.acquaintance.forget();
        self.series_sent.clear();
    }

    /// A row whose only field is `value`; the handle is not known to be released.
    #[inline]
    fn push_one(
        &mut self,
        parcel: &mut Parcel,
        handle: SeriesHandle,
        time_ns: i64,
        value: f64,
    ) -> Result<(), NotPushed> {
        match self.acquaintance.of(handle) {
            Some(met) if self.value_shape != ShapeId::NONE => {
                let pushed = parcel.batch.push_value(met.series, self.value_shape, time_ns, value);
                pushed.map_err(|Full| NotPushed::Full)?;
                self.note_direct(parcel, 1);
                Ok(())
            }
            met => self.push_first(parcel, handle, met, time_ns, value),
        }
    }

    /// The same for a handle that was not met, or before any other such row. What the row needs is defined once it is
    /// in: a parcel without rows takes its definitions nowhere.
    #[cold]
    fn push_first(
        &mut self,
        parcel: &mut Parcel,
        handle: SeriesHandle,
        met: Option<Met>,
        time_ns: i64,
        value: f64,
    ) -> Result<(), NotPushed> {
        let Met { series, key, .. } = met.map_or_else(|| self.locate(parcel, handle), Ok)?;
        let field = [FieldText { text: b"value", name: b"value", kind: FieldType::F64 }];
        let shape = self.ingest.define_shape_in(LIBRARY, &[], &field).map_err(NotPushed::Refused)?;
        parcel.batch.push_value(series, shape, time_ns, value).map_err(|Full| NotPushed::Full)?;
        self.define_shape_in(parcel, shape);
        self.value_shape = shape;
        self.define_series_in(parcel, series);
        if met.is_none() {
            self.acquaintance.remember(handle, series, key);
        }
        self.note_direct(parcel, 1);
        Ok(())
    }

    /// Rows were pushed with all that they need.
    #[inline]
    fn note_direct(&mut self, parcel: &mut Parcel, rows: usize) {
        parcel.packed_rows += rows;
        self.rows_direct += rows as u64;
    }

    /// The series of a handle that was not met, in this packer's table.
    #[cold]
    fn locate(&mut self, parcel: &Parcel, handle: SeriesHandle) -> Result<Met, NotPushed> {
        // As with the rows of decoders: what a parcel defines is bounded.
        if parcel.is_full() && !parcel.batch.is_empty() {
            return Err(NotPushed::Full);
        }
        let spelled = self.registry.labels(handle).ok_or(NotPushed::Unknown)?;
        parcel::labels_of(&spelled, &mut self.labels);
        // It has its place, and needs none of the budget's.
        let mut writer = self.ingest.writer(&mut self.own).rehearsed(true);
        let found = writer.find(&spelled).map_or_else(|| writer.define(&spelled, &mut self.labels), Ok);
        let claims = self.ingest.take_claims();
        self.ingest.series_budget().give_back(claims);
        let key = found.map_err(NotPushed::Refused)?.key;
        Ok(Met::new(handle, self.ingest.table().key(key).series, key))
    }

    #[inline]
    fn define_series_in(&mut self, parcel: &mut Parcel, series: SeriesId) {
        if self.series_sent.insert(series.0) {
            self.write_series(parcel, series);
        }
    }

    #[cold]
    fn write_series(&mut self, parcel: &mut Parcel, series: SeriesId) {
        let dictionary = self.ingest.table().dictionary();
        self.key.clear();
        for (name, value) in dictionary.series_labels(series) {
            write_sized(&mut self.key, dictionary.symbol(name));
            write_sized(&mut self.key, dictionary.symbol(value));
        }
        write_varint(&mut parcel.series, u64::from(series.0));
        write_sized(&mut parcel.series, &self.key);
    }

    #[inline]
    fn define_shape_in(&mut self, parcel: &mut Parcel, shape: ShapeId) {
        if self.shapes_sent.insert(shape.0 - self.shapes_from) {
            let shapes = self.ingest.shapes();
            write_varint(&mut parcel.shapes, u64::from(shape.0));
            parcel::write_shape(&mut parcel.shapes, shapes.metric(shape), shapes.shape(shape));
        }
    }

    fn has_fields<'a>(
        &self,
        shape: ShapeId,
        fields: usize,
        field: impl Fn(usize) -> (&'a str, FieldValue<'a>),
    ) -> bool {
        let known = &self.ingest.shapes().shape(shape).fields;
        let same = |(i, k): (usize, &ShapeField)| {
            let (name, value) = field(i);
            k.kind == value.kind() && *k.name == *name.as_bytes()
        };
        known.len() == fields && known.iter().enumerate().all(same)
    }

    #[cold]
    fn define_shape<'a>(
        &mut self,
        key: u32,
        fields: usize,
        field: impl Fn(usize) -> (&'a str, FieldValue<'a>),
    ) -> Result<ShapeId, NotPushed> {
        let text = |i| {
            let (name, value) = field(i);
            FieldText { text: name.as_bytes(), name: name.as_bytes(), kind: value.kind() }
        };
        let texts: Vec<_> = (0..fields).map(text).collect();
        let twice =
            texts.iter().enumerate().any(|(i, f)| texts[..i].iter().any(|other| other.name == f.name));
        if texts.is_empty() || twice {
            return Err(NotPushed::Fields);
        }
        let metric = self.ingest.table().metric_name(self.ingest.table().key(key).series).to_vec();
        let shape = self.ingest.define_shape_in(LIBRARY, &metric, &texts).map_err(NotPushed::Refused)?;
        self.ingest.remember_shape(key, shape);
        Ok(shape)
    }
}

/// The bytes that the strings of one row have at most: a row must fit a block whatever else is in it.
pub const ROW_BYTES_MAX: usize = 4 << 20;

fn heap_value(heap: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    heap.extend_from_slice(bytes);
    heap_word(heap.len() - bytes.len(), bytes.len())
}

impl<'a> Lent<'a> {
    fn new(ingest: &'a mut Ingest, batch: &'a mut Batch) -> Lent<'a> {
        ingest.swap_batch(batch);
        Lent { ingest, batch }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.ingest.swap_batch(self.batch);
    }
}

impl FieldValue<'_> {
    /// The type.
    pub fn kind(&self) -> FieldType {
        match self {
            FieldValue::F64(_) => FieldType::F64,
            FieldValue::I64(_) => FieldType::I64,
            FieldValue::U64(_) => FieldType::U64,
            FieldValue::Bool(_) => FieldType::Bool,
            FieldValue::String(_) => FieldType::String,
            FieldValue::Bytes(_) => FieldType::Bytes,
            FieldValue::Null => FieldType::Null,
        }
    }
}

impl Bits {
    /// Adds a number; whether it is new.
    #[inline]
    fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        match self.0.get_mut(word) {
            Some(bits) => {
                let new = *bits & bit == 0;
                *bits |= bit;
                new
            }
            None => self.grow(word, bit),
        }
    }

    #[cold]
    fn grow(&mut self, word: usize, bit: u64) -> bool {
        self.0.resize(word + 1, 0);
        self.0[word] = bit;
        true
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
