//! Lines of JSON as `tidegate log cat` prints them: `docs/ndjson.md` is the contract.
//!
//! Comes in: a body in pieces of any size. Goes out: rows, exemplars and metadata, pushed into an
//! [`Intake`](crate::model::Intake), and a [`WriteResult`](crate::model::WriteResult) that names every line not taken.
//! Exemplars and metadata count as accepted rows without samples.
//!
//! Invariants: what was printed comes back bit for bit; a line becomes one whole row or none; nothing is dropped in
//! silence: a member that the contract does not know refuses its line. A series' key is the text of its `labels`.
//!
//! ```text
//! {"time":1,"labels":{"__name__":"cpu"},"fields":{"a":{"f64":58.2},"b":{"i64":5,"string":"x"}}}
//!                    ------- key ------           ----------1     -----------2 ----------3
//! ```
//!
//! The texts 1 to 3 are those of the row's shape: a line of the printed form is compared with what its series' last
//! row looked like, and only its values are read (`expected`). Other spellings of the same row (spaces, members in
//! another order) are read member by member ([`line`]).

mod base64;
mod composite;
mod decoder;
mod expected;
mod fault;
mod line;
#[cfg(test)]
mod tests;
mod value;

pub use decoder::Decoder;

/// Bytes of a line at most, its newline not counted. Longer lines are rejected and never buffered whole.
pub const LINE_BYTES_MAX: usize = 1 << 20;
