//! Block format 1: batches become columns, and columns rows again.
//!
//! In goes a batch in arrival order with the part of the dictionary that its segment does not know yet; out comes one
//! padded block, ready for the log. The other way: the bytes of a block in, its definitions and its rows out. What
//! every byte means is written in `format.md` beside this file; who changes one changes both, and
//! `tests/format_reader.py`, which reads the format from that document alone.
//!
//! Invariants: every bit of every value survives; [`Encoder::encode`] allocates nothing once its buffers have grown;
//! decoding any bytes gives an answer or a [`DecodeError`], within the bounds of `limits.rs`.
//!
//! This room does no I/O, reads no clock, gives no numbers to series, and does not know what a segment or a commit
//! is: the caller fills the header's identity in.

mod codec;
mod container;
mod dictionary;
mod encoder;
mod error;
mod footer;
mod input;
mod limits;
mod order;
mod reader;
mod table;
#[cfg(test)]
mod tests;

pub use dictionary::{
    Checkpoint, DictionaryPart, DictionaryParts, SeriesPart, SymbolsPart, decode_dictionary,
};
pub use encoder::{EncodeInput, EncodeStats, Encoder, ShapeView};
pub use error::DecodeError;
pub use footer::{BlockEntry, Footer, decode_footer, encode_footer};
pub use limits::{DEFINE_BYTES_MAX, FIELDS_MAX};
pub use reader::{BlockRows, Part, decode_rows};
pub use table::{
    Column, ExemplarLabels, Exemplars, MetadataTable, Row, RowOrder, Rows, StartTimes, Table, Value,
};
