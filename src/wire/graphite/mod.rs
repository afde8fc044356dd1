//! Graphite's plaintext protocol: `metric value timestamp`, a line each.
//!
//! Comes in: lines in pieces of any size. Goes out: rows of one field `value`, pushed into an
//! [`Intake`](crate::model::Intake), and a [`WriteResult`](crate::model::WriteResult) that names every line not taken.
//! The path is the label `__name__`, tags (`;name=value`) are labels.
//!
//! The rules are carbon's. A line is three words; `-1` and what truncates to it is the time of arrival; other
//! timestamps are seconds, fractions cut off. A value that is no number (`nan`) is rejected, where carbon drops it
//! without a word; infinities are taken. Of several tags of one name the last one counts. Where carbon says nothing,
//! a tag without name or value, with `!` or `^` in its name, or with `~` before its value is left out, as
//! VictoriaMetrics and Telegraf do.
//!
//! Invariants: a line becomes a row or a fault; the same bytes give the same rows wherever they are cut; nothing is
//! allocated per row after the first of its series. What it refuses to know: sockets, and the clock, which it is told.

mod decoder;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;

/// Bytes of a line at most, its newline not counted.
pub const LINE_BYTES_MAX: usize = 64 << 10;
