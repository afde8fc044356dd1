//! A row as a line of JSON: `docs/ndjson.md` is the contract.
//!
//! Every value says its type and keeps every bit, so that the line can be imported again. The one thing that JSON
//! has no form for is text that is not UTF-8: such a row is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::text::{LeftOut, Text};
use crate::block::Value;
use crate::model::{NAN_CANONICAL_BITS, NAN_STALE_BITS};
use crate::reader::Row;

/// Writes rows; keeps what rows of one series have in common.
#[derive(Default)]
pub(super) struct Ndjson {
    /// The labels as they are written, of the series named beside them.
    labels: Vec<u8>,
    labels_of: Option<(u32, u64, u32)>,
    text: Text,
}

/// A text is not UTF-8.
#[derive(Debug)]
struct NotUtf8;

impl Ndjson {
    /// Appends a row and its newline, or nothing, and says what was left out.
    pub(super) fn row(&mut self, row: &Row<'_>, out: &mut Vec<u8>) -> LeftOut {
        let start = out.len();
        match self.try_row(row, out) {
            Ok(()) => LeftOut::default(),
            Err(NotUtf8) => {
                out.truncate(start);
                LeftOut::ROW
            }
        }
    }

    fn try_row(&mut self, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), NotUtf8> {
        let series = (row.arrival.worker, row.arrival.sequence, row.series);
        if self.labels_of != Some(series) {
            self.labels_of = None;
            self.write_labels(row)?;
            self.labels_of = Some(series);
        }
        out.extend_from_slice(b"{\"time\":");
        self.text.integer(row.time_ns, out);
        out.extend_from_slice(&self.labels);
        let mut previous: Option<&[u8]> = None;
        for (name, value) in row.fields() {
            // A name with two values, which differ in type, has both in one object.
            match previous {
                Some(previous) if previous == name => out.push(b','),
                Some(_) => {
                    out.extend_from_slice(b"},");
                    string(name, out)?;
                    out.extend_from_slice(b":{");
                }
                None => {
                    string(name, out)?;
                    out.extend_from_slice(b":{");
                }
            }
            previous = Some(name);
            self.value(value, out)?;
        }
        if previous.is_some() {
            out.push(b'}');
        }
        out.extend_from_slice(b"}}\n");
        Ok(())
    }

    fn write_labels(&mut self, row: &Row<'_>) -> Result<(), NotUtf8> {
        let out = &mut self.labels;
        out.clear();
        out.extend_from_slice(b",\"labels\":{");
        for (i, (name, value)) in row.labels.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            string(name, out)?;
            out.push(b':');
            string(value, out)?;
        }
        out.extend_from_slice(b"},\"fields\":{");
        Ok(())
    }

    fn value(&mut self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), NotUtf8> {
        match value {
            Value::F64(v) => {
                out.extend_from_slice(b"\"f64\":");
                if v.is_finite() { self.text.float(v, out) } else { not_finite(v, out) }
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
                string(v, out)?;
            }
            Value::Null => out.extend_from_slice(b"\"null\":null"),
            Value::Bytes(v) => base64("bytes", v, out),
            Value::Nested(v) => base64("nested", v, out),
            Value::Histogram(v) => base64("histogram", v, out),
        }
        Ok(())
    }
}

#[cold]
fn not_finite(value: f64, out: &mut Vec<u8>) {
    match value.to_bits() {
        NAN_CANONICAL_BITS => out.extend_from_slice(b"\"NaN\""),
        NAN_STALE_BITS => out.extend_from_slice(b"\"stale\""),
        bits if value.is_nan() => out.extend_from_slice(format!("\"NaN:{bits:016x}\"").as_bytes()),
        _ => out.extend_from_slice(if value > 0.0 { b"\"+Inf\"" } else { b"\"-Inf\"" }),
    }
}

fn base64(tag: &str, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\"{tag}\":\"{}\"", STANDARD.encode(bytes)).as_bytes());
}

/// A string with what JSON demands to be escaped, and nothing else.
#[inline]
fn string(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), NotUtf8> {
    if std::str::from_utf8(bytes).is_err() {
        return Err(NotUtf8);
    }
    out.push(b'"');
    if bytes.iter().any(|&b| must_escape(b)) {
        escaped(bytes, out)
    } else {
        out.extend_from_slice(bytes)
    }
    out.push(b'"');
    Ok(())
}

fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ if must_escape(byte) => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
}

fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(value: Value<'_>) -> String {
        let mut out = Vec::new();
        Ndjson::default().value(value, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_say_their_type() {
        for (v, text) in [
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
            (Value::String(b"a\"\\\n\x01\x7f"), "\"string\":\"a\\\"\\\\\\n\\u0001\x7f\""),
            (Value::Bytes(&[0, 255, 1, 2]), r#""bytes":"AP8BAg==""#),
            (Value::Null, r#""null":null"#),
        ] {
            assert_eq!(value(v), text);
        }
    }

    proptest! {
        #[test]
        fn strings_and_floats_are_read_back(text: String, bits: u64) {
            let mut out = Vec::new();
            string(text.as_bytes(), &mut out).unwrap();
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            let float = f64::from_bits(bits);
            if float.is_finite() {
                let json = format!("{{{}}}", value(Value::F64(float)));
                let json: serde_json::Value = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(json["f64"].as_f64().unwrap().to_bits(), bits);
            }
        }
    }
}
