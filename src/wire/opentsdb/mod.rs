//! OpenTSDB's data points: JSON, as `/api/put` takes them, and `put` lines, as its telnet port does.
//!
//! ```text
//! [{"metric":"sys.cpu.nice","timestamp":1346846400,"value":18,"tags":{"host":"web01","dc":"lga"}}]
//! put sys.cpu.nice 1346846400 18 host=web01 dc=lga
//! ```
//!
//! Goes out: a row with the field `value` for each point, its metric the label `__name__`, pushed into an
//! [`Intake`](crate::model::Intake), and a [`WriteResult`](crate::model::WriteResult) that names every point not taken
//! in OpenTSDB's words. A value without point and exponent is an integer, a number as well as a string of one, and
//! stays one: `value` is then an i64, else an f64. Timestamps are seconds up to 32 bits and milliseconds beyond, up to
//! 13 digits. A fraction counts to the nanosecond behind ten digits or more, and a finer one is a fault; behind fewer,
//! a time before September 2001, it is cut off.
//!
//! What is a fault is OpenTSDB's to say: metric, tag names and values are letters, digits and `-_./`; a point has a
//! positive timestamp, a value that is a finite number, and by JSON at least one tag. There JSON's scalars stand for
//! each other as they do for its parser (a tag `7`, a timestamp in quotes; only a metric is a string), the last of two
//! members of one name counts, and unknown ones are ignored. Its bound of eight tags, which its storage sets, is not
//! kept.
//!
//! A body that is no JSON is refused whole ([`Decoder`]); of one that is, each bad point alone, where OpenTSDB refuses
//! the whole body for a wrong type. Of lines ([`Lines`]) each stands for itself.

mod decoder;
mod fault;
mod lines;
mod point;
#[cfg(test)]
mod tests;
mod value;

pub use decoder::Decoder;
pub use lines::Lines;

/// Bytes of a `put` line at most, its newline not counted. Longer lines are rejected and never buffered whole.
pub const LINE_BYTES_MAX: usize = 64 << 10;
