//! What can be wrong with a line.

use crate::bytes::json::JsonFault;
use crate::model::Refusal;

/// What was wrong.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Json(JsonFault),
    Value(JsonFault),
    Timestamp(JsonFault),
    Missing(&'static str),
    Twice(&'static str),
    NoLabels,
    Lengths { values: usize, timestamps: usize },
    Surrogate,
    NotUtf8(usize),
    TooLong,
    Refused(Refusal),
}

impl Fault {
    /// The fault as a label of `tidegate_rows_rejected_total`.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Fault::Json(_) | Fault::Missing(_) | Fault::Twice(_) | Fault::Lengths { .. } => "syntax",
            Fault::Value(_) => "value",
            Fault::Timestamp(_) => "timestamp",
            Fault::NoLabels => "labels",
            Fault::Surrogate | Fault::NotUtf8(_) => "utf8",
            Fault::TooLong => "too_large",
            Fault::Refused(refusal) => refusal.reason(),
        }
    }
}

impl From<JsonFault> for Fault {
    fn from(fault: JsonFault) -> Fault {
        Fault::Json(fault)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Json(fault) | Fault::Value(fault) | Fault::Timestamp(fault) => fault.fmt(f),
            Fault::Missing(member) => write!(f, "{member:?} is missing"),
            Fault::Twice(member) => write!(f, "{member:?} is given twice"),
            Fault::NoLabels => f.write_str("\"metric\" has no labels"),
            Fault::Lengths { values, timestamps } => write!(f, "{values} values and {timestamps} timestamps"),
            Fault::Surrogate => f.write_str("a label has half a surrogate pair"),
            Fault::NotUtf8(at) => write!(f, "invalid UTF-8 at column {}", at + 1),
            Fault::TooLong => write!(f, "line is longer than {} bytes", super::LINE_BYTES_MAX),
            Fault::Refused(refusal) => refusal.fmt(f),
        }
    }
}
