//! What can be wrong with a line.

use crate::bytes::json::JsonFault;
use crate::model::{HistogramError, Refusal};

/// What was wrong.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// No JSON, or another kind of value than is expected here.
    Json(JsonFault),
    /// A value that its type does not have.
    Value(JsonFault),
    Missing(&'static str),
    Misplaced(&'static str),
    UnknownMember(String),
    Twice(String),
    UnknownType(String),
    NoValue(String),
    Tenant(u64),
    Surrogate(String),
    NotUtf8(usize),
    TooLong,
    Histogram(HistogramError),
    Refused(Refusal),
}

impl Fault {
    /// The fault as a label of `tidegate_rows_rejected_total`.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Fault::Json(_) => "syntax",
            Fault::Value(_) | Fault::Histogram(_) => "value",
            Fault::Missing(_)
            | Fault::Misplaced(_)
            | Fault::UnknownMember(_)
            | Fault::Twice(_)
            | Fault::UnknownType(_)
            | Fault::NoValue(_) => "name",
            Fault::Tenant(_) => "tenant",
            Fault::Surrogate(_) | Fault::NotUtf8(_) => "utf8",
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
            Fault::Json(fault) | Fault::Value(fault) => fault.fmt(f),
            Fault::Missing(member) => write!(f, "{member:?} is missing"),
            Fault::Misplaced(member) => write!(f, "{member:?} does not belong to such a line"),
            Fault::UnknownMember(name) => write!(f, "unknown member {name:?}"),
            Fault::Twice(name) => write!(f, "{name:?} is given twice"),
            Fault::UnknownType(name) => write!(f, "unknown type {name:?}"),
            Fault::NoValue(name) => write!(f, "field {name:?} has no value"),
            Fault::Tenant(tenant) => write!(f, "tenant {tenant}: only tenant 0 is there"),
            Fault::Surrogate(text) => write!(f, "{text:?} has a surrogate that is no byte"),
            Fault::NotUtf8(at) => write!(f, "invalid UTF-8 at column {}", at + 1),
            Fault::TooLong => write!(f, "line is longer than {} bytes", super::LINE_BYTES_MAX),
            Fault::Histogram(error) => error.fmt(f),
            Fault::Refused(refusal) => refusal.fmt(f),
        }
    }
}
