//! A row, an exemplar or metadata as a line of JSON: `docs/ndjson.md` is the contract.
//!
//! Every value says its type and keeps every bit, so that the line can be imported again.

use super::composite;
use super::json;
use super::series::Series;
use super::text::{LeftOut, Text};
use crate::block::{ExemplarLabels, Value};
use crate::model::{Malformed, Metadata, MetricType};
use crate::reader::{Labels, Record, Row};

/// Writes rows.
#[derive(Default)]
pub(super) struct Ndjson {
    series: Series,
    text: Text,
}

impl Ndjson {
    /// Appends a record and its newline, or nothing, and says what was left out: a row with a value that breaks the
    /// format.
    #[inline]
    pub(super) fn record(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> LeftOut {
        match record {
            Record::Row(row) => self.row(row, None, out),
            Record::Exemplar(exemplar) => self.row(&exemplar.row, Some(exemplar.labels), out),
            Record::Metadata(metadata) => {
                write_metadata(metadata, out);
                LeftOut::default()
            }
        }
    }

    fn row(&mut self, row: &Row<'_>, exemplar: Option<ExemplarLabels<'_>>, out: &mut Vec<u8>) -> LeftOut {
        let start = out.len();
        match self.try_row(row, exemplar, out) {
            Ok(()) => LeftOut::default(),
            Err(Malformed) => {
                out.truncate(start);
                LeftOut::ROW
            }
        }
    }

    fn try_row(
        &mut self,
        row: &Row<'_>,
        exemplar: Option<ExemplarLabels<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        out.push(b'{');
        if row.tenant != 0 {
            out.extend_from_slice(b"\"tenant\":");
            self.text.integer(row.tenant, out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"time\":");
        self.text.integer(row.time_ns, out);
        if let Some(start) = row.start_time_ns() {
            out.extend_from_slice(b",\"start\":");
            self.text.integer(start, out);
        }
        out.extend_from_slice(self.series.labels(row, write_labels));
        let mut previous: Option<&[u8]> = None;
        for (name, value) in row.fields() {
            if previous == Some(name) {
                // Two values of one name, which differ in type, stand in one object.
                out.push(b',');
            } else {
                if previous.is_some() {
                    out.extend_from_slice(b"},");
                }
                json::string(name, out);
                out.extend_from_slice(b":{");
            }
            previous = Some(name);
            self.value(value, out)?;
        }
        out.extend_from_slice(if previous.is_some() { b"}}" } else { b"}" });
        if let Some(labels) = exemplar {
            out.extend_from_slice(b",\"exemplar\":{");
            write_pairs(labels.iter(), out);
            out.push(b'}');
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    fn value(&mut self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match value {
            Value::F64(v) => {
                out.extend_from_slice(b"\"f64\":");
                json::float(v, &mut self.text, out);
            }
            Value::I64(v) => {
                out.extend_from_slice(b"\"i64\":");
                self.text.integer(v, out);
            }
            Value::U64(v) => {
                out.extend_from_slice(b"\"u64\":");
                self.text.integer(v, out);
            }
            Value::Bool(v) => out.extend_from_slice(if v { b"\"bool\":true" } else { b"\"bool\":false" }),
            Value::String(v) => {
                out.extend_from_slice(b"\"string\":");
                json::string(v, out);
            }
            Value::Bytes(v) => {
                out.extend_from_slice(b"\"bytes\":");
                json::base64(v, out);
            }
            Value::Null => out.extend_from_slice(b"\"null\":null"),
            Value::Nested(v) => {
                out.extend_from_slice(b"\"nested\":");
                composite::nested(v, &mut self.text, out)?;
            }
            Value::Histogram(v) => {
                out.extend_from_slice(b"\"histogram\":");
                composite::histogram(v, &mut self.text, out)?;
            }
        }
        Ok(())
    }
}

fn write_labels(labels: Labels<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"labels\":{");
    write_pairs(labels.iter(), out);
    out.extend_from_slice(b"},\"fields\":{");
}

fn write_pairs<'l>(labels: impl Iterator<Item = (&'l [u8], &'l [u8])>, out: &mut Vec<u8>) {
    for (i, (name, value)) in labels.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::string(name, out);
        out.push(b':');
        json::string(value, out);
    }
}

fn write_metadata(metadata: &Metadata<'_>, out: &mut Vec<u8>) {
    let kind = match metadata.kind {
        MetricType::Unknown => "unknown",
        MetricType::Counter => "counter",
        MetricType::Gauge => "gauge",
        MetricType::Summary => "summary",
        MetricType::Histogram => "histogram",
        MetricType::GaugeHistogram => "gauge_histogram",
        MetricType::StateSet => "state_set",
        MetricType::Info => "info",
    };
    out.extend_from_slice(b"{\"metadata\":{\"name\":");
    json::string(metadata.name, out);
    out.extend_from_slice(b",\"type\":");
    json::string(kind.as_bytes(), out);
    out.extend_from_slice(b",\"unit\":");
    json::string(metadata.unit, out);
    out.extend_from_slice(b",\"help\":");
    json::string(metadata.help, out);
    out.extend_from_slice(b"}}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NAN_CANONICAL_BITS, NAN_STALE_BITS};

    #[test]
    fn values_say_their_type() {
        for (value, text) in [
            (Value::F64(58.2), r#""f64":58.2"#),
            (Value::F64(5.0), r#""f64":5.0"#),
            (Value::F64(-0.0), r#""f64":-0.0"#),
            (Value::F64(1e300), r#""f64":1e+300"#),
            (Value::F64(f64::INFINITY), r#""f64":"+Inf""#),
            (Value::F64(f64::NEG_INFINITY), r#""f64":"-Inf""#),
            (Value::F64(f64::from_bits(NAN_CANONICAL_BITS)), r#""f64":"NaN""#),
            (Value::F64(f64::from_bits(NAN_STALE_BITS)), r#""f64":"stale""#),
            (Value::F64(f64::from_bits(0xfff8_0000_0000_0000)), r#""f64":"NaN:fff8000000000000""#),
            (Value::I64(i64::MIN), r#""i64":-9223372036854775808"#),
            (Value::U64(u64::MAX), r#""u64":18446744073709551615"#),
            (Value::Bool(true), r#""bool":true"#),
            (Value::Bool(false), r#""bool":false"#),
            (Value::String(b"a\"b"), r#""string":"a\"b""#),
            (Value::Bytes(&[0, 255, 1, 2]), r#""bytes":"AP8BAg==""#),
            (Value::Null, r#""null":null"#),
            (Value::Nested(&[16, 1, 7]), r#""nested":{"list":[{"null":null}]}"#),
        ] {
            let mut out = Vec::new();
            Ndjson::default().value(value, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
