//! Every case of the shared corpora of the protobuf exposition format, as the Prometheus server takes them.
//!
//! Samples, histograms, exemplars, metadata and start times are equal by value. The labels `__type__` and `__unit__`,
//! which the server adds where it is asked to, are metadata here.

use std::collections::BTreeMap;

use base64::Engine;
use serde_json::Value as Json;
use tidegate::model::{Count, Histogram, MetricType, ResetHint, WriteResult};
use tidegate::wire::exposition::{HistogramOptions, ProtobufDecoder};
use tidegate::wire::testing::{Row, Rows, Value};
use tidegate::wire::{Decode, FedState};

use super::kit::{compare, judge_all};

#[test]
fn every_case_of_the_corpora() {
    judge_all("prometheus_protobuf", &[""], 43, |suite, case| judge(suite.ends_with("nhcb"), case));
}

fn judge(converts: bool, case: &Json) -> Result<(), String> {
    let body = case["input"]["delimited_b64"].as_str().unwrap();
    let body = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let is = |name: &str| case["options"][name].as_bool().unwrap_or(false);
    let options = HistogramOptions {
        native: !is("ignoreNativeHistograms") && !is("ignoreNative"),
        classic_too: is("parseClassicHistograms") || is("keepClassic"),
        convert_classic: converts,
        ..HistogramOptions::default()
    };
    let mut decoder = ProtobufDecoder::new(options, NO_TIME_NS, Vec::new());
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    decoder.check(&body).map_err(|malformed| malformed.error)?;
    assert_eq!(decoder.feed(&body, true, &mut rows, &mut result).state, FedState::Done);
    if result.rejected > 0 {
        return Err(format!("rejected: {:?}", result.errors));
    }
    let entries = case["expected"]["entries"].as_array().unwrap();
    let mut metadata: BTreeMap<String, (String, String, String)> = BTreeMap::new();
    let (mut samples, mut exemplars) = (Vec::new(), Vec::new());
    for entry in entries {
        let Some(labels) = entry.get("labels") else {
            let known = metadata.entry(entry["m"].as_str().unwrap().to_owned()).or_default();
            for (part, key) in [(&mut known.0, "type"), (&mut known.1, "unit"), (&mut known.2, "help")] {
                if let Some(text) = entry[key].as_str() {
                    *part = text.to_owned();
                }
            }
            continue;
        };
        let labels = labels_of(labels);
        let value = match entry.get("histogram").filter(|h| h.is_object()) {
            Some(histogram) => histogram_of(histogram),
            None => float(&entry["value"]),
        };
        for exemplar in entry["exemplars"].as_array().into_iter().flatten() {
            let at = exemplar["timestamp_ms"].as_i64().or(entry["timestamp_ms"].as_i64());
            exemplars.push((labels.clone(), labels_of(&exemplar["labels"]), float(&exemplar["value"]), at));
        }
        let times = (entry["timestamp_ms"].as_i64(), entry["start_timestamp_ms"].as_i64());
        samples.push((labels, value, times));
    }
    compare(&samples, &rows.rows.iter().map(sample).collect())?;
    let seen = rows.exemplars.iter().map(|seen| {
        let mut labels = seen.labels.clone();
        labels.sort();
        let value = format!("{:?}", f64::from_bits(seen.value_bits));
        (seen.series.clone(), labels, value, time_ms(seen.time_ns))
    });
    compare(&exemplars, &seen.collect())?;
    let told = rows.metadata.iter().map(|told| {
        let kind = match told.kind {
            MetricType::Unknown => "unknown",
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Summary => "summary",
            MetricType::Histogram => "histogram",
            MetricType::GaugeHistogram => "gaugehistogram",
            other => panic!("{other:?}"),
        };
        (told.name.clone(), (kind.to_owned(), told.unit.clone(), told.help.clone()))
    });
    compare(&metadata, &told.collect())
}

/// Labels, value, own time and start time in milliseconds.
type Sample = (Vec<(String, String)>, String, (Option<i64>, Option<i64>));

fn sample(row: &Row) -> Sample {
    let value = match &row.fields[0].1 {
        Value::F64(bits) => format!("{:?}", f64::from_bits(*bits)),
        Value::Bytes(bytes) => histogram(&Histogram::read(bytes).unwrap()),
        other => panic!("{other:?}"),
    };
    let times = (time_ms(row.time_ns), row.start_time_ns.map(|ns| ns / 1_000_000));
    (row.labels.clone(), value, times)
}

fn histogram(h: &Histogram<'_>) -> String {
    let count = |count: Count| match count {
        Count::U64(count) => count as f64,
        Count::F64(count) => count,
    };
    let buckets = |side: tidegate::model::Buckets<'_>| -> Vec<(i64, f64)> {
        let mut counts = side.counts();
        let mut index = 0;
        let mut buckets = Vec::new();
        for span in side.spans() {
            index += span.offset;
            for _ in 0..span.len {
                buckets.push((index, count(counts.next().unwrap())));
                index += 1;
            }
        }
        buckets.retain(|bucket| bucket.1 != 0.0);
        buckets
    };
    let gauge = h.reset == ResetHint::Gauge;
    let kind = if matches!(h.count, Count::U64(_)) { "int" } else { "float" };
    format!(
        "{kind} {} {:?} {:?} {:?} {:?} {gauge} {:?} {:?} {:?}",
        h.schema,
        count(h.count),
        h.sum,
        h.zero_threshold,
        count(h.zero_count),
        buckets(h.positive),
        buckets(h.negative),
        h.bounds().collect::<Vec<_>>()
    )
}

fn histogram_of(h: &Json) -> String {
    let number = |key: &str| h[key].as_f64().or(h[key].as_str().map(|s| s.parse().unwrap())).unwrap_or(0.0);
    let is_int = h["kind"] == "int";
    let buckets = |spans: &str, counts: &str| -> Vec<(i64, f64)> {
        let mut counts = h[counts].as_array().into_iter().flatten().map(|count| count.as_f64().unwrap());
        let (mut index, mut last) = (0, 0.0);
        let mut buckets = Vec::new();
        for span in h[spans].as_array().into_iter().flatten() {
            let part =
                |i: usize, name: &str| span.get(i).or(span.get(name)).and_then(Json::as_i64).unwrap_or(0);
            index += part(0, "offset");
            for _ in 0..part(1, "length") {
                let count = counts.next().unwrap();
                last = if is_int { last + count } else { count };
                buckets.push((index, last));
                index += 1;
            }
        }
        buckets.retain(|bucket| bucket.1 != 0.0);
        buckets
    };
    let bounds: Vec<f64> =
        h["custom_values"].as_array().into_iter().flatten().map(|b| b.as_f64().unwrap()).collect();
    let gauge =
        h["counter_reset_hint"].as_str() == Some("gauge") || h["counter_reset_hint"].as_i64() == Some(3);
    format!(
        "{} {} {:?} {:?} {:?} {:?} {gauge} {:?} {:?} {bounds:?}",
        h["kind"].as_str().unwrap(),
        number("schema"),
        number("count"),
        number("sum"),
        number("zero_threshold"),
        number("zero_count"),
        buckets("positive_spans", "positive_buckets"),
        buckets("negative_spans", "negative_buckets")
    )
}

fn labels_of(labels: &Json) -> Vec<(String, String)> {
    let added = |name: &String| matches!(&**name, "__type__" | "__unit__");
    let labels = labels.as_object().unwrap().iter().filter(|(name, _)| !added(name));
    let mut labels: Vec<_> =
        labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    labels.retain(|(_, value)| !value.is_empty());
    labels.sort();
    labels
}

fn float(value: &Json) -> String {
    format!("{:?}", value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap()))
}

fn time_ms(ns: i64) -> Option<i64> {
    (ns != NO_TIME_NS).then_some(ns / 1_000_000)
}

/// Stands for no time.
const NO_TIME_NS: i64 = i64::MIN;
