//! Values by their types.

use super::base64;
use super::composite::Composite;
use super::fault::Fault;
use crate::bytes::json::{Json, JsonFault, LoneSurrogates};
use crate::model::{FieldType, NAN_CANONICAL_BITS, NAN_STALE_BITS, heap_word};

/// The types by their names, in the order in which a field's values are printed.
const TYPES: [(&str, FieldType); 9] = [
    ("f64", FieldType::F64),
    ("i64", FieldType::I64),
    ("u64", FieldType::U64),
    ("bool", FieldType::Bool),
    ("string", FieldType::String),
    ("bytes", FieldType::Bytes),
    ("null", FieldType::Null),
    ("nested", FieldType::Nested),
    ("histogram", FieldType::Histogram),
];

/// The type of this name.
pub(super) fn type_of(name: &[u8]) -> Option<FieldType> {
    TYPES.iter().find(|(known, _)| known.as_bytes() == name).map(|&(_, kind)| kind)
}

/// The name of a type.
pub(super) fn name_of(kind: FieldType) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name)
}

/// The room that values on the heap are built in.
#[derive(Default, Debug)]
pub(super) struct Values {
    scratch: Vec<u8>,
    composite: Composite,
}

impl Values {
    /// Reads a value of this type: its word. What lies on the heap is appended to `heap`.
    #[inline]
    pub(super) fn read(
        &mut self,
        json: &mut Json<'_>,
        kind: FieldType,
        heap: &mut Vec<u8>,
    ) -> Result<u64, Fault> {
        match kind {
            FieldType::F64 => float_bits(json),
            FieldType::I64 => signed(json).map(|value| value as u64),
            FieldType::U64 => unsigned(json),
            FieldType::Bool => truth(json).map(u64::from),
            FieldType::Null => null(json).map(|()| 0),
            _ => {
                let start = heap.len();
                match kind {
                    FieldType::String => text(json, heap)?,
                    FieldType::Bytes => bytes(json, &mut self.scratch, heap)?,
                    FieldType::Nested => self.composite.nested(json, heap)?,
                    FieldType::Histogram => self.composite.histogram(json, heap)?,
                    _ => return Err(Fault::Json(json.fault("a value is expected"))),
                }
                Ok(heap_word(start, heap.len() - start))
            }
        }
    }
}

/// A number, or the string of what is no number: the bits.
#[inline]
pub(super) fn float_bits(json: &mut Json<'_>) -> Result<u64, Fault> {
    if json.peek() == Some(b'"') {
        return special_bits(json);
    }
    let fault = json.fault("a float that fits 64 bits is expected");
    let value = json.number()?.f64();
    if value.is_finite() { Ok(value.to_bits()) } else { Err(Fault::Value(fault)) }
}

#[cold]
fn special_bits(json: &mut Json<'_>) -> Result<u64, Fault> {
    let fault =
        json.fault("a float, or \"+Inf\", \"-Inf\", \"NaN\", \"stale\", \"NaN:<16 digits>\" is expected");
    let string = json.string()?;
    let bits = match string.raw() {
        b"+Inf" => Some(f64::INFINITY.to_bits()),
        b"-Inf" => Some(f64::NEG_INFINITY.to_bits()),
        b"NaN" => Some(NAN_CANONICAL_BITS),
        b"stale" => Some(NAN_STALE_BITS),
        [b'N', b'a', b'N', b':', digits @ ..] if digits.len() == 16 => digits
            .iter()
            .try_fold(0, |bits, &digit| Some(bits << 4 | u64::from((digit as char).to_digit(16)?)))
            .filter(|&bits| f64::from_bits(bits).is_nan()),
        _ => None,
    };
    bits.ok_or(Fault::Value(fault))
}

/// An integer with sign.
#[inline]
pub(super) fn signed(json: &mut Json<'_>) -> Result<i64, Fault> {
    let fault = json.fault("an integer of 64 bits is expected");
    json.number()?.i64().ok_or(Fault::Value(fault))
}

/// An integer without sign.
#[inline]
pub(super) fn unsigned(json: &mut Json<'_>) -> Result<u64, Fault> {
    let fault = json.fault("an integer of 64 bits without sign is expected");
    json.number()?.u64().ok_or(Fault::Value(fault))
}

/// `true` or `false`.
#[inline]
pub(super) fn truth(json: &mut Json<'_>) -> Result<bool, Fault> {
    if json.take_word(b"true") {
        Ok(true)
    } else if json.take_word(b"false") {
        Ok(false)
    } else {
        Err(Fault::Json(json.fault("true or false is expected")))
    }
}

/// `null`.
pub(super) fn null(json: &mut Json<'_>) -> Result<(), Fault> {
    if json.take_word(b"null") { Ok(()) } else { Err(Fault::Json(json.fault("null is expected"))) }
}

/// A string: appends what it spells.
#[inline]
pub(super) fn text(json: &mut Json<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    json.peek();
    let at = json.at();
    let string = json.string()?;
    if let Err(e) = std::str::from_utf8(string.raw()) {
        return Err(Fault::NotUtf8(at + 1 + e.valid_up_to()));
    }
    string.append_to(LoneSurrogates::Bytes, out).map_err(|what| Fault::Value(JsonFault { at, what }))
}

/// A string of base64: appends its bytes.
pub(super) fn bytes(json: &mut Json<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let fault = json.fault("base64 with padding is expected");
    let string = json.string()?;
    let decoded =
        string.spelled(LoneSurrogates::Refused, scratch).ok().and_then(|text| base64::decode(text, out));
    decoded.ok_or(Fault::Value(fault))
}
