//! Every case of the shared corpora that is VictoriaMetrics' JSON lines.
//!
//! A case is right if its rows are equal by value. Where the source has no rows, it skips bad lines in silence: they
//! must be refused here. Cases that tidegate decides otherwise stand in `corpora_exceptions.txt` with the reason; one
//! that stands there and comes out right is a failure too.

#![allow(clippy::unwrap_used, reason = "a case that is not as its suite's format says is a failure")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value as Json;
use tidegate::model::WriteResult;
use tidegate::wire::testing::{Row, Rows, Value};
use tidegate::wire::vm_import::{Decoder, ExtraLabels};
use tidegate::wire::{Decode, FedState};

#[test]
fn every_case_of_the_corpora() {
    let file = corpora().join("vm_import/victoriametrics_vmimport.jsonl");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| {
        panic!("{}: {e}; set TIDEGATE_CORPORA to the folder of the corpora", file.display())
    });
    let mut exceptions = exceptions();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for line in text.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        if case.get("_header").is_some() {
            continue;
        }
        cases += 1;
        let id = case["id"].as_str().unwrap();
        match (judge(&case), exceptions.remove(id)) {
            (Ok(()), false) | (Err(_), true) => {}
            (Ok(()), true) => wrong.push(format!("{id}: listed as an exception, and right")),
            (Err(why), false) => wrong.push(format!("{id}: {why}")),
        }
    }
    wrong.extend(exceptions.iter().map(|id| format!("{id}: an exception of no case")));
    assert!(cases >= 24, "only {cases} cases in {}", file.display());
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
}

fn corpora() -> PathBuf {
    std::env::var_os("TIDEGATE_CORPORA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"), PathBuf::from)
}

/// The ids of this suite among the exceptions.
fn exceptions() -> BTreeSet<String> {
    include_str!("corpora_exceptions.txt")
        .lines()
        .filter(|line| line.starts_with("victoriametrics_vmimport/"))
        .map(|line| line.split_once('\t').expect("an id, a tab, a reason").0.to_owned())
        .collect()
}

fn judge(case: &Json) -> Result<(), String> {
    let input = case["input"].as_str().unwrap();
    let mut rows = Rows::default();
    let mut result = WriteResult::default();
    let mut decoder = Decoder::new(ExtraLabels::default());
    let fed = decoder.feed(input.as_bytes(), true, &mut rows, &mut result);
    assert_eq!((fed.consumed, fed.state), (input.len(), FedState::Done));
    assert_eq!(result.accepted, rows.rows.len() as u64);
    let expected = match case["expect"].as_str().unwrap() {
        "no_rows" => {
            let blank = input.trim().is_empty();
            if blank != (result.rejected == 0) {
                return Err(format!("refused {}: {:?}", result.rejected, result.errors));
            }
            Vec::new()
        }
        _ if result.rejected > 0 => return Err(format!("{:?}", result.errors)),
        _ => case["expected"].as_array().unwrap().iter().flat_map(series).collect(),
    };
    if rows.rows == expected { Ok(()) } else { Err(format!("expected {expected:?}, got {:?}", rows.rows)) }
}

/// The rows of a line.
fn series(line: &Json) -> Vec<Row> {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let mut labels: Vec<_> =
        line["tags"].as_array().unwrap().iter().map(|tag| (text(&tag[0]), text(&tag[1]))).collect();
    labels.sort();
    let samples = line["values"].as_array().unwrap().iter().zip(line["timestamps"].as_array().unwrap());
    samples
        .map(|(value, timestamp)| Row {
            labels: labels.clone(),
            time_ns: timestamp.as_i64().unwrap() * 1_000_000,
            start_time_ns: None,
            fields: vec![("value".into(), Value::F64(value.as_f64().unwrap().to_bits()))],
        })
        .collect()
}
