//! What can be wrong with a line.

/// Why a line was rejected, and where.
#[derive(Clone, Debug)]
pub(super) struct LineFault {
    /// Bytes from the line's start.
    pub(super) at: usize,
    pub(super) fault: Fault,
}

/// What was wrong.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    MissingMeasurement,
    BadMeasurement,
    MissingTagKey,
    MissingTagEquals,
    MissingTagValue,
    BadTagByte,
    ReservedTag(String),
    MissingFields,
    MissingFieldKey,
    MissingFieldEquals,
    MissingFieldValue,
    DuplicateField(String),
    FieldOfTwoTypes(String),
    NotAValue,
    BadNumber,
    NumberOutOfRange,
    BadBoolean,
    OpenString,
    AfterValue,
    BadTimestamp,
    TimestampOutOfRange,
    AfterTimestamp,
    TrailingBackslash,
    NotUtf8,
    NameTooLong,
    LineTooLong,
    BadComment,
    Refused(crate::model::Refusal),
}

impl Fault {
    pub(super) fn at(self, at: usize) -> LineFault {
        LineFault { at, fault: self }
    }

    /// Whether the rest of the line cannot be understood, rather than only not be taken.
    pub(super) fn ends_line(&self) -> bool {
        matches!(self.reason(), "syntax" | "value" | "timestamp")
    }

    /// The fault as a label of `tidegate_rows_rejected_total`: few, so that the metric stays small.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Fault::MissingMeasurement
            | Fault::BadMeasurement
            | Fault::MissingTagKey
            | Fault::MissingTagEquals
            | Fault::MissingTagValue
            | Fault::BadTagByte
            | Fault::MissingFields
            | Fault::MissingFieldKey
            | Fault::MissingFieldEquals
            | Fault::MissingFieldValue
            | Fault::OpenString
            | Fault::AfterValue
            | Fault::AfterTimestamp
            | Fault::TrailingBackslash
            | Fault::BadComment => "syntax",
            Fault::NotAValue | Fault::BadNumber | Fault::NumberOutOfRange | Fault::BadBoolean => "value",
            Fault::BadTimestamp | Fault::TimestampOutOfRange => "timestamp",
            Fault::ReservedTag(_) | Fault::DuplicateField(_) | Fault::FieldOfTwoTypes(_) => "name",
            Fault::NotUtf8 => "utf8",
            Fault::NameTooLong | Fault::LineTooLong => "too_large",
            Fault::Refused(refusal) => refusal.reason(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Fault::MissingMeasurement => "missing measurement",
            Fault::BadMeasurement => "invalid character in measurement",
            Fault::MissingTagKey => "missing tag key",
            Fault::MissingTagEquals => "missing '=' after tag key",
            Fault::MissingTagValue => "missing tag value",
            Fault::BadTagByte => "invalid character in tag",
            Fault::ReservedTag(name) => return write!(f, "tag key {name:?} is reserved"),
            Fault::MissingFields => "missing fields",
            Fault::MissingFieldKey => "missing field key",
            Fault::MissingFieldEquals => "missing '=' after field key",
            Fault::MissingFieldValue => "missing field value",
            Fault::DuplicateField(name) => return write!(f, "field {name:?} is given twice"),
            Fault::FieldOfTwoTypes(name) => return write!(f, "field {name:?} is given twice, as two types"),
            Fault::NotAValue => "invalid field value",
            Fault::BadNumber => "invalid number",
            Fault::NumberOutOfRange => "number out of range",
            Fault::BadBoolean => "invalid boolean",
            Fault::OpenString => "string without closing quote",
            Fault::AfterValue => "unexpected text after field value",
            Fault::BadTimestamp => "invalid timestamp",
            Fault::TimestampOutOfRange => "timestamp out of range",
            Fault::AfterTimestamp => "unexpected text after timestamp",
            Fault::TrailingBackslash => "name ends with a backslash",
            Fault::NotUtf8 => "invalid UTF-8",
            Fault::NameTooLong => "name or string is too long",
            Fault::LineTooLong => return write!(f, "line is longer than {} bytes", super::LINE_BYTES_MAX),
            Fault::BadComment => "invalid character in comment",
            Fault::Refused(refusal) => return refusal.fmt(f),
        };
        f.write_str(text)
    }
}

impl std::fmt::Display for LineFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.fault {
            Fault::Refused(_) | Fault::LineTooLong | Fault::ReservedTag(_) => self.fault.fmt(f),
            _ => write!(f, "{} at column {}", self.fault, self.at + 1),
        }
    }
}
