//! Every case of the shared corpora of the exposition formats, as the Prometheus server takes them.
//!
//! A case is right if it is taken or refused as its source says and, where the source says it, samples, exemplars and
//! metadata are equal by value. The sources are parsers of different strictness: where they part, the server decides,
//! and the case stands in `corpora_exceptions.txt` with the reason; one that stands there and comes out right is a
//! failure too.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tidegate::model::{MetricType, WriteResult};
use tidegate::wire::exposition::{Decoder, Faults, Options, Syntax};
use tidegate::wire::testing::{Rows, Value};
use tidegate::wire::{Decode, FedState};

use super::kit::{compare, input, judge_all};

#[test]
fn every_case_of_the_corpora() {
    judge_all("prometheus_text", &[""], 106, |suite, case| judge(suite, Syntax::Text, case));
    judge_all("openmetrics", &[""], 255, |suite, case| judge(suite, Syntax::OpenMetrics, case));
}

/// A sample, an exemplar or what is compared of one: labels, value, time in milliseconds.
#[derive(Clone, PartialEq, PartialOrd, Debug)]
struct Point {
    labels: Vec<(String, String)>,
    value: String,
    time_ms: Option<i64>,
    start_ms: Option<i64>,
}

fn decode(syntax: Syntax, faults: Faults, input: &[u8]) -> Result<(Rows, WriteResult), String> {
    let mut rows = Rows::default();
    let mut result = WriteResult::default();
    let options =
        Options { syntax, faults, default_time_ns: NO_TIME_NS, labels: Vec::new(), keep_created: false };
    let mut decoder = Decoder::new(options);
    decoder.check(input).map_err(|malformed| malformed.error)?;
    let fed = decoder.feed(input, true, &mut rows, &mut result);
    assert_eq!((fed.consumed, fed.state), (input.len(), FedState::Done));
    assert_eq!(result.accepted, rows.rows.len() as u64);
    Ok((rows, result))
}

fn judge(suite: &str, syntax: Syntax, case: &Json) -> Result<(), String> {
    let input = input(case);
    if suite == "victoriametrics_prometheus" {
        return judge_lines(case, &input);
    }
    let got = decode(syntax, Faults::Body, &input);
    let expect = case.get("expect").or(case.get("expect_utf8")).and_then(Json::as_str).unwrap_or("ok");
    let (rows, result) = match (expect, got) {
        ("error", Err(_)) => return Ok(()),
        ("error", Ok((rows, _))) => return Err(format!("taken: {:?}", rows.rows)),
        (_, Err(error)) => return Err(format!("refused: {error}")),
        (_, Ok(got)) => got,
    };
    if result.rejected > 0 {
        return Err(format!("rejected: {:?}", result.errors));
    }
    let expected = &case["expected"];
    if let Some(entries) = expected.get("entries") {
        let entries = entries.as_array().unwrap();
        return judge_entries(entries, &rows);
    }
    match expected.get("families").and_then(Json::as_array) {
        Some(families) if suite.starts_with("expfmt") => judge_expfmt(families, &rows),
        Some(families) => judge_python(families, syntax, &rows),
        None => Ok(()),
    }
}

/// The parser's own entries, in order.
fn judge_entries(entries: &[Json], rows: &Rows) -> Result<(), String> {
    let series: Vec<&Json> = entries.iter().filter(|e| e.get("labels").is_some()).collect();
    let named = |e: &&Json| e["labels"].as_object().is_some_and(|labels| !labels.is_empty());
    if !series.iter().all(named) {
        // A case about start times alone, without labels and values.
        let starts: Vec<_> = series.iter().map(|e| e["start_timestamp_ms"].as_i64()).collect();
        return compare(&starts, &points(rows).iter().map(|p| p.start_ms).collect());
    }
    let expected: Vec<Point> = series.iter().map(|e| entry(e)).collect();
    compare(&expected, &points(rows))?;
    let mut exemplars = Vec::new();
    for one in series {
        for exemplar in one["exemplars"].as_array().into_iter().flatten() {
            let mut point = entry(exemplar);
            point.time_ms = point.time_ms.or(one["timestamp_ms"].as_i64());
            exemplars.push((labels_of(&one["labels"]), point));
        }
    }
    compare(&exemplars, &exemplars_of(rows))?;
    let mut metadata: BTreeMap<String, (MetricType, String, String)> = BTreeMap::new();
    for one in entries.iter().filter(|e| e.get("labels").is_none() && e.get("m").is_some()) {
        let name = one["m"].as_str().unwrap().to_owned();
        let known = metadata.entry(name).or_insert((MetricType::Unknown, String::new(), String::new()));
        if let Some(kind) = one["type"].as_str() {
            known.0 = metric_type(kind);
        }
        known.1 = one["unit"].as_str().map_or(std::mem::take(&mut known.1), str::to_owned);
        known.2 = one["help"].as_str().map_or(std::mem::take(&mut known.2), str::to_owned);
    }
    compare(&metadata, &metadata_of(rows))
}

fn entry(entry: &Json) -> Point {
    Point {
        labels: labels_of(&entry["labels"]),
        value: value_of(&entry["value"]),
        time_ms: entry["timestamp_ms"].as_i64(),
        start_ms: entry["start_timestamp_ms"].as_i64(),
    }
}

/// Families as client_python has them.
fn judge_python(families: &[Json], syntax: Syntax, rows: &Rows) -> Result<(), String> {
    let (mut expected, mut exemplars) = (Vec::new(), Vec::new());
    let mut created: BTreeMap<(String, Vec<(String, String)>), i64> = BTreeMap::new();
    let mut metadata = BTreeMap::new();
    for family in families {
        let text = |key: &str| family[key].as_str().unwrap_or_default().to_owned();
        let (name, kind) = (text("name"), text("type"));
        metadata.insert(name.clone(), (metric_type(&kind), text("unit"), text("help")));
        for sample in family["samples"].as_array().unwrap() {
            let mut labels = sample["labels"].clone();
            let mut sample_name = sample["name"].as_str().unwrap().to_owned();
            if syntax == Syntax::Text && kind == "counter" {
                // This parser gives counters the suffix that OpenMetrics wants.
                let wanted = rows.rows.iter().any(|row| row.labels[0].1 == sample_name);
                if !wanted {
                    sample_name = sample_name.trim_end_matches("_total").to_owned();
                }
            }
            let start_of =
                syntax == Syntax::OpenMetrics && matches!(&*kind, "counter" | "summary" | "histogram");
            if start_of && sample_name.ends_with("_created") {
                created.insert(
                    (name.clone(), labels_of(&labels)),
                    (sample["value"].as_f64().unwrap() * 1000.0) as i64,
                );
                continue;
            }
            labels["__name__"] = sample_name.into();
            let point = Point {
                labels: labels_of(&labels),
                value: value_of(&sample["value"]),
                time_ms: time_of(&sample["timestamp"]),
                start_ms: None,
            };
            if sample["exemplar"].is_object() {
                let exemplar = &sample["exemplar"];
                let time_ms = time_of(&exemplar["timestamp"]).or(point.time_ms);
                let (labels, value) = (labels_of(&exemplar["labels"]), value_of(&exemplar["value"]));
                exemplars.push((point.labels.clone(), Point { labels, value, time_ms, start_ms: None }));
            }
            expected.push((name.clone(), point));
        }
    }
    let group = |point: &Point| -> Vec<(String, String)> {
        let own = |name: &str| matches!(name, "__name__" | "le" | "quantile");
        point.labels.iter().filter(|(name, _)| !own(name)).cloned().collect()
    };
    let expected: Vec<Point> = expected
        .into_iter()
        .map(|(family, point)| Point { start_ms: created.get(&(family, group(&point))).copied(), ..point })
        .collect();
    compare(&by_number(expected), &by_number(points(rows)))?;
    compare(&exemplars, &exemplars_of(rows))?;
    if syntax == Syntax::OpenMetrics {
        // A family without metadata is one of its own making.
        metadata.retain(|name, known| {
            metadata_of(rows).contains_key(name)
                || *known != (MetricType::Unknown, String::new(), String::new())
        });
        compare(&metadata, &metadata_of(rows))?;
    }
    Ok(())
}

/// Families as messages of the protobuf format, taken apart.
fn judge_expfmt(families: &[Json], rows: &Rows) -> Result<(), String> {
    let mut expected = Vec::new();
    for family in families {
        let name = family["Name"].as_str().unwrap();
        for metric in family["Metric"].as_array().unwrap() {
            let own: Vec<(String, String)> = metric["Label"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|l| {
                    (l["Name"].as_str().unwrap().to_owned(), l["Value"].as_str().unwrap_or("").to_owned())
                })
                .collect();
            let time_ms = metric["TimestampMs"].as_i64();
            let mut add = |suffix: &str, extra: Option<(&str, &Json)>, value: &Json| {
                if value.is_null() {
                    return;
                }
                let mut labels = own.clone();
                labels.push(("__name__".to_owned(), format!("{name}{suffix}")));
                labels.extend(extra.map(|(name, value)| (name.to_owned(), value_of(value))));
                labels.retain(|(_, value)| !value.is_empty());
                labels.sort();
                expected.push(Point { labels, value: value_of(value), time_ms, start_ms: None });
            };
            for kind in ["Counter", "Gauge", "Untyped"] {
                add("", None, &metric[kind]["Value"]);
            }
            for (kind, parts, bound, value) in [
                ("Summary", "Quantile", "Quantile", "Value"),
                ("Histogram", "Bucket", "UpperBound", "CumulativeCount"),
            ] {
                let whole = &metric[kind];
                add("_count", None, &whole["SampleCount"]);
                add("_count", None, &whole["SampleCountFloat"]);
                add("_sum", None, &whole["SampleSum"]);
                let (suffix, label) = if kind == "Summary" { ("", "quantile") } else { ("_bucket", "le") };
                for part in whole[parts].as_array().into_iter().flatten() {
                    let value = part.get(value).unwrap_or(&part["CumulativeCountFloat"]);
                    add(suffix, Some((label, &part[bound])), value);
                }
            }
        }
    }
    let sorted = |points: Vec<Point>| {
        let mut points = by_number(points);
        points.sort_by(|a, b| a.partial_cmp(b).unwrap());
        points
    };
    compare(&sorted(expected), &sorted(points(rows)))
}

/// VictoriaMetrics skips bad lines.
fn judge_lines(case: &Json, input: &[u8]) -> Result<(), String> {
    let (rows, result) = decode(Syntax::Text, Faults::Line, input)?;
    if case["expect"] == "no_rows" {
        return if rows.rows.is_empty() { Ok(()) } else { Err(format!("rows {:?}", rows.rows)) };
    }
    let expected: Vec<Point> = case["expected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let pair = |p: &Json| (p[0].as_str().unwrap().to_owned(), p[1].as_str().unwrap().to_owned());
            let mut labels: Vec<_> = row["tags"].as_array().unwrap().iter().map(pair).collect();
            labels.push(("__name__".to_owned(), row["metric"].as_str().unwrap().to_owned()));
            labels.retain(|(_, value)| !value.is_empty());
            labels.sort();
            let time_ms = row["timestamp"].as_i64().filter(|&ms| ms != 0);
            Point { labels, value: value_of(&row["value"]), time_ms, start_ms: None }
        })
        .collect();
    compare(&expected, &points(&rows)).map_err(|e| format!("{e} {:?}", result.errors))
}

/// Rows as points, in order.
fn points(rows: &Rows) -> Vec<Point> {
    let point = |row: &tidegate::wire::testing::Row| {
        let Value::F64(bits) = row.fields[0].1 else { panic!("{row:?}") };
        assert_eq!((row.fields.len(), &*row.fields[0].0), (1, "value"));
        Point {
            labels: row.labels.clone(),
            value: number(f64::from_bits(bits)),
            time_ms: (row.time_ns != NO_TIME_NS).then_some(row.time_ns / 1_000_000),
            start_ms: row.start_time_ns.map(|ns| ns / 1_000_000),
        }
    };
    rows.rows.iter().map(point).collect()
}

fn exemplars_of(rows: &Rows) -> Vec<(Vec<(String, String)>, Point)> {
    rows.exemplars
        .iter()
        .map(|e| {
            assert_eq!(e.field, "value");
            let mut labels = e.labels.clone();
            labels.sort();
            let value = number(f64::from_bits(e.value_bits));
            let time_ms = (e.time_ns != NO_TIME_NS).then_some(e.time_ns / 1_000_000);
            (e.series.clone(), Point { labels, value, time_ms, start_ms: None })
        })
        .collect()
}

fn metadata_of(rows: &Rows) -> BTreeMap<String, (MetricType, String, String)> {
    let known = rows.metadata.iter();
    known.map(|m| (m.name.clone(), (m.kind, m.unit.clone(), m.help.clone()))).collect()
}

/// The points with their bounds by value: sources write them differently.
fn by_number(mut points: Vec<Point>) -> Vec<Point> {
    for (name, value) in points.iter_mut().flat_map(|p| &mut p.labels) {
        if let ("le" | "quantile", Ok(bound)) = (&**name, value.parse::<f64>()) {
            *value = number(bound);
        }
    }
    points
}

fn labels_of(labels: &Json) -> Vec<(String, String)> {
    let mut labels: Vec<_> = labels
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        // No value is no label.
        .filter(|(_, value)| !value.is_empty())
        .collect();
    labels.sort();
    labels
}

/// A value as text, the same for the same float.
fn value_of(value: &Json) -> String {
    number(match value {
        Json::String(text) => text.parse().unwrap(),
        _ => value.as_f64().unwrap(),
    })
}

fn number(value: f64) -> String {
    format!("{value:?}")
}

/// Milliseconds of a time in seconds, or in seconds and nanoseconds.
fn time_of(time: &Json) -> Option<i64> {
    match time {
        Json::Object(parts) => {
            Some(parts["sec"].as_i64().unwrap() * 1000 + parts["nsec"].as_i64().unwrap() / 1_000_000)
        }
        _ => time.as_f64().map(|seconds| (seconds * 1000.0) as i64),
    }
}

fn metric_type(word: &str) -> MetricType {
    match word {
        "counter" => MetricType::Counter,
        "gauge" => MetricType::Gauge,
        "summary" => MetricType::Summary,
        "histogram" => MetricType::Histogram,
        "gaugehistogram" => MetricType::GaugeHistogram,
        "stateset" => MetricType::StateSet,
        "info" => MetricType::Info,
        "unknown" | "untyped" => MetricType::Unknown,
        other => panic!("type {other:?}"),
    }
}

/// Stands for no time.
const NO_TIME_NS: i64 = i64::MIN;
