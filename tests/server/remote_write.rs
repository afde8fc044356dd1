//! Prometheus remote write, 1.0 and 2.0: the shared corpora's requests, and what of a request is taken.

use serde_json::{Value as Json, json};

use super::client::{Reply, request};
use super::corpora::{corpora, judge_cases};
use super::harness::Server;
use super::log::cat;

const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
const WRITTEN: [&str; 3] = ["samples", "histograms", "exemplars"];

#[test]
fn every_http_case_of_the_corpora() {
    let suites = ["prometheus_write_handler_headers", "prometheus_write_handler_v2_message"];
    let file = |suite| corpora().join("remote_write").join(format!("{suite}.jsonl"));
    judge_cases(&suites.map(file), &suites, 21, judge);
}

fn judge(case: &Json) -> Result<(), String> {
    let server = Server::start();
    let headers: Vec<(&str, &str)> = case["input"]["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let body = decode_base64(case["input"]["body_snappy_b64"].as_str().unwrap());
    let reply = server.client().ask(&request("POST", "/api/v1/write", &headers, &body));
    let expected = &case["expected"];
    if expected["status"] != reply.status {
        return Err(format!("{} {}", reply.status, reply.text()));
    }
    let is_v2 = headers.iter().any(|header| header.1 == V2);
    if is_v2 != reply.header("x-prometheus-remote-write-samples-written").is_some() {
        return Err(format!("headers {:?}", reply.headers));
    }
    let error = || reply.json()["error"].as_str().unwrap_or_default().to_owned();
    if let Some(body) = expected["body"].as_str()
        && error() != body.trim_end()
    {
        return Err(format!("{body:?}, got {:?}", reply.text()));
    }
    if let Some(part) = expected["body_contains"].as_str()
        && !error().contains(part)
    {
        return Err(format!("no {part:?} in {:?}", reply.text()));
    }
    // What is bad costs what is bad: of two series, one; and what was said to be written is there.
    if reply.status == 400 && is_v2 {
        let [samples, histograms, exemplars] = written(&reply);
        let lines = cat(&server.data);
        let count = |is: fn(&Json) -> bool| lines.iter().filter(|line| is(line)).count() as u64;
        let found = [
            count(|line| line["fields"]["value"]["f64"].is_number() && line["exemplar"].is_null()),
            count(|line| line["fields"]["value"]["histogram"].is_object()),
            count(|line| line["exemplar"].is_object()),
        ];
        if found != [samples, histograms, exemplars] || samples + histograms == 0 {
            return Err(format!("{found:?}, and said were {:?}", written(&reply)));
        }
    }
    Ok(())
}

/// What the answer says was written.
fn written(reply: &Reply) -> [u64; 3] {
    WRITTEN.map(|what| {
        let name = format!("x-prometheus-remote-write-{what}-written");
        reply.header(&name).unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    })
}

fn decode_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for byte in text.bytes().filter(|&b| b != b'=') {
        bits = bits << 6 | ALPHABET.iter().position(|&a| a == byte).expect("base64") as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 0x4000);
    let mut out = vec![field << 3 | 2];
    if content.len() >= 0x80 {
        out.extend([content.len() as u8 | 0x80, (content.len() >> 7) as u8]);
    } else {
        out.push(content.len() as u8);
    }
    out.extend(content);
    out
}

fn sample(value: f64, time_ms: u8) -> Vec<u8> {
    assert!(time_ms < 0x80);
    [&[1 << 3 | 1][..], &value.to_bits().to_le_bytes(), &[2 << 3, time_ms]].concat()
}

fn series_v1(labels: &[(&str, &str)], rest: &[u8]) -> Vec<u8> {
    let mut series = Vec::new();
    for (name, value) in labels {
        series.extend(bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat()));
    }
    series.extend(rest);
    bytes(1, &series)
}

fn post(path: &str, content_type: &str, message: &[u8]) -> Vec<u8> {
    let body = snap::raw::Encoder::new().compress_vec(message).unwrap();
    let headers = [("Content-Type", content_type), ("Content-Encoding", "snappy")];
    request("POST", path, &headers, &body)
}

const V1: &str = "application/x-protobuf";

#[test]
fn samples_are_rows_at_each_path() {
    let server = Server::start();
    for path in ["/api/v1/write", "/api/v1/push", "/prometheus/api/v1/write", "/prometheus/api/v1/push"] {
        let message = series_v1(&[("__name__", "up"), ("path", path)], &bytes(2, &sample(1.5, 7)));
        let reply = server.ask(&post(path, V1, &message));
        assert_eq!(reply.expect(204).body.len(), 0);
        assert_eq!(reply.header("x-prometheus-remote-write-samples-written"), None);
    }
    let rows = cat(&server.data);
    assert_eq!(rows.len(), 4);
    assert_eq!(
        rows[0],
        json!({"time": 7_000_000, "labels": {"__name__": "up", "path": "/api/v1/write"}, "fields": {"value": {"f64": 1.5}}})
    );
    assert_eq!(server.metric("tidegate_rows_accepted_total{protocol=\"remote_write\"}"), 4.0);
    server.ask(&request("GET", "/api/v1/write", &[], b"")).expect(405);
}

#[test]
fn stale_markers_are_kept_to_the_bit() {
    let server = Server::start();
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let message = series_v1(&[("__name__", "up")], &bytes(2, &sample(stale, 1)));
    server.ask(&post("/api/v1/write", V1, &message)).expect(204);
    assert_eq!(cat(&server.data)[0]["fields"]["value"]["f64"], "stale");
}

#[test]
fn a_partial_write_names_series_and_keeps_the_others() {
    let server = Server::start();
    let message = [
        series_v1(&[("__name__", "up")], &bytes(2, &sample(1.0, 1))),
        series_v1(&[("job", "nameless")], &[bytes(2, &sample(2.0, 1)), bytes(2, &sample(3.0, 2))].concat()),
        series_v1(&[("__name__", "up"), ("a", "1"), ("a", "2")], &bytes(2, &sample(4.0, 1))),
        series_v1(&[("__name__", "down")], &bytes(2, &sample(5.0, 1))),
    ]
    .concat();
    let body = server.ask(&post("/api/v1/write", V1, &message)).expect(400).json();
    assert_eq!((&body["accepted"], &body["rejected"]), (&json!(2), &json!(3)), "{body}");
    let indices: Vec<u64> =
        body["errors"].as_array().unwrap().iter().map(|e| e["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [2, 3]);
    let error = body["error"].as_str().unwrap();
    assert!(error.starts_with("invalid metric name or labels, got {job=\"nameless\"}\n"), "{error}");
    let values: Vec<_> =
        cat(&server.data).iter().map(|row| row["fields"]["value"]["f64"].as_f64().unwrap()).collect();
    assert_eq!(values.len(), 2);
    assert!(values.contains(&1.0) && values.contains(&5.0));
    assert_eq!(
        server.metric("tidegate_rows_rejected_total{protocol=\"remote_write\",reason=\"labels\"}"),
        3.0
    );
}

#[test]
fn what_is_no_message_takes_nothing() {
    let server = Server::start();
    let good = series_v1(&[("__name__", "up")], &bytes(2, &sample(1.0, 1)));
    let cut = &[&good[..], &good[..good.len() - 1]].concat();
    for (content_type, message) in [(V1, &cut[..]), (V2, &good)] {
        let reply = server.ask(&post("/api/v1/write", content_type, message));
        assert!(reply.expect(400).json()["error"].is_string());
    }
    let headers = [("Content-Type", V2), ("Content-Encoding", "snappy")];
    let reply = server.ask(&request("POST", "/api/v1/write", &headers, &good));
    assert_eq!(written(reply.expect(400)), [0, 0, 0]);
    assert!(cat(&server.data).is_empty());
    // Nothing in it is not nothing of it.
    server.ask(&post("/api/v1/write", V2, b"")).expect(204);
}

#[test]
fn a_block_that_says_it_is_too_large_is_413() {
    let server = Server::start();
    // A length of 4 GiB - 1, and nothing behind it.
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
    server.ask(&request("POST", "/api/v1/write", &[], &bomb)).expect(413);
}

#[test]
fn samples_and_start_times_of_2_0_are_counted_in_headers() {
    let server = Server::start();
    let mut message = Vec::new();
    for symbol in ["", "__name__", "up", "trace_id", "abc"] {
        message.extend(bytes(4, symbol.as_bytes()));
    }
    let with_start = [&sample(1.0, 9)[..], &[3 << 3, 5]].concat();
    let exemplar = [&bytes(1, &[3, 4])[..], &[2 << 3 | 1], &0.5f64.to_bits().to_le_bytes()].concat();
    let metadata = bytes(5, &[1 << 3, 1, 3 << 3, 4]);
    let series =
        [bytes(1, &[1, 2]), bytes(2, &with_start), bytes(2, &sample(2.0, 10)), bytes(4, &exemplar), metadata];
    message.extend(bytes(5, &series.concat()));
    let reply = server.ask(&post("/api/v1/write", V2, &message));
    assert_eq!(written(reply.expect(204)), [2, 0, 1]);
    let labels = json!({"__name__": "up"});
    assert_eq!(
        cat(&server.data),
        [
            json!({"time": 9_000_000, "start": 5_000_000, "labels": labels, "fields": {"value": {"f64": 1.0}}}),
            json!({"time": 10_000_000, "labels": labels, "fields": {"value": {"f64": 2.0}}}),
            json!({"time": 0, "labels": labels, "fields": {"value": {"f64": 0.5}}, "exemplar": {"trace_id": "abc"}}),
            json!({"metadata": {"name": "up", "type": "counter", "unit": "", "help": "abc"}}),
        ]
    );
}

#[test]
fn exemplars_and_metadata_alone_are_durable_when_answered() {
    let server = Server::start();
    let label = bytes(1, &[bytes(1, b"trace_id"), bytes(2, b"abc")].concat());
    let exemplar = bytes(3, &[&label[..], &[3 << 3, 9]].concat());
    server.ask(&post("/api/v1/write", V1, &series_v1(&[("__name__", "up")], &exemplar))).expect(204);
    assert_eq!(cat(&server.data).len(), 1);
    let metadata = bytes(3, &[&[1 << 3, 2][..], &bytes(2, b"up"), &bytes(4, b"Is it?")].concat());
    for _ in 0..2 {
        // Said again, it is not kept again.
        server.ask(&post("/api/v1/write", V1, &metadata)).expect(204);
        let lines = cat(&server.data);
        assert_eq!(lines.len(), 2, "{lines:?}");
        let said = json!({"metadata": {"name": "up", "type": "gauge", "unit": "", "help": "Is it?"}});
        assert!(lines.contains(&said), "{lines:?}");
    }
}

#[test]
fn histograms_are_kept_bucket_by_bucket() {
    let server = Server::start();
    let span = bytes(11, &[1 << 3, 1, 2 << 3, 2]);
    // 3, and 2 less.
    let deltas = bytes(12, &[6, 3]);
    let histogram = [&[1 << 3, 4, 4 << 3, 2][..], &span, &deltas, &[15 << 3, 8]].concat();
    server
        .ask(&post("/api/v1/write", V1, &series_v1(&[("__name__", "took")], &bytes(4, &histogram))))
        .expect(204);
    let row = &cat(&server.data)[0];
    let found = &row["fields"]["value"]["histogram"];
    assert_eq!((&found["schema"], &found["count"]), (&json!(1), &json!(4)), "{row}");
    assert_eq!((&found["positive_spans"], &found["positive"]), (&json!([[-1, 2]]), &json!([3, 1])), "{row}");
    assert_eq!(row["time"], 8_000_000);
}

#[test]
fn more_rows_than_a_batch_holds_are_all_taken_once() {
    let server = Server::start();
    let mut message = Vec::new();
    for i in 0..150u32 {
        let samples: Vec<u8> =
            (0..1_000u32).flat_map(|j| bytes(2, &sample(f64::from(j), (j % 100) as u8))).collect();
        let labels = bytes(1, &[bytes(1, b"__name__"), bytes(2, format!("m{i}").as_bytes())].concat());
        let series = [labels, samples].concat();
        let len = series.len() as u32;
        message.push(1 << 3 | 2);
        message.extend([len as u8 | 0x80, (len >> 7) as u8 | 0x80, (len >> 14) as u8]);
        message.extend(series);
    }
    server.ask(&post("/api/v1/write", V1, &message)).expect(204);
    assert_eq!(server.metric("tidegate_rows_accepted_total{protocol=\"remote_write\"}"), 150_000.0);
    assert_eq!(cat(&server.data).len(), 150_000);
}
