//! The dialects of line protocol and where they differ.
//!
//! One decoder serves three write endpoints whose references read the same bytes differently. What differs is asked
//! here, so that the code reads as one grammar:
//!
//! | | v1 | v2 | v3 |
//! |---|---|---|---|
//! | a delimiter is escaped if | the byte before it is `\` | the same | the `\` before it is not escaped itself |
//! | `\\` in a name | two backslashes | two | one |
//! | and in v1's field keys | the `\` before it is not escaped itself | | |
//! | `\"` in a field key | a quote | two characters | two characters |
//! | a comma behind the only field | error | error | taken |
//! | a `\` before a newline outside strings | joins the lines | nothing | joins the lines |
//! | a quote opens a string | in a value, fields seen so far | at the start of a value | as v1 |
//! | `\n` `\r` `\t` in a string | as they stand | the control character | as they stand |
//! | `.5` and `5.` | floats | floats | errors |
//! | a float that overflows | error | error | infinity |
//! | `\r` before the newline | part of the line | ignored | part of the line |
//! | text behind a closing quote | error | error | error |
//! | control characters in names | taken | errors | tab is an error |
//! | one field name twice in a line | the last one wins | the last one wins | error |
//! | the same of two types | error | error | error |
//!
//! Two things are tidegate's own, in every dialect: names and strings must be UTF-8, since labels are text; and a
//! comment ends at the first newline, whatever quotes it holds, so that it hides no row. A third one is in v1: text
//! behind a closing quote is refused. InfluxDB 1 takes it for a part of the string, less its last byte: it stores `x"`
//! for `"x"` and a `\r`, which nobody has meant.

/// Whose rules a body is read by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// `/write`: InfluxDB 1.
    V1,
    /// `/api/v2/write`: InfluxDB 2 and the clients' own line-protocol library.
    V2,
    /// `/api/v3/write_lp`: InfluxDB 3.
    V3,
}

impl Dialect {
    /// Whether a backslash can itself be escaped in a name, so that two of them before a delimiter escape nothing.
    #[inline]
    pub(super) fn escapes_backslash(self) -> bool {
        self == Dialect::V3
    }

    /// Whether a carriage return before the newline belongs to the line's end.
    #[inline]
    pub(super) fn takes_crlf(self) -> bool {
        self == Dialect::V2
    }

    /// Bytes that may stand before a line's measurement.
    #[inline]
    pub(super) fn is_indent(self, byte: u8) -> bool {
        match self {
            Dialect::V1 => matches!(byte, b' ' | b'\t' | 0),
            Dialect::V2 => byte == b' ',
            Dialect::V3 => matches!(byte, b' ' | b'\t'),
        }
    }

    /// Whether a line that starts with this byte starts with its key.
    #[inline]
    pub(super) fn starts_key(self, byte: u8) -> bool {
        byte != b'#' && !self.is_indent(byte)
    }

    /// Bytes that may stand between sections.
    #[inline]
    pub(super) fn is_gap(self, byte: u8) -> bool {
        match self {
            Dialect::V1 => matches!(byte, b' ' | b'\t' | 0),
            Dialect::V2 | Dialect::V3 => byte == b' ',
        }
    }

    /// Whether a tag of this name is refused.
    #[inline]
    pub(super) fn reserves_tag(self, name: &[u8]) -> bool {
        name == crate::model::METRIC_NAME
            || (self == Dialect::V2 && matches!(name, b"_measurement" | b"_field" | b"time"))
    }
}
