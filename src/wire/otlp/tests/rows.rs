//! Requests and their rows, by hand.

use serde_json::{Value as Json, json};

use super::super::pieces::Pieces;
use super::super::value::AnyValue;
use super::{Decoded, Encoding, NOW_NS, Signal, decode};
use crate::model::{
    Count, Histogram, MetricType, NAN_CANONICAL_BITS, NAN_STALE_BITS, NestedPart, NestedReader,
    SCHEMA_CUSTOM, Span, WriteResult,
};
use crate::wire::otlp::Decoder;
use crate::wire::testing::{Row, Rows, Value};
use crate::wire::{Decode, FedState};

fn metrics(metrics: Json) -> Decoded {
    let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]});
    decode(Signal::Metrics, Encoding::Json, body.to_string().as_bytes()).unwrap()
}

/// The only row of a metric with one point of this kind.
fn row(kind: &str, point: Json) -> Row {
    let mut decoded =
        metrics(json!([{"name": "m", kind: {"aggregationTemporality": 2, "dataPoints": [point]}}]));
    assert_eq!(decoded.result.rejected, 0, "{:?}", decoded.result.errors);
    decoded.rows.pop().unwrap()
}

/// Why the only point of this kind is refused.
fn refusal(kind: &str, point: Json) -> (&'static str, String) {
    let decoded = metrics(json!([{"name": "m", kind: {"aggregationTemporality": 2, "dataPoints": [point]}}]));
    assert_eq!((decoded.rows.len(), decoded.result.rejected), (0, 1));
    let error = &decoded.result.errors[0];
    assert_eq!((error.index, error.original.as_str()), (1, "m"));
    (error.reason, error.error.clone())
}

fn label<'r>(row: &'r Row, name: &str) -> Option<&'r str> {
    row.labels.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

fn logs(record: Json) -> Decoded {
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
    decode(Signal::Logs, Encoding::Json, body.to_string().as_bytes()).unwrap()
}

fn text(text: &str) -> Value {
    Value::Bytes(text.as_bytes().to_vec())
}

fn f64s(value: f64) -> Value {
    Value::F64(value.to_bits())
}

fn attributes(pairs: &[(&str, &str)]) -> Json {
    pairs.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect()
}

#[test]
fn resource_scope_metric_and_point_keep_apart() {
    let body = json!({"resourceMetrics": [{
        "resource": {"attributes": attributes(&[("service.name", "shop"), ("a", "of resource")]), "droppedAttributesCount": 3},
        "schemaUrl": "https://r",
        "scopeMetrics": [{
            "scope": {"name": "lib", "version": "1.2", "attributes": attributes(&[("a", "of scope"), ("name", "n")]),
                "droppedAttributesCount": 1},
            "schemaUrl": "https://s",
            "metrics": [{"name": "http.requests", "unit": "{request}", "description": "Requests", "sum": {
                "aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [{
                    "startTimeUnixNano": "5", "timeUnixNano": "7", "asInt": "-3",
                    "attributes": attributes(&[("a", "of point"), ("scope.name", "x"), ("resource.a", "y"),
                        ("otlp.type", "z"), ("__name__", "n"), ("attributes.scope.name", "w"), ("", "e")]),
                }],
            }}],
        }],
    }]});
    let decoded = decode(Signal::Metrics, Encoding::Json, body.to_string().as_bytes()).unwrap();
    let labels: Vec<(&str, &str)> =
        decoded.rows[0].labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        labels,
        [
            ("__name__", "http.requests"),
            ("a", "of point"),
            ("attributes.", "e"),
            ("attributes.__name__", "n"),
            ("attributes.attributes.scope.name", "w"),
            ("attributes.otlp.type", "z"),
            ("attributes.resource.a", "y"),
            ("attributes.scope.name", "x"),
            ("otlp.monotonic", "true"),
            ("otlp.resource.dropped_attributes_count", "3"),
            ("otlp.resource.schema_url", "https://r"),
            ("otlp.temporality", "delta"),
            ("otlp.type", "sum"),
            ("otlp.unit", "{request}"),
            ("resource.a", "of resource"),
            ("resource.service.name", "shop"),
            ("scope.attributes.a", "of scope"),
            ("scope.attributes.name", "n"),
            ("scope.dropped_attributes_count", "1"),
            ("scope.name", "lib"),
            ("scope.schema_url", "https://s"),
            ("scope.version", "1.2"),
        ]
    );
    let row = &decoded.rows[0];
    assert_eq!((row.time_ns, row.start_time_ns), (7, Some(5)));
    assert_eq!(row.fields, [("value".to_owned(), Value::I64(-3))]);
    let said = &decoded.metadata[0];
    assert_eq!((said.name.as_str(), said.kind), ("http.requests", MetricType::Counter));
    assert_eq!((said.unit.as_str(), said.help.as_str()), ("{request}", "Requests"));
}

#[test]
fn numbers_keep_their_type_and_their_bits() {
    assert_eq!(
        row("gauge", json!({"asInt": "9007199254740993"})).fields[0].1,
        Value::I64(9_007_199_254_740_993)
    );
    assert_eq!(row("gauge", json!({"asDouble": 0.1})).fields[0].1, f64s(0.1));
    assert_eq!(row("gauge", json!({"asDouble": "NaN"})).fields[0].1, Value::F64(NAN_CANONICAL_BITS));
    let stale = row("gauge", json!({"flags": 1}));
    assert_eq!(stale.fields, [("value".to_owned(), Value::F64(NAN_STALE_BITS))]);
    let stale = row("gauge", json!({"flags": 1, "asInt": 4}));
    assert_eq!(stale.fields, [("value".to_owned(), Value::F64(NAN_STALE_BITS))]);
    assert_eq!(
        refusal("gauge", json!({"timeUnixNano": "1"})),
        ("value", "the data point has no value".into())
    );
}

#[test]
fn an_unknown_time_is_the_requests_own() {
    let unknown = row("gauge", json!({"asInt": 1}));
    assert_eq!((unknown.time_ns, unknown.start_time_ns), (NOW_NS, None));
    let (reason, error) = refusal("gauge", json!({"asInt": 1, "timeUnixNano": "9223372036854775808"}));
    assert_eq!(reason, "timestamp");
    assert!(error.contains("out of the range"), "{error}");
    let (reason, _) = refusal("gauge", json!({"asInt": 1, "startTimeUnixNano": "18446744073709551615"}));
    assert_eq!(reason, "timestamp");
}

#[test]
fn temporality_is_kept_and_must_be_said() {
    for (number, name) in [(1, "delta"), (2, "cumulative")] {
        for kind in ["sum", "histogram", "exponentialHistogram"] {
            let point = json!({"aggregationTemporality": number, "dataPoints": [{"asInt": 1}]});
            let decoded = metrics(json!([{"name": "m", kind: point}]));
            assert_eq!(label(&decoded.rows[0], "otlp.temporality"), Some(name));
        }
    }
    for number in [json!(0), json!(3), json!(258), json!("AGGREGATION_TEMPORALITY_UNSPECIFIED")] {
        let two = json!({"aggregationTemporality": number, "dataPoints": [{"asInt": 1}, {"asInt": 2}]});
        let decoded = metrics(
            json!([{"name": "m", "sum": two}, {"name": "n", "gauge": {"dataPoints": [{"asInt": 3}]}}]),
        );
        assert_eq!((decoded.rows.len(), decoded.result.rejected), (1, 2));
        assert_eq!(decoded.result.reasons, [("temporality", 2)]);
        assert_eq!(decoded.metadata.len(), 1, "nothing is said of what was refused");
    }
    let gauge = row("gauge", json!({"asInt": 1}));
    assert_eq!((label(&gauge, "otlp.temporality"), label(&gauge, "otlp.monotonic")), (None, None));
    assert_eq!(label(&row("sum", json!({"asInt": 1})), "otlp.monotonic"), Some("false"));
}

#[test]
fn a_histogram_is_kept_whole() {
    let row = row(
        "histogram",
        json!({"count": "6", "sum": 8.5, "bucketCounts": ["1", 0, "5"], "explicitBounds": [0, 2.5], "min": -1, "max": 4}),
    );
    assert_eq!(row.fields.len(), 1);
    let ("value", Value::Bytes(bytes)) = (row.fields[0].0.as_str(), &row.fields[0].1) else {
        panic!("{row:?}")
    };
    let read = Histogram::read(bytes).unwrap();
    assert_eq!((read.schema, read.sum, read.count), (SCHEMA_CUSTOM, 8.5, Count::U64(6)));
    assert_eq!(read.positive.spans().collect::<Vec<_>>(), [Span { offset: 0, len: 3 }]);
    assert_eq!(read.positive.counts().collect::<Vec<_>>(), [Count::U64(1), Count::U64(0), Count::U64(5)]);
    assert_eq!(read.bounds().collect::<Vec<_>>(), [0.0, 2.5]);
    assert_eq!((read.min, read.max), (Some(-1.0), Some(4.0)));
}

#[test]
fn a_sum_that_was_not_sent_is_told_from_one_that_is_nan() {
    let absent = row("histogram", json!({"count": "1", "bucketCounts": ["1"]}));
    let sent = row("histogram", json!({"count": "1", "bucketCounts": ["1"], "sum": "NaN"}));
    assert_eq!(absent.fields[0], sent.fields[0]);
    assert_eq!(absent.fields[1..], [("sum".to_owned(), Value::Null)]);
    assert_eq!(sent.fields.len(), 1);
    let Value::Bytes(bytes) = &absent.fields[0].1 else { panic!("{absent:?}") };
    assert_eq!(Histogram::read(bytes).unwrap().sum.to_bits(), NAN_CANONICAL_BITS);
}

#[test]
fn there_are_no_more_bucket_counts_than_the_bounds_make_buckets() {
    for point in [
        json!({"bucketCounts": ["1"]}),
        json!({"count": "3", "sum": 1}),
        json!({"explicitBounds": [1, 2]}),
        json!({"bucketCounts": ["1", "2"], "explicitBounds": [1, 2]}),
        json!({"bucketCounts": ["1", "2", "3"], "explicitBounds": [1, 2]}),
    ] {
        assert_eq!(row("histogram", point).fields[0].0, "value");
    }
    for point in [
        json!({"bucketCounts": ["1", "2"]}),
        json!({"bucketCounts": ["0", "0"]}),
        json!({"bucketCounts": ["1", "2", "3"], "explicitBounds": [1]}),
    ] {
        assert_eq!(refusal("histogram", point).0, "value");
    }
    // Without a value nothing is wrong with its buckets.
    let stale = row("histogram", json!({"flags": 1, "bucketCounts": ["1", "2"]}));
    assert_eq!(stale.fields, [("value".to_owned(), Value::F64(NAN_STALE_BITS))]);
}

#[test]
fn an_exponential_histogram_is_kept_whole() {
    let row = row(
        "exponentialHistogram",
        json!({"count": "10", "sum": 30, "scale": 2, "zeroCount": "2", "zeroThreshold": 0.25, "min": 0.5, "max": 9,
            "positive": {"offset": -3, "bucketCounts": ["0", "2", "4"]}, "negative": {"bucketCounts": [2]}}),
    );
    let Value::Bytes(bytes) = &row.fields[0].1 else { panic!("{row:?}") };
    let read = Histogram::read(bytes).unwrap();
    assert_eq!((read.schema, read.sum, read.count), (2, 30.0, Count::U64(10)));
    assert_eq!((read.zero_threshold, read.zero_count), (0.25, Count::U64(2)));
    // OTLP's bucket i is (base^i, base^(i+1)], ours ends at base^i.
    assert_eq!(read.positive.spans().collect::<Vec<_>>(), [Span { offset: -2, len: 3 }]);
    assert_eq!(read.positive.counts().collect::<Vec<_>>(), [Count::U64(0), Count::U64(2), Count::U64(4)]);
    assert_eq!(read.negative.spans().collect::<Vec<_>>(), [Span { offset: 1, len: 1 }]);
    assert_eq!((read.min, read.max), (Some(0.5), Some(9.0)));
}

#[test]
fn a_scale_without_a_schema_is_a_nested_value() {
    for scale in [-5, 9, 20, i32::MIN] {
        let row = row(
            "exponentialHistogram",
            json!({"count": "3", "scale": scale, "positive": {"offset": 7, "bucketCounts": ["1", "2"]}, "max": 2}),
        );
        let ("value", Value::Bytes(bytes)) = (row.fields[0].0.as_str(), &row.fields[0].1) else {
            panic!("{row:?}")
        };
        let parts: Vec<_> = NestedReader::new(bytes).collect::<Result<_, _>>().unwrap();
        let key = |key: &'static str| NestedPart::Key(key.as_bytes());
        let buckets = |counts: &[u64], offset| {
            let mut parts =
                vec![NestedPart::Map(2), key("bucket_counts"), NestedPart::List(counts.len() as u64)];
            parts.extend(counts.iter().map(|&count| NestedPart::U64(count)));
            parts.extend([key("offset"), NestedPart::I64(offset)]);
            parts
        };
        let mut expected = vec![NestedPart::Map(7), key("scale"), NestedPart::I64(scale.into())];
        expected.extend([key("count"), NestedPart::U64(3), key("zero_count"), NestedPart::U64(0)]);
        expected.extend([key("zero_threshold"), NestedPart::F64(0.0), key("max"), NestedPart::F64(2.0)]);
        expected.push(key("positive"));
        expected.extend(buckets(&[1, 2], 7));
        expected.push(key("negative"));
        expected.extend(buckets(&[], 0));
        assert_eq!(parts, expected);
    }
}

#[test]
fn a_summary_is_a_row_of_its_parts() {
    let point = json!({"count": "4", "sum": 2.5, "quantileValues": [{"quantile": 0.5, "value": 1}, {"quantile": 1, "value": 9}]});
    assert_eq!(
        row("summary", point).fields,
        [
            ("quantile.0.5".to_owned(), f64s(1.0)),
            ("quantile.1.0".to_owned(), f64s(9.0)),
            ("count".to_owned(), Value::U64(4)),
            ("sum".to_owned(), f64s(2.5)),
        ]
    );
    let twice = json!({"quantileValues": [{"quantile": 0.5, "value": 1}, {"quantile": 0.5, "value": 2}]});
    assert_eq!(refusal("summary", twice).0, "name");
}

#[test]
fn exemplars_keep_their_ids_and_attributes() {
    let decoded = metrics(
        json!([{"name": "m", "gauge": {"dataPoints": [{"asInt": 1, "timeUnixNano": "9", "exemplars": [
            {"timeUnixNano": "8", "asDouble": 0.5, "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174",
                "filteredAttributes": attributes(&[("user", "u"), ("trace_id", "mine"), ("attributes.x", "")])},
            {"asInt": "3"},
            {"timeUnixNano": "8"},
        ]}]}}]),
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let [first, second] = &decoded.exemplars[..] else { panic!("{:?}", decoded.exemplars) };
    assert_eq!((first.field.as_str(), first.time_ns, first.value_bits), ("value", 8, 0.5f64.to_bits()));
    assert_eq!(
        first.labels,
        [
            pair("trace_id", "5b8efff798038103d269b633813fc60c"),
            pair("span_id", "eee19b7ec3c1b174"),
            pair("user", "u"),
            pair("attributes.trace_id", "mine"),
            pair("attributes.attributes.x", ""),
        ]
    );
    assert_eq!((second.time_ns, second.value_bits, second.labels.len()), (9, 3.0f64.to_bits(), 0));
    assert_eq!(first.series, decoded.rows[0].labels);
}

#[test]
fn points_that_are_refused_cost_no_others_and_are_named() {
    let twice = attributes(&[("a", "1"), ("a", "2")]);
    let decoded = metrics(json!([
        {"name": "", "gauge": {"dataPoints": [{"asInt": 1}]}},
        {"name": "m", "gauge": {"dataPoints": [{"asInt": 1, "attributes": twice}, {"asInt": 2}]}},
        {"name": "without data"},
    ]));
    assert_eq!((decoded.rows.len(), decoded.result.rejected), (1, 2));
    let named: Vec<_> = decoded.result.errors.iter().map(|e| (e.index, e.reason)).collect();
    assert_eq!(named, [(1, "name"), (2, "labels")]);
}

#[test]
fn a_series_is_one_whatever_the_order_of_its_attributes() {
    let point = |pairs: &[(&str, &str)]| json!({"asInt": 1, "attributes": attributes(pairs)});
    let points = [
        point(&[("a", "1"), ("b", "2")]),
        point(&[("b", "2"), ("a", "1")]),
        point(&[("a", "12"), ("b", "")]),
    ];
    let decoded = metrics(json!([{"name": "m", "gauge": {"dataPoints": points}}]));
    assert_eq!(decoded.rows[0].labels, decoded.rows[1].labels);
    assert_ne!(decoded.rows[0].labels, decoded.rows[2].labels);
    assert_eq!(label(&decoded.rows[2], "b"), Some(""));
}

/// The same metric of two resources, and of two scopes, is two series, though its bytes are the same.
#[test]
fn what_a_metric_stands_in_is_part_of_its_series() {
    let metric = json!([{"name": "m", "gauge": {"dataPoints": [{"asInt": 1}]}}]);
    let scopes =
        json!([{"scope": {"name": "a"}, "metrics": metric}, {"scope": {"version": "a"}, "metrics": metric}]);
    let resource =
        |name| json!({"resource": {"attributes": attributes(&[(name, "x")])}, "scopeMetrics": scopes});
    let body = json!({"resourceMetrics": [resource("p"), resource("q"), {"scopeMetrics": scopes, "schemaUrl": "x"}]});
    let decoded = decode(Signal::Metrics, Encoding::Json, body.to_string().as_bytes()).unwrap();
    let mut labels: Vec<_> = decoded.rows.iter().map(|row| &row.labels).collect();
    labels.sort();
    labels.dedup();
    assert_eq!(labels.len(), 6);
}

/// In protobuf, what describes points may stand behind them.
#[test]
fn a_resource_behind_its_metrics_is_theirs_all_the_same() {
    let body = r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"sum": {"dataPoints": [{"asInt": 1}],
        "aggregationTemporality": 2}, "name": "m"}], "scope": {"name": "s"}}],
        "resource": {"attributes": [{"value": {"intValue": 5}, "key": "r"}]}}]}"#;
    let decoded = decode(Signal::Metrics, Encoding::Json, body.as_bytes()).unwrap();
    let row = &decoded.rows[0];
    assert_eq!((label(row, "resource.r"), label(row, "scope.name")), (Some("5"), Some("s")));
}

#[test]
fn a_log_record_is_a_row_of_typed_fields() {
    let decoded = logs(json!({
        "timeUnixNano": "5", "observedTimeUnixNano": "6", "severityNumber": 9, "severityText": "Information",
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174", "flags": 1, "droppedAttributesCount": 2,
        "eventName": "page_view", "body": {"stringValue": "hello"}, "attributes": [
            {"key": "s", "value": {"stringValue": "text"}}, {"key": "b", "value": {"boolValue": true}},
            {"key": "i", "value": {"intValue": "-1"}}, {"key": "d", "value": {"doubleValue": 0.5}},
            {"key": "y", "value": {"bytesValue": "AP8"}}, {"key": "e"},
            {"key": "l", "value": {"arrayValue": {"values": [{"intValue": 1}, {}]}}},
        ],
    }));
    let row = &decoded.rows[0];
    assert_eq!((row.time_ns, label(row, "__name__"), row.labels.len()), (5, Some("otlp_log"), 1));
    let fields: Vec<(&str, Value)> =
        row.fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(
        fields,
        [
            ("severity_number", Value::I64(9)),
            ("observed_time", Value::I64(6)),
            ("body", text("hello")),
            ("severity_text", text("Information")),
            ("event_name", text("page_view")),
            ("trace_id", text("5b8efff798038103d269b633813fc60c")),
            ("span_id", text("eee19b7ec3c1b174")),
            ("flags", Value::U64(1)),
            ("dropped_attributes_count", Value::U64(2)),
            ("attributes.s", text("text")),
            ("attributes.b", Value::Bool(true)),
            ("attributes.i", Value::I64(-1)),
            ("attributes.d", f64s(0.5)),
            ("attributes.y", Value::Bytes(vec![0, 255])),
            ("attributes.e", Value::Null),
            ("attributes.l", Value::Bytes(vec![16, 2, 2, 2, 7])),
        ]
    );
}

#[test]
fn half_a_surrogate_pair_is_the_replacement_character() {
    for (written, expected) in [
        (r"a\ud800", "a\u{fffd}"),
        (r"\uDc00b", "\u{fffd}b"),
        (r"\ud83d\ude00", "😀"),
        (r"\ud83d\ud83d\ude00\u0041", "\u{fffd}😀A"),
        (r"\\ud800\uD800\n", "\\ud800\u{fffd}\n"),
    ] {
        let body = format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"{written}"}}}}]}}]}}]}}"#
        );
        let decoded = decode(Signal::Logs, Encoding::Json, body.as_bytes()).unwrap();
        let fields = &decoded.rows[0].fields;
        assert_eq!(fields[1..], [("body".to_owned(), text(expected))]);
    }
    for broken in [r#"{"a\ud800":1"#, r#"{"a":"\ud80"}"#, r#"{"a":"\"#, r#"{"a":"\ud800"#] {
        assert!(decode(Signal::Logs, Encoding::Json, broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn base64_may_be_in_lines_and_have_bits_to_spare() {
    for written in ["AP8=", "AP9=", "AP8", "A\\nP8=\\r\\n"] {
        let value = format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"bytesValue":"{written}"}}}}]}}]}}]}}"#
        );
        let decoded = decode(Signal::Logs, Encoding::Json, value.as_bytes()).unwrap();
        assert_eq!(decoded.rows[0].fields[1].1, Value::Bytes(vec![0, 255]), "{written}");
    }
    let long: Vec<u8> = (0..3_001).map(|i| i as u8).collect();
    let in_lines = |text: &str| -> String {
        text.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line) + "\\n").collect()
    };
    let whole = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &long);
    let bytes = |written: String| {
        let value =
            json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"bytesValue": ""}}]}]}]})
                .to_string();
        let body = value.replace("\"bytesValue\":\"\"", &format!("\"bytesValue\":\"{written}\""));
        decode(Signal::Logs, Encoding::Json, body.as_bytes())
            .map(|decoded| decoded.rows[0].fields[1].1.clone())
    };
    assert_eq!(bytes(in_lines(&whole)), Ok(Value::Bytes(long)));
    assert!(bytes(in_lines(&format!("AP8={whole}"))).is_err(), "padding ends it");
}

#[test]
fn ids_of_zeros_are_none() {
    let zeros = json!({"traceId": "0".repeat(32), "spanId": "0".repeat(16)});
    assert_eq!(logs(zeros.clone()).rows[0].fields, [("severity_number".to_owned(), Value::I64(0))]);
    let mut exemplar = zeros;
    exemplar["asInt"] = json!(1);
    let decoded =
        metrics(json!([{"name": "m", "gauge": {"dataPoints": [{"asInt": 1, "exemplars": [exemplar]}]}}]));
    assert_eq!(decoded.exemplars[0].labels, []);
}

#[test]
fn a_log_record_has_a_time_and_a_field_always() {
    let empty = logs(json!({}));
    assert_eq!(empty.rows[0].fields, [("severity_number".to_owned(), Value::I64(0))]);
    assert_eq!(empty.rows[0].time_ns, NOW_NS);
    assert_eq!(logs(json!({"observedTimeUnixNano": "6"})).rows[0].time_ns, 6);
    let twice = logs(json!({"attributes": attributes(&[("a", "1"), ("a", "2")])}));
    assert_eq!((twice.result.rejected, twice.result.reasons[0].0), (1, "name"));
    let two_types =
        json!([{"key": "a", "value": {"intValue": 1}}, {"key": "a", "value": {"boolValue": true}}]);
    assert_eq!(logs(json!({"attributes": two_types})).rows[0].fields.len(), 3);
}

#[test]
fn what_is_not_a_request_is_malformed_as_a_whole() {
    for body in [
        "",
        "[]",
        "null",
        "{",
        "{}x",
        "{\"resourceMetrics\": {}}",
        r#"{"resourceMetrics": [{"schemaUrl": 5}]}"#,
        r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{"asInt": "x"}]}}]}]}]}"#,
        r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{"asInt": 1.5}]}}]}]}]}"#,
        r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{"timeUnixNano": -1}]}}]}]}]}"#,
        r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{"exemplars": [{"traceId": "0"}]}]}}]}]}]}"#,
        r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{"asDouble": "1e400"}]}}]}]}]}"#,
        r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"sum": {"aggregationTemporality": "DELTA"}}]}]}]}"#,
    ] {
        assert!(decode(Signal::Metrics, Encoding::Json, body.as_bytes()).is_err(), "{body}");
    }
    let bodies: [&[u8]; 5] =
        [b"\x0a", b"\x0a\x05abc", b"\x08\x01", b"\x0a\x02\x1a\xff", b"\x0a\x04\x1a\x02\xff\xfe"];
    for body in bodies {
        assert!(decode(Signal::Metrics, Encoding::Protobuf, body).is_err(), "{body:02x?}");
    }
    let json = "{\"resourceMetrics\": [{\"schemaUrl\": 5}]}";
    let error = decode(Signal::Metrics, Encoding::Json, json.as_bytes()).unwrap_err().error;
    assert_eq!(error, "not a request: ResourceMetrics.schemaUrl: a string is expected at resourceMetrics[0]");
}

#[test]
fn an_empty_request_is_a_request() {
    for signal in [Signal::Metrics, Signal::Logs] {
        for (encoding, body) in
            [(Encoding::Protobuf, ""), (Encoding::Json, "{}"), (Encoding::Json, "{\"a\": [{}]}")]
        {
            let decoded = decode(signal, encoding, body.as_bytes()).unwrap();
            assert_eq!(decoded.result, WriteResult::default());
        }
    }
}

#[test]
fn lists_nest_to_the_formats_depth_and_no_deeper() {
    let nested = |depth: usize| {
        let open = r#"{"arrayValue": {"values": ["#.repeat(depth);
        let body = format!("{open}{{}}{}", "]}}".repeat(depth));
        format!(r#"{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [{{"body": {body}}}]}}]}}]}}"#)
    };
    let deepest = decode(Signal::Logs, Encoding::Json, nested(32).as_bytes()).unwrap();
    assert_eq!(deepest.rows[0].fields[1].0, "body");
    assert!(decode(Signal::Logs, Encoding::Json, nested(33).as_bytes()).is_err());
    // The same in protobuf: the body is a list in a list, and so on.
    let protobuf = |depth: usize| {
        let mut body = Vec::new();
        let wrap = |number: u8, body: &mut Vec<u8>| {
            let mut out = vec![number << 3 | 2];
            crate::bytes::write_varint(&mut out, body.len() as u64);
            out.append(body);
            *body = out;
        };
        for _ in 0..depth {
            wrap(1, &mut body);
            wrap(5, &mut body);
        }
        for number in [5, 2, 2, 1] {
            wrap(number, &mut body);
        }
        body
    };
    assert_eq!(decode(Signal::Logs, Encoding::Protobuf, &protobuf(32)).unwrap(), deepest);
    assert!(decode(Signal::Logs, Encoding::Protobuf, &protobuf(33)).is_err());
    assert!(decode(Signal::Logs, Encoding::Protobuf, &protobuf(100_000)).is_err());
}

#[test]
fn both_names_of_a_field_and_numbers_in_any_form_are_taken() {
    let body = r#"{"resource_metrics": [{"scope_metrics": [{"metrics": [{"name": "m", "sum": {
        "aggregation_temporality": "AGGREGATION_TEMPORALITY_DELTA", "is_monotonic": null, "data_points": [
            {"as_int": 1e3, "time_unix_nano": 5.0}, {"asDouble": "-2.5e1"}, {"asDouble": 18446744073709551615}
        ]}}]}]}]}"#;
    let decoded = decode(Signal::Metrics, Encoding::Json, body.as_bytes()).unwrap();
    let values: Vec<_> = decoded.rows.iter().map(|row| row.fields[0].1.clone()).collect();
    assert_eq!(values, [Value::I64(1000), f64s(-25.0), f64s(18_446_744_073_709_551_615.0)]);
    assert_eq!(decoded.rows[0].time_ns, 5);
}

#[test]
fn a_double_printed_as_an_integer_of_any_length_is_taken() {
    // As JavaScript and Go print them: without a point below 1e21.
    let cases = [
        ("18446744073709551616", 18_446_744_073_709_551_616.0),
        ("18446744073709552000", 18_446_744_073_709_552_000.0),
        ("100000000000000000000", 1e20),
        ("-100000000000000000000", -1e20),
        ("-9223372036854775809", -9_223_372_036_854_775_809.0),
        ("-9223372036854775808", -9_223_372_036_854_775_808.0),
        ("-0", -0.0),
        ("0", 0.0),
    ];
    let body = |member: &str, number: &str| {
        let point = r#"{"attributes": [{"key": "l", "value": {"intValue": 1}}], "asDouble": 1, "later": 1}"#;
        let point = match member {
            "asDouble" => point.replace("\"asDouble\": 1", &format!("\"asDouble\": {number}")),
            "intValue" => point.replace("\"intValue\": 1", &format!("\"intValue\": {number}")),
            _ => point.replace("\"later\": 1", &format!("\"{member}\": {number}")),
        };
        format!(
            r#"{{"resourceMetrics": [{{"scopeMetrics": [{{"metrics": [{{"name": "m", "gauge": {{
                "dataPoints": [{point}]}}}}]}}]}}]}}"#
        )
    };
    let take =
        |member: &str, number: &str| decode(Signal::Metrics, Encoding::Json, body(member, number).as_bytes());
    for (number, value) in cases {
        let decoded = take("asDouble", number).unwrap();
        assert_eq!(decoded.rows[0].fields[0].1, f64s(value), "{number}");
        // A member that nobody knows may hold what it likes.
        assert_eq!(take("unheard", number).unwrap().rows.len(), 1, "{number}");
    }
    for number in ["18446744073709551616", "9223372036854775808", "-9223372036854775809"] {
        assert!(take("intValue", number).is_err(), "{number}");
    }
    for number in ["18446744073709551616", "-1", "-100000000000000000000"] {
        assert!(take("timeUnixNano", number).is_err(), "{number}");
    }
    assert!(take("asDouble", &"9".repeat(400)).is_err());
}

#[test]
fn words_for_numbers_nulls_in_lists_and_keys_given_twice_are_taken_as_by_the_collector() {
    let body = r#"{"resourceMetrics": [null, {"scopeMetrics": [{"scope": {"name": "a", "version": "1", "name": "b"},
        "schemaUrl": "x", "schemaUrl": "y", "metrics": [{"name": "m", "gauge": {"dataPoints": [
            {"asDouble": "+Infinity"}, {"asDouble": "-inf"}, {"asDouble": "nan"},
            {"attributes": [{"key": "l", "value": {"arrayValue": {"values": [null, {"intValue": 1}]}}}], "asInt": 1}
        ]}}]}]}]}"#;
    let decoded = decode(Signal::Metrics, Encoding::Json, body.as_bytes()).unwrap();
    assert_eq!(decoded.result.rejected, 0, "{:?}", decoded.result.errors);
    let value_of = |row: usize, name: &str| {
        let found = decoded.rows[row].labels.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!((value_of(0, "scope.name"), value_of(0, "scope.version")), (Some("b"), Some("1")));
    assert_eq!((value_of(0, "scope.schema_url"), value_of(3, "l")), (Some("y"), Some("[null,1]")));
    let values: Vec<_> = decoded.rows.iter().map(|row| row.fields[0].1.clone()).collect();
    assert_eq!(
        values,
        [
            f64s(f64::INFINITY),
            f64s(f64::NEG_INFINITY),
            f64s(f64::from_bits(0x7ff8_0000_0000_0001)),
            Value::I64(1)
        ]
    );
    for text in ["+nan", "-nan", "infinit", "--inf", "+", ""] {
        let body = body.replace("+Infinity", text);
        assert!(decode(Signal::Metrics, Encoding::Json, body.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn a_series_over_the_limit_is_refused_and_known_ones_go_on() {
    let point = |value: &str| json!({"asInt": 1, "attributes": attributes(&[("a", value)])});
    let points = [point("1"), point("2"), point("1"), point("3")];
    let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": points}}]}]}]});
    let body = body.to_string().into_bytes();
    let mut decoder = Decoder::new(Signal::Metrics, Encoding::Json, NOW_NS);
    decoder.check(&body).unwrap();
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    rows.series_max = Some(1);
    assert_eq!(decoder.feed(&body, true, &mut rows, &mut result).state, FedState::Done);
    assert_eq!((result.accepted, &result.reasons[..]), (2, &[("series_limit", 2)][..]));
    // From the start, as after a rehearsal.
    decoder.rewind();
    decoder.feed(&body, true, &mut rows, &mut result);
    assert_eq!((result.accepted, result.rejected), (4, 4));
}

#[test]
fn a_decoder_is_used_again() {
    let mut decoder = Decoder::new(Signal::Logs, Encoding::Json, 0);
    decoder.check(br#"{"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {}]}]}]}"#).unwrap();
    let mut rows = Rows::default();
    rows.room = Some(1);
    assert_eq!(decoder.feed(b"", true, &mut rows, &mut WriteResult::default()).state, FedState::Full);
    decoder.reset(Signal::Metrics, Encoding::Protobuf, 7);
    // ResourceMetrics { ScopeMetrics { Metric "m" { Gauge { as_int 1 } } } }
    let body = b"\x0a\x17\x12\x15\x12\x13\x0a\x01m\x2a\x0e\x0a\x0c\x31\x01\0\0\0\0\0\0\0\x3a\x01\x0a";
    assert!(decoder.check(body).is_err(), "an attribute is cut");
    let body = b"\x0a\x14\x12\x12\x12\x10\x0a\x01m\x2a\x0b\x0a\x09\x31\x01\0\0\0\0\0\0\0";
    decoder.check(body).unwrap();
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    decoder.feed(body, true, &mut rows, &mut result);
    assert_eq!((result.accepted, rows.rows[0].time_ns), (1, 7));
}

#[test]
fn attribute_values_are_read_as_they_lie() {
    let read = |message| AnyValue::read(Pieces::one(message));
    assert_eq!(read(b""), Ok(AnyValue::Empty));
    assert_eq!(read(b"\x0a\x01x"), Ok(AnyValue::String(b"x")));
    assert_eq!(read(b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Ok(AnyValue::Int(-1)));
}

/// A message in a field, with its number and length before it.
fn within(number: u8, messages: &[&[u8]]) -> Vec<u8> {
    let message = messages.concat();
    [&[number << 3 | 2, u8::try_from(message.len()).unwrap()], &message[..]].concat()
}

/// The row of an exponential histogram whose point has these fields.
fn exponential_in_protobuf(scale: u8, sides: &[&[u8]]) -> Row {
    let point = within(1, &[&[0x30, scale], &sides.concat()]);
    let metric = within(2, &[&within(1, &[b"m"]), &within(10, &[&point, &[0x10, 2]])]);
    let body = within(1, &[&within(2, &[&metric])]);
    decode(Signal::Metrics, Encoding::Protobuf, &body).unwrap().rows.pop().unwrap()
}

#[test]
fn buckets_in_pieces_are_one() {
    let json = |scale: u8| {
        let sides = json!({"scale": scale, "positive": {"offset": 2, "bucketCounts": [1, 2, 3]},
            "negative": {"offset": -1, "bucketCounts": [4]}});
        row("exponentialHistogram", sides)
    };
    // Zigzag: 4 is 2, and 1 is -1. Counts are packed, or one by one.
    let (offset, counts) = (&[0x08, 4][..], &[0x12, 2, 1, 2][..]);
    let negative = within(9, &[&[0x10, 4, 0x08, 1]]);
    // A scale of 9 has no schema.
    for scale in [0, 9] {
        for pieces in [
            [within(8, &[offset]), within(8, &[counts, &[0x10, 3]])],
            [within(8, &[&[0x08, 6], counts]), within(8, &[&[0x10, 3], offset])],
            [within(8, &[offset, counts, &[0x10, 3]]), within(8, &[])],
        ] {
            let [first, second] = &pieces;
            let read = exponential_in_protobuf(scale * 2, &[first, &negative, second]);
            assert_eq!(read, json(scale), "{pieces:x?}");
        }
    }
}

#[test]
fn a_log_body_in_pieces_is_one() {
    let in_protobuf = |pieces: &[&[u8]]| {
        let record: Vec<u8> = pieces.iter().flat_map(|piece| within(5, &[piece])).collect();
        let body = within(1, &[&within(2, &[&within(2, &[&record])])]);
        decode(Signal::Logs, Encoding::Protobuf, &body).unwrap()
    };
    let list = |value: u8| within(5, &[&within(1, &[&[0x18, value]])]);
    let whole = logs(json!({"body": {"arrayValue": {"values": [{"intValue": 1}, {"intValue": 2}]}}}));
    assert_eq!(in_protobuf(&[&list(1), &list(2)]), whole);
    assert_eq!(in_protobuf(&[&[list(1), list(2)].concat(), b""]), whole);
    assert_eq!(in_protobuf(&[b"\x0a\x01x", b""]), logs(json!({"body": {"stringValue": "x"}})));
    assert_eq!(in_protobuf(&[b"", b""]), logs(json!({"body": {}})));
}
