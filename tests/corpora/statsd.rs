//! Every StatsD and DogStatsD case of the shared corpora: samples as statsd_exporter reads them, sums and events as
//! Telegraf makes them.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use tidegate::model::WriteResult;
use tidegate::wire::statsd::{Aggregates, Decoder, Feed, Kind, Options, Parser, TagStyles};
use tidegate::wire::testing::{Row, Rows, Value};

use super::kit::{compare, judge_all};

#[test]
fn every_case_of_the_corpora() {
    judge_all("statsd", &[""], 108, |suite, case| match suite {
        "statsd_exporter_all_dialects" => samples(case, TagStyles::All),
        "statsd_exporter_plain" => samples(case, TagStyles::Plain),
        "telegraf_statsd_lines" => sums(case),
        _ => notices(case),
    });
}

/// The samples of a line, one for each event of statsd_exporter.
fn samples(case: &Json, styles: TagStyles) -> Result<(), String> {
    let line = case["input"].as_str().unwrap();
    let mut events = Vec::new();
    let mut parser = Parser::new(styles);
    if !line.is_empty() {
        parser.read(line.as_bytes(), &mut |sample| {
            let Ok(sample) = sample else { return };
            let kind = match sample.kind {
                Kind::Counter => "counter",
                Kind::Gauge | Kind::GaugeChange => "gauge",
                Kind::Observation => "observer",
                // Not known to statsd_exporter.
                Kind::Set => return,
            };
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let labels = sample.labels.iter().map(|(name, value)| (text(name), text(value)));
            let mut labels: BTreeMap<String, String> = labels.collect();
            let name = labels.remove("__name__").unwrap();
            let mut event = json!({"type": kind, "name": name, "value": sample.value, "labels": labels});
            if sample.kind == Kind::GaugeChange {
                event["relative"] = json!(true);
            }
            events.extend(std::iter::repeat_n(event, sample.weight as usize));
        });
    }
    compare(case["expected"].as_array().unwrap(), &events)
}

/// All lines to one listener, and the rows of its flush.
fn flushed(case: &Json, sender: &str) -> (Vec<Row>, WriteResult) {
    let (mut parser, mut result) = (Parser::default(), WriteResult::default());
    let mut aggregates = Aggregates::new(Options::default());
    let mut to = Feed { parser: &mut parser, aggregates: &mut aggregates, sender: &sender, now_ns: NOW_NS };
    Decoder::default().feed(case["input"].as_str().unwrap().as_bytes(), true, &mut to, &mut result);
    let mut rows = Rows::default();
    aggregates.flush(NOW_NS);
    aggregates.write(&mut rows, &mut result).unwrap();
    (rows.rows, result)
}

fn label<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
}

fn field<'a>(row: &'a Row, name: &str) -> Option<&'a Value> {
    row.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

fn value_of(row: &Row) -> f64 {
    match field(row, "value") {
        Some(Value::F64(bits)) => f64::from_bits(*bits),
        other => panic!("{other:?}"),
    }
}

fn sums(case: &Json) -> Result<(), String> {
    let (rows, result) = flushed(case, "");
    if let Some(expect) = case["expect"].as_str() {
        compare(&(expect == "error"), &(result.rejected > 0))?;
    }
    for expected in case["expected"].as_array().into_iter().flatten() {
        let name = expected.get("name").or(expected.get("measurement")).unwrap().as_str().unwrap();
        // Telegraf writes underscores for dots.
        let named = |row: &&Row| label(row, "__name__").unwrap().replace('.', "_") == name;
        let row = rows.iter().find(named).ok_or(format!("no {name} in {rows:?}"))?;
        let value = expected.get("value").unwrap_or(&expected["fields"]["value"]["value"]);
        compare(&value.as_f64().unwrap(), &value_of(row))?;
        for (tag, value) in expected["tags"].as_object().into_iter().flatten() {
            // It is Telegraf's own.
            if tag != "metric_type" {
                compare(&value.as_str(), &label(row, tag))?;
            }
        }
    }
    Ok(())
}

fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    match field(row, name)? {
        Value::Bytes(bytes) => Some(std::str::from_utf8(bytes).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn notices(case: &Json) -> Result<(), String> {
    let (rows, result) = flushed(case, case["hostname"].as_str().unwrap_or_default());
    compare(&(case["expect"] == "error"), &(result.rejected > 0))?;
    match case.get("expected") {
        None => Ok(()),
        Some(Json::Array(checks)) => {
            compare(&checks.len(), &rows.len())?;
            checks.iter().zip(&rows).try_for_each(|(check, row)| service_check(check, row))
        }
        Some(event) => self::event(event, rows.first().ok_or("no row")?),
    }
}

fn service_check(expected: &Json, row: &Row) -> Result<(), String> {
    compare(&expected["measurement"].as_str(), &label(row, "__name__"))?;
    let tags = expected["tags"].as_object().unwrap();
    compare(&(tags.len() + 1), &row.labels.len())?;
    tags.iter().try_for_each(|(tag, value)| compare(&value.as_str(), &label(row, tag)))?;
    let fields = expected["fields"].as_object().unwrap();
    compare(&fields.len(), &row.fields.len())?;
    for (name, value) in fields {
        let expected = match value["value"].as_i64() {
            Some(integer) => Value::I64(integer),
            None => Value::Bytes(value["value"].as_str().unwrap().as_bytes().to_vec()),
        };
        compare(&Some(&expected), &field(row, name))?;
    }
    compare(&expected["timestamp"].as_i64().unwrap_or(NOW_NS), &row.time_ns)
}

/// Telegraf makes the title the measurement; here it is a field, as it is different every time.
fn event(expected: &Json, row: &Row) -> Result<(), String> {
    compare(&Some("statsd_event"), &label(row, "__name__"))?;
    for (key, name) in [
        ("title", "title"),
        ("text", "text"),
        ("priority", "priority"),
        ("alertType", "alert_type"),
        ("aggregationKey", "aggregation_key"),
        ("sourceTypeName", "source_type_name"),
    ] {
        if let Some(value) = expected[key].as_str() {
            compare(&value, &text(row, name).unwrap_or_default())?;
        }
    }
    compare(&expected["source"].as_str(), &label(row, "source"))?;
    for (tag, value) in expected["checkTags"].as_object().into_iter().flatten() {
        compare(&value.as_str(), &label(row, tag))?;
    }
    let time_ns = expected["ts"]["value"].as_i64().map_or(NOW_NS, |seconds| seconds * 1_000_000_000);
    compare(&time_ns, &row.time_ns)
}

const NOW_NS: i64 = 1_700_000_000_000_000_000;
