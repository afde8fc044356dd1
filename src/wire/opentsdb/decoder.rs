//! The decoder of `/api/put` bodies.

use super::fault::Fault;
use super::point::{Labels, Points, Sample, Tags};
use super::value::{parse_time, parse_value};
use crate::bytes::json::{Json, JsonString, LoneSurrogates};
use crate::model::{Full, Intake, WriteResult};
use crate::wire::{Decode, Elements, Fed, Malformed};

/// A decoder of one body at a time: an object or an array of them.
///
/// Bodies are checked whole before they are fed; faults are by element from 1.
///
/// ```
/// use tidegate::wire::Decode;
/// use tidegate::wire::opentsdb::Decoder;
/// let mut decoder = Decoder::new();
/// assert!(decoder.check(br#"{"metric":"a","timestamp":1,"value":2,"tags":{"host":"b"}}"#).is_ok());
/// assert!(decoder.check(b"put a 1 2").is_err());
/// ```
#[derive(Default, Debug)]
pub struct Decoder {
    points: Points,
    elements: Elements,
    /// The key of a point: its metric with quotes, and its tags.
    key: Vec<u8>,
    scratch: Vec<u8>,
}

/// A point as its element says it.
#[derive(Clone, Copy, Default, Debug)]
struct Element<'a> {
    metric: Option<JsonString<'a>>,
    timestamp: Option<Scalar<'a>>,
    value: Option<Scalar<'a>>,
    /// The text of the object of tags.
    tags: Option<&'a [u8]>,
}

/// A value that is neither object nor array nor null.
#[derive(Clone, Copy, Debug)]
enum Scalar<'a> {
    String(JsonString<'a>),
    /// A number or a truth value: the text.
    Bare(&'a [u8]),
}

impl Decoder {
    /// A decoder.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    fn take<I: Intake>(&mut self, json: &mut Json<'_>, intake: &mut I) -> Result<Result<(), Full>, Fault> {
        let element = Element::read(json)?;
        let metric = element.metric.filter(|metric| !metric.raw().is_empty()).ok_or(Fault::EmptyMetric)?;
        let timestamp = element.timestamp.ok_or(Fault::Timestamp)?;
        let time_ns = parse_timestamp(timestamp, &mut self.scratch)?;
        let value = element.value.ok_or(Fault::EmptyValue)?;
        let tags = element.tags.filter(|tags| !is_empty(tags)).ok_or(Fault::MissingTags)?;
        let (kind, word) = parse_value(value.spelled(&mut self.scratch)?)?;
        self.key.clear();
        self.key.push(b'"');
        self.key.extend_from_slice(metric.raw());
        self.key.push(b'"');
        self.key.extend_from_slice(tags);
        let tags = Members { metric, tags, scratch: &mut self.scratch };
        self.points.push(&self.key, Sample { time_ns, kind, word }, tags, intake)
    }
}

impl<'a> Element<'a> {
    fn read(json: &mut Json<'a>) -> Result<Element<'a>, Fault> {
        let mut element = Element::default();
        json.object(|json, name| {
            match name.raw() {
                b"metric" => element.metric = read_metric(json)?,
                b"timestamp" => element.timestamp = Scalar::read(json)?,
                b"value" => element.value = Scalar::read(json)?,
                b"tags" => element.tags = read_tags(json)?,
                _ => json.skip().map(|_| ())?,
            }
            Ok::<(), Fault>(())
        })?;
        Ok(element)
    }
}

impl<'a> Scalar<'a> {
    /// Reads a scalar; none for null.
    #[inline]
    fn read(json: &mut Json<'a>) -> Result<Option<Scalar<'a>>, Fault> {
        match json.peek() {
            Some(b'"') => Ok(Some(Scalar::String(json.string()?))),
            Some(b'{' | b'[') => Err(json.fault("a string or a number is expected").into()),
            Some(b'n') => json.skip().map(|_| None).map_err(Fault::Json),
            _ => Ok(Some(Scalar::Bare(json.skip()?))),
        }
    }

    fn spelled<'s>(&self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Fault>
    where
        'a: 's,
    {
        match self {
            Scalar::String(string) => {
                string.spelled(LoneSurrogates::Refused, scratch).map_err(|_| Fault::Surrogate)
            }
            Scalar::Bare(text) => Ok(text),
        }
    }
}

/// Reads a metric's name: a string, or none for null.
fn read_metric<'a>(json: &mut Json<'a>) -> Result<Option<JsonString<'a>>, Fault> {
    match Scalar::read(json)? {
        Some(Scalar::String(name)) => Ok(Some(name)),
        Some(Scalar::Bare(_)) => Err(json.fault("a metric's name is a string").into()),
        None => Ok(None),
    }
}

/// Goes over the tags: their text, or none for null.
fn read_tags<'a>(json: &mut Json<'a>) -> Result<Option<&'a [u8]>, Fault> {
    if json.peek() == Some(b'n') {
        return json.skip().map(|_| None).map_err(Fault::Json);
    }
    let (text, start) = (json.rest(), json.at());
    json.object(|json, _| match json.peek() {
        Some(b'{' | b'[') => Err(Fault::Json(json.fault("a tag's value is a string"))),
        _ => Ok(json.skip().map(|_| ())?),
    })?;
    Ok(Some(&text[..json.at() - start]))
}

fn is_empty(tags: &[u8]) -> bool {
    tags[1..].trim_ascii() == b"}"
}

/// A timestamp: text of digits, or a number.
fn parse_timestamp(timestamp: Scalar<'_>, scratch: &mut Vec<u8>) -> Result<i64, Fault> {
    let text = timestamp.spelled(scratch)?;
    match parse_time(text) {
        Err(Fault::TimestampText(_)) if text.is_empty() => Err(Fault::Timestamp),
        // 1.4e9
        Err(Fault::TimestampText(bad))
            if matches!(timestamp, Scalar::Bare(_))
                && text.iter().any(|byte| matches!(byte, b'e' | b'E')) =>
        {
            match Json::new(text, 0).number().map(|number| number.f64()) {
                // The cast leaves what is far too large too large.
                Ok(float) if float.abs() > EXACT_INTEGER_MAX => {
                    parse_time((float as i64).to_string().as_bytes())
                }
                Ok(float) => parse_time(float.to_string().as_bytes()),
                Err(_) => Err(Fault::TimestampText(bad)),
            }
        }
        parsed => parsed,
    }
}

/// The metric and the tags of an element.
struct Members<'a, 's> {
    metric: JsonString<'a>,
    tags: &'a [u8],
    scratch: &'s mut Vec<u8>,
}

impl Tags for Members<'_, '_> {
    fn read(&mut self, labels: &mut Labels<'_>) -> Result<(), Fault> {
        let metric = self.metric.spelled(LoneSurrogates::Refused, self.scratch);
        labels.metric(metric.map_err(|_| Fault::Surrogate)?)?;
        Json::new(self.tags, 0).object(|json, name| {
            let value = Scalar::read(json)?;
            self.scratch.clear();
            name.append_to(LoneSurrogates::Refused, self.scratch).map_err(|_| Fault::Surrogate)?;
            let name_len = self.scratch.len();
            match value {
                None => {}
                Some(Scalar::Bare(text)) => self.scratch.extend_from_slice(text),
                Some(Scalar::String(string)) => {
                    string.append_to(LoneSurrogates::Refused, self.scratch).map_err(|_| Fault::Surrogate)?;
                }
            }
            let (name, value) = self.scratch.split_at(name_len);
            labels.tag(name, value)
        })
    }
}

impl Decode for Decoder {
    /// Checks that a body is JSON, and an object or an array with something in it.
    fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let malformed = |error: String| Err(Malformed { error });
        let unparsable = |why: String| malformed(format!("Unable to parse the given JSON: {why}"));
        if let Err(e) = std::str::from_utf8(body) {
            return unparsable(format!("invalid UTF-8 at byte {}", e.valid_up_to() + 1));
        }
        let mut json = Json::new(body, 0);
        match json.peek() {
            None => return malformed("Missing request content".into()),
            Some(b'{' | b'[') => {}
            Some(_) => return malformed("The JSON must start as an object or an array".into()),
        }
        let text = match json.skip().and_then(|text| json.end().map(|()| text)) {
            Ok(text) => text,
            Err(fault) => return unparsable(format!("{} at byte {}", fault.what, fault.at + 1)),
        };
        if text[0] == b'[' && text[1..].trim_ascii() == b"]" {
            return malformed("No datapoints found in content".into());
        }
        Ok(())
    }

    fn rewind(&mut self) {
        self.elements = Elements::default();
    }

    /// Takes the points of a body that was [checked](Decode::check).
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        debug_assert!(last, "a body comes whole");
        let mut elements = self.elements;
        let fed =
            elements.feed(input, result, Fault::reason, |json| Ok(self.take(json, intake)?.map(|()| 1)));
        self.elements = elements;
        fed
    }
}

/// Up to it a double prints as the seconds that it is, fraction and all.
const EXACT_INTEGER_MAX: f64 = (1u64 << 53) as f64;
