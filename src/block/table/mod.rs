//! Tables: rows with common fields, as columns.
//!
//! Rows of one field share a table for each (field, type), whatever their metric's name; wider rows share one for
//! each name, with a validity bit map for columns that not all of its rows have.

mod decode;
mod encode;
mod plan;
mod side;
mod side_decode;

pub use decode::{Column, Row, Rows, StartTimes, Table, Value};
pub(super) use decode::{TableHead, TableKind};
pub(super) use encode::Scratch;
pub(super) use plan::Plan;
pub use side_decode::{ExemplarLabels, Exemplars, MetadataTable};
pub(super) use side_decode::{decode_exemplars, decode_metadata};

use super::codec::Codec;
use crate::model::FieldType;

/// The order of a table's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RowOrder {
    /// As they arrived.
    Arrival = 0,
    /// By series number, and as they arrived within one.
    Series = 1,
    /// By series number and time, and as they arrived within those.
    SeriesTime = 2,
}

/// The kinds of a table's sections.
mod section {
    /// Series numbers.
    pub(super) const SERIES: u8 = 1;
    /// Times.
    pub(super) const TIME: u8 = 2;
    /// A field.
    pub(super) const FIELD: u8 = 3;
    /// The labels of exemplars.
    pub(super) const LABELS: u8 = 5;
    /// The names of metrics.
    pub(super) const METRICS: u8 = 6;
    /// The types of metrics.
    pub(super) const TYPES: u8 = 7;
    /// The units of metrics.
    pub(super) const UNITS: u8 = 8;
    /// The help texts of metrics.
    pub(super) const HELPS: u8 = 9;
    /// Start times.
    pub(super) const START_TIME: u8 = 0x84;
}

/// Whether a column of this type may have this codec.
fn codec_fits(kind: FieldType, codec: Codec) -> bool {
    match codec {
        Codec::None => kind == FieldType::Null,
        Codec::Words => {
            matches!(kind, FieldType::F64 | FieldType::I64 | FieldType::U64 | FieldType::Bool)
        }
        Codec::Decimal => kind == FieldType::F64,
        Codec::Strings | Codec::StringDictionary => kind.on_heap(),
    }
}

/// Set in the section of a column: a bit map says which rows have it.
const PARTIAL: u8 = 1;
