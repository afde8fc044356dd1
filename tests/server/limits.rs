//! Bounds on what the server holds: series, memory.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::client::{get, post, request};
use super::harness::{Setup, wait_until};
use super::log::{cat, verify};

#[test]
fn rows_of_series_over_the_limit_are_rejected_for_good_and_the_others_go_on() {
    let mut server = Setup::config("limits: {series_max: 100}").start();
    let lines = |from: u32, to: u32| -> String { (from..to).map(|n| format!("m,s={n} a=1 {n}\n")).collect() };
    let mut client = server.client();
    client.ask(&post("/write", lines(0, 90))).expect(204);
    let body = client.ask(&post("/write", lines(80, 120))).expect(400).json();
    assert_eq!((&body["accepted"], &body["rejected"]), (&json!(20), &json!(20)), "{body}");
    let error = body["error"].as_str().unwrap();
    assert!(error.starts_with("partial write: ") && error.ends_with(" dropped=20"), "{error}");
    assert!(body["errors"][0]["error"].as_str().unwrap().contains("100"), "{body}");
    assert_eq!(body["errors"][0]["index"], 21);

    // Nothing but rows of new series: still permanent, never 5xx, in each version's words.
    for (path, status) in [("/write", 400), ("/api/v2/write", 422), ("/api/v3/write_lp", 400)] {
        let body = client.ask(&post(path, lines(200, 210))).expect(status).json();
        assert_eq!((&body["accepted"], &body["rejected"]), (&json!(0), &json!(10)), "{path} {body}");
    }
    client.ask(&post("/write", lines(0, 100))).expect(204);
    assert_eq!(
        server.metric("tidegate_rows_rejected_total{protocol=\"influx\",reason=\"series_limit\"}"),
        50.0
    );
    assert_eq!(server.metric("tidegate_series"), 100.0);
    let status = client.ask(&get("/api/v1/status/tsdb")).expect(200).json();
    assert_eq!(status["data"]["seriesCountByMetricName"][0], json!({"name": "m", "value": 100}));
    assert_eq!(status["data"]["labelValueCountByLabelName"][0], json!({"name": "s", "value": 100}));
    for (limit, entries) in [("", 2), ("?limit=", 2), ("?limit=1", 1), ("?limit=1000", 2)] {
        let status = client.ask(&get(&format!("/api/v1/status/tsdb{limit}"))).expect(200).json();
        let found = status["data"]["labelValueCountByLabelName"].as_array().unwrap().len();
        assert_eq!(found, entries, "{limit}");
    }
    for limit in ["0", "-1", "x"] {
        let refused = client.ask(&get(&format!("/api/v1/status/tsdb?limit={limit}"))).expect(400).json();
        assert_eq!(refused["error"], "limit must be a positive number");
    }
    client.ask(&get("/ready")).expect(200);
    assert_eq!(cat(&server.data).len(), 90 + 20 + 100);
    server.stop();
    verify(&server.data);
}

#[test]
fn all_or_nothing_takes_nothing_if_a_row_is_over_the_series_limit() {
    let server = Setup::config("limits: {series_max: 3}").start();
    let mut client = server.client();
    let target = "/api/v3/write_lp?db=x&accept_partial=false";
    client.ask(&post("/write", "m,a=1,b=2 v=1 1")).expect(204);
    let body = client.ask(&post(target, "m,s=1 v=1 1\nm,s=2 v=1 1\nm,s=3 v=1 1\n")).expect(400).json();
    assert_eq!((&body["accepted"], &body["rejected"]), (&json!(0), &json!(3)), "{body}");
    let rejected = |reason| {
        server.metric(&format!("tidegate_rows_rejected_total{{protocol=\"influx\",reason=\"{reason}\"}}"))
    };
    assert_eq!((rejected("series_limit"), rejected("whole_request")), (1.0, 2.0));
    assert_eq!(cat(&server.data).len(), 1);
    // Known series do not count, in whatever order their tags come.
    client.ask(&post(target, "m,b=2,a=1 v=1 2\nm,s=1 v=1 1\nm,s=2 v=1 1\n")).expect(204);
    client.ask(&post(target, "m,a=1,b=2 v=1 3\nm,s=1 v=1 2\n")).expect(204);
    client.ask(&post(target, "m,a=1,b=2 v=1 4\nm,s=3 v=1 1\n")).expect(400);
    assert_eq!(cat(&server.data).len(), 6);
}

#[test]
fn a_flood_of_new_series_meets_the_memory_limit_and_not_the_machines() {
    const LIMIT_BYTES: u64 = 64 << 20;
    let mut server = Setup::config("limits: {memory: 64MiB}").start();
    let mut client = server.client();
    let (mut refused, mut acknowledged, mut most_bytes) = (0, 0u64, 0);
    // About 900 MB of keys, in requests that are each a good part of the limit.
    for request in 0..60u64 {
        let body: String =
            (0..20_000).map(|n| format!("flood,a={request}-{n},b={n:0200}-{request} v=1 1\n")).collect();
        let reply = client.ask(&post("/write", &body));
        if reply.status == 204 {
            acknowledged += 20_000;
        } else {
            reply.expect(503);
            refused += 1;
            if reply.header("connection") == Some("close") {
                client = server.client();
            }
        }
        most_bytes = most_bytes.max(server.metric("process_resident_memory_bytes") as u64);
    }
    assert!(refused > 0, "nothing was refused");
    assert!(acknowledged > 0, "nothing was taken");
    assert!(most_bytes < 3 * LIMIT_BYTES, "{most_bytes} bytes are resident");
    // It is not for ever: when the flood is over, writers are served.
    wait_until("a write is taken again", || client.ask(&post("/write", "calm v=1 1")).status == 204);
    let rows = cat(&server.data).len() as u64;
    assert!(rows >= acknowledged, "{rows} rows of {acknowledged} acknowledged");
    server.stop();
    verify(&server.data);
}

#[test]
fn one_endless_body_of_new_series_is_stopped_on_its_way() {
    const LIMIT_BYTES: u64 = 64 << 20;
    let server = Setup::config("limits: {memory: 64MiB}").start();
    let body: String = (0..400_000).map(|n| format!("flood,a={n},b={n:0200} v=1 1\n")).collect();
    let small = zstd::encode_all(body.as_bytes(), 1).unwrap();
    let reply =
        server.ask(&super::client::request("POST", "/write", &[("Content-Encoding", "zstd")], &small));
    assert!(reply.status == 204 || reply.expect(503).status == 503);
    let bytes = server.metric("process_resident_memory_bytes") as u64;
    assert!(bytes < 3 * LIMIT_BYTES, "{bytes} bytes are resident after {}", reply.status);
}

#[test]
fn a_body_that_is_kept_whole_counts_once_in_the_memory_limit() {
    let server = Setup::config("workers: 1\nlimits: {memory: 64MiB, body_size_max: 64MiB}").start();
    // Comments take no memory of their own once they are read.
    let comment = format!("#{}\n", "x".repeat((1 << 20) - 2));
    let body = [comment.repeat(44).as_bytes(), b"m a=1 1"].concat();
    let whole = post("/api/v3/write_lp?accept_partial=false", body);
    let mut slow = server.client();
    let (first, last) = whole.split_at(40 << 20);
    slow.send(first);
    wait_until("what connections hold is counted", || server.metric("tidegate_connections") >= 1.0);
    server.ask(&post("/write", "m a=2 2")).expect(204);
    slow.ask(last).expect(204);
    assert_eq!(cat(&server.data).len(), 2);
}

#[test]
fn a_small_body_of_very_many_lines_lets_others_have_their_turn() {
    let mut server = Setup::config("workers: 1").start();
    // Seconds of work in 20 KB: all others would wait for it.
    let lines = [&b"\n".repeat(20_000_000)[..], b"last v=1 1\n"].concat();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&lines).unwrap();
    let (mut long, mut short) = (server.client(), server.client());
    short.ask(&get("/health")).expect(200);
    let gzip = gzip.finish().unwrap();
    assert!(gzip.len() < 50_000);
    long.send(&request("POST", "/write", &[("Content-Encoding", "gzip")], &gzip));
    for turn in 0..3 {
        short.ask(&get("/health")).expect(200);
        assert!(!long.has_answer_within(Duration::from_millis(1)), "turn {turn}: its answer came first");
    }
    long.reply().expect(204);
    assert_eq!(cat(&server.data).len(), 1);
    server.stop();
}
