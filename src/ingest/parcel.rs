//! A parcel: a batch that one thread fills and another one takes in, with all that its numbers mean.
//!
//! Rows name series and shapes by the numbers of the [`Packer`](super::Packer) that filled the parcel. The first row of
//! a series, or of a shape, brings its definition along; who has taken in all earlier parcels of that packer
//! ([`Guest`](super::Guest)) therefore understands every row. Memory is kept and used again, by whichever packer.
//!
//! ```text
//! series: | number | bytes of key | key |  next ...      key:   | bytes of name | name | bytes of value | value | ...
//! shape:  | number | bytes of metric | metric | fields | kind, bytes of name, name | ...    (numbers and
//! lengths varints)
//! ```

use crate::bytes::{read_varint, write_varint};
use crate::model::{Batch, FieldType, LabelsBuf, Shape};

/// Rows that a parcel holds at most: enough for handing it over to cost nothing per row, few enough for many parcels.
pub const PARCEL_ROWS_MAX: usize = 8_192;

/// Bytes that a parcel's rows hold at most, a single longer row aside.
pub const PARCEL_BYTES_MAX: usize = 1 << 19;

/// Bytes of definitions after which a parcel is full.
const DEFINITION_BYTES_MAX: usize = 1 << 20;

/// A parcel whose rows hold more memory than this gives it back when it is emptied: vectors that grow to their bound
/// may be twice as large.
const MEMORY_BYTES_MAX: usize = 4 * PARCEL_BYTES_MAX;

/// A batch with its definitions.
#[derive(Debug)]
pub struct Parcel {
    pub(super) batch: Batch,
    /// The packer's generation: series of another one have other numbers.
    pub(super) generation: u32,
    /// Shapes below this number are forgotten.
    pub(super) shapes_from: u32,
    /// Rows whose numbers are defined, here or in an earlier parcel.
    pub(super) packed_rows: usize,
    /// Exemplars whose series are.
    pub(super) packed_exemplars: usize,
    /// Places that its new series take, until they have others in their taker's table.
    pub(super) claims: u64,
    pub(super) series: Vec<u8>,
    pub(super) shapes: Vec<u8>,
}

impl Default for Parcel {
    fn default() -> Parcel {
        Parcel {
            batch: Batch::bounded(PARCEL_ROWS_MAX, PARCEL_BYTES_MAX),
            generation: 0,
            shapes_from: 0,
            packed_rows: 0,
            packed_exemplars: 0,
            claims: 0,
            series: Vec::new(),
            shapes: Vec::new(),
        }
    }
}

impl Parcel {
    /// Its rows.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// How many rows and side records it has.
    pub fn items(&self) -> usize {
        self.batch.rows() + self.batch.exemplars().len() + self.batch.metadata().len()
    }

    /// Whether it should be handed over: there is no room, or it defines much.
    pub fn is_full(&self) -> bool {
        self.batch.is_full() || self.series.len() + self.shapes.len() > DEFINITION_BYTES_MAX
    }

    /// The places that are to be given back to the [budget](super::SeriesBudget) now that the parcel was taken in, or
    /// will not be.
    pub fn take_claims(&mut self) -> u64 {
        std::mem::take(&mut self.claims)
    }

    /// Empties it and keeps its memory, but for what a few long rows needed.
    pub fn clear(&mut self) {
        if self.batch.memory_bytes() > MEMORY_BYTES_MAX {
            self.batch = Batch::bounded(PARCEL_ROWS_MAX, PARCEL_BYTES_MAX);
        }
        self.batch.clear();
        self.packed_rows = 0;
        self.packed_exemplars = 0;
        self.series.clear();
        self.shapes.clear();
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.batch.memory_bytes() + self.series.capacity() + self.shapes.capacity()
    }
}

/// Appends a length and the bytes.
pub(super) fn write_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes bytes with their length off the front of what [`write_sized`] wrote.
pub(super) fn read_sized<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = read_varint(input)? as usize;
    let (bytes, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(bytes)
}

/// Takes a number off the front.
pub(super) fn read_number(input: &mut &[u8]) -> Option<u32> {
    u32::try_from(read_varint(input)?).ok()
}

/// The labels of a key, as they stand in it.
pub(super) fn labels_of(mut key: &[u8], labels: &mut LabelsBuf) {
    labels.clear();
    while let (Some(name), Some(value)) = (read_sized(&mut key), read_sized(&mut key)) {
        labels.push(name, value);
    }
}

/// Appends what a shape is.
pub(super) fn write_shape(out: &mut Vec<u8>, metric: &[u8], shape: &Shape) {
    write_sized(out, metric);
    write_varint(out, shape.fields.len() as u64);
    for field in &shape.fields {
        out.push(field.kind as u8);
        write_sized(out, &field.name);
    }
}

/// A shape, as a parcel defines it.
pub(super) struct ShapeDefinition<'a> {
    /// The metric's name; empty for shapes of one field.
    pub(super) metric: &'a [u8],
    /// Type and name of each field.
    pub(super) fields: Vec<(FieldType, &'a [u8])>,
}

const START_TIME: u8 = FieldType::StartTime as u8;

/// Takes a shape off the front.
pub(super) fn read_shape<'a>(input: &mut &'a [u8]) -> Option<ShapeDefinition<'a>> {
    let metric = read_sized(input)?;
    let count = read_varint(input)?;
    let mut fields = Vec::new();
    for _ in 0..count {
        let (&kind, rest) = input.split_first()?;
        *input = rest;
        let kind = match kind {
            START_TIME => FieldType::StartTime,
            kind => FieldType::from_number(kind)?,
        };
        fields.push((kind, read_sized(input)?));
    }
    Some(ShapeDefinition { metric, fields })
}
