//! Every case of the shared corpora that is VictoriaMetrics' JSON lines.
//!
//! A case is right if its rows are equal by value. Where the source has no rows, it skips bad lines in silence: they
//! must be refused here.

use serde_json::Value as Json;
use tidegate::model::WriteResult;
use tidegate::wire::testing::{Row, Rows, Value};
use tidegate::wire::vm_import::{Decoder, ExtraLabels};
use tidegate::wire::{Decode, FedState};

use super::kit::judge_all;

#[test]
fn every_case_of_the_corpora() {
    judge_all("vm_import", &[""], 24, |_, case| judge(case));
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
