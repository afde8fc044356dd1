//! The types a field can have, by the numbers they have on disk.

/// The type of a field. The numbers are part of block format 1 and never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum FieldType {
    /// IEEE 754 binary64, every bit kept.
    F64 = 1,
    /// Signed 64-bit integer.
    I64 = 2,
    /// Unsigned 64-bit integer.
    U64 = 3,
    /// Truth value.
    Bool = 4,
    /// UTF-8 text.
    String = 5,
    /// Any bytes.
    Bytes = 6,
    /// A field that is there and has no value.
    Null = 7,
    /// A nested value (list or map), in the format's own encoding.
    Nested = 8,
    /// A native histogram, in the format's own encoding.
    Histogram = 9,
    /// When the row's counters began to count: nanoseconds since the Unix epoch, a word. Not a field on disk but a
    /// column of its own; it has no name, is the last of its shape, and counts as no sample.
    StartTime = 0x84,
}

impl FieldType {
    /// The type of this number on disk, if format 1 knows it.
    pub fn from_number(number: u8) -> Option<FieldType> {
        Some(match number {
            1 => FieldType::F64,
            2 => FieldType::I64,
            3 => FieldType::U64,
            4 => FieldType::Bool,
            5 => FieldType::String,
            6 => FieldType::Bytes,
            7 => FieldType::Null,
            8 => FieldType::Nested,
            9 => FieldType::Histogram,
            _ => return None,
        })
    }

    /// Whether a value of this type is bytes on the batch's heap rather than one word.
    #[inline]
    pub fn on_heap(self) -> bool {
        matches!(self, FieldType::String | FieldType::Bytes | FieldType::Nested | FieldType::Histogram)
    }
}

/// The bits of the ordinary NaN, as Prometheus writes it.
pub const NAN_CANONICAL_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The bits of Prometheus's staleness marker.
pub const NAN_STALE_BITS: u64 = 0x7ff0_0000_0000_0002;
