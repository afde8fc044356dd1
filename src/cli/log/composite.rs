//! Values of several parts (nested values, native histograms) from the format's encoding to JSON.
//!
//! `block/format.md` says how they are encoded, `docs/ndjson.md` how they are printed.

use super::json;
use super::text::Text;
use crate::bytes::{read_varint, unzigzag};

/// The bytes are not a value as the format encodes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

/// Appends the JSON of a nested value.
///
/// # Errors
/// [`Malformed`], with a part written.
pub(super) fn nested(value: &[u8], text: &mut Text, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut parts = Parts { rest: value, text, out };
    parts.nested(0)?;
    parts.end()
}

/// Appends the JSON of a histogram.
///
/// # Errors
/// [`Malformed`], with a part written.
pub(super) fn histogram(value: &[u8], text: &mut Text, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut parts = Parts { rest: value, text, out };
    parts.histogram()?;
    parts.end()
}

/// What is left of a value, and where its JSON goes.
struct Parts<'a> {
    rest: &'a [u8],
    text: &'a mut Text,
    out: &'a mut Vec<u8>,
}

impl<'a> Parts<'a> {
    fn nested(&mut self, depth: u32) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed);
        }
        match self.byte()? {
            1 => self.tagged("f64", Parts::float),
            2 => self.tagged("i64", Parts::signed),
            3 => self.tagged("u64", Parts::unsigned),
            4 => self.tagged("bool", |parts| {
                let text =
                    [&b"false"[..], b"true"].get(usize::from(parts.byte()?)).copied().ok_or(Malformed)?;
                parts.out.extend_from_slice(text);
                Ok(())
            }),
            5 => self.tagged("string", Parts::string),
            6 => self.tagged("bytes", |parts| {
                json::base64(parts.sized()?, parts.out);
                Ok(())
            }),
            7 => self.tagged("null", |parts| {
                parts.out.extend_from_slice(b"null");
                Ok(())
            }),
            16 => self.tagged("list", |parts| {
                let count = parts.varint()?;
                parts.list(count, |parts| parts.nested(depth + 1))
            }),
            17 => self.tagged("map", |parts| {
                let count = parts.varint()?;
                parts.list(count, |parts| {
                    parts.out.push(b'[');
                    parts.string()?;
                    parts.out.push(b',');
                    parts.nested(depth + 1)?;
                    parts.out.push(b']');
                    Ok(())
                })
            }),
            _ => Err(Malformed),
        }
    }

    fn histogram(&mut self) -> Result<(), Malformed> {
        let form = self.byte()?;
        if form >> 5 != 0 {
            return Err(Malformed);
        }
        let number: Part<'a> = if form & 1 != 0 { Parts::float } else { Parts::unsigned };
        let counts = if form & 1 != 0 { "f64" } else { "u64" };
        let reset = ["unknown", "yes", "no", "gauge"][usize::from(form >> 1 & 3)];
        self.out.extend_from_slice(format!("{{\"counts\":\"{counts}\",\"reset\":\"{reset}\"").as_bytes());
        self.key("schema", Parts::signed)?;
        self.key("zero_threshold", Parts::float)?;
        self.key("sum", Parts::float)?;
        self.key("count", number)?;
        self.key("zero_count", number)?;
        for (spans, buckets) in [("positive_spans", "positive"), ("negative_spans", "negative")] {
            let mut buckets_count = 0u64;
            self.key(spans, |parts| {
                let count = parts.varint()?;
                parts.list(count, |parts| {
                    parts.out.push(b'[');
                    parts.signed()?;
                    parts.out.push(b',');
                    let len = parts.varint()?;
                    parts.text.integer(len, parts.out);
                    buckets_count = buckets_count.saturating_add(len);
                    parts.out.push(b']');
                    Ok(())
                })
            })?;
            self.key(buckets, |parts| parts.list(buckets_count, number))?;
        }
        self.key("bounds", |parts| {
            let count = parts.varint()?;
            parts.list(count, Parts::float)
        })?;
        if form & 8 != 0 {
            self.key("min", Parts::float)?;
        }
        if form & 16 != 0 {
            self.key("max", Parts::float)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn tagged(
        &mut self,
        tag: &str,
        value: impl FnOnce(&mut Parts<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.out.extend_from_slice(format!("{{\"{tag}\":").as_bytes());
        value(self)?;
        self.out.push(b'}');
        Ok(())
    }

    fn key(
        &mut self,
        key: &str,
        value: impl FnOnce(&mut Parts<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.out.extend_from_slice(format!(",\"{key}\":").as_bytes());
        value(self)
    }

    /// Each item takes a byte at least: a count that is a lie ends soon.
    fn list(
        &mut self,
        count: u64,
        mut item: impl FnMut(&mut Parts<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.out.push(b'[');
        for i in 0..count {
            if i > 0 {
                self.out.push(b',');
            }
            item(self)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn float(&mut self) -> Result<(), Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        json::float(f64::from_bits(u64::from_le_bytes(*bytes)), self.text, self.out);
        Ok(())
    }

    fn signed(&mut self) -> Result<(), Malformed> {
        let value = unzigzag(self.varint()?);
        self.text.integer(value, self.out);
        Ok(())
    }

    fn unsigned(&mut self) -> Result<(), Malformed> {
        let value = self.varint()?;
        self.text.integer(value, self.out);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Malformed> {
        json::string(self.sized()?, self.out);
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        read_varint(&mut self.rest).ok_or(Malformed)
    }

    fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

type Part<'a> = fn(&mut Parts<'a>) -> Result<(), Malformed>;

/// How deep lists and maps nest.
const DEPTH_MAX: u32 = 32;

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
