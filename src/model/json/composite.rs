//! Values of several parts (nested values, native histograms) from the format's encoding to JSON.
//!
//! `block/format.md` says how they are encoded, `docs/ndjson.md` how they are printed.

use super::{Text, base64, float, string};
use crate::model::{
    Buckets, Count, CountKind, Histogram, Malformed, NestedPart, NestedReader, ResetHint, Span,
};

/// Appends the JSON of a nested value.
///
/// # Errors
/// [`Malformed`], with a part written.
pub(crate) fn nested(value: &[u8], text: &mut Text, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut reader = NestedReader::new(value);
    nested_value(&mut reader, text, out)?;
    match reader.next() {
        None => Ok(()),
        Some(_) => Err(Malformed),
    }
}

/// Appends the JSON of a histogram.
///
/// # Errors
/// [`Malformed`], with nothing written.
pub(crate) fn histogram(value: &[u8], text: &mut Text, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let value = Histogram::read(value)?;
    out.extend_from_slice(match value.kind {
        CountKind::U64 => b"{\"counts\":\"u64\"",
        CountKind::F64 => b"{\"counts\":\"f64\"",
    });
    out.extend_from_slice(match value.reset {
        ResetHint::Unknown => b",\"reset\":\"unknown\"",
        ResetHint::Yes => b",\"reset\":\"yes\"",
        ResetHint::No => b",\"reset\":\"no\"",
        ResetHint::Gauge => b",\"reset\":\"gauge\"",
    });
    out.extend_from_slice(b",\"schema\":");
    text.integer(value.schema, out);
    out.extend_from_slice(b",\"zero_threshold\":");
    float(value.zero_threshold, text, out);
    out.extend_from_slice(b",\"sum\":");
    float(value.sum, text, out);
    out.extend_from_slice(b",\"count\":");
    count(value.count, text, out);
    out.extend_from_slice(b",\"zero_count\":");
    count(value.zero_count, text, out);
    buckets("positive", value.positive, text, out);
    buckets("negative", value.negative, text, out);
    out.extend_from_slice(b",\"bounds\":");
    list(value.bounds(), out, |bound, out| float(bound, text, out));
    for (key, limit) in [("min", value.min), ("max", value.max)] {
        if let Some(limit) = limit {
            out.extend_from_slice(format!(",\"{key}\":").as_bytes());
            float(limit, text, out);
        }
    }
    out.push(b'}');
    Ok(())
}

/// The reader bounds the depth, and with it the stack.
fn nested_value(reader: &mut NestedReader<'_>, text: &mut Text, out: &mut Vec<u8>) -> Result<(), Malformed> {
    match reader.next().ok_or(Malformed)?? {
        NestedPart::F64(v) => {
            out.extend_from_slice(b"{\"f64\":");
            float(v, text, out);
        }
        NestedPart::I64(v) => {
            out.extend_from_slice(b"{\"i64\":");
            text.integer(v, out);
        }
        NestedPart::U64(v) => {
            out.extend_from_slice(b"{\"u64\":");
            text.integer(v, out);
        }
        NestedPart::Bool(v) => out.extend_from_slice(if v { b"{\"bool\":true" } else { b"{\"bool\":false" }),
        NestedPart::String(v) => {
            out.extend_from_slice(b"{\"string\":");
            string(v, out);
        }
        NestedPart::Bytes(v) => {
            out.extend_from_slice(b"{\"bytes\":");
            base64(v, out);
        }
        NestedPart::Null => out.extend_from_slice(b"{\"null\":null"),
        NestedPart::List(count) => {
            out.extend_from_slice(b"{\"list\":[");
            for i in 0..count {
                if i > 0 {
                    out.push(b',');
                }
                nested_value(reader, text, out)?;
            }
            out.push(b']');
        }
        NestedPart::Map(count) => {
            out.extend_from_slice(b"{\"map\":[");
            for i in 0..count {
                out.extend_from_slice(if i > 0 { b",[" } else { b"[" });
                let Some(NestedPart::Key(key)) = reader.next().transpose()? else { return Err(Malformed) };
                string(key, out);
                out.push(b',');
                nested_value(reader, text, out)?;
                out.push(b']');
            }
            out.push(b']');
        }
        NestedPart::Key(_) => return Err(Malformed),
    }
    out.push(b'}');
    Ok(())
}

fn buckets(sign: &str, buckets: Buckets<'_>, text: &mut Text, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(",\"{sign}_spans\":").as_bytes());
    list(buckets.spans(), out, |Span { offset, len }, out| {
        out.push(b'[');
        text.integer(offset, out);
        out.push(b',');
        text.integer(len, out);
        out.push(b']');
    });
    out.extend_from_slice(format!(",\"{sign}\":").as_bytes());
    list(buckets.counts(), out, |bucket, out| count(bucket, text, out));
}

fn count(value: Count, text: &mut Text, out: &mut Vec<u8>) {
    match value {
        Count::U64(v) => text.integer(v, out),
        Count::F64(v) => float(v, text, out),
    }
}

fn list<T>(items: impl Iterator<Item = T>, out: &mut Vec<u8>, mut item: impl FnMut(T, &mut Vec<u8>)) {
    out.push(b'[');
    for (i, value) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        item(value, out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Print = fn(&[u8], &mut Text, &mut Vec<u8>) -> Result<(), Malformed>;

    fn printed(print: Print, value: &[u8]) -> Result<String, Malformed> {
        let mut out = Vec::new();
        print(value, &mut Text::default(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn floats(values: &[f64]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect()
    }

    #[test]
    fn nested_values_carry_a_type_at_each_level() {
        let half = floats(&[0.5]);
        let value = [
            &[17, 3, 1, b'b', 16, 4, 2, 5, 3, 0xac, 2, 4, 1, 7, 1, b'a', 5, 2, b'h', b'i', 1, b'a', 1][..],
            &half,
        ]
        .concat();
        let text = concat!(
            r#"{"map":[["b",{"list":[{"i64":-3},{"u64":300},{"bool":true},{"null":null}]}],"#,
            r#"["a",{"string":"hi"}],["a",{"f64":0.5}]]}"#,
        );
        assert_eq!(printed(nested, &value).unwrap(), text);
        for cut in 0..value.len() {
            assert_eq!(printed(nested, &value[..cut]), Err(Malformed), "cut at {cut}");
        }
        assert_eq!(printed(nested, &[value, vec![0]].concat()), Err(Malformed));
        let deep = |levels: usize| [[16, 1].repeat(levels), vec![7]].concat();
        assert!(printed(nested, &deep(32)).is_ok());
        assert_eq!(printed(nested, &deep(33)), Err(Malformed));
    }

    #[test]
    fn histograms_keep_their_buckets() {
        let head = floats(&[1e-128, 18.4]);
        let limits = floats(&[-1.5, 9.25]);
        let value =
            [&[0b1_1100, 6][..], &head, &[12, 2, 2, 0, 2, 2, 1, 5, 3, 1, 1, 3, 1, 1, 0], &limits].concat();
        let text = concat!(
            r#"{"counts":"u64","reset":"no","schema":3,"zero_threshold":1e-128,"sum":18.4,"count":12,"zero_count":2,"#,
            r#""positive_spans":[[0,2],[1,1]],"positive":[5,3,1],"negative_spans":[[-2,1]],"negative":[1],"#,
            r#""bounds":[],"min":-1.5,"max":9.25}"#,
        );
        assert_eq!(printed(histogram, &value).unwrap(), text);
        for cut in 0..value.len() {
            assert_eq!(printed(histogram, &value[..cut]), Err(Malformed), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_json_or_malformed(value: Vec<u8>) {
            for print in [nested as Print, histogram as Print] {
                if let Ok(text) = printed(print, &value) {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
                }
            }
        }
    }
}
