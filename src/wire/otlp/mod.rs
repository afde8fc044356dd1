//! OTLP metrics and logs, as protobuf and as JSON.
//!
//! Comes in: a request whole, its [`Signal`] and [`Encoding`]. Goes out: a row for each data point or log record,
//! exemplars and metadata, pushed into an [`Intake`](crate::model::Intake); a point that is not taken is counted with
//! its reason. `docs/otlp.md` says which labels and fields a row has. Nothing is translated here, and nothing merged:
//! names, units, temporality, scopes and whole histograms are in the rows, and who hands them on translates there.
//!
//! There is one way from bytes to rows, and it reads protobuf: JSON is first made into protobuf, by the schema that
//! protobuf bodies are checked against. So the two cannot differ. A request is checked to its end before its first row
//! is taken; afterwards a walk over it remembers in a few offsets where it stands, and goes on there when there is
//! room again.
//!
//! The key of a series is what was sent of resource, scope, metric and point, each part delimited: equal keys are
//! equal labels. It is built in one buffer in which resource and scope stay while only the end changes.

mod check;
mod decoder;
mod exemplar;
mod json;
mod log_record;
mod metric;
mod names;
mod pieces;
mod place;
mod plain;
mod point;
mod schema;
mod series;
mod value;

pub use decoder::{Decoder, Encoding, Signal};

#[cfg(test)]
mod tests;
