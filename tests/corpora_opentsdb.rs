//! Every case of the shared corpora that is OpenTSDB's: `put` lines and bodies of `/api/put`.
//!
//! A case is right if its rows are equal by value; the sources have floats only, so integers are compared as such.
//! Where a source has no rows, what was sent must be refused here. Cases that tidegate decides otherwise stand in
//! `corpora_exceptions.txt` with the reason; one that stands there and comes out right is a failure too.

#![allow(clippy::unwrap_used, reason = "a case that is not as its suite's format says is a failure")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value as Json;
use tidegate::model::WriteResult;
use tidegate::wire::opentsdb::{Decoder, Lines};
use tidegate::wire::testing::{Row, Rows, Value};
use tidegate::wire::{Decode, FedState};

const SUITES: [&str; 3] = ["telegraf_opentsdb", "victoriametrics_opentsdb", "victoriametrics_opentsdbhttp"];

#[test]
fn every_case_of_the_corpora() {
    let folder = corpora().join("opentsdb");
    let mut exceptions = exceptions();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for suite in SUITES {
        let file = folder.join(suite).with_extension("jsonl");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| {
            panic!("{}: {e}; set TIDEGATE_CORPORA to the folder of the corpora", file.display())
        });
        for line in text.lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            if case.get("_header").is_some() {
                continue;
            }
            cases += 1;
            let id = case["id"].as_str().unwrap();
            match (judge(suite, &case), exceptions.remove(id)) {
                (Ok(()), false) | (Err(_), true) => {}
                (Ok(()), true) => wrong.push(format!("{id}: listed as an exception, and right")),
                (Err(why), false) => wrong.push(format!("{id}: {why}")),
            }
        }
    }
    wrong.extend(exceptions.iter().map(|id| format!("{id}: an exception of no case")));
    assert!(cases >= 42, "only {cases} cases in {}", folder.display());
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
}

fn corpora() -> PathBuf {
    std::env::var_os("TIDEGATE_CORPORA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"), PathBuf::from)
}

/// The ids of these suites among the exceptions.
fn exceptions() -> BTreeSet<String> {
    include_str!("corpora_exceptions.txt")
        .lines()
        .filter(|line| SUITES.iter().any(|suite| line.split_once('/').is_some_and(|(of, _)| of == *suite)))
        .map(|line| line.split_once('\t').expect("an id, a tab, a reason").0.to_owned())
        .collect()
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
