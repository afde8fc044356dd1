//! What can be wrong with an element.

use super::{TEXT_BYTES_MAX, VALUES_MAX};
use crate::bytes::json::JsonFault;
use crate::model::Refusal;

/// What was wrong.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Fault {
    /// A value of a kind that cannot stand here.
    Json(JsonFault),
    /// The element is neither of what write_http sends.
    Unknown,
    Surrogate,
    NotUtf8,
    /// The member that names the row is missing, or empty.
    NoName(&'static str),
    Time(String),
    NoValues,
    NotAValue,
    OutOfRange,
    SourceType(String),
    /// So many of the one where there are so many values.
    Count {
        what: &'static str,
        found: usize,
        values: usize,
    },
    Twice(String),
    TooManyValues,
    TooLong,
    Refused(Refusal),
}

impl Fault {
    /// The fault as a label of `tidegate_rows_rejected_total`.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Fault::Json(_) | Fault::Unknown | Fault::SourceType(_) | Fault::Count { .. } => "syntax",
            Fault::Surrogate | Fault::NotUtf8 => "utf8",
            Fault::NoName(_) | Fault::Twice(_) => "name",
            Fault::Time(_) => "timestamp",
            Fault::NoValues | Fault::NotAValue | Fault::OutOfRange => "value",
            Fault::TooManyValues | Fault::TooLong => "too_large",
            Fault::Refused(refusal) => refusal.reason(),
        }
    }
}

/// What an error quotes of a text.
pub(super) fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(SHOWN_BYTES_MAX)]).into_owned()
}

const SHOWN_BYTES_MAX: usize = 64;

impl From<JsonFault> for Fault {
    fn from(fault: JsonFault) -> Fault {
        Fault::Json(fault)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Json(fault) => fault.what.fmt(f),
            Fault::Unknown => f.write_str("neither a value list (values) nor an alert (labels)"),
            Fault::Surrogate => f.write_str("a string has half a surrogate pair"),
            Fault::NotUtf8 => f.write_str("invalid UTF-8"),
            Fault::NoName(member) => write!(f, "no {member}"),
            Fault::Time(text) => write!(f, "not a time: {text}"),
            Fault::NoValues => f.write_str("no values"),
            Fault::NotAValue => f.write_str("a value is a number or null"),
            Fault::OutOfRange => f.write_str("a value is out of a double's range"),
            Fault::SourceType(kind) => write!(f, "unknown type of a data source: {kind:?}"),
            Fault::Count { what, found, values } => write!(f, "{found} {what} for {values} values"),
            Fault::Twice(name) => write!(f, "two values are called {name:?}"),
            Fault::TooManyValues => write!(f, "over {VALUES_MAX} values"),
            Fault::TooLong => write!(f, "its texts are over {TEXT_BYTES_MAX} bytes"),
            Fault::Refused(refusal) => refusal.fmt(f),
        }
    }
}
