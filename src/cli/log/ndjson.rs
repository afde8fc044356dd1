//! A row, an exemplar or metadata as a line of JSON: `docs/ndjson.md` is the contract.
//!
//! Every value says its type and keeps every bit, so that the line can be imported again.

use super::left_out::LeftOut;
use super::series::Series;
use crate::block::{ExemplarLabels, Value};
use crate::model::json::{self, Text};
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
                json::nested(v, &mut self.text, out)?;
            }
            Value::Histogram(v) => {
                out.extend_from_slice(b"\"histogram\":");
                json::histogram(v, &mut self.text, out)?;
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
    use crate::model::{CountKind, HistogramBuf, NAN_CANONICAL_BITS, NAN_STALE_BITS, NestedBuf, WriteResult};
    use crate::wire::Decode;
    use crate::wire::ndjson::Decoder;
    use crate::wire::testing::{Rows, Value as Decoded};
    use proptest::prelude::*;

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

    /// A value with its bits, and what it is decoded to.
    fn values() -> impl Strategy<Value = (Vec<u8>, Decoded)> {
        let print = |value: Value<'_>| {
            let mut out = Vec::new();
            Ndjson::default().value(value, &mut out).unwrap();
            out
        };
        let bits = prop_oneof![
            any::<u64>(),
            any::<f64>().prop_map(f64::to_bits),
            prop::sample::select(vec![
                NAN_CANONICAL_BITS,
                NAN_STALE_BITS,
                1 << 63,
                0x7ff0 << 48,
                0xfff0 << 48
            ]),
        ];
        let bytes = || prop_oneof![any::<Vec<u8>>(), ".*".prop_map(String::into_bytes)];
        let nested = prop::collection::vec((bytes(), any::<i64>(), any::<u64>()), 0..4).prop_map(|items| {
            let mut buf = NestedBuf::default();
            buf.begin_map().unwrap();
            for (key, signed, unsigned) in items {
                buf.key(&key);
                buf.begin_list().unwrap();
                buf.i64(signed);
                buf.u64(unsigned);
                buf.f64(f64::from_bits(unsigned));
                buf.string(&key);
                buf.bytes(&key);
                buf.end();
            }
            buf.end();
            buf.finish().to_vec()
        });
        let counts = prop::collection::vec(any::<u64>(), 0..6);
        let head = (any::<bool>(), -4i32..=8, any::<u64>(), any::<u64>(), prop::option::of(any::<u64>()));
        let histogram =
            (head, counts, any::<i64>()).prop_map(|((floats, schema, sum, count, max), counts, offset)| {
                let mut buf = HistogramBuf { schema, count, zero_count: sum, ..HistogramBuf::default() };
                buf.kind = if floats { CountKind::F64 } else { CountKind::U64 };
                buf.sum = f64::from_bits(sum);
                buf.max = max.map(f64::from_bits);
                for buckets in [&mut buf.positive, &mut buf.negative] {
                    buckets.span(offset, counts.len() as u64);
                    counts.iter().for_each(|&count| buckets.count(count));
                }
                buf.bounds.extend(max.map(f64::from_bits));
                let mut encoded = Vec::new();
                buf.encode(&mut encoded).unwrap();
                encoded
            });
        prop_oneof![
            bits.prop_map(move |v| (print(Value::F64(f64::from_bits(v))), Decoded::F64(v))),
            any::<i64>().prop_map(move |v| (print(Value::I64(v)), Decoded::I64(v))),
            any::<u64>().prop_map(move |v| (print(Value::U64(v)), Decoded::U64(v))),
            any::<bool>().prop_map(move |v| (print(Value::Bool(v)), Decoded::Bool(v))),
            bytes().prop_map(move |v| (print(Value::String(&v)), Decoded::Bytes(v))),
            bytes().prop_map(move |v| (print(Value::Bytes(&v)), Decoded::Bytes(v))),
            nested.prop_map(move |v| (print(Value::Nested(&v)), Decoded::Bytes(v))),
            histogram.prop_map(move |v| (print(Value::Histogram(&v)), Decoded::Bytes(v))),
            Just((print(Value::Null), Decoded::Null)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_is_decoded_bit_for_bit(
            values in prop::collection::vec(values(), 1..6), time_ns: i64, name: String, label: String,
        ) {
            let mut out = format!("{{\"time\":{time_ns},\"labels\":{{").into_bytes();
            json::string(name.as_bytes(), &mut out);
            out.push(b':');
            json::string(label.as_bytes(), &mut out);
            out.extend_from_slice(b"},\"fields\":{");
            for (i, (value, _)) in values.iter().enumerate() {
                json::string(format!("{}{i}{name}", if i > 0 { "," } else { "" }).as_bytes(), &mut out);
                out.extend_from_slice(b":{");
                out.extend_from_slice(value);
                out.extend_from_slice(if i + 1 < values.len() { b"}," } else { b"}}}\n" });
            }
            // The second time the line is met as one that is expected.
            let (mut rows, mut result) = (Rows::default(), WriteResult::default());
            Decoder::new().feed(&out.repeat(2), true, &mut rows, &mut result);
            prop_assert_eq!(&result.errors, &[]);
            prop_assert_eq!(rows.rows.len(), 2);
            for row in &rows.rows {
                prop_assert_eq!(row.time_ns, time_ns);
                prop_assert_eq!(&row.labels, &[(name.clone(), label.clone())]);
                let found: Vec<_> = row.fields.iter().map(|(_, value)| value).collect();
                prop_assert_eq!(found, values.iter().map(|(_, value)| value).collect::<Vec<_>>());
            }
        }
    }
}
