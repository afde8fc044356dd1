//! What can be wrong with a point, in OpenTSDB's words.

use crate::bytes::json::JsonFault;
use crate::model::Refusal;

/// What was wrong.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Fault {
    /// A value of a kind that cannot stand here.
    Json(JsonFault),
    Surrogate,
    NotUtf8,
    EmptyMetric,
    Timestamp,
    TimestampText(String),
    TimestampTooLarge(i64),
    EmptyValue,
    NotANumber(String),
    NotFinite,
    MissingTags,
    EmptyName(&'static str),
    IllegalName {
        what: &'static str,
        name: String,
        illegal: char,
    },
    Tag(String),
    DuplicateTag(String),
    TooFewWords(usize),
    UnknownCommand(String),
    TooLong,
    Refused(Refusal),
}

impl Fault {
    /// The fault as a label of `tidegate_rows_rejected_total`.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Fault::Json(_) | Fault::TooFewWords(_) | Fault::UnknownCommand(_) => "syntax",
            Fault::Surrogate | Fault::NotUtf8 => "utf8",
            Fault::EmptyMetric | Fault::EmptyName(_) | Fault::IllegalName { .. } => "name",
            Fault::Timestamp | Fault::TimestampText(_) | Fault::TimestampTooLarge(_) => "timestamp",
            Fault::EmptyValue | Fault::NotANumber(_) | Fault::NotFinite => "value",
            Fault::MissingTags | Fault::Tag(_) | Fault::DuplicateTag(_) => "labels",
            Fault::TooLong => "too_large",
            Fault::Refused(refusal) => refusal.reason(),
        }
    }

    /// The fault as the telnet port tells it, without the newline.
    pub(super) fn telnet(&self) -> String {
        match self {
            Fault::UnknownCommand(_) => self.to_string(),
            Fault::NotANumber(text) => format!("put: invalid value: {text}"),
            Fault::TimestampText(text) => format!("put: invalid value: timestamp {text}"),
            Fault::EmptyMetric => "put: illegal argument: empty metric name".into(),
            Fault::EmptyValue => "put: illegal argument: empty value".into(),
            Fault::Timestamp => "put: illegal argument: invalid timestamp".into(),
            _ => format!("put: illegal argument: {self}"),
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
            Fault::Json(fault) => fault.what.fmt(f),
            Fault::Surrogate => f.write_str("a string has half a surrogate pair"),
            Fault::NotUtf8 => f.write_str("invalid UTF-8"),
            Fault::EmptyMetric => f.write_str("Metric name was empty"),
            Fault::Timestamp | Fault::TimestampText(_) => f.write_str("Invalid timestamp"),
            Fault::TimestampTooLarge(timestamp) => write!(f, "bad timestamp={timestamp}"),
            Fault::EmptyValue => f.write_str("Empty value"),
            Fault::NotANumber(_) => f.write_str("Unable to parse value to a number"),
            Fault::NotFinite => f.write_str("value is NaN or Infinite"),
            Fault::MissingTags => f.write_str("Missing tags"),
            Fault::EmptyName(what) => write!(f, "Invalid {what}: empty string"),
            Fault::IllegalName { what, name, illegal } => {
                write!(f, "Invalid {what} ({name:?}): illegal character: {illegal}")
            }
            Fault::Tag(tag) => write!(f, "invalid tag: {tag}"),
            Fault::DuplicateTag(tag) => write!(f, "duplicate tag: {tag}"),
            Fault::TooFewWords(words) => write!(f, "not enough arguments (need least 3, got {words})"),
            Fault::UnknownCommand(command) => write!(f, "unknown command: {command}.  Try `help'."),
            Fault::TooLong => write!(f, "line is longer than {} bytes", super::LINE_BYTES_MAX),
            Fault::Refused(refusal) => refusal.fmt(f),
        }
    }
}
