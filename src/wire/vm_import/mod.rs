//! VictoriaMetrics' JSON lines, as its `/api/v1/import` takes and its `/api/v1/export` prints them.
//!
//! ```text
//! {"metric":{"__name__":"up","job":"n"},"values":[1,null],"timestamps":[1549891472010,1549891487724]}
//! ```
//!
//! Comes in: a body in pieces of any size, and labels that the request adds to all series. Goes out: a row with the
//! field `value` for each pair of value and timestamp (milliseconds), pushed into an [`Intake`](crate::model::Intake),
//! and a [`WriteResult`](crate::model::WriteResult) that names every line not taken: VictoriaMetrics skips those in
//! silence.
//!
//! The dialect, after its parser: values may be `null`, `NaN`, `Inf`, `Infinity`, bare or quoted, with a sign and in
//! any case; null is NaN. Timestamps are integers. Labels without a name or a value are none, and a series needs one.
//! Members that it does not know are ignored.
//!
//! Invariants: a line becomes all of its rows or none; an intake that is full in the middle of a line gets the rest of
//! its rows later. A label that is no string refuses its line, where VictoriaMetrics takes it as empty. A line that is
//! refused counts as many rows as it has values, or as one where those don't begin or don't end.

mod decoder;
mod fault;
mod line;
#[cfg(test)]
mod tests;

pub use decoder::{Decoder, ExtraLabels};

/// Bytes of a line at most, its newline not counted: what VictoriaMetrics takes, since its export has a series' whole
/// life in a line. Longer lines are rejected and never buffered whole; those who export bound theirs by
/// `max_rows_per_line`.
pub const LINE_BYTES_MAX: usize = 10 << 20;
