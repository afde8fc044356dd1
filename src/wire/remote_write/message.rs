//! The two messages, field by field.

use crate::bytes::{ProtobufFields, ProtobufValue};

/// Which message a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// `prometheus.WriteRequest`, of remote write 1.0.
    V1 = 1,
    /// `io.prometheus.write.v2.Request`, of remote write 2.0.
    V2 = 2,
}

/// What a field of the outermost message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outer {
    Series,
    Metadata,
    Symbol,
    /// A field that the other message has here: such a body was sent as what it is not.
    Foreign,
    Unknown,
}

/// What a field of a series is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Labels,
    Sample,
    Histogram,
    Exemplar,
    Metadata,
    /// When the counters of the series began to count: in drafts of 2.0, before each sample had its own.
    Created,
    Unknown,
}

impl Message {
    pub(super) fn outer(self, number: u32) -> Outer {
        match (self, number) {
            (Message::V1, 1) | (Message::V2, 5) => Outer::Series,
            (Message::V1, 3) => Outer::Metadata,
            (Message::V2, 4) => Outer::Symbol,
            (Message::V1, 4 | 5) | (Message::V2, 1 | 3) => Outer::Foreign,
            _ => Outer::Unknown,
        }
    }

    /// The tag of a series, in its one byte.
    #[inline]
    pub(super) fn series_tag(self) -> u8 {
        match self {
            Message::V1 => 1 << 3 | 2,
            Message::V2 => 5 << 3 | 2,
        }
    }

    #[inline]
    pub(super) fn part(self, number: u32) -> Part {
        match (self, number) {
            (_, 1) => Part::Labels,
            (_, 2) => Part::Sample,
            (Message::V1, 4) | (Message::V2, 3) => Part::Histogram,
            (Message::V1, 3) | (Message::V2, 4) => Part::Exemplar,
            (Message::V2, 5) => Part::Metadata,
            (Message::V2, 6) => Part::Created,
            _ => Part::Unknown,
        }
    }

    /// The name of the message that the other fields belong to.
    pub(super) fn other_name(self) -> &'static str {
        match self {
            Message::V1 => "io.prometheus.write.v2.Request",
            Message::V2 => "prometheus.WriteRequest",
        }
    }
}

/// The fields of a message that was checked: whatever follows an error is not there.
#[inline]
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = (u32, ProtobufValue<'_>)> + Clone {
    ProtobufFields::new(message).map_while(Result::ok)
}

/// The bytes of a field that was checked to be bytes.
#[inline]
pub(super) fn bytes(value: ProtobufValue<'_>) -> &[u8] {
    value.bytes().unwrap_or_default()
}

/// The field of labels.
pub(super) const LABELS_TAG: u8 = 1 << 3 | 2;

/// The field of a symbol, of 2.0.
pub(super) const SYMBOL_TAG: u8 = 4 << 3 | 2;
