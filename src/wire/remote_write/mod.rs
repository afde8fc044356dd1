//! Prometheus remote write 1.0 and 2.0: protobuf messages, decompressed.
//!
//! Comes in: a whole body and which [`Message`] it is. Goes out: a row for each sample and each native histogram, its
//! only field named `value`; exemplars and metadata beside them; and a
//! [`WriteResult`](crate::model::WriteResult) that names each series not taken by its place in the message, from 1.
//!
//! Nothing is taken of a body that is no message: [`check`](crate::wire::Decode::check) walks over all of it first.
//! What a message says wrongly costs the series or the sample that says it, and no other, as in Prometheus's
//! receiver: labels without a name, twice the same label, references into nowhere, histograms that do not add up.
//! Where rows are out of order, old or there already is no fault: that is the store's business.
//!
//! A series' key is, for 1.0, the bytes of its labels fields as received; for 2.0, the symbols that its references
//! mean, each with its length before it, so that the same labels have the same key in every request.
//!
//! Invariants: every bit of a value is kept, stale markers too; times are exact or the row is rejected; nothing is
//! allocated per row after the first rows of a kind.
//!
//! What it refuses to know: HTTP, snappy, the clock, what becomes of rows.

mod ahead;
mod check;
mod decoder;
mod fault;
mod histogram;
mod labels;
mod message;
#[cfg(test)]
mod oracle;
mod plain;
mod rows;
mod spelling;
mod symbols;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use message::Message;

/// Bytes of a series' key at most: about its labels. Of an exemplar's labels, too. References could otherwise make a
/// great deal of a small message.
const LABELS_BYTES_MAX: usize = 64 << 10;

/// The name of the only field of a row.
const VALUE: &[u8] = b"value";
