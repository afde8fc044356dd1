//! Requests made up from the schema, written in both encodings by code that shares nothing with the decoder but that.

use proptest::prelude::*;

use super::super::schema::{Field, Kind, LOGS_REQUEST, METRICS_REQUEST, Message, metric};
use super::{Decoded, Encoding, NOW_NS, Signal, decode, stingy};
use crate::bytes::{ProtobufFields, write_varint, zigzag};
use crate::model::{NAN_CANONICAL_BITS, WriteResult};
use crate::wire::Decode;
use crate::wire::otlp::Decoder;
use crate::wire::testing::Rows;

/// Bytes that decide; zeros when they are used up, which end everything.
struct Dice<'a>(&'a [u8]);

impl Dice<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }
}

/// A request in both encodings.
#[derive(Default, Debug)]
struct Written {
    protobuf: Vec<u8>,
    json: String,
}

const INTEGERS: [u64; 9] = [0, 1, 2, 3, 7, 300, 1 << 31, 1 << 53, u64::MAX];
const DOUBLES: [f64; 9] = [0.0, -0.0, 5.0, 0.1, 1e300, 5e-324, f64::INFINITY, f64::NEG_INFINITY, 123_456.789];
const TEXTS: [&str; 9] =
    ["", "a", "b", "service.name", "scope.name", "attributes.a", "é\"\\\n\u{1}", "__name__", "s"];
const BYTES: [&[u8]; 4] = [b"", b"\x00", b"\xff\xfe\xfd", b"0123456789abcdef"];

fn write_message(message: &'static Message, dice: &mut Dice<'_>, depth: u32) -> Written {
    let mut written = Written::default();
    written.json.push('{');
    let chosen = chosen(message, dice);
    for field in message.fields {
        let roll = dice.byte();
        let is_other = chosen.is_some_and(|(first, chosen)| field.number >= first && field.number != chosen);
        if roll < 40 || is_other || depth > 14 {
            continue;
        }
        if written.json.len() > 1 {
            written.json.push(',');
        }
        written.json += &format!("{:?}:", field.json);
        let count = if field.repeated { usize::from(roll % 4) } else { 1 };
        let inner: Vec<Written> = (0..count).map(|_| write_value(field, dice, depth)).collect();
        write_field(field, &inner, dice, &mut written);
    }
    if dice.byte() > 200 {
        // Unknown fields, of each wire type.
        written.protobuf.extend_from_slice(b"\xf8\x06\x01\xfa\x06\x01x\xfd\x06abcd\xf9\x06abcdefgh");
        let comma = if written.json.len() > 1 { "," } else { "" };
        written.json += &format!("{comma}\"unexpected\":{{\"a\":[1,{{}},\"x\"]}},\"another\":null");
    }
    written.json.push('}');
    written
}

/// Of messages that are one thing or another: the first number of those fields, and the one that it is.
fn chosen(message: &Message, dice: &mut Dice<'_>) -> Option<(u32, u32)> {
    match message.name {
        "Metric" => Some((metric::GAUGE, dice.pick(&[5, 7, 9, 10, 11]))),
        "AnyValue" => Some((1, dice.pick(&[1, 2, 3, 4, 5, 6, 7]))),
        _ => None,
    }
}

/// Puts a field's values, one or several, behind the fields before it.
fn write_field(field: &Field, values: &[Written], dice: &mut Dice<'_>, out: &mut Written) {
    let is_sized = matches!(field.kind, Kind::Message(_) | Kind::String | Kind::Bytes | Kind::Id(_));
    let wire_type = match field.kind {
        _ if is_sized => 2,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => 1,
        Kind::Fixed32 => 5,
        _ => 0,
    };
    let mut tag = |wire_type: u32| write_varint(&mut out.protobuf, (field.number << 3 | wire_type).into());
    if field.repeated && !is_sized && dice.byte() > 60 {
        let packed: Vec<u8> = values.iter().flat_map(|value| value.protobuf.clone()).collect();
        tag(2);
        write_varint(&mut out.protobuf, packed.len() as u64);
        out.protobuf.extend_from_slice(&packed);
    } else {
        for value in values {
            let is_one = matches!(field.kind, Kind::Message(_)) && !field.repeated;
            let (first, second) =
                value.protobuf.split_at(if is_one { cut(&value.protobuf, dice) } else { 0 });
            let pieces = if first.is_empty() { &[second][..] } else { &[first, second] };
            for piece in pieces {
                write_varint(&mut out.protobuf, (field.number << 3 | wire_type).into());
                if is_sized {
                    write_varint(&mut out.protobuf, piece.len() as u64);
                }
                out.protobuf.extend_from_slice(piece);
            }
        }
    }
    let texts: Vec<&str> = values.iter().map(|value| value.json.as_str()).collect();
    out.json += &if field.repeated { format!("[{}]", texts.join(",")) } else { texts[0].to_owned() };
}

/// Where a message is cut into two pieces: behind one of its fields, now and then, or nowhere.
fn cut(message: &[u8], dice: &mut Dice<'_>) -> usize {
    let roll = dice.byte();
    if roll < 200 {
        return 0;
    }
    let mut fields = ProtobufFields::new(message);
    let mut ends = Vec::new();
    while let Some(Ok(_)) = fields.next() {
        ends.push(message.len() - fields.rest().len());
    }
    if ends.is_empty() { 0 } else { dice.pick(&ends) }
}

fn write_value(field: &Field, dice: &mut Dice<'_>, depth: u32) -> Written {
    let mut protobuf = Vec::new();
    let mut integer =
        |value: i128| if dice.byte() > 128 { value.to_string() } else { format!("\"{value}\"") };
    let json = match field.kind {
        Kind::Message(inner) => return write_message(inner, dice, depth + 1),
        Kind::String => {
            let text = dice.pick(&TEXTS);
            protobuf.extend_from_slice(text.as_bytes());
            serde_json::to_string(text).unwrap()
        }
        Kind::Bytes => {
            use base64::Engine;
            protobuf.extend_from_slice(dice.pick(&BYTES));
            format!("\"{}\"", base64::engine::general_purpose::STANDARD.encode(&protobuf))
        }
        Kind::Id(len) => {
            let len = if dice.byte() > 60 { len } else { 0 };
            protobuf.extend((0..len).map(|_| dice.byte()));
            format!("\"{}\"", protobuf.iter().map(|byte| format!("{byte:02X}")).collect::<String>())
        }
        Kind::Bool => {
            let value = dice.byte() > 128;
            protobuf.push(value.into());
            value.to_string()
        }
        Kind::Int64 => {
            let value = INTEGERS[usize::from(depth as u8) % INTEGERS.len()] as i64;
            write_varint(&mut protobuf, value as u64);
            integer(value.into())
        }
        Kind::Uint64 | Kind::Uint32 => {
            let value = dice.pick(&INTEGERS[..6]);
            write_varint(&mut protobuf, value);
            value.to_string()
        }
        Kind::Sint32 => {
            let value = dice.pick(&[0, 1, -1, 8, -4, 9, -5, i32::MAX, i32::MIN]);
            write_varint(&mut protobuf, zigzag(value.into()));
            value.to_string()
        }
        Kind::Enum(names) => {
            let value = usize::from(dice.byte()) % names.len();
            write_varint(&mut protobuf, value as u64);
            if dice.byte() > 128 { value.to_string() } else { format!("{:?}", names[value]) }
        }
        Kind::Fixed32 => {
            let value = dice.pick(&[0, 1, u32::MAX]);
            protobuf.extend_from_slice(&value.to_le_bytes());
            value.to_string()
        }
        Kind::Fixed64 => {
            let value = dice.pick(&INTEGERS);
            protobuf.extend_from_slice(&value.to_le_bytes());
            if dice.byte() > 128 { value.to_string() } else { format!("\"{value}\"") }
        }
        Kind::Sfixed64 => {
            let value = dice.pick(&[0, 1, -1, i64::MAX, i64::MIN]);
            protobuf.extend_from_slice(&value.to_le_bytes());
            if dice.byte() > 128 { value.to_string() } else { format!("\"{value}\"") }
        }
        Kind::Double => {
            let value =
                if dice.byte() > 240 { f64::from_bits(NAN_CANONICAL_BITS) } else { dice.pick(&DOUBLES) };
            protobuf.extend_from_slice(&value.to_bits().to_le_bytes());
            match value {
                f64::INFINITY => "\"Infinity\"".to_owned(),
                f64::NEG_INFINITY => "\"-Infinity\"".to_owned(),
                _ if value.is_nan() => "\"NaN\"".to_owned(),
                _ if dice.byte() > 200 => format!("\"{value:?}\""),
                _ => format!("{value:?}"),
            }
        }
    };
    Written { protobuf, json }
}

fn request(signal: Signal, dice: &[u8]) -> Written {
    let message: &'static Message = match signal {
        Signal::Metrics => &METRICS_REQUEST,
        Signal::Logs => &LOGS_REQUEST,
    };
    write_message(message, &mut Dice(dice), 0)
}

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![3 => Just(Signal::Metrics), 1 => Just(Signal::Logs)]
}

fn dice() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..2000)
}

/// No panic, whatever is checked; and what a check has passed is walked over to its end.
fn survive(signal: Signal, encoding: Encoding, body: &[u8]) {
    let mut decoder = Decoder::new(signal, encoding, NOW_NS);
    if decoder.check(body).is_ok() {
        let (mut rows, mut result) = (Rows::default(), WriteResult::default());
        decoder.feed(body, true, &mut rows, &mut result);
        let malformed = result.reasons.iter().find(|(reason, _)| *reason == "syntax");
        assert_eq!(malformed, None, "a body that was passed is malformed");
    }
}

/// A body that is checked as it is taken, by an intake that knows what is in `known`, which is sound: it is refused if
/// a check refuses it, and else gives the same rows.
fn unchecked_is_as_checked(signal: Signal, known: &[u8], body: &[u8]) -> Result<(), TestCaseError> {
    let mut decoder = Decoder::new(signal, Encoding::Protobuf, NOW_NS);
    let mut rows = Rows::default();
    for _ in 0..2 {
        decoder.reset(signal, Encoding::Protobuf, NOW_NS);
        decoder.feed_unchecked(known, &mut rows, &mut WriteResult::default()).unwrap();
    }
    (rows.rows, rows.exemplars, rows.metadata) = Default::default();
    decoder.reset(signal, Encoding::Protobuf, NOW_NS);
    let mut result = WriteResult::default();
    let fed = decoder.feed_unchecked(body, &mut rows, &mut result);
    let checked = decode(signal, Encoding::Protobuf, body);
    prop_assert_eq!(fed.as_ref().err(), checked.as_ref().err());
    if let Ok(checked) = checked {
        let Rows { rows, exemplars, metadata, .. } = rows;
        prop_assert_eq!(Decoded { rows, exemplars, metadata, result }, checked);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_request_that_is_checked_as_it_is_taken_gives_the_same_rows(
        signal in signals(), dice in dice(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let written = request(signal, &dice).protobuf;
        unchecked_is_as_checked(signal, &written, &written)?;
        if !written.is_empty() {
            unchecked_is_as_checked(signal, &written, &written[..cut.index(written.len())])?;
            let mut damaged = written.clone();
            damaged[at.index(written.len())] = byte;
            unchecked_is_as_checked(signal, &written, &damaged)?;
        }
    }

    #[test]
    fn both_encodings_of_a_request_give_the_same_rows(signal in signals(), dice in dice()) {
        let written = request(signal, &dice);
        let protobuf = decode(signal, Encoding::Protobuf, &written.protobuf);
        let json = decode(signal, Encoding::Json, written.json.as_bytes());
        prop_assert_eq!(protobuf, json, "{}", written.json);
    }

    #[test]
    fn an_intake_that_is_full_anywhere_gets_the_same_rows(signal in signals(), dice in dice(), room in 1u64..5) {
        let written = request(signal, &dice);
        let whole = decode(signal, Encoding::Protobuf, &written.protobuf).unwrap();
        for checked in [true, false] {
            let protobuf = stingy::decode(signal, Encoding::Protobuf, &written.protobuf, room, checked);
            prop_assert_eq!(&protobuf, &whole);
            let json = stingy::decode(signal, Encoding::Json, written.json.as_bytes(), room, checked);
            prop_assert_eq!(&json, &whole);
        }
    }

    #[test]
    fn any_bytes_never_panic(signal in signals(), bytes: Vec<u8>) {
        survive(signal, Encoding::Protobuf, &bytes);
        survive(signal, Encoding::Json, &bytes);
    }

    #[test]
    fn a_damaged_request_never_panics(
        signal in signals(), dice in dice(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let written = request(signal, &dice);
        for (encoding, body) in [(Encoding::Protobuf, written.protobuf), (Encoding::Json, written.json.into_bytes())] {
            let mut body = body;
            if !body.is_empty() {
                survive(signal, encoding, &body[..cut.index(body.len())]);
                let at = at.index(body.len());
                body[at] = byte;
                survive(signal, encoding, &body);
            }
        }
    }
}

/// The made-up requests are worth something: all kinds of rows are among them.
#[test]
fn generated_requests_have_rows_of_all_kinds() {
    let mut random = 1u64;
    let mut byte = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 56) as u8
    };
    let (mut types, mut reasons, mut exemplars) = (std::collections::BTreeSet::new(), Vec::new(), 0);
    for _ in 0..200 {
        let dice: Vec<u8> = (0..4000).map(|_| byte()).collect();
        let decoded =
            decode(Signal::Metrics, Encoding::Protobuf, &request(Signal::Metrics, &dice).protobuf).unwrap();
        let labels = decoded.rows.iter().flat_map(|row| &row.labels);
        types.extend(labels.filter(|(name, _)| name == "otlp.type").map(|(_, value)| value.clone()));
        reasons.extend(decoded.result.reasons.iter().map(|(reason, _)| *reason));
        exemplars += decoded.exemplars.len();
    }
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(types.len(), 5, "{types:?}");
    assert_eq!(reasons, ["labels", "name", "temporality", "timestamp", "value"]);
    assert!(exemplars > 50, "{exemplars}");
}
