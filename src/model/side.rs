//! Side records of a batch: exemplars and metadata, as they lie beside its rows.
//!
//! Their texts lie on the batch's heap; what they are of is named by text, so that they can move to another batch.

use super::{Exemplar, Metadata, MetricType, SeriesId, heap_place};

/// Bytes of all texts of one side record. Longer ones are not taken: their names could be no symbols.
pub const SIDE_TEXT_BYTES_MAX: usize = 128 << 10;

/// An exemplar of a batch; texts are places on its heap.
#[derive(Clone, Copy, Debug)]
pub struct ExemplarRef {
    /// The series that it was seen in.
    pub series: SeriesId,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The bits of its value.
    pub value_bits: u64,
    /// The name of its field.
    pub field: u64,
    /// Its labels.
    pub labels: u64,
}

/// What a batch says of a metric; texts are places on its heap.
#[derive(Clone, Copy, Debug)]
pub struct MetadataRef {
    /// What it is.
    pub kind: MetricType,
    /// Its name.
    pub name: u64,
    /// What it counts.
    pub unit: u64,
    /// What it means.
    pub help: u64,
}

impl ExemplarRef {
    /// The exemplar, its texts on this heap.
    pub fn read<'h>(&self, heap: &'h [u8]) -> Exemplar<'h> {
        Exemplar {
            field: text(heap, self.field),
            time_ns: self.time_ns,
            value_bits: self.value_bits,
            labels: text(heap, self.labels),
        }
    }
}

impl MetadataRef {
    /// The metadata, its texts on this heap.
    pub fn read<'h>(&self, heap: &'h [u8]) -> Metadata<'h> {
        Metadata {
            name: text(heap, self.name),
            kind: self.kind,
            unit: text(heap, self.unit),
            help: text(heap, self.help),
        }
    }
}

impl Exemplar<'_> {
    /// Bytes of its texts.
    pub fn text_bytes(&self) -> usize {
        self.field.len() + self.labels.len()
    }
}

impl Metadata<'_> {
    /// Bytes of its texts.
    pub fn text_bytes(&self) -> usize {
        self.name.len() + self.unit.len() + self.help.len()
    }
}

fn text(heap: &[u8], place: u64) -> &[u8] {
    let (start, len) = heap_place(place);
    &heap[start..start + len]
}
