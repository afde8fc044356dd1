//! Every Graphite case of the shared corpora. carbon is the reference; others count where they do not contradict it.

use serde_json::Value as Json;
use tidegate::model::WriteResult;
use tidegate::wire::Decode;
use tidegate::wire::graphite::Decoder;
use tidegate::wire::testing::{Row, Rows, Value};

use super::kit::{compare, judge_all};

#[test]
fn every_case_of_the_corpora() {
    judge_all("graphite", &[""], 23, |suite, case| match suite {
        "carbon_protocols" => carbon(case),
        "telegraf_graphite" => telegraf(case),
        _ => victoriametrics(case),
    });
}

fn decode(case: &Json) -> (Vec<Row>, WriteResult) {
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    let input = case["input"].as_str().unwrap();
    Decoder::new(NOW_NS).feed(input.as_bytes(), true, &mut rows, &mut result);
    (rows.rows, result)
}

/// The path or another label, the value, and the time in seconds.
type Point = (Vec<(String, String)>, u64, i64);

fn point(row: &Row) -> Point {
    let Value::F64(bits) = row.fields[0].1 else { panic!("a float") };
    let time_s = if row.time_ns == NOW_NS { -1 } else { row.time_ns / NS_PER_S };
    (row.labels.clone(), bits, time_s)
}

fn named(name: &Json) -> Vec<(String, String)> {
    vec![("__name__".to_owned(), name.as_str().unwrap().to_owned())]
}

fn number(json: &Json) -> f64 {
    json.as_f64().unwrap_or_else(|| json.as_str().unwrap().parse().unwrap())
}

fn carbon(case: &Json) -> Result<(), String> {
    let (rows, result) = decode(case);
    let expected = case["expected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| (named(&point[0]), number(&point[1][1]).to_bits(), number(&point[1][0]) as i64));
    compare(&expected.collect(), &rows.iter().map(point).collect::<Vec<Point>>())?;
    let dropped = case["expect"] == "dropped";
    if dropped && result.rejected == 0 { Err("a loss that is not named".to_owned()) } else { Ok(()) }
}

/// The templates are Telegraf's own: of the path only the value and the time are compared.
fn telegraf(case: &Json) -> Result<(), String> {
    let (rows, result) = decode(case);
    compare(&(case["expect"] == "error"), &(result.rejected > 0))?;
    let Some(expected) = case.get("expected") else { return Ok(()) };
    let row = rows.first().ok_or("no row")?;
    let (_, bits, _) = point(row);
    compare(&number(&expected["value"]).to_bits(), &bits)?;
    compare(&expected["timestamp"].as_i64().unwrap(), &row.time_ns)
}

fn victoriametrics(case: &Json) -> Result<(), String> {
    let (rows, _) = decode(case);
    if case["expect"] == "no_rows" {
        return compare(&0, &rows.len());
    }
    let expected = case["expected"].as_array().unwrap().iter().map(|row| {
        let mut labels = named(&row["metric"]);
        for tag in row["tags"].as_array().unwrap() {
            labels.push((tag[0].as_str().unwrap().to_owned(), tag[1].as_str().unwrap().to_owned()));
        }
        labels.sort();
        (labels, number(&row["value"]).to_bits(), number(&row["timestamp"]) as i64)
    });
    compare(&expected.collect(), &rows.iter().map(point).collect::<Vec<Point>>())
}

const NS_PER_S: i64 = 1_000_000_000;
const NOW_NS: i64 = 1_700_000_000 * NS_PER_S + 1;
