//! Influx line protocol, as `/write`, `/api/v2/write` and `/api/v3/write_lp` take it.
//!
//! Comes in: a body in pieces of any size, the [`Dialect`] of its endpoint, the [`Precision`] of its timestamps.
//! Goes out: rows, pushed into an [`Intake`](crate::model::Intake), and a
//! [`WriteResult`](crate::model::WriteResult) that names every line not taken. The measurement is the label
//! `__name__`, tags are labels, fields are the row's fields; a field family `a::b` is the field's name as it stands.
//!
//! Invariants: a line becomes a whole row or none; the same bytes give the same rows and the same faults wherever
//! they are cut; nothing is allocated per row after the first rows of a kind; a piece of a line kept by the caller
//! is never longer than [`LINE_BYTES_MAX`].
//!
//! What it refuses to know: HTTP, compression, the clock, what becomes of rows.

mod decoder;
mod dialect;
mod fault;
mod fields;
mod key;
mod line;
mod number;
#[cfg(test)]
mod oracle;
mod plan;
mod scan;
#[cfg(test)]
mod tests;
mod text;
mod time;

pub use decoder::Decoder;
pub use dialect::Dialect;
pub use time::Precision;

/// Bytes of a line at most, its newline not counted. Longer lines are rejected and never buffered whole.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// InfluxDB 1's bound on a line's key, and on key, separator and field key together.
const KEY_BYTES_MAX_V1: usize = 65_535;

/// InfluxDB 3's bound on each name, tag value and string.
const NAME_BYTES_MAX_V3: usize = 65_536;
