//! Values as JSON, as `docs/ndjson.md` has them: strings, floats and bytes here, values of several parts in
//! `composite`.

mod composite;
mod text;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{NAN_CANONICAL_BITS, NAN_STALE_BITS};

pub(crate) use composite::{histogram, nested};
pub(crate) use text::Text;

/// A float: a number, or a string where JSON has no number.
#[inline]
pub(crate) fn float(value: f64, text: &mut Text, out: &mut Vec<u8>) {
    if value.is_finite() { text.float(value, out) } else { not_finite(value, out) }
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

/// A string with what must be escaped, and nothing else.
#[inline]
pub(crate) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    // One pass without a branch: names and labels are short and nearly always plain.
    let plain = bytes.iter().fold(true, |plain, &b| plain & (b < 0x80) & !must_escape(b));
    if plain {
        out.extend_from_slice(bytes);
    } else {
        escaped(bytes, out);
    }
    out.push(b'"');
}

fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                _ if must_escape(byte) => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => out.push(byte),
            }
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\udc{byte:02x}").as_bytes());
        }
    }
}

fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Bytes as a string in base64.
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        string(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_what_must_be_is_escaped() {
        assert_eq!(json("a/\u{e9}\u{7f}".as_bytes()), "\"a/\u{e9}\u{7f}\"");
        assert_eq!(json(b"\"\\\n\r\t\x00\x1f"), r#""\"\\\n\r\t\u0000\u001f""#);
        assert_eq!(json(b"a\xff\xe2\x82b\n\xc3"), r#""a\udcff\udce2\udc82b\n\udcc3""#);
    }

    proptest! {
        #[test]
        fn strings_and_floats_are_read_back(text: String, bits: u64) {
            prop_assert_eq!(serde_json::from_str::<String>(&json(text.as_bytes())).unwrap(), text);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let mut out = Vec::new();
                float(value, &mut Text::default(), &mut out);
                let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
                prop_assert_eq!(read.as_f64().unwrap().to_bits(), bits);
            }
        }
    }
}
