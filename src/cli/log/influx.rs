//! A row as a line of line protocol, as `/write` takes it: fields sorted by name, times in nanoseconds.
//!
//! Line protocol has no form for: a row without a metric's name; labels without a value; names and values of labels
//! that end in a backslash (it would escape what follows) or have a newline in them; a few starts and escapes of
//! names, see below; floats that are not finite; bytes, null, nested values, histograms; a second value of one name;
//! start times; the times at either end of 64 bits, which no InfluxDB 1 takes.
//! A label that can't be written costs the row, since it would become another series' row; a field costs only itself,
//! unless it is the last.

use super::left_out::LeftOut;
use super::series::Series;
use crate::block::Value;
use crate::model::METRIC_NAME;
use crate::model::json::Text;
use crate::reader::{Labels, Row};

/// Writes rows.
#[derive(Default)]
pub(super) struct Influx {
    series: Series,
    text: Text,
}

impl Influx {
    /// Appends a row and its newline, or nothing, and says what was left out.
    pub(super) fn row(&mut self, row: &Row<'_>, out: &mut Vec<u8>) -> LeftOut {
        let key = self.series.labels(row, |labels, key| {
            if write_key(labels, key).is_none() {
                key.clear();
            }
        });
        if key.is_empty() || !TIMES_NS.contains(&row.time_ns) {
            return LeftOut::ROW;
        }
        let start = out.len();
        out.extend_from_slice(key);
        let mut separator = b' ';
        let mut left_out = LeftOut::default();
        let mut previous: Option<&[u8]> = None;
        for (name, value) in row.fields() {
            let field = out.len();
            out.push(separator);
            if previous == Some(name) || write_field(name, out).is_none() || !self.value(value, out) {
                out.truncate(field);
                left_out.values += 1;
                continue;
            }
            previous = Some(name);
            separator = b',';
        }
        if separator == b' ' {
            out.truncate(start);
            return LeftOut::ROW;
        }
        out.push(b' ');
        self.text.integer(row.time_ns, out);
        out.push(b'\n');
        left_out.values += u64::from(row.start_time_ns().is_some());
        left_out
    }

    /// Whether there is a form for the value.
    fn value(&mut self, value: Value<'_>, out: &mut Vec<u8>) -> bool {
        out.push(b'=');
        match value {
            Value::F64(v) if v.is_finite() => self.text.float(v, out),
            Value::I64(v) => {
                self.text.integer(v, out);
                out.push(b'i');
            }
            Value::U64(v) => {
                self.text.integer(v, out);
                out.push(b'u');
            }
            Value::Bool(v) => out.extend_from_slice(if v { b"true" } else { b"false" }),
            Value::String(v) if std::str::from_utf8(v).is_ok() => {
                out.push(b'"');
                for &byte in v {
                    if matches!(byte, b'"' | b'\\') {
                        out.push(b'\\');
                    }
                    out.push(byte);
                }
                out.push(b'"');
            }
            Value::F64(_) | Value::String(_) | Value::Bytes(_) => return false,
            Value::Null | Value::Nested(_) | Value::Histogram(_) => return false,
        }
        true
    }
}

/// The times that `/write` takes.
const TIMES_NS: std::ops::RangeInclusive<i64> = i64::MIN + 2..=i64::MAX - 1;

/// Measurement and tags; `None` if they can't be written.
fn write_key(labels: Labels<'_>, out: &mut Vec<u8>) -> Option<()> {
    let metric = labels.value(METRIC_NAME)?;
    // A line that starts with # is a comment.
    if metric.starts_with(b"#") || is_skipped(metric) {
        return None;
    }
    write_name(metric, b", ", out)?;
    for (name, value) in labels.iter().filter(|&(name, _)| name != METRIC_NAME) {
        out.push(b',');
        write_name(name, b",= ", out)?;
        out.push(b'=');
        write_name(value, b",= ", out)?;
    }
    Some(())
}

/// A field's name. In it, and not in labels, two backslashes escape each other: one before a delimiter can't be told
/// from the delimiter's escape.
fn write_field(name: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if is_plain(name) {
        out.extend_from_slice(name);
        return Some(());
    }
    let mut odd = false;
    for &byte in name {
        if odd && matches!(byte, b',' | b'=' | b' ') {
            return None;
        }
        odd = byte == b'\\' && !odd;
    }
    // A quote needs no escape, but is read as escaped behind a backslash.
    let special: &[u8] = if name.windows(2).any(|pair| pair == b"\\\"") { b",= \"" } else { b",= " };
    if is_skipped(name) { None } else { write_name(name, special, out) }
}

/// Whether a text stands for itself everywhere: a way through for nearly all.
fn is_plain(text: &[u8]) -> bool {
    let plain = |b: u8| (b > b' ') & (b < 0x7f) & (b != b',') & (b != b'=') & (b != b'\\');
    !text.is_empty() && text.iter().fold(true, |all, &b| all & plain(b))
}

/// Whether a line's parser passes over the start of a name.
fn is_skipped(name: &[u8]) -> bool {
    name.first().is_some_and(|&byte| byte == 0 || byte != b' ' && byte.is_ascii_whitespace())
}

/// A name or a label's value, with a backslash before each of `special`.
fn write_name(text: &[u8], special: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if is_plain(text) {
        out.extend_from_slice(text);
        return Some(());
    }
    let unwritable = text.is_empty() || text.ends_with(b"\\") || text.contains(&b'\n');
    if unwritable || std::str::from_utf8(text).is_err() {
        return None;
    }
    for &byte in text {
        if special.contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
    Some(())
}
