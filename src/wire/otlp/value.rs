//! Attributes and their values: as the text of a label, as a field, as a part of a nested value.
//!
//! Labels are text: strings as they are, numbers in their shortest form, bytes in base64, lists and maps as JSON.
//! Fields keep their type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::bytes::{ProtobufError, ProtobufFields};
use crate::model::{FieldType, NestedBuf, heap_word};

use super::pieces::Pieces;
use super::schema::{LIST_VALUES, any_value, key_value};

/// An `AnyValue`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum AnyValue<'b> {
    /// None of the others.
    Empty,
    String(&'b [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// The values of an `ArrayValue`.
    Array(List<'b>),
    /// The pairs of a `KeyValueList`.
    Map(List<'b>),
    Bytes(&'b [u8]),
}

/// An `ArrayValue` or a `KeyValueList`, found in the `AnyValue` around it, where it may be in pieces.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct List<'b> {
    around: Pieces<'b>,
    number: u32,
    /// Pieces of an earlier list, which is none since another kind of value came behind it.
    skip: usize,
}

/// A `KeyValue`.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyValue<'b> {
    pub(super) key: &'b [u8],
    pub(super) value: AnyValue<'b>,
}

impl<'b> KeyValue<'b> {
    pub(super) fn read(message: &'b [u8]) -> Result<KeyValue<'b>, ProtobufError> {
        let (mut key, mut any) = (&[][..], Pieces::none(key_value::VALUE));
        let mut fields = ProtobufFields::new(message);
        while let Some(field) = fields.next() {
            match field? {
                (key_value::KEY, value) => key = value.bytes()?,
                (key_value::VALUE, value) => any.push(value.bytes()?, fields.rest()),
                _ => {}
            }
        }
        Ok(KeyValue { key, value: AnyValue::read(any)? })
    }
}

impl<'b> List<'b> {
    /// The messages in the list.
    fn values(self) -> impl Iterator<Item = Result<&'b [u8], ProtobufError>> {
        // A list that was found is one: `AnyValue::read` has seen all of what is around it.
        let lists = self.around.fields().flatten().filter(move |(number, _)| *number == self.number);
        lists.skip(self.skip).flat_map(|(_, list)| list.message()).flatten().filter_map(|field| match field {
            Ok((LIST_VALUES, value)) => Some(value.bytes()),
            Ok(_) => None,
            Err(e) => Some(Err(e)),
        })
    }
}

impl<'b> AnyValue<'b> {
    pub(super) fn read(message: Pieces<'b>) -> Result<AnyValue<'b>, ProtobufError> {
        let mut read = AnyValue::Empty;
        let (mut arrays, mut maps) = (0, 0);
        for field in message.fields() {
            let (number, value) = field?;
            // Of several the last one counts; lists behind one another are one list.
            read = match number {
                any_value::STRING => AnyValue::String(value.bytes()?),
                any_value::BOOL => AnyValue::Bool(value.varint()? != 0),
                any_value::INT => AnyValue::Int(value.varint()? as i64),
                any_value::DOUBLE => AnyValue::Double(f64::from_bits(value.fixed64()?)),
                any_value::ARRAY => {
                    value.bytes()?;
                    arrays += 1;
                    match read {
                        AnyValue::Array(_) => read,
                        _ => AnyValue::Array(List { around: message, number, skip: arrays - 1 }),
                    }
                }
                any_value::MAP => {
                    value.bytes()?;
                    maps += 1;
                    match read {
                        AnyValue::Map(_) => read,
                        _ => AnyValue::Map(List { around: message, number, skip: maps - 1 }),
                    }
                }
                any_value::BYTES => AnyValue::Bytes(value.bytes()?),
                _ => read,
            };
        }
        Ok(read)
    }

    /// Appends the value as the text of a label.
    pub(super) fn write_text(self, out: &mut Vec<u8>) -> Result<(), ProtobufError> {
        match self {
            AnyValue::Empty => {}
            AnyValue::String(text) => out.extend_from_slice(text),
            AnyValue::Double(value) => write_double(value, out),
            AnyValue::Bytes(bytes) => write_base64(bytes, out),
            AnyValue::Bool(_) | AnyValue::Int(_) | AnyValue::Array(_) | AnyValue::Map(_) => {
                self.write_json(out)?;
            }
        }
        Ok(())
    }

    fn write_json(self, out: &mut Vec<u8>) -> Result<(), ProtobufError> {
        match self {
            AnyValue::Empty => out.extend_from_slice(b"null"),
            AnyValue::String(text) => write_json_string(text, out),
            AnyValue::Bool(true) => out.extend_from_slice(b"true"),
            AnyValue::Bool(false) => out.extend_from_slice(b"false"),
            AnyValue::Int(value) => write_integer(value, out),
            AnyValue::Double(value) if value.is_finite() => write_double(value, out),
            AnyValue::Double(value) => {
                out.push(b'"');
                write_double(value, out);
                out.push(b'"');
            }
            AnyValue::Bytes(bytes) => {
                out.push(b'"');
                write_base64(bytes, out);
                out.push(b'"');
            }
            AnyValue::Array(values) => {
                out.push(b'[');
                for (i, value) in values.values().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    AnyValue::read(Pieces::one(value?))?.write_json(out)?;
                }
                out.push(b']');
            }
            AnyValue::Map(values) => {
                out.push(b'{');
                for (i, pair) in values.values().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    let pair = KeyValue::read(pair?)?;
                    write_json_string(pair.key, out);
                    out.push(b':');
                    pair.value.write_json(out)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }

    /// The value as a field: its type and its word. What lies on the heap is appended to `heap`.
    pub(super) fn field(
        self,
        nested: &mut NestedBuf,
        heap: &mut Vec<u8>,
    ) -> Result<(FieldType, u64), ProtobufError> {
        let mut on_heap = |bytes: &[u8]| {
            heap.extend_from_slice(bytes);
            heap_word(heap.len() - bytes.len(), bytes.len())
        };
        Ok(match self {
            AnyValue::Empty => (FieldType::Null, 0),
            AnyValue::String(text) => (FieldType::String, on_heap(text)),
            AnyValue::Bool(value) => (FieldType::Bool, value.into()),
            AnyValue::Int(value) => (FieldType::I64, value as u64),
            AnyValue::Double(value) => (FieldType::F64, value.to_bits()),
            AnyValue::Bytes(bytes) => (FieldType::Bytes, on_heap(bytes)),
            AnyValue::Array(_) | AnyValue::Map(_) => {
                nested.clear();
                self.nest(nested)?;
                (FieldType::Nested, on_heap(nested.finish()))
            }
        })
    }

    fn nest(self, nested: &mut NestedBuf) -> Result<(), ProtobufError> {
        match self {
            AnyValue::Empty => nested.null(),
            AnyValue::String(text) => nested.string(text),
            AnyValue::Bool(value) => nested.bool(value),
            AnyValue::Int(value) => nested.i64(value),
            AnyValue::Double(value) => nested.f64(value),
            AnyValue::Bytes(bytes) => nested.bytes(bytes),
            AnyValue::Array(values) => {
                nested.begin_list().map_err(|_| TOO_DEEP)?;
                for value in values.values() {
                    AnyValue::read(Pieces::one(value?))?.nest(nested)?;
                }
                nested.end();
            }
            AnyValue::Map(values) => {
                nested.begin_map().map_err(|_| TOO_DEEP)?;
                for pair in values.values() {
                    let pair = KeyValue::read(pair?)?;
                    nested.key(pair.key);
                    pair.value.nest(nested)?;
                }
                nested.end();
            }
        }
        Ok(())
    }
}

/// The check of the whole body has refused what is deeper: no checked body ends here.
const TOO_DEEP: ProtobufError = ProtobufError::Group;

/// Appends the shortest text that reads back as the same double: with a point or an exponent, so that it is told
/// from an integer.
pub(super) fn write_double(value: f64, out: &mut Vec<u8>) {
    let text = match value {
        _ if value.is_nan() => "NaN",
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => return out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
    };
    out.extend_from_slice(text.as_bytes());
}

fn write_integer(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Whether an id is one: none, and nothing but zeros, say that there is none.
pub(super) fn is_id(id: &[u8]) -> bool {
    id.iter().any(|&byte| byte != 0)
}

/// Appends bytes in hexadecimal digits, as ids are shown everywhere.
pub(super) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("four characters for three bytes");
}

fn write_json_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                write_hex(&[byte], out);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::write_varint;

    fn message(number: u32, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_varint(&mut out, u64::from(number << 3 | 2));
        write_varint(&mut out, bytes.len() as u64);
        out.extend_from_slice(bytes);
        out
    }

    fn pair(key: &str, value: &[u8]) -> Vec<u8> {
        [message(1, key.as_bytes()), message(2, value)].concat()
    }

    fn read(message: &[u8]) -> AnyValue<'_> {
        AnyValue::read(Pieces::one(message)).unwrap()
    }

    fn text(value: AnyValue<'_>) -> String {
        let mut out = Vec::new();
        value.write_text(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_as_labels() {
        for (value, expected) in [
            (AnyValue::Empty, ""),
            (AnyValue::String(b"as \"it\" is"), "as \"it\" is"),
            (AnyValue::Bool(true), "true"),
            (AnyValue::Int(i64::MIN), "-9223372036854775808"),
            (AnyValue::Int(0), "0"),
            (AnyValue::Double(5.0), "5.0"),
            (AnyValue::Double(1e300), "1e+300"),
            (AnyValue::Double(f64::NEG_INFINITY), "-Infinity"),
            (AnyValue::Bytes(b"\x00\xff\x10\x20"), "AP8QIA=="),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn lists_and_maps_as_labels_are_json() {
        let one = message(any_value::STRING, b"a\"\\\n\x01");
        let two = [0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f]; // double_value: +Inf
        let list = [message(1, &one), message(1, &two), message(1, &[])].concat();
        let map = [
            message(1, &pair("list", &message(any_value::ARRAY, &list))),
            message(1, &pair("k", &[0x18, 0x07])),
            message(1, &pair("b", &message(any_value::BYTES, b"hi"))),
        ];
        assert_eq!(
            text(read(&message(any_value::MAP, &map.concat()))),
            r#"{"list":["a\"\\\n\u0001","Infinity",null],"k":7,"b":"aGk="}"#
        );
    }

    #[test]
    fn of_several_values_the_last_one_counts() {
        let twice = [message(any_value::STRING, b"a"), vec![0x18, 0x07]].concat();
        assert_eq!(read(&twice), AnyValue::Int(7));
    }

    #[test]
    fn a_value_in_pieces_is_their_fields_one_behind_the_other() {
        let int = |value: u8| message(1, &[0x18, value]);
        let list = |values: &[u8]| message(any_value::ARRAY, values);
        let map = |key: &str| message(any_value::MAP, &message(1, &pair(key, &[0x18, 7])));
        let string = message(any_value::STRING, b"s");
        let cases: [(&[Vec<u8>], &str); 8] = [
            (&[string.clone(), vec![]], "s"),
            (&[vec![], string.clone(), vec![]], "s"),
            (&[list(&int(1)), list(&int(2)), list(&[])], "[1,2]"),
            (&[[list(&int(1)), list(&int(2))].concat(), list(&int(3))], "[1,2,3]"),
            (&[list(&int(1)), string.clone(), list(&int(2)), list(&int(3))], "[2,3]"),
            (&[list(&int(1)), map("a"), list(&int(2)), map("b"), map("c")], r#"{"b":7,"c":7}"#),
            (&[map("a"), vec![], map("b")], r#"{"a":7,"b":7}"#),
            (&[list(&int(1)), string], "s"),
        ];
        for (pieces, expected) in cases {
            let mut pair = message(2, &pieces[0]);
            // The key may stand between.
            pair.extend_from_slice(&message(1, b"k"));
            pieces[1..].iter().for_each(|piece| pair.extend_from_slice(&message(2, piece)));
            let read = KeyValue::read(&pair).unwrap();
            assert_eq!((read.key, text(read.value).as_str()), (&b"k"[..], expected), "{pieces:x?}");
        }
    }
}
