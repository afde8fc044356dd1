//! Every line-protocol case of the shared corpora, in the dialect it is from.
//!
//! A case is right if it is taken or refused as its source says and, where the source says it, the rows are equal by
//! value.

use serde_json::Value as Json;
use tidegate::model::WriteResult;
use tidegate::wire::influx::{Decoder, Dialect, Precision};
use tidegate::wire::testing::{Row, Rows, Value};
use tidegate::wire::{Decode, FedState};

use super::kit::{compare, input, judge_all};

#[test]
fn every_case_of_the_corpora() {
    judge_all("influx_line", &[""], 3_000, judge);
}

/// What a decoder made of a whole body.
struct Decoded {
    rows: Vec<Row>,
    result: WriteResult,
}

fn decode(dialect: Dialect, precision: Precision, default_ns: i64, input: &[u8]) -> Decoded {
    let mut rows = Rows::default();
    let mut result = WriteResult::default();
    let mut decoder = Decoder::new(dialect, precision, default_ns);
    let fed = decoder.feed(input, true, &mut rows, &mut result);
    assert_eq!((fed.consumed, fed.state), (input.len(), FedState::Done));
    assert_eq!(result.accepted, rows.rows.len() as u64);
    Decoded { rows: rows.rows, result }
}

fn judge(suite: &str, case: &Json) -> Result<(), String> {
    match suite {
        "influxdb3_lib_rs" => judge_by_line(case),
        "influxdb3_split_lines" => judge_split(case),
        "influxdb3_v3_field_family" => judge_family(case),
        _ => judge_body(suite, case),
    }
}

fn judge_body(suite: &str, case: &Json) -> Result<(), String> {
    let dialect = if suite == "influxdb_v1_points_test" { Dialect::V1 } else { Dialect::V2 };
    let mut default_ns = case.get("default_time_ns").map_or(0, |ns| ns.as_i64().unwrap());
    if suite.starts_with("telegraf") {
        default_ns = default_time_of_telegraf(case);
    }
    let precision = case["precision"].as_str().unwrap_or_default().trim_start_matches('1');
    let precision = Precision::parse(dialect, precision).ok_or(format!("precision {precision:?}"))?;
    let got = decode(dialect, precision, default_ns, &input(case));
    let expect = case["expect"].as_str().unwrap();
    if expect == "no_rows" {
        return if got.rows.is_empty() { Ok(()) } else { Err(format!("rows {:?}", got.rows)) };
    }
    if (expect == "error") != (got.result.rejected > 0) {
        return Err(format!("expected {expect}, got {:?} {:?}", got.rows, got.result.errors));
    }
    if let Some(line) = case["expected_canonical_line"].as_str() {
        let nanos = decode(dialect, Precision::Nanos, 0, line.as_bytes());
        compare(&nanos.rows.first(), &got.rows.first())?;
    }
    if let Some(count) = case["expected_point_count"].as_u64() {
        compare(&count, &(got.rows.len() as u64))?;
    }
    if let Some(tags) = case.get("expected_tags") {
        let labels = &got.rows.first().ok_or("no row")?.labels;
        compare(&tags_of(tags), &labels[1..].to_vec())?;
    }
    match case.get("expected").and_then(Json::as_array) {
        Some(points) => compare_points(points, &got.rows, default_ns),
        None => Ok(()),
    }
}

/// Telegraf's suites have a clock at 42 s, with fractions in some; the expected points tell.
fn default_time_of_telegraf(case: &Json) -> i64 {
    let first = case["expected"].get(0).and_then(|p| p["timestamp"].as_i64());
    first.filter(|&ns| ns / 1_000_000_000 == 42).unwrap_or(42_000_000_000)
}

fn judge_by_line(case: &Json) -> Result<(), String> {
    let got = decode(Dialect::V3, Precision::Nanos, DEFAULT_NS, &input(case));
    let lines = case["lines"].as_array().unwrap();
    let points: Vec<Json> = lines.iter().filter_map(|line| line.get("ok")).cloned().collect();
    if got.result.rejected as usize != lines.len() - points.len() {
        return Err(format!("rejected {}: {:?}", got.result.rejected, got.result.errors));
    }
    compare_points(&points, &got.rows, DEFAULT_NS)?;
    let bad = lines.iter().zip(1..).filter(|(line, _)| line.get("ok").is_none()).map(|(_, number)| number);
    compare(&bad.collect::<Vec<u64>>(), &got.result.errors.iter().map(|e| e.index).collect())
}

/// How a body is cut into lines shows in the errors' texts: each line of this suite is malformed or blank.
fn judge_split(case: &Json) -> Result<(), String> {
    let got = decode(Dialect::V3, Precision::Nanos, 0, &input(case));
    let lines = case["expected"].as_array().unwrap().iter().map(|l| l.as_str().unwrap().to_owned());
    let shown: Vec<String> = got.result.errors.iter().map(|e| e.original.clone()).collect();
    compare(&lines.filter(|l| !l.is_empty()).collect(), &shown)
}

fn judge_family(case: &Json) -> Result<(), String> {
    let text = case["input"].as_str().unwrap();
    let whole = case["whole"].as_bool() == Some(true);
    let line = if whole { text.to_owned() } else { format!("foo {text}") };
    let got = decode(Dialect::V3, Precision::Nanos, DEFAULT_NS, line.as_bytes());
    let row = got.rows.first().ok_or(format!("{:?}", got.result.errors))?;
    let field = if whole { &case["expected"]["fields"][0] } else { &case["expected"] };
    let name = field[0]["name"].as_str().unwrap();
    let name = field[0]["family"].as_str().map_or(name.to_owned(), |family| format!("{family}::{name}"));
    compare(&vec![(name, value_of(&field[1]))], &row.fields)
}

fn compare_points(points: &[Json], rows: &[Row], default_ns: i64) -> Result<(), String> {
    let expected: Vec<Row> = points.iter().map(|point| row_of(point, default_ns)).collect();
    compare(&expected, &rows.iter().map(sorted).collect())
}

/// A row with its fields in the order of their names: some sources keep them in maps.
fn sorted(row: &Row) -> Row {
    let mut row = row.clone();
    row.fields.sort_by(|a, b| a.0.cmp(&b.0));
    row
}

fn row_of(point: &Json, default_ns: i64) -> Row {
    let mut labels = tags_of(&point["tags"]);
    labels.push(("__name__".to_owned(), point["measurement"].as_str().unwrap().to_owned()));
    labels.sort();
    let mut fields: Vec<(String, Value)> = Vec::new();
    for (name, value) in pairs(&point["fields"]) {
        // Of two fields of one name the last one counts.
        fields.retain(|(known, _)| *known != name);
        fields.push((name, value_of(&value)));
    }
    let time_ns = point["timestamp"].as_i64().unwrap_or(default_ns);
    sorted(&Row { labels, time_ns, start_time_ns: None, fields })
}

fn tags_of(tags: &Json) -> Vec<(String, String)> {
    let text = |value: Json| value.as_str().unwrap().to_owned();
    let mut tags: Vec<_> = pairs(tags).into_iter().map(|(name, value)| (name, text(value))).collect();
    tags.sort();
    tags
}

/// A list of pairs or a map.
fn pairs(json: &Json) -> Vec<(String, Json)> {
    match json {
        Json::Object(map) => map.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        Json::Array(list) => {
            list.iter().map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].clone())).collect()
        }
        _ => Vec::new(),
    }
}

fn value_of(value: &Json) -> Value {
    let inner = &value["value"];
    match value["type"].as_str() {
        Some("float") => Value::F64(inner.as_f64().expect("a float").to_bits()),
        Some("int") => Value::I64(inner.as_i64().expect("an int")),
        Some("uint") => Value::U64(inner.as_u64().expect("a uint")),
        Some("bool") => Value::Bool(inner.as_bool().expect("a bool")),
        Some("string") => Value::Bytes(inner.as_str().expect("a string").as_bytes().to_vec()),
        // A source that knows floats only.
        _ => Value::F64(value.as_f64().expect("a number").to_bits()),
    }
}

const DEFAULT_NS: i64 = 77;
