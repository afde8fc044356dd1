//! Every OTLP case of the shared corpora, as far as it is about taking requests.
//!
//! A case is right if both encodings, where it has both, give the same rows, and these are what its source says. What
//! sources expect of names that are translated for Prometheus is about the way out: such cases stand in
//! `corpora_exceptions.txt`, and one that stands there and comes out right is a failure too.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use serde_json::Value as Json;
use tidegate::model::{Count, Histogram, WriteResult};
use tidegate::wire::otlp::{Decoder, Encoding, Signal};
use tidegate::wire::testing::{ExemplarSeen, MetadataSeen, Row, Rows, Value};
use tidegate::wire::{Decode, FedState};

use super::kit::{compare, judge_all};

#[test]
fn every_case_of_the_corpora() {
    judge_all("otlp", &[""], 70, judge);
}

#[derive(PartialEq, Debug)]
struct Decoded {
    rows: Vec<Row>,
    exemplars: Vec<ExemplarSeen>,
    metadata: Vec<MetadataSeen>,
    result: WriteResult,
}

fn decode(signal: Signal, encoding: Encoding, body: &[u8]) -> Result<Decoded, String> {
    let mut decoder = Decoder::new(signal, encoding, 0);
    decoder.check(body).map_err(|e| e.error)?;
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    let fed = decoder.feed(body, true, &mut rows, &mut result);
    assert_eq!((fed.consumed, fed.state), (body.len(), FedState::Done));
    Ok(Decoded { rows: rows.rows, exemplars: rows.exemplars, metadata: rows.metadata, result })
}

/// Decodes both encodings of a request, which are to be the same.
fn decode_both(signal: Signal, json: &str, protobuf: &Json) -> Result<Decoded, String> {
    let protobuf = base64::engine::general_purpose::STANDARD.decode(protobuf.as_str().unwrap()).unwrap();
    let (json, protobuf) =
        (decode(signal, Encoding::Json, json.as_bytes())?, decode(signal, Encoding::Protobuf, &protobuf)?);
    compare(&protobuf, &json)?;
    Ok(json)
}

fn judge(suite: &str, case: &Json) -> Result<(), String> {
    match suite {
        "otlp_examples" => judge_example(case),
        "collector_json_unknown_fields" => {
            let decoded = decode(signal(case), Encoding::Json, case["input"].as_str().unwrap().as_bytes());
            compare(&case["expect"], &Json::from(if decoded.is_ok() { "ok" } else { "error" }))
        }
        "prometheus_otlp_write_handler" => judge_translated(case),
        _ => Err("names are not translated on the way in".to_owned()),
    }
}

fn signal(case: &Json) -> Signal {
    if case["signal"] == "metrics" { Signal::Metrics } else { Signal::Logs }
}

fn judge_example(case: &Json) -> Result<(), String> {
    let decoded = decode_both(signal(case), case["input"].as_str().unwrap(), &case["protobuf_b64"])?;
    compare(&0, &decoded.result.rejected)?;
    let service = decoded.rows.iter().map(|row| label(row, "resource.service.name"));
    compare(&vec!["my.service"; decoded.rows.len()], &service.collect())?;
    let scope = decoded.rows.iter().map(|row| label(row, "scope.attributes.my.scope.attribute"));
    compare(&vec!["some scope attribute"; decoded.rows.len()], &scope.collect())?;
    let names: Vec<&str> = decoded.rows.iter().map(|row| label(row, "__name__")).collect();
    let times: BTreeSet<i64> = decoded.rows.iter().map(|row| row.time_ns).collect();
    compare(&BTreeSet::from([1_544_712_660_300_000_000]), &times)?;
    match signal(case) {
        Signal::Metrics => {
            compare(&vec!["my.counter", "my.gauge", "my.histogram", "my.exponential.histogram"], &names)
        }
        Signal::Logs => {
            compare(&vec!["otlp_log"], &names)?;
            let event = decoded.rows[0].fields.iter().find(|(name, _)| name == "event_name");
            compare(&Some(&Value::Bytes(b"browser.page_view".to_vec())), &event.map(|(_, value)| value))
        }
    }
}

/// The samples that Prometheus makes of a request have the values, times and attributes of our rows, under names of
/// their own.
fn judge_translated(case: &Json) -> Result<(), String> {
    let input = &case["input"];
    let decoded = decode_both(Signal::Metrics, &input["json"].to_string(), &input["protobuf_b64"])?;
    compare(&(4, 0), &(decoded.rows.len(), decoded.result.rejected))?;
    let rows: BTreeMap<&str, &Row> = decoded.rows.iter().map(|row| (label(row, "__name__"), row)).collect();
    for sample in case["expected"]["samples"].as_array().unwrap() {
        let family = sample["metric_family"].as_str().unwrap();
        if family == "target_info" {
            continue;
        }
        let row = rows.get(family).ok_or_else(|| format!("no row is called {family}"))?;
        compare(&sample["timestamp_ms"].as_i64().unwrap(), &(row.time_ns / 1_000_000))?;
        compare(&sample["start_timestamp_ms"].as_i64(), &row.start_time_ns.map(|ns| ns / 1_000_000))?;
        let labels = &sample["labels"];
        compare(&labels["foo.bar"].as_str(), &Some(label(row, "foo.bar")))?;
        compare(&labels["instance"].as_str(), &Some(label(row, "resource.service.instance.id")))?;
        compare(&labels["job"].as_str(), &Some(label(row, "resource.service.name")))?;
        compare_value(sample, labels["__name__"].as_str().unwrap(), &row.fields[0].1)?;
    }
    compare(&1, &decoded.exemplars.len())?;
    let ids: Vec<&str> = decoded.exemplars[0].labels.iter().map(|(_, id)| id.as_str()).collect();
    compare(&vec!["000102030405060708090a0b0c0d0e0f", "0001020304050607"], &ids)
}

fn compare_value(sample: &Json, name: &str, value: &Value) -> Result<(), String> {
    let expected = sample["value"].as_f64();
    match value {
        Value::F64(bits) => compare(&expected, &Some(f64::from_bits(*bits))),
        Value::Bytes(bytes) => {
            let histogram = Histogram::read(bytes).map_err(|e| e.to_string())?;
            let Count::U64(count) = histogram.count else { return Err("a float histogram".to_owned()) };
            match expected {
                // An exponential one.
                None => compare(&(2, 30.0, 10), &(histogram.schema, histogram.sum, count)),
                Some(value) if name.ends_with("_sum") => compare(&value, &histogram.sum),
                Some(value) if name.ends_with("_count") => compare(&value, &(count as f64)),
                Some(value) => {
                    let le = sample["labels"]["le"].as_str().unwrap();
                    let bounds: Vec<f64> = histogram.bounds().collect();
                    let below = bounds.iter().filter(|bound| **bound <= le.parse().unwrap()).count();
                    let counts =
                        histogram.positive.counts().take(if le == "+Inf" { bounds.len() + 1 } else { below });
                    let sum: u64 =
                        counts.map(|count| if let Count::U64(count) = count { count } else { 0 }).sum();
                    compare(&value, &(sum as f64))
                }
            }
        }
        other => Err(format!("{other:?}")),
    }
}

fn label<'r>(row: &'r Row, name: &str) -> &'r str {
    row.labels.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
}
