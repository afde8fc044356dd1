//! Makes the protobuf of a request from its JSON, by the schema: from there on both encodings are one.
//!
//! What OTLP says of JSON, beyond protobuf's own mapping: ids are hexadecimal, enums are numbers (names are taken as
//! well), unknown fields are passed over. 64-bit integers are strings or numbers. `null` is an absent field.
//!
//! All memory is used again for the next body: the copy that simd-json works in, its tape, and the protobuf.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use simd_json::tape::Node;
use simd_json::{Buffers, StaticNode, Tape};

use crate::bytes::json::Json;
use crate::bytes::{write_varint, zigzag};
use crate::model::{NAN_CANONICAL_BITS, NESTED_DEPTH_MAX};
use crate::wire::Malformed;

use super::place::Path;
use super::schema::{Field, Kind, Message};

/// Makes protobuf of JSON, one body after the other.
pub(super) struct Transcoder {
    text: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    out: Vec<u8>,
}

impl Default for Transcoder {
    fn default() -> Transcoder {
        Transcoder { text: Vec::new(), buffers: Buffers::default(), tape: Tape(Vec::new()), out: Vec::new() }
    }
}

impl std::fmt::Debug for Transcoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcoder").field("protobuf_bytes", &self.out.len()).finish_non_exhaustive()
    }
}

impl Transcoder {
    /// Memory that a body's transcoding takes at most.
    ///
    /// simd-json has a copy of the body with ours, another for strings, an index of four bytes for each structural
    /// character and a node for each value and key, of which there are no more than separators and brackets; a number
    /// of one digit is a fixed one of eight bytes in protobuf. Vectors grow to twice of what they hold.
    pub(super) fn memory_bytes_max(body: &[u8]) -> u64 {
        let structural = body.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count();
        let per_value = size_of::<Node<'_>>() + size_of::<u32>() * 2 + size_of::<u64>();
        (COPIES * (body.len() + PADDING_BYTES_MAX) + 2 * per_value * (structural + 1)) as u64
    }

    /// Memory that is held.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> u64 {
        let tape = self.tape.0.capacity() * size_of::<Node<'_>>();
        (self.text.capacity() + self.out.capacity() + tape) as u64
    }

    /// The protobuf of the last body.
    pub(super) fn protobuf(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Makes the protobuf of a body that is a `message`.
    pub(super) fn transcode(&mut self, message: &'static Message, body: &[u8]) -> Result<(), Malformed> {
        self.out.clear();
        self.text.clear();
        self.text.extend_from_slice(body);
        self.write(message).unwrap_or_else(|refused| self.transcode_mended(message, body, &refused))
    }

    /// The same for a body that simd-json refuses, which minds halves of surrogate pairs.
    #[cold]
    fn transcode_mended(
        &mut self,
        message: &'static Message,
        body: &[u8],
        refused: &simd_json::Error,
    ) -> Result<(), Malformed> {
        self.text.clear();
        self.text.extend_from_slice(body);
        if replace_lone_surrogates(&mut self.text)
            && let Ok(written) = self.write(message)
        {
            return written;
        }
        Err(Malformed { error: not_json(body, refused) })
    }

    /// Writes what is in `text`, and spoils that.
    fn write(&mut self, message: &'static Message) -> Result<Result<(), Malformed>, simd_json::Error> {
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let written = simd_json::fill_tape(&mut self.text, &mut self.buffers, &mut tape).map(|()| {
            let mut writer = Writer { nodes: tape.0.iter(), out: &mut self.out, nesting: 0 };
            writer.message(message).map_err(|fault| Malformed { error: fault.to_string() })
        });
        self.tape = tape.reset();
        written
    }
}

/// Makes U+FFFD of each half of a surrogate pair that is without the other, as the Collector does: a browser's
/// `JSON.stringify` writes them for text that was cut within a character. Whether there was any.
fn replace_lone_surrogates(json: &mut [u8]) -> bool {
    let mut any = false;
    let mut at = 0;
    // Backslashes are in strings only, or the text is no JSON anyway.
    while let Some(found) = memchr::memchr(b'\\', &json[at..]) {
        at += found;
        at += match (surrogate(&json[at..]), surrogate(json.get(at + 6..).unwrap_or_default())) {
            (Some(Half::High), Some(Half::Low)) => 12,
            (Some(_), _) => {
                json[at + 2..at + 6].copy_from_slice(b"fffd");
                any = true;
                6
            }
            // An escape of two characters, or the start of a longer one.
            (None, _) => 2,
        };
        if at >= json.len() {
            break;
        }
    }
    any
}

/// A half of a surrogate pair.
enum Half {
    High,
    Low,
}

/// The half that the escape at the text's start is.
fn surrogate(text: &[u8]) -> Option<Half> {
    let [b'\\', b'u', b'd' | b'D', second, third, fourth, ..] = text else { return None };
    if !third.is_ascii_hexdigit() || !fourth.is_ascii_hexdigit() {
        return None;
    }
    match second {
        b'8' | b'9' | b'a' | b'b' | b'A' | b'B' => Some(Half::High),
        b'c'..=b'f' | b'C'..=b'F' => Some(Half::Low),
        _ => None,
    }
}

/// What is no JSON in a body that simd-json refuses: of some faults, the end among them, it does not say where.
#[cold]
fn not_json(body: &[u8], refused: &simd_json::Error) -> String {
    if body.trim_ascii().is_empty() {
        return "not JSON: the body is empty".to_owned();
    }
    if let Err(e) = std::str::from_utf8(body) {
        return format!("not JSON: invalid UTF-8 at byte {}", e.valid_up_to() + 1);
    }
    let mut json = Json::new(body, 0);
    match json.skip().and_then(|_| json.end()) {
        Err(fault) => format!("not JSON: {} at byte {}", fault.what, fault.at + 1),
        Ok(()) => format!("not JSON: {refused}"),
    }
}

/// Walks over the tape and writes.
struct Writer<'t, 'i> {
    nodes: std::slice::Iter<'t, Node<'i>>,
    out: &'t mut Vec<u8>,
    nesting: usize,
}

/// What is wrong with a value, and where.
struct Fault {
    message: &'static str,
    field: &'static str,
    what: &'static str,
    path: Path,
}

impl Fault {
    fn new(message: &'static Message, field: &'static str, what: &'static str) -> Fault {
        Fault { message: message.name, field, what, path: Path::default() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Fault { message, field, what, path } = self;
        let dot = if field.is_empty() { "" } else { "." };
        write!(f, "not a request: {message}{dot}{field}: {what}{path}")
    }
}

impl<'i> Writer<'_, 'i> {
    fn next(&mut self) -> Node<'i> {
        // A tape's counts are right: simd-json has made it from a whole document.
        self.nodes.next().copied().unwrap_or(Node::Static(StaticNode::Null))
    }

    /// Passes over a value of which `node` is the first.
    fn skip(&mut self, node: Node<'_>) {
        if let Node::Object { count, .. } | Node::Array { count, .. } = node
            && count > 0
        {
            self.nodes.nth(count - 1);
        }
    }

    /// Passes over a null, if one comes next.
    fn skip_null(&mut self) -> bool {
        let is_null = matches!(self.nodes.as_slice().first(), Some(Node::Static(StaticNode::Null)));
        if is_null {
            self.next();
        }
        is_null
    }

    /// Writes the fields of the object that comes next.
    fn message(&mut self, message: &'static Message) -> Result<(), Fault> {
        let whole = |what| Fault::new(message, "", what);
        let Node::Object { len, .. } = self.next() else { return Err(whole("an object is expected")) };
        self.nesting += usize::from(message.nests);
        if self.nesting > NESTED_DEPTH_MAX {
            return Err(whole("lists and maps nest too deep"));
        }
        for _ in 0..len {
            let key = self.next();
            let Node::String(key) = key else { return Err(whole("a key is expected")) };
            match message.named(key) {
                Some(field) => self.field(message, field)?,
                None => {
                    let value = self.next();
                    self.skip(value);
                }
            }
        }
        self.nesting -= usize::from(message.nests);
        Ok(())
    }

    /// Writes a field whose value comes next.
    fn field(&mut self, message: &'static Message, field: &'static Field) -> Result<(), Fault> {
        let fault = |what| Fault::new(message, field.json, what);
        if self.skip_null() {
            return Ok(());
        }
        if !field.repeated {
            return self.element(message, field, 0);
        }
        let Node::Array { len, .. } = self.next() else { return Err(fault("an array is expected")) };
        if matches!(field.kind, Kind::Message(_)) {
            return (0..len).try_for_each(|index| self.element(message, field, index));
        }
        self.tag(field.number, WIRE_BYTES);
        let start = self.begin();
        for _ in 0..len {
            let node = self.next();
            self.scalar(field.kind, node).map_err(fault)?;
        }
        self.end(start);
        Ok(())
    }

    /// Writes one value, the `index`th of its field, its tag before it.
    fn element(
        &mut self,
        message: &'static Message,
        field: &'static Field,
        index: usize,
    ) -> Result<(), Fault> {
        self.tag(field.number, wire_type(field.kind));
        if let Kind::Message(inner) = field.kind {
            let start = self.begin();
            // In a list a null is an empty message, as the Collector has it.
            if !self.skip_null() {
                self.message(inner).map_err(|mut fault| {
                    fault.path.within(field, index);
                    fault
                })?;
            }
            self.end(start);
            return Ok(());
        }
        let node = self.next();
        self.scalar(field.kind, node).map_err(|what| Fault::new(message, field.json, what))
    }

    fn scalar(&mut self, kind: Kind, node: Node<'_>) -> Result<(), &'static str> {
        match kind {
            Kind::String => self.sized(text(node)?.as_bytes()),
            Kind::Bytes => {
                let start = self.begin();
                decode_base64(text(node)?, self.out)?;
                self.end(start);
            }
            Kind::Id(len) => {
                let digits = text(node)?;
                if !digits.is_empty() && digits.len() != 2 * len {
                    return Err("an id is 32 hexadecimal digits of a trace, 16 of a span, or empty");
                }
                let start = self.begin();
                decode_hex(digits, self.out)?;
                self.end(start);
            }
            Kind::Bool => match node {
                Node::Static(StaticNode::Bool(value)) => self.out.push(u8::from(value)),
                _ => return Err("true or false is expected"),
            },
            Kind::Int64 => write_varint(self.out, signed(node)? as u64),
            Kind::Uint64 => write_varint(self.out, unsigned(node)?),
            Kind::Uint32 => write_varint(self.out, unsigned32(node)?.into()),
            Kind::Sint32 => {
                let value = i32::try_from(signed(node)?).map_err(|_| "a number is over 32 bits")?;
                write_varint(self.out, zigzag(value.into()));
            }
            Kind::Enum(names) => write_varint(self.out, enum_value(names, node)? as u64),
            Kind::Fixed32 => self.out.extend_from_slice(&unsigned32(node)?.to_le_bytes()),
            Kind::Fixed64 => self.out.extend_from_slice(&unsigned(node)?.to_le_bytes()),
            Kind::Sfixed64 => self.out.extend_from_slice(&signed(node)?.to_le_bytes()),
            Kind::Double => self.out.extend_from_slice(&double(node)?.to_bits().to_le_bytes()),
            Kind::Message(_) => unreachable!("messages are written by `element`"),
        }
        Ok(())
    }

    fn tag(&mut self, number: u32, wire_type: u32) {
        write_varint(self.out, (number << 3 | wire_type).into());
    }

    fn sized(&mut self, bytes: &[u8]) {
        write_varint(self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// Starts what has its length before it. One byte is left for that: most messages are shorter than 128 bytes.
    fn begin(&mut self) -> usize {
        self.out.push(0);
        self.out.len()
    }

    /// Puts the length before what was written since `start`.
    fn end(&mut self, start: usize) {
        let len = self.out.len() - start;
        if len < 0x80 {
            self.out[start - 1] = len as u8;
            return;
        }
        let behind = self.out.len();
        write_varint(self.out, len as u64);
        let length_bytes = self.out.len() - behind;
        self.out[start..].rotate_right(length_bytes);
        self.out.copy_within(start.., start - 1);
        self.out.pop();
    }
}

fn wire_type(kind: Kind) -> u32 {
    match kind {
        Kind::Message(_) | Kind::String | Kind::Bytes | Kind::Id(_) => WIRE_BYTES,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => WIRE_FIXED64,
        Kind::Fixed32 => WIRE_FIXED32,
        _ => WIRE_VARINT,
    }
}

fn text<'i>(node: Node<'i>) -> Result<&'i str, &'static str> {
    match node {
        Node::String(text) => Ok(text),
        _ => Err("a string is expected"),
    }
}

const NOT_AN_INTEGER: &str = "an integer is expected, or one in a string";

fn unsigned(node: Node<'_>) -> Result<u64, &'static str> {
    match node {
        Node::Static(StaticNode::U64(value)) => Ok(value),
        Node::Static(StaticNode::I64(value)) => u64::try_from(value).map_err(|_| "a number is below zero"),
        Node::Static(StaticNode::F64(value)) => whole(value).ok_or(NOT_AN_INTEGER),
        Node::String(text) => text.parse().map_err(|_| NOT_AN_INTEGER),
        _ => Err(NOT_AN_INTEGER),
    }
}

fn unsigned32(node: Node<'_>) -> Result<u32, &'static str> {
    u32::try_from(unsigned(node)?).map_err(|_| "a number is over 32 bits")
}

fn signed(node: Node<'_>) -> Result<i64, &'static str> {
    match node {
        Node::Static(StaticNode::I64(value)) => Ok(value),
        Node::Static(StaticNode::U64(value)) => i64::try_from(value).map_err(|_| "a number is over 64 bits"),
        Node::Static(StaticNode::F64(value)) => {
            let magnitude = whole::<i64>(value.abs()).ok_or(NOT_AN_INTEGER)?;
            Ok(if value < 0.0 { -magnitude } else { magnitude })
        }
        Node::String(text) => text.parse().map_err(|_| NOT_AN_INTEGER),
        _ => Err(NOT_AN_INTEGER),
    }
}

/// A float that is written with a point or an exponent and is a whole number all the same, as `1e3`.
fn whole<T: TryFrom<u64>>(value: f64) -> Option<T> {
    let is_whole = value.fract() == 0.0 && (0.0..WHOLE_MAX).contains(&value);
    if is_whole { T::try_from(value as u64).ok() } else { None }
}

/// Above it floats leave out whole numbers.
const WHOLE_MAX: f64 = (1u64 << 53) as f64;

fn double(node: Node<'_>) -> Result<f64, &'static str> {
    match node {
        Node::Static(StaticNode::F64(value)) => Ok(value),
        // simd-json gives what begins with a minus as I64, all other integers as U64.
        Node::Static(StaticNode::I64(0)) => Ok(-0.0),
        Node::Static(StaticNode::I64(value)) => Ok(value as f64),
        Node::Static(StaticNode::U64(value)) => Ok(value as f64),
        Node::String(text) if text.ends_with(|c: char| c.is_ascii_digit() || c == '.') => {
            // What overflows is no infinity: that has words of its own.
            let value: Option<f64> = fast_float2::parse(text).ok();
            value.filter(|value| value.is_finite()).ok_or("a number is expected")
        }
        Node::String(text) => word(text).ok_or("a number is expected"),
        _ => Err("a number is expected"),
    }
}

/// A number that is written as a word: `NaN`, `Infinity`, and what else Go's parser takes for them.
fn word(text: &str) -> Option<f64> {
    let (infinity, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (f64::NEG_INFINITY, magnitude),
        None => (f64::INFINITY, text.strip_prefix('+').unwrap_or(text)),
    };
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::from_bits(NAN_CANONICAL_BITS));
    }
    ["inf", "infinity"].iter().any(|known| magnitude.eq_ignore_ascii_case(known)).then_some(infinity)
}

fn enum_value(names: &[&str], node: Node<'_>) -> Result<i64, &'static str> {
    if let Node::String(text) = node
        && let Some(value) = names.iter().position(|name| *name == text)
    {
        return Ok(value as i64);
    }
    let value = signed(node).map_err(|_| "a number of the enum is expected, or a name of it")?;
    i32::try_from(value).map(i64::from).map_err(|_| "a number is over 32 bits")
}

fn decode_hex(text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let digit = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    for [high, low] in pairs {
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { return Err(NOT_HEX) };
        out.push(high << 4 | low);
    }
    if rest.is_empty() { Ok(()) } else { Err(NOT_HEX) }
}

const NOT_HEX: &str = "hexadecimal digits are expected, two for each byte";

/// Both alphabets are taken, padded or not, in lines or not.
fn decode_base64(text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let engine = if text.contains(['-', '_']) { &BASE64_URL } else { &BASE64 };
    if !text.contains(['\n', '\r']) {
        return engine.decode_vec(text, out).map_err(|_| NOT_BASE64);
    }
    // In stretches: memory for all of it once more is not there.
    let (mut stretch, mut len) = ([0; BASE64_STRETCH], 0);
    for byte in text.bytes().filter(|byte| !b"\n\r".contains(byte)) {
        if len == BASE64_STRETCH {
            // Padding ends the text.
            let more = !stretch.contains(&b'=') && engine.decode_vec(stretch, out).is_ok();
            len = if more { 0 } else { return Err(NOT_BASE64) };
        }
        stretch[len] = byte;
        len += 1;
    }
    engine.decode_vec(&stretch[..len], out).map_err(|_| NOT_BASE64)
}

const NOT_BASE64: &str = "base64 is expected";

/// Digits that are decoded at once: whole groups of four.
const BASE64_STRETCH: usize = 1 << 10;

const INDIFFERENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, INDIFFERENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, INDIFFERENT);

/// Ours, simd-json's two, and the protobuf, which may grow to twice its size.
const COPIES: usize = 5;

/// What simd-json's vectors have beyond the body.
const PADDING_BYTES_MAX: usize = 256;

const WIRE_VARINT: u32 = 0;
const WIRE_FIXED64: u32 = 1;
const WIRE_BYTES: u32 = 2;
const WIRE_FIXED32: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::otlp::schema::METRICS_REQUEST;

    #[test]
    fn the_most_memory_that_transcoding_takes_is_known_before() {
        let points = |point: &str| {
            let points = vec![point; 5000].join(",");
            format!(
                r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"gauge":{{"dataPoints":[{points}]}}}}]}}]}}]}}"#
            )
        };
        let wide = vec!["0"; 50_000].join(",");
        for body in [
            points("{}"),
            points(r#"{"asInt":1}"#),
            points(
                r#"{"asDouble":1,"flags":0,"timeUnixNano":1,"attributes":[{"key":"","value":{"boolValue":true}}]}"#,
            ),
            points(&format!(r#"{{"attributes":[{{"key":{:?}}}]}}"#, "x".repeat(200))),
            format!(r#"{{"unknown":[{wide}]}}"#),
            points("{\"exemplars\":[]}").replace("gauge", "histogram").replace("exemplars", "explicitBounds"),
            format!(
                r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{{"bucketCounts":[{wide}]}}]}}}}]}}]}}]}}"#
            ),
        ] {
            let mut transcoder = Transcoder::default();
            transcoder.transcode(&METRICS_REQUEST, body.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
            // Beside what can be seen simd-json holds its two copies and its index.
            let hidden = 2 * body.len() as u64;
            let (held, most) =
                (transcoder.memory_bytes() + hidden, Transcoder::memory_bytes_max(body.as_bytes()));
            assert!(held <= most, "{held} of {most}: {}", &body[..80]);
        }
    }
}
