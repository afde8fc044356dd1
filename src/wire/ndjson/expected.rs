//! A line that is what `log cat` prints, of the series and with the fields that are expected: the fast way.
//!
//! Nothing is searched and no name is read: the head has its fixed texts, the labels are compared with a known key, the
//! text before each value with the shape of the series' last row. Whatever is not as expected ends the attempt, and the
//! line goes the plain way ([`super::line`]).

use super::value::Values;
use crate::bytes::json::Json;
use crate::model::{FieldType, Shape};

/// What stands before a line's labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) time_ns: i64,
    pub(super) start_ns: Option<i64>,
    /// Where the labels start.
    pub(super) labels: usize,
}

impl Head {
    /// The head of a line, as it is printed.
    #[inline]
    pub(super) fn read(line: &[u8]) -> Option<Head> {
        let mut json = Json::new(line, 0);
        let mut start_ns = None;
        let time_ns = integer_behind(&mut json, b"{\"time\":")?;
        if json.rest().starts_with(START) {
            start_ns = Some(integer_behind(&mut json, START)?);
        }
        let labels = json.rest().starts_with(LABELS).then_some(json.at() + LABELS.len())?;
        Some(Head { time_ns, start_ns, labels })
    }
}

#[inline]
fn integer_behind(json: &mut Json<'_>, text: &[u8]) -> Option<i64> {
    if !json.rest().starts_with(text) {
        return None;
    }
    json.advance(text.len());
    json.number().ok()?.i64()
}

/// Reads the values of `line`, whose labels end at `at`, if its fields are those of `shape`.
#[inline]
pub(super) fn read_values(
    shape: &Shape,
    line: &[u8],
    head: &Head,
    at: usize,
    room: (&mut Values, &mut Vec<u64>, &mut Vec<u8>),
) -> Option<()> {
    let (reader, values, heap) = room;
    values.clear();
    heap.clear();
    let mut json = Json::new(line, at);
    if !json.rest().starts_with(FIELDS) {
        return None;
    }
    json.advance(FIELDS.len());
    let (starts, fields) = match shape.fields.split_last() {
        Some((last, fields)) if last.kind == FieldType::StartTime => (true, fields),
        _ => (false, &shape.fields[..]),
    };
    if starts != head.start_ns.is_some() || fields.is_empty() {
        return None;
    }
    for (i, field) in fields.iter().enumerate() {
        let text = shape.field_text(i);
        if !json.rest().starts_with(text) {
            return None;
        }
        json.advance(text.len());
        values.push(reader.read(&mut json, field.kind, heap).ok()?);
    }
    values.extend(head.start_ns.map(|start| start as u64));
    matches!(json.rest(), b"}}}" | b"}}}\r").then_some(())
}

const START: &[u8] = b",\"start\":";
const LABELS: &[u8] = b",\"labels\":";
const FIELDS: &[u8] = b",\"fields\":{";
