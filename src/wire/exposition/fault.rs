//! What can be wrong with a line.

use crate::model::Refusal;

/// What was wrong, and at which byte of the line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LineFault {
    pub(super) at: usize,
    pub(super) fault: Fault,
}

/// What was wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Start,
    MetadataName,
    MetadataText,
    MetricType,
    HelpNotUtf8,
    UnitNotSuffix,
    LabelName,
    LabelEquals,
    LabelValue,
    LabelComma,
    EmptyLabelName,
    DuplicateLabel(String),
    NameTwice,
    NoName,
    NotUtf8,
    NoValue,
    BadValue,
    BadTime,
    TimeOutOfRange,
    AfterTime,
    ExemplarValue,
    ExemplarTime,
    AfterExemplar,
    AfterEof,
    NoEof,
    NoNewline,
    HasTime,
    PushedTwice,
    SecondHelp,
    SecondType,
    TooManySeries,
    TooMuchText,
    TooLong,
    Refused(Refusal),
}

impl Fault {
    pub(super) fn at(self, at: usize) -> LineFault {
        LineFault { at, fault: self }
    }

    /// Whether it is the row that cannot be taken, and not the line that cannot be understood: it costs no other row.
    pub(super) fn is_of_row(&self) -> bool {
        matches!(self, Fault::TimeOutOfRange | Fault::Refused(_))
    }

    /// The fault as a label of `tidegate_rows_rejected_total`: few, so that the metric stays small.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Fault::EmptyLabelName
            | Fault::DuplicateLabel(_)
            | Fault::NameTwice
            | Fault::NoName
            | Fault::PushedTwice => "labels",
            Fault::NoValue | Fault::BadValue | Fault::ExemplarValue => "value",
            Fault::BadTime | Fault::TimeOutOfRange | Fault::ExemplarTime | Fault::HasTime => "timestamp",
            Fault::NotUtf8 | Fault::HelpNotUtf8 => "utf8",
            Fault::TooLong | Fault::TooManySeries | Fault::TooMuchText => "too_large",
            Fault::Refused(refusal) => refusal.reason(),
            _ => "syntax",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Fault::Start => "expected a metric name, '{' or a comment",
            Fault::MetadataName => "expected a metric name after HELP, TYPE or UNIT",
            Fault::MetadataText => "expected text after the metric name",
            Fault::MetricType => "unknown metric type",
            Fault::HelpNotUtf8 => "help text is not UTF-8",
            Fault::UnitNotSuffix => "unit is not a suffix of the metric name",
            Fault::LabelName => "expected a label name or '}'",
            Fault::LabelEquals => "expected '=' after the label name",
            Fault::LabelValue => "expected a label value in double quotes",
            Fault::LabelComma => "expected ',' or '}' after the label value",
            Fault::EmptyLabelName => "empty label name",
            Fault::DuplicateLabel(name) => return write!(f, "label {name:?} is given twice"),
            Fault::NameTwice => "the metric name is given twice",
            Fault::NoName => "no metric name",
            Fault::NotUtf8 => "invalid UTF-8",
            Fault::NoValue => "expected a value",
            Fault::BadValue => "invalid value",
            Fault::BadTime => "invalid timestamp",
            Fault::TimeOutOfRange => "timestamp out of range",
            Fault::AfterTime => "expected a timestamp or the line's end",
            Fault::ExemplarValue => "expected a value after the exemplar's labels",
            Fault::ExemplarTime => "invalid timestamp of the exemplar",
            Fault::AfterExemplar => "expected the line's end after the exemplar",
            Fault::AfterEof => "unexpected data after # EOF",
            Fault::NoEof => "the data does not end with # EOF",
            Fault::NoNewline => "the last line does not end with a newline",
            Fault::HasTime => "a pushed metric must not have a timestamp",
            Fault::PushedTwice => "the series is pushed twice",
            Fault::SecondHelp => "second HELP line for one metric",
            Fault::SecondType => "second TYPE line for one metric, or a TYPE behind its samples",
            Fault::TooManySeries => "a push has at most 131072 series",
            Fault::TooMuchText => "a push has at most 64 MiB of labels",
            Fault::TooLong => return write!(f, "line is longer than {} bytes", super::LINE_BYTES_MAX),
            Fault::Refused(refusal) => return refusal.fmt(f),
        };
        f.write_str(text)
    }
}

impl std::fmt::Display for LineFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.fault {
            Fault::AfterEof | Fault::NoEof | Fault::NoNewline | Fault::TooLong | Fault::Refused(_) => {
                self.fault.fmt(f)
            }
            _ => write!(f, "{} at column {}", self.fault, self.at + 1),
        }
    }
}
