//! What a line says: where its labels are, its values and their times.

use super::fault::Fault;
use crate::bytes::json::{Json, JsonFault};
use crate::model::NAN_CANONICAL_BITS;

/// A line's samples. Cleared and used again.
#[derive(Default, Debug)]
pub(super) struct Samples {
    /// The bits of the values.
    pub(super) values: Vec<u64>,
    /// Nanoseconds since the Unix epoch.
    pub(super) times_ns: Vec<i64>,
}

/// Where a line's labels are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Metric {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether its text is the one that was expected.
    pub(super) expected: bool,
}

impl Samples {
    pub(super) fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<u64>() + self.times_ns.capacity() * size_of::<i64>()
    }

    /// Gives back what only an unusually long line needed.
    pub(super) fn shrink(&mut self) {
        if self.values.capacity().max(self.times_ns.capacity()) > SAMPLES_KEPT_MAX {
            *self = Samples::default();
        }
    }

    /// Reads a line whose labels are probably spelled as `expected`, which is such a text or empty.
    pub(super) fn read(&mut self, line: &[u8], expected: &[u8]) -> Result<Metric, Fault> {
        self.values.clear();
        self.times_ns.clear();
        let mut json = Json::new(line, 0);
        let mut metric = None;
        let (mut values, mut timestamps) = (false, false);
        json.object(|json, name| {
            match name.raw() {
                b"metric" if metric.is_some() => return Err(Fault::Twice("metric")),
                b"values" if values => return Err(Fault::Twice("values")),
                b"timestamps" if timestamps => return Err(Fault::Twice("timestamps")),
                b"metric" => metric = Some(read_metric(json, expected)?),
                b"values" => {
                    values = true;
                    json.array(|json| value_bits(json).map(|bits| self.values.push(bits)))?;
                }
                b"timestamps" => {
                    timestamps = true;
                    json.array(|json| time_ns(json).map(|time| self.times_ns.push(time)))?;
                }
                _ => json.skip().map(|_| ())?,
            }
            Ok(())
        })?;
        json.end()?;
        let metric = metric.ok_or(Fault::Missing("metric"))?;
        if self.values.is_empty() {
            return Err(Fault::Missing("values"));
        }
        if self.times_ns.is_empty() {
            return Err(Fault::Missing("timestamps"));
        }
        if self.values.len() != self.times_ns.len() {
            let (values, timestamps) = (self.values.len(), self.times_ns.len());
            return Err(Fault::Lengths { values, timestamps });
        }
        Ok(metric)
    }
}

/// The values of a line that is not taken: what stands between the brackets of `"values"`, whatever else is wrong with
/// the line, and wherever. 0 if the brackets don't close.
#[cold]
pub(super) fn count_values(line: &[u8]) -> usize {
    let (mut depth, mut name, mut counted) = (0, &b""[..], None);
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'"' => {
                while line.get(at).is_some_and(|&byte| byte != b'"') {
                    at += if line[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                if depth == 1 {
                    name = line.get(start + 1..at - 1).unwrap_or_default();
                }
            }
            b'[' if depth == 1 && name == b"values" => {
                depth += 1;
                counted = Some((0, false));
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        let Some((commas, any)) = &mut counted else { continue };
        match byte {
            b']' if depth == 1 => return if *any { *commas + 1 } else { 0 },
            b',' if depth == 2 => *commas += 1,
            _ => *any |= !byte.is_ascii_whitespace(),
        }
    }
    0
}

/// The word that a text starts with, with its sign.
fn word(text: &[u8]) -> &[u8] {
    let ends = |&byte: &u8| !byte.is_ascii_alphabetic() && !matches!(byte, b'+' | b'-');
    &text[..text.iter().position(ends).unwrap_or(text.len())]
}

#[inline]
fn read_metric(json: &mut Json<'_>, expected: &[u8]) -> Result<Metric, Fault> {
    json.peek();
    let start = json.at();
    // The text of an object is never the start of another's.
    let is_expected = !expected.is_empty() && json.rest().starts_with(expected);
    if is_expected {
        json.advance(expected.len());
    } else {
        json.object(|json, _| json.string().map(|_| ()))?;
    }
    Ok(Metric { start, end: json.at(), expected: is_expected })
}

/// A value: its bits.
#[inline]
fn value_bits(json: &mut Json<'_>) -> Result<u64, Fault> {
    if let Some(value) = json.plain_decimal() {
        return Ok(value.to_bits());
    }
    let next = json.peek();
    if matches!(next, Some(b'0'..=b'9'))
        || next == Some(b'-') && json.rest().get(1).is_some_and(u8::is_ascii_digit)
    {
        let fault = json.fault("a number that fits 64 bits is expected");
        let value = json.number()?.f64();
        return if value.is_finite() { Ok(value.to_bits()) } else { Err(Fault::Value(fault)) };
    }
    special_bits(json)
}

#[cold]
fn special_bits(json: &mut Json<'_>) -> Result<u64, Fault> {
    let fault = json.fault("a number, null, NaN or Inf is expected");
    let word = if json.peek() == Some(b'"') {
        json.string()?.raw()
    } else {
        let word = word(json.rest());
        json.advance(word.len());
        word
    };
    let (negative, word) = match word {
        [b'-', word @ ..] => (true, word),
        [b'+', word @ ..] => (false, word),
        _ => (false, word),
    };
    let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
    if is(b"inf") || is(b"infinity") {
        Ok(if negative { f64::NEG_INFINITY } else { f64::INFINITY }.to_bits())
    } else if is(b"nan") || is(b"null") {
        Ok(NAN_CANONICAL_BITS)
    } else {
        Err(Fault::Value(fault))
    }
}

/// A timestamp of milliseconds: the time.
#[inline]
fn time_ns(json: &mut Json<'_>) -> Result<i64, Fault> {
    json.peek();
    let fault = json.fault("a timestamp is expected: milliseconds, an integer");
    let ms = match json.plain_integer() {
        Some(ms) => i64::try_from(ms).ok(),
        None => match json.number() {
            Ok(number) if number.is_integer() => number.i64(),
            _ => return Err(Fault::Timestamp(fault)),
        },
    };
    let out_of_range = JsonFault {
        what: "the timestamp is out of range: milliseconds from -9223372036854 to 9223372036854",
        ..fault
    };
    ms.and_then(|ms| ms.checked_mul(1_000_000)).ok_or(Fault::Timestamp(out_of_range))
}

/// Samples of which the room is kept for the next line, 1 MiB.
const SAMPLES_KEPT_MAX: usize = 64 << 10;
