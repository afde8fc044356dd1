//! An intake that keeps rows as they came: for tests, benches and whoever wants to see what a decoder makes of bytes.
//!
//! It predicts as the real one does (a key's successor is the key that followed it last time), so that decoders meet
//! predictions that come true and ones that don't. It is not fast and has no bounds.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bytes::read_varint;
use crate::model::{
    Exemplar, FieldText, FieldType, Full, Intake, LabelsBuf, Metadata, MetricType, Refusal, Rewrite, Series,
    Shape, ShapeField, ShapeId, Verdict, WriteResult, heap_place,
};
use crate::wire::{Decode, FedState};

/// A row as it was pushed, readable.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Labels sorted by name.
    pub labels: Vec<(String, String)>,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// When its counters began to count.
    pub start_time_ns: Option<i64>,
    /// Fields in the row's order.
    pub fields: Vec<(String, Value)>,
}

/// An exemplar as it was pushed, readable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExemplarSeen {
    /// The labels of its series, sorted by name.
    pub series: Vec<(String, String)>,
    /// The field it belongs to.
    pub field: String,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The bits of its value.
    pub value_bits: u64,
    /// Its own labels, in their order.
    pub labels: Vec<(String, String)>,
}

/// Metadata as it was pushed, readable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataSeen {
    /// The metric's name.
    pub name: String,
    /// What it is.
    pub kind: MetricType,
    /// What it counts.
    pub unit: String,
    /// What it means.
    pub help: String,
}

/// A field's value. Floats are compared by their bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// The bits of a double.
    F64(u64),
    /// Signed.
    I64(i64),
    /// Unsigned.
    U64(u64),
    /// Truth.
    Bool(bool),
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// Nothing.
    Null,
}

/// Keeps rows.
#[derive(Default, Debug)]
pub struct Rows {
    /// What was pushed, in order.
    pub rows: Vec<Row>,
    /// Exemplars, in order.
    pub exemplars: Vec<ExemplarSeen>,
    /// Metadata, in order.
    pub metadata: Vec<MetadataSeen>,
    /// Rows until the next `Full`, of side records too; `None` for never. A test fills it up and feeds on.
    pub room: Option<usize>,
    /// Series at most; `None` for no limit.
    pub series_max: Option<u64>,
    /// What becomes of the labels of new series.
    pub rewrite: Option<Arc<dyn Rewrite>>,
    /// Counts up where keys and shapes lose their numbers: see [`Rows::forget`].
    pub epochs: u64,
    /// How often a prediction came true.
    pub confirmed: u64,
    /// How many keys were announced.
    pub announced: u64,
    keys: HashMap<Vec<u8>, usize>,
    series: Vec<Known>,
    shapes: Vec<Shape>,
    previous: Option<usize>,
    misses: u32,
}

#[derive(Debug)]
struct Known {
    key: Vec<u8>,
    labels: Vec<(String, String)>,
    dropped: bool,
    shape: ShapeId,
    successor: Option<usize>,
}

impl Rows {
    /// Forgets its keys and shapes, as at the end of a segment. What it keeps of rows stays.
    pub fn forget(&mut self) {
        self.epochs += 1;
        self.keys.clear();
        self.series.clear();
        self.shapes.clear();
        self.previous = None;
    }

    fn arrive(&mut self, key: usize) -> Series {
        if let Some(previous) = self.previous {
            self.series[previous].successor = Some(key);
        }
        self.previous = Some(key);
        Series { key: key as u32, shape: self.series[key].shape }
    }

    fn successor(&self) -> Option<usize> {
        self.series[self.previous?].successor
    }
}

/// What becomes of a body that comes to a decoder in pieces of these sizes, again and again, and to an intake that is
/// full after so many rows each time.
pub fn decode_cut(
    decoder: &mut impl Decode,
    body: &[u8],
    pieces: &[usize],
    room: Option<usize>,
) -> (Rows, WriteResult) {
    let mut rows = Rows { room, ..Rows::default() };
    let mut result = WriteResult::default();
    let (mut start, mut end) = (0, 0);
    for piece in pieces.iter().cycle() {
        end = body.len().min(end + piece);
        let last = end == body.len();
        loop {
            let fed = decoder.feed(&body[start..end], last, &mut rows, &mut result);
            start += fed.consumed;
            match fed.state {
                FedState::Full => rows.room = room,
                FedState::NeedMore => break,
                FedState::Done => {
                    assert_eq!((start, last), (body.len(), true));
                    return (rows, result);
                }
            }
        }
    }
    unreachable!("there is a last piece")
}

/// The same of a body that comes whole.
pub fn decode_whole(decoder: &mut impl Decode, body: &[u8], room: Option<usize>) -> (Rows, WriteResult) {
    decode_cut(decoder, body, &[body.len()], room)
}

impl Intake for Rows {
    fn epoch(&self) -> u64 {
        1 + self.epochs
    }

    fn predicted(&self) -> &[u8] {
        self.successor().map_or(&[], |key| &self.series[key].key)
    }

    fn confirm(&mut self) -> Series {
        self.confirmed += 1;
        self.misses = 0;
        let key = self.successor().expect("a prediction was confirmed, so there was one");
        self.arrive(key)
    }

    fn announce(&mut self, key: &[u8]) {
        assert!(!key.is_empty());
        self.announced += 1;
    }

    fn wants_announcements(&self) -> bool {
        self.misses > 4
    }

    fn find(&mut self, key: &[u8]) -> Option<Series> {
        self.misses += 1;
        let key = *self.keys.get(key)?;
        Some(self.arrive(key))
    }

    fn define(&mut self, key: &[u8], labels: &mut LabelsBuf) -> Result<Series, Refusal> {
        assert!(!self.keys.contains_key(key), "a known key is defined again");
        if let Some(limit) = self.series_max
            && self.series.len() as u64 >= limit
        {
            return Err(Refusal::SeriesLimit { limit });
        }
        labels.canonicalize().map_err(Refusal::Labels)?;
        let verdict = self.rewrite.as_ref().map_or(Verdict::Keep, |rewrite| rewrite.rewrite(labels));
        match verdict {
            Verdict::Keep => labels.canonicalize().map_err(Refusal::Labels)?,
            Verdict::Drop => labels.clear(),
            Verdict::Refuse(why) => return Err(Refusal::Unfit(why)),
        }
        let number = self.series.len();
        self.keys.insert(key.to_vec(), number);
        self.series.push(Known {
            key: key.to_vec(),
            labels: labels.iter().map(|(name, value)| (text(name), text(value))).collect(),
            dropped: verdict == Verdict::Drop,
            shape: ShapeId::NONE,
            successor: None,
        });
        Ok(self.arrive(number))
    }

    fn identity(&self, series: Series) -> Option<u32> {
        let known = &self.series[series.key as usize];
        let twin = self.series.iter().position(|other| !other.dropped && other.labels == known.labels);
        twin.filter(|_| !known.dropped).map(|first| first as u32)
    }

    fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0 as usize]
    }

    fn adopt_shape(&mut self, _: Series, like: ShapeId) -> Option<ShapeId> {
        Some(like)
    }

    fn define_shape(&mut self, _: Series, fields: &[FieldText<'_>]) -> Result<ShapeId, Refusal> {
        let mut text = Vec::new();
        let fields: Vec<ShapeField> = fields
            .iter()
            .map(|field| {
                text.extend_from_slice(field.text);
                ShapeField { name: field.name.into(), kind: field.kind, text_end: text.len() as u32 }
            })
            .collect();
        for (i, field) in fields.iter().enumerate() {
            let twin = fields[..i].iter().find(|f| f.name == field.name && f.kind == field.kind);
            assert!(twin.is_none(), "a shape has two fields of one name and type");
        }
        let shape = Shape::new(text.into(), fields.into());
        let known = self.shapes.iter().position(|s| *s == shape);
        let id = known.unwrap_or_else(|| {
            self.shapes.push(shape);
            self.shapes.len() - 1
        });
        Ok(ShapeId(id as u32))
    }

    fn push_predicted(&mut self, shape: ShapeId, time_ns: i64, value_bits: u64) -> Option<Result<(), Full>> {
        let known = &self.series[self.successor()?];
        if shape == ShapeId::NONE || known.shape != shape {
            return None;
        }
        let before = self.previous;
        let series = self.confirm();
        let pushed = self.push(series, shape, time_ns, &[value_bits], &[]);
        if pushed.is_err() {
            self.previous = before;
        }
        Some(pushed)
    }

    fn push(
        &mut self,
        series: Series,
        shape: ShapeId,
        time_ns: i64,
        values: &[u64],
        heap: &[u8],
    ) -> Result<(), Full> {
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(1).ok_or(Full)?;
        }
        let fields = &self.shapes[shape.0 as usize].fields;
        assert_eq!(fields.len(), values.len());
        let start_time_ns = match fields.last() {
            Some(last) if last.kind == FieldType::StartTime => values.last().map(|&word| word as i64),
            _ => None,
        };
        let values = &values[..values.len() - usize::from(start_time_ns.is_some())];
        let fields = fields.iter().zip(values).map(|(field, &word)| {
            let name = text(&field.name);
            let value = match field.kind {
                FieldType::F64 => Value::F64(word),
                FieldType::I64 => Value::I64(word as i64),
                FieldType::U64 => Value::U64(word),
                FieldType::Bool => Value::Bool(word == 1),
                FieldType::Null => Value::Null,
                _ => {
                    let (start, len) = heap_place(word);
                    Value::Bytes(heap[start..start + len].to_vec())
                }
            };
            (name, value)
        });
        let known = &mut self.series[series.key as usize];
        known.shape = shape;
        if known.dropped {
            return Ok(());
        }
        self.rows.push(Row {
            labels: known.labels.clone(),
            time_ns,
            start_time_ns,
            fields: fields.collect(),
        });
        Ok(())
    }

    fn exemplar(&mut self, series: Series, exemplar: &Exemplar<'_>) -> Result<(), Full> {
        if self.room == Some(0) {
            return Err(Full);
        }
        let mut rest = exemplar.labels;
        let count = read_varint(&mut rest).expect("a count");
        let labels: Vec<_> = (0..count).map(|_| (sized(&mut rest), sized(&mut rest))).collect();
        assert!(rest.is_empty(), "bytes are left over behind an exemplar's labels");
        self.exemplars.push(ExemplarSeen {
            series: self.series[series.key as usize].labels.clone(),
            field: text(exemplar.field),
            time_ns: exemplar.time_ns,
            value_bits: exemplar.value_bits,
            labels,
        });
        Ok(())
    }

    fn metadata(&mut self, metadata: &Metadata<'_>) -> Result<(), Full> {
        if self.room == Some(0) {
            return Err(Full);
        }
        self.metadata.push(MetadataSeen {
            name: text(metadata.name),
            kind: metadata.kind,
            unit: text(metadata.unit),
            help: text(metadata.help),
        });
        Ok(())
    }
}

/// Formats whose names may be any bytes lose here what is no text; their values don't.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn sized(rest: &mut &[u8]) -> String {
    let len = read_varint(rest).expect("a length") as usize;
    let (bytes, behind) = rest.split_at(len);
    *rest = behind;
    text(bytes)
}
