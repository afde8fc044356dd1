//! Every case of the shared corpora that is OpenTSDB's: `put` lines and bodies of `/api/put`.
//!
//! A case is right if its rows are equal by value; the sources have floats only, so integers are compared as such.
//! Where a source has no rows, what was sent must be refused here.

use serde_json::Value as Json;
use tidegate::model::WriteResult;
use tidegate::wire::opentsdb::{Decoder, Lines};
use tidegate::wire::testing::{Row, Rows, Value};
use tidegate::wire::{Decode, FedState};

use super::kit::judge_all;

#[test]
fn every_case_of_the_corpora() {
    judge_all("opentsdb", &[""], 42, judge);
}

fn judge(suite: &str, case: &Json) -> Result<(), String> {
    let input = case["input"].as_str().unwrap();
    let (rows, refused) = if suite.ends_with("http") { put(input) } else { lines(input) };
    if case["expect"] == "no_rows" {
        return if refused && rows.is_empty() { Ok(()) } else { Err(format!("rows {rows:?}")) };
    }
    let expected: Vec<Row> = match &case["expected"] {
        Json::Array(points) => points.iter().map(point).collect(),
        one => vec![point(one)],
    };
    if !refused && rows == expected { Ok(()) } else { Err(format!("expected {expected:?}, got {rows:?}")) }
}

/// What a body is decoded to, and whether anything was refused.
fn put(input: &str) -> (Vec<Row>, bool) {
    let mut decoder = Decoder::new();
    if decoder.check(input.as_bytes()).is_err() {
        return (Vec::new(), true);
    }
    decode(decoder, input)
}

fn lines(input: &str) -> (Vec<Row>, bool) {
    decode(Lines::new(), input)
}

fn decode(mut decoder: impl Decode, input: &str) -> (Vec<Row>, bool) {
    let mut rows = Rows::default();
    let mut result = WriteResult::default();
    let fed = decoder.feed(input.as_bytes(), true, &mut rows, &mut result);
    assert_eq!((fed.consumed, fed.state), (input.len(), FedState::Done));
    assert_eq!(result.accepted, rows.rows.len() as u64);
    let mut rows = rows.rows;
    for (_, value) in rows.iter_mut().flat_map(|row| &mut row.fields) {
        if let Value::I64(integer) = *value {
            *value = Value::F64((integer as f64).to_bits());
        }
    }
    (rows, result.rejected > 0)
}

/// A point of either source.
fn point(point: &Json) -> Row {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let (name, value, time_ns) = if point.get("measurement").is_some() {
        (
            text(&point["measurement"]),
            &point["fields"]["value"]["value"],
            point["timestamp"].as_i64().unwrap(),
        )
    } else {
        let timestamp = point["timestamp"].as_i64().unwrap();
        let unit = if timestamp <= i64::from(u32::MAX) { 1_000_000_000 } else { 1_000_000 };
        (text(&point["metric"]), &point["value"], timestamp * unit)
    };
    let mut labels = vec![("__name__".to_owned(), name)];
    match &point["tags"] {
        Json::Object(tags) => labels.extend(tags.iter().map(|(name, value)| (name.clone(), text(value)))),
        tags => labels.extend(tags.as_array().unwrap().iter().map(|tag| (text(&tag[0]), text(&tag[1])))),
    }
    labels.sort();
    let fields = vec![("value".into(), Value::F64(value.as_f64().unwrap().to_bits()))];
    Row { labels, time_ns, start_time_ns: None, fields }
}
