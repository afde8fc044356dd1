//! Fills parcels: the half of ingest that runs on a thread without an engine.
//!
//! In: registered series and their rows, or the rows of a decoder. Out: [`Parcel`]s, for a [`Guest`](super::Guest) to
//! take in. Kept: a row's series and shape are defined in the row's parcel or in an earlier one. It has an [`Ingest`]
//! of its own, so decoders find series here as they do in a worker; its table is let go when it has grown large, and
//! registered series then go on under new numbers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bytes::write_varint;
use crate::model::{
    FieldText, FieldType, Full, Intake, LabelsBuf, Refusal, Series, SeriesId, ShapeId, heap_word,
};

use super::hash::KeyHasher;
use super::parcel::{self, Parcel, write_sized};
use super::stream::{ContextId, Stream};
use super::writer::{Ingest, IngestLimits, SeriesBudget, Writer};

/// The context of series that are registered by their labels, here and in the worker that takes them in.
pub(super) const LIBRARY: ContextId = ContextId(u16::MAX as u32);

/// Series in the packer's table at which it starts a new one, should most of them not be registered.
const TABLE_SERIES_MAX: u64 = 1 << 20;

/// A registered series. Good for the packer that gave it, for as long as that lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SeriesHandle {
    packer: u32,
    number: u32,
}

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
    /// The handle is another packer's.
    Foreign,
    /// A row needs a field, and no two of one name.
    Fields,
}

/// Fills parcels, one at a time.
#[derive(Debug)]
pub struct Packer {
    number: u32,
    ingest: Ingest,
    own: Stream,
    lines: Stream,
    handles: HashMap<Arc<[u8]>, u32>,
    registered: Vec<Registered>,
    /// The shape of rows that have only a value.
    value_shape: ShapeId,
    series_sent: Bits,
    shapes_sent: Bits,
    shapes_from: u32,
    key: Vec<u8>,
    labels: LabelsBuf,
    values: Vec<u64>,
    heap: Vec<u8>,
}

#[derive(Debug)]
struct Registered {
    labels: Arc<[u8]>,
    /// The generation in which `key` is its key.
    generation: u32,
    key: u32,
}

/// A set of small numbers.
#[derive(Default, Debug)]
struct Bits(Vec<u64>);

impl Packer {
    /// A packer. `number` tells its handles from others'; `budget` is looked at, and counted in by who takes the
    /// parcels in.
    pub fn new(number: u32, hasher: KeyHasher, budget: &SeriesBudget) -> Packer {
        let limits = IngestLimits { series: budget.observed(), time_min_ns: i64::MIN, time_max_ns: i64::MAX };
        let mut ingest = Ingest::new(hasher, limits);
        ingest.keep_all_metadata();
        Packer {
            number,
            ingest,
            own: Stream::new(LIBRARY),
            lines: Stream::new(LIBRARY),
            handles: HashMap::new(),
            registered: Vec::new(),
            value_shape: ShapeId::NONE,
            series_sent: Bits::default(),
            shapes_sent: Bits::default(),
            shapes_from: 0,
            key: Vec::new(),
            labels: LabelsBuf::default(),
            values: Vec::new(),
            heap: Vec::new(),
        }
    }

    /// Makes a series known by its labels, in any order. The same labels give the same handle.
    ///
    /// # Errors
    /// [`Refusal`]: two labels of one name, a bound, or too many series.
    pub fn register(&mut self, labels: &[(&str, &str)]) -> Result<SeriesHandle, Refusal> {
        self.labels.clear();
        labels.iter().for_each(|(name, value)| self.labels.push(name.as_bytes(), value.as_bytes()));
        self.labels.canonicalize().map_err(Refusal::Labels)?;
        self.key.clear();
        for (name, value) in self.labels.iter() {
            write_sized(&mut self.key, name);
            write_sized(&mut self.key, value);
        }
        if let Some(&number) = self.handles.get(&self.key[..]) {
            return Ok(SeriesHandle { packer: self.number, number });
        }
        let key = locate(&mut self.ingest, &mut self.own, &self.key, &mut self.labels)?.key;
        let number = self.registered.len() as u32;
        let labels: Arc<[u8]> = self.key[..].into();
        self.handles.insert(Arc::clone(&labels), number);
        self.registered.push(Registered { labels, generation: self.ingest.table().generation(), key });
        Ok(SeriesHandle { packer: self.number, number })
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
        let key = self.key_of(series)?;
        if !self.ingest.shapes().knows(self.value_shape) {
            self.value_shape = self.define_value_shape()?;
        }
        let (id, shape) = (self.ingest.table().key(key).series, self.value_shape);
        let fields = self.ingest.shapes().shape(shape);
        parcel.batch.push(id, shape, fields, time_ns, &[value.to_bits()], &[]).map_err(|Full| NotPushed::Full)
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
        let key = self.key_of(series)?;
        let mut shape = self.ingest.table().key(key).shape;
        if !self.ingest.shapes().knows(shape) || !self.has_fields(shape, fields) {
            shape = self.define_shape(key, fields)?;
        }
        self.values.clear();
        self.heap.clear();
        for (_, value) in fields {
            let word = match *value {
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
        if self.heap.len() > ROW_HEAP_BYTES_MAX {
            let max = ROW_HEAP_BYTES_MAX as u64;
            return Err(NotPushed::Refused(Refusal::TooLarge { what: "the row", max }));
        }
        let id = self.ingest.table().key(key).series;
        let known = self.ingest.shapes().shape(shape);
        let pushed = parcel.batch.push(id, shape, known, time_ns, &self.values, &self.heap);
        pushed.map_err(|Full| NotPushed::Full)
    }

    /// Lets a decoder push rows into the parcel, by way of this packer's table.
    pub fn fill<R>(
        &mut self,
        parcel: &mut Parcel,
        context: ContextId,
        decode: impl FnOnce(&mut Writer<'_>) -> R,
    ) -> R {
        self.lines.set_context(context);
        self.ingest.swap_batch(&mut parcel.batch);
        let decoded = decode(&mut self.ingest.writer(&mut self.lines));
        self.ingest.swap_batch(&mut parcel.batch);
        decoded
    }

    /// Prepares for filling `parcel`, which is empty; the parcel before it is away.
    pub fn start(&mut self, parcel: &mut Parcel) {
        self.ingest.end_batch();
        let series = self.ingest.table().series_count();
        let is_large = series > TABLE_SERIES_MAX && series > 2 * self.registered.len() as u64;
        if is_large || self.ingest.shapes().is_running_out() {
            self.start_generation();
        }
        let from = self.ingest.shapes().first();
        if from != self.shapes_from {
            self.shapes_from = from;
            self.shapes_sent.clear();
        }
        parcel.clear();
        parcel.generation = self.ingest.table().generation();
        parcel.shapes_from = from;
    }

    /// Adds what the parcel's rows need and no parcel has defined. To be called before anybody else gets hold of it.
    pub fn pack(&mut self, parcel: &mut Parcel) {
        let rows = parcel.batch.rows();
        for row in parcel.packed_rows..rows {
            let (series, shape) = parcel.batch.head(row);
            if self.series_sent.insert(series.0) {
                self.define_in(parcel, series);
            }
            if self.shapes_sent.insert(shape.0 - self.shapes_from) {
                let shapes = self.ingest.shapes();
                write_varint(&mut parcel.shapes, u64::from(shape.0));
                parcel::write_shape(&mut parcel.shapes, shapes.metric(shape), shapes.shape(shape));
            }
        }
        self.ingest.age_previous((rows - parcel.packed_rows) as u64);
        parcel.packed_rows = rows;
        let exemplars = parcel.batch.exemplars().len();
        for at in parcel.packed_exemplars..exemplars {
            let series = parcel.batch.exemplars()[at].series;
            if self.series_sent.insert(series.0) {
                self.define_in(parcel, series);
            }
        }
        parcel.packed_exemplars = exemplars;
    }

    /// Bytes of memory held, about.
    pub fn memory_bytes(&self) -> usize {
        let registered = self.registered.iter().map(|r| r.labels.len() + size_of::<Registered>());
        self.ingest.memory_bytes() + registered.sum::<usize>() + self.series_sent.0.capacity() * 8
    }

    pub(super) fn start_generation(&mut self) {
        self.ingest.rotate();
        self.series_sent.clear();
        self.value_shape = ShapeId::NONE;
    }

    #[cold]
    fn define_in(&mut self, parcel: &mut Parcel, series: SeriesId) {
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
    fn key_of(&mut self, handle: SeriesHandle) -> Result<u32, NotPushed> {
        match self.registered.get(handle.number as usize) {
            Some(_) if handle.packer != self.number => Err(NotPushed::Foreign),
            None => Err(NotPushed::Foreign),
            Some(r) if r.generation == self.ingest.table().generation() => Ok(r.key),
            Some(_) => self.locate_again(handle.number as usize),
        }
    }

    #[cold]
    fn locate_again(&mut self, number: usize) -> Result<u32, NotPushed> {
        let registered = &mut self.registered[number];
        parcel::labels_of(&registered.labels, &mut self.labels);
        let found = locate(&mut self.ingest, &mut self.own, &registered.labels, &mut self.labels);
        registered.key = found.map_err(NotPushed::Refused)?.key;
        registered.generation = self.ingest.table().generation();
        Ok(registered.key)
    }

    fn define_value_shape(&mut self) -> Result<ShapeId, NotPushed> {
        let value = [FieldText { text: b"value", name: b"value", kind: FieldType::F64 }];
        self.ingest.define_shape_in(LIBRARY, &[], &value).map_err(NotPushed::Refused)
    }

    fn has_fields(&self, shape: ShapeId, fields: &[(&str, FieldValue<'_>)]) -> bool {
        let known = &self.ingest.shapes().shape(shape).fields;
        known.len() == fields.len()
            && known
                .iter()
                .zip(fields)
                .all(|(k, (name, v))| k.kind == v.kind() && *k.name == *name.as_bytes())
    }

    #[cold]
    fn define_shape(&mut self, key: u32, fields: &[(&str, FieldValue<'_>)]) -> Result<ShapeId, NotPushed> {
        let same = |a: &(&str, FieldValue<'_>), b: &(&str, FieldValue<'_>)| a.0 == b.0;
        let twice = (1..fields.len()).any(|i| fields[..i].iter().any(|f| same(f, &fields[i])));
        if fields.is_empty() || twice {
            return Err(NotPushed::Fields);
        }
        let text = |(name, value): &(&'_ str, FieldValue<'_>)| -> (Vec<u8>, FieldType) {
            (name.as_bytes().to_vec(), value.kind())
        };
        let texts: Vec<_> = fields.iter().map(text).collect();
        let texts: Vec<_> =
            texts.iter().map(|(name, kind)| FieldText { text: name, name, kind: *kind }).collect();
        let metric = self.ingest.table().metric_name(self.ingest.table().key(key).series).to_vec();
        let shape = self.ingest.define_shape_in(LIBRARY, &metric, &texts).map_err(NotPushed::Refused)?;
        self.ingest.remember_shape(key, shape);
        Ok(shape)
    }
}

/// The bytes that the strings of one row have at most: a row must fit a block whatever else is in it.
const ROW_HEAP_BYTES_MAX: usize = 4 << 20;

/// Finds or defines a series in a packer's table.
fn locate(
    ingest: &mut Ingest,
    stream: &mut Stream,
    key: &[u8],
    labels: &mut LabelsBuf,
) -> Result<Series, Refusal> {
    let mut writer = ingest.writer(stream);
    writer.find(key).map_or_else(|| writer.define(key, labels), Ok)
}

fn heap_value(heap: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    heap.extend_from_slice(bytes);
    heap_word(heap.len() - bytes.len(), bytes.len())
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
