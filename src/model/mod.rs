//! The nouns that every other room speaks: labels, series, shapes, rows, batches, the dictionary, block headers.
//!
//! Nothing here does I/O, reads a clock, or knows a wire format. What two rooms of one floor must agree on is
//! defined here, so that they need not know each other.

mod batch;
mod dictionary;
mod header;
mod histogram;
mod intake;
pub(crate) mod json;
mod labels;
mod narrow;
mod nested;
mod parts;
mod result;
mod row;
mod shape;
mod side;
pub mod units;
mod value;

pub use batch::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, Batch, BatchMark, Full, RowRef};
pub use dictionary::{Dictionary, DictionaryMark, SeriesId, SymbolId, decode_series, encode_series};
pub use header::{
    BLOCK_ALIGN, BLOCK_BYTES_MAX, BLOCK_MAGIC, BlockHeader, BlockKind, FORMAT_VERSION, HEADER_LEN,
    HeaderError, LogId, crc32c,
};
pub use histogram::{
    Buckets, BucketsBuf, Count, CountKind, CountsError, GAP_MAX, Histogram, HistogramBuf, HistogramError,
    ResetHint, SCHEMA_CUSTOM, SCHEMAS_EXPONENTIAL, Span,
};
pub use intake::{
    Exemplar, FieldText, Intake, Metadata, MetricType, Refusal, Rewrite, Series, ValueRow, Verdict,
    heap_place, heap_word,
};
pub use labels::{LabelsBuf, LabelsError, METRIC_NAME};
pub use narrow::NarrowRows;
pub use nested::{NESTED_DEPTH_MAX, NestedBuf, NestedPart, NestedReader, TooDeep};
pub use parts::Malformed;
pub use result::{ERRORS_KEPT_MAX, RowError, WriteResult};
pub(crate) use row::RowBuf;
pub use shape::{Shape, ShapeField, ShapeId};
pub use side::{ExemplarRef, MetadataRef, SIDE_TEXT_BYTES_MAX};
pub use value::{FieldType, NAN_CANONICAL_BITS, NAN_STALE_BITS};
