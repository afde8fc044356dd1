//! OTLP over HTTP: both signals, both encodings, and what answers say in them.

use std::io::Write;

use serde_json::{Value as Json, json};

use super::client::{Reply, request};
use super::harness::{Server, Setup};
use super::log::cat;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

fn export(target: &str, content_type: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST", target, &[("Content-Type", content_type)], body.as_ref())
}

fn gauges(values: &[Json]) -> String {
    let points: Vec<Json> = values.iter().map(|value| json!({"timeUnixNano": "7", "asInt": value})).collect();
    let metric = json!({"name": "lag", "unit": "s", "gauge": {"dataPoints": points}});
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).to_string()
}

fn logs() -> String {
    let record = json!({"timeUnixNano": "5", "body": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}}});
    json!({"resourceLogs": [{"scopeLogs": [{"scope": {"name": "lib"}, "logRecords": [record]}]}]}).to_string()
}

/// Length before bytes, under a field's number; short ones only.
fn sized(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// A metric `lag` of unit `s`, with these fields.
fn metric(fields: &[Vec<u8>]) -> Vec<u8> {
    let metric = [sized(1, b"lag"), sized(3, b"s"), fields.concat()].concat();
    sized(1, &sized(2, &sized(2, &metric)))
}

/// The same as `gauges(&[value])`.
fn gauge(value: u8) -> Vec<u8> {
    let point = [&[0x19, 7, 0, 0, 0, 0, 0, 0, 0, 0x31, value, 0, 0, 0, 0, 0, 0, 0][..]].concat();
    metric(&[sized(5, &sized(1, &point))])
}

/// The rows alone, without what is said of metrics.
fn rows(server: &Server) -> Vec<Json> {
    cat(&server.data).into_iter().filter(|record| record.get("metadata").is_none()).collect()
}

fn status(reply: &Reply) -> Json {
    let status = reply.json();
    assert!(status["code"].is_u64() && status["message"].is_string(), "{status}");
    status
}

#[test]
fn both_encodings_and_all_paths_give_the_same_rows() {
    let server = Server::start();
    for prefix in ["", "/opentelemetry", "/api/v1/otlp"] {
        let target = format!("{prefix}/v1/metrics");
        let reply = server.ask(&export(&target, JSON, gauges(&[json!(42)])));
        assert_eq!((reply.expect(200).text(), reply.header("content-type")), ("{}", Some(JSON)));
        let reply = server.ask(&export(&target, PROTOBUF, gauge(42)));
        assert_eq!((reply.expect(200).body.len(), reply.header("content-type")), (0, Some(PROTOBUF)));
        let reply = server.ask(&export(&format!("{prefix}/v1/logs"), JSON, logs()));
        assert_eq!(reply.expect(200).text(), "{}");
    }
    let metric = json!({"time": 7, "labels": {"__name__": "lag", "otlp.type": "gauge", "otlp.unit": "s"},
        "fields": {"value": {"i64": 42}}});
    let log = json!({"time": 5, "labels": {"__name__": "otlp_log", "scope.name": "lib"},
        "fields": {"severity_number": {"i64": 0}, "body": {"nested": {"map": [["a", {"i64": 1}]]}}}});
    assert_eq!(rows(&server), [&metric, &metric, &log].repeat(3).into_iter().cloned().collect::<Vec<_>>());
    assert_eq!(server.metric("tidegate_rows_accepted_total{protocol=\"otlp\"}"), 9.0);
}

#[test]
fn what_belongs_to_a_point_comes_with_it() {
    let server = Server::start();
    let point = json!({"startTimeUnixNano": "5", "timeUnixNano": "7", "count": "3", "bucketCounts": ["1", "2"],
        "explicitBounds": [0.5], "max": 9, "exemplars": [{"timeUnixNano": "6", "asDouble": 0.25, "spanId": "EEE19B7EC3C1B174",
        "filteredAttributes": [{"key": "user", "value": {"stringValue": "u"}}]}]});
    let histogram = json!({"aggregationTemporality": 1, "dataPoints": [point]});
    let metric = json!({"name": "lag", "unit": "s", "description": "Lag.", "histogram": histogram});
    let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).to_string();
    for _ in 0..2 {
        server.ask(&export("/v1/metrics", JSON, &body)).expect(200);
    }
    let labels =
        json!({"__name__": "lag", "otlp.type": "histogram", "otlp.temporality": "delta", "otlp.unit": "s"});
    let histogram = json!({"counts": "u64", "reset": "unknown", "schema": -53, "zero_threshold": 0.0, "sum": "NaN",
        "count": 3, "zero_count": 0, "positive_spans": [[0, 2]], "positive": [1, 2], "negative_spans": [],
        "negative": [], "bounds": [0.5], "max": 9.0});
    let fields = json!({"value": {"histogram": histogram}, "sum": {"null": null}});
    let row = json!({"time": 7, "start": 5, "labels": labels, "fields": fields});
    let exemplar = json!({"time": 6, "labels": labels, "fields": {"value": {"f64": 0.25}},
        "exemplar": {"span_id": "eee19b7ec3c1b174", "user": "u"}});
    let said = json!({"metadata": {"name": "lag", "type": "histogram", "unit": "s", "help": "Lag."}});
    let found = cat(&server.data);
    for (record, times) in [(&row, 2), (&exemplar, 2), (&said, 1)] {
        assert_eq!(found.iter().filter(|found| *found == record).count(), times, "{record} in {found:?}");
    }
    assert_eq!(found.len(), 5);
}

#[test]
fn what_is_refused_is_a_partial_success_in_the_requests_encoding() {
    let server = Server::start();
    let body = gauges(&[json!(1), Json::Null, json!(3)]);
    let reply = server.ask(&export("/v1/metrics", JSON, body));
    let partial = &reply.expect(200).json()["partialSuccess"];
    assert_eq!(partial["rejectedDataPoints"], "1");
    assert_eq!(partial["errorMessage"], "2: the data point has no value (\"lag\")");

    let sum = metric(&[sized(7, &sized(1, b""))]);
    let reply = server.ask(&export("/v1/metrics", PROTOBUF, sum));
    let body = &reply.expect(200).body;
    assert_eq!(body[..4], [0x0a, body.len() as u8 - 2, 0x08, 1]);
    assert!(String::from_utf8_lossy(&body[6..]).contains("temporality"), "{body:?}");

    assert_eq!(rows(&server).len(), 2);
    assert_eq!(server.metric("tidegate_rows_rejected_total{protocol=\"otlp\",reason=\"temporality\"}"), 1.0);
}

#[test]
fn a_malformed_body_is_a_status_in_its_encoding_and_nothing_of_it_is_taken() {
    let server = Server::start();
    for target in ["/v1/metrics", "/v1/logs"] {
        let reply = server.ask(&export(target, JSON, "{\"resourceMetrics\": ["));
        assert_eq!(status(reply.expect(400))["code"], 3);
        assert_eq!(reply.header("content-type"), Some(JSON));
        let mut cut = gauge(1);
        cut.pop();
        let reply = server.ask(&export(target, PROTOBUF, [gauge(1), cut].concat()));
        assert_eq!(reply.expect(400).body[..2], [0x08, 3]);
        assert_eq!(reply.header("content-type"), Some(PROTOBUF));
    }
    let reply = server.ask(&request(
        "POST",
        "/v1/metrics",
        &[("Content-Type", JSON), ("Content-Encoding", "gzip")],
        b"not gzip",
    ));
    assert_eq!(status(reply.expect(400))["code"], 3);
    assert!(cat(&server.data).is_empty());
}

#[test]
fn empty_requests_are_taken() {
    let server = Server::start();
    for target in ["/v1/metrics", "/v1/logs"] {
        server.ask(&export(target, JSON, "{}")).expect(200);
        server.ask(&export(target, PROTOBUF, "")).expect(200);
    }
    assert!(cat(&server.data).is_empty());
}

#[test]
fn a_request_of_several_batches_is_taken_whole() {
    let server = Server::start();
    let values: Vec<Json> = (0..150_000).map(Json::from).collect();
    server.ask(&export("/v1/metrics", JSON, gauges(&values))).expect(200);
    let rows = rows(&server);
    assert_eq!(rows.len(), values.len());
    let wrong = rows.iter().zip(&values).find(|(row, value)| row["fields"]["value"]["i64"] != **value);
    assert_eq!(wrong, None);
}

/// A few bytes of JSON may take many of memory while they are checked: that is asked of the budget before.
#[test]
fn json_that_takes_more_memory_than_there_is_comes_too_early() {
    let server = Setup::config("limits: {memory: 64MiB}").start();
    let dense = format!("{{\"resourceMetrics\":[],\"unknown\":[{}0]}}", "0,".repeat(2 << 20));
    let reply = server.ask(&export("/v1/metrics", JSON, dense));
    assert_eq!(status(reply.expect(503))["code"], 14);
    let resident = server.metric("process_resident_memory_bytes");
    assert!(resident < 128e6, "{resident}");
    // The same bytes in few values are no trouble.
    let sparse = format!("{{\"resourceMetrics\":[],\"unknown\":\"{}\"}}", "0.".repeat(2 << 20));
    server.ask(&export("/v1/metrics", JSON, sparse)).expect(200);
}

#[test]
fn every_case_of_the_collectors_receiver() {
    let exceptions: Vec<&str> = include_str!("../corpora_exceptions.txt")
        .lines()
        .filter(|line| line.starts_with("collector_otlpreceiver_http/"))
        .map(|line| line.split_once('\t').expect("an id, a tab, a reason").0)
        .collect();
    let file = super::corpora::corpora().join("otlp_http/collector_otlpreceiver_http.jsonl");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| {
        panic!("{}: {e}; set TIDEGATE_CORPORA to the folder of the corpora", file.display())
    });
    let cases: Vec<Json> = text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() >= 12);
    let server = Server::start();
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let id = case["id"].as_str().unwrap();
            match (judge(&server, case), exceptions.contains(&id)) {
                (Ok(()), false) | (Err(_), true) => None,
                (Ok(()), true) => Some(format!("{id}: listed as an exception, and right")),
                (Err(why), false) => Some(format!("{id}: {why}")),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let known = |id: &&&str| cases.iter().any(|case| case["id"] == **id);
    assert_eq!(exceptions.iter().filter(known).count(), exceptions.len(), "an exception of no case");
}

fn judge(server: &Server, case: &Json) -> Result<(), String> {
    let input = &case["input"];
    let text = |key: &str| input[key].as_str().unwrap_or_default();
    let body = match text("body") {
        "<valid json>" if text("path") == "/v1/logs" => logs().into_bytes(),
        "<valid json>" => gauges(&[json!(1)]).into_bytes(),
        // Of logs, one record without fields.
        "<valid pb>" if text("path") == "/v1/logs" => sized(1, &sized(2, &sized(2, b""))),
        "<valid pb>" => gauge(1),
        other => other.as_bytes().to_vec(),
    };
    let body = match text("encoding") {
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            gzip.write_all(&body).unwrap();
            gzip.finish().unwrap()
        }
        "zstd" => zstd::encode_all(&body[..], 1).unwrap(),
        _ => body,
    };
    let mut headers = vec![("Content-Type", text("content_type"))];
    if !text("encoding").is_empty() {
        headers.push(("Content-Encoding", text("encoding")));
    }
    let reply = server.ask(&request(text("method"), text("path"), &headers, &body));
    if case["expected"]["status"] != reply.status {
        return Err(format!("{} {}", reply.status, reply.text()));
    }
    match case["expected"]["body"].as_str() {
        Some(body) if body != reply.text() => Err(format!("{:?}", reply.text())),
        _ => Ok(()),
    }
}

#[test]
fn a_content_type_must_be_named() {
    let server = Server::start();
    server.ask(&request("POST", "/v1/logs", &[], b"{}")).expect(415);
    let reply = server.ask(&request("PATCH", "/v1/metrics", &[("Content-Type", JSON)], b"{}"));
    assert_eq!(reply.expect(405).header("allow"), Some("POST"));
}
