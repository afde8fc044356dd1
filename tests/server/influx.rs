//! Writes in each version of Influx's API: statuses, bodies, and what of a body is taken.

use std::io::Write;

use serde_json::{Value as Json, json};

use super::client::{Client, Reply, chunked, head, post, request};
use super::harness::{Server, Setup, wait_until};
use super::log::cat;

const VERSIONS: [&str; 3] = ["/write", "/api/v2/write", "/api/v3/write_lp"];

const TWO_GOOD_ONE_BAD: &str = "cpu a=1 1\ncpu 2\ncpu a=3 3\n";

fn values(rows: &[Json], field: &str) -> Vec<f64> {
    rows.iter().map(|row| row["fields"][field]["f64"].as_f64().unwrap()).collect()
}

#[test]
fn good_lines_are_answered_204_with_no_body_and_are_durable() {
    let server = Server::start();
    for path in VERSIONS {
        let reply = server.ask(&post(path, format!("cpu,path={path} a=1 1\n")));
        assert_eq!((reply.expect(204).body.len(), reply.header("content-length")), (0, None));
    }
    let reply = server.ask(&post("/influx/write?db=x&rp=y&u=me&p=secret", "cpu,path=prefixed a=1 1"));
    reply.expect(204);
    assert_eq!(cat(&server.data).len(), 4, "a live directory shows what was acknowledged");
}

#[test]
fn a_partial_write_names_lines_and_counts_in_each_versions_words() {
    let server = Server::start();
    let ours = |body: &Json| {
        assert_eq!((&body["accepted"], &body["rejected"]), (&json!(2), &json!(1)), "{body}");
        assert_eq!(body["errors"].as_array().unwrap().len(), 1);
        assert_eq!(body["errors"][0]["index"], 2);
        assert!(!body["errors"][0]["error"].as_str().unwrap().is_empty());
    };
    let reply = server.ask(&post("/write?db=x", TWO_GOOD_ONE_BAD));
    let body = reply.expect(400).json();
    ours(&body);
    let error = body["error"].as_str().unwrap();
    assert!(error.starts_with("partial write: unable to parse 'cpu 2': "), "{error}");
    assert!(error.ends_with(" dropped=1"), "{error}");

    let reply = server.ask(&post("/api/v2/write?org=o&bucket=b", TWO_GOOD_ONE_BAD));
    let body = reply.expect(422).json();
    ours(&body);
    assert_eq!(body["code"], "unprocessable entity");
    assert!(body["message"].as_str().unwrap().contains("partial write"), "{body}");

    let reply = server.ask(&post("/api/v3/write_lp?db=x", TWO_GOOD_ONE_BAD));
    let body = reply.expect(400).json();
    ours(&body);
    assert_eq!(body["error"], "partial write of line protocol occurred");
    assert_eq!(
        (&body["data"][0]["line_number"], &body["data"][0]["original_line"]),
        (&json!(2), &json!("cpu 2"))
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));

    assert_eq!(values(&cat(&server.data), "a"), [1.0, 3.0, 1.0, 3.0, 1.0, 3.0]);
}

#[test]
fn a_write_of_bad_lines_alone_is_400_and_names_the_first_ten() {
    let server = Server::start();
    let body = "nonsense\n".repeat(12);
    for (path, field) in VERSIONS.into_iter().zip(["error", "message", "error"]) {
        let reply = server.ask(&post(path, &body));
        let found = reply.expect(400).json();
        assert_eq!((&found["accepted"], &found["rejected"]), (&json!(0), &json!(12)), "{path} {found}");
        assert_eq!(found["errors"].as_array().unwrap().len(), 10);
        assert_eq!(found["errors"][9]["index"], 10);
        assert!(found[field].is_string(), "{path} {found}");
    }
    assert_eq!(server.metric("tidegate_rows_accepted_total{protocol=\"influx\"}"), 0.0);
    assert!(cat(&server.data).is_empty());
}

#[test]
fn an_empty_body_is_taken_by_version_1_alone() {
    let server = Server::start();
    for body in ["", "\n", "# only a comment\n\n"] {
        server.ask(&post("/write", body)).expect(204);
        let reply = server.ask(&post("/api/v2/write", body));
        assert_eq!(reply.expect(400).json()["code"], "invalid");
        server.ask(&post("/api/v3/write_lp", body)).expect(400);
    }
    // No body at all is an empty one.
    server.ask(&head("POST", "/write", &[])).expect(204);
}

#[test]
fn all_or_nothing_takes_nothing_if_a_line_is_bad() {
    let server = Server::start();
    let target = "/api/v3/write_lp?db=x&accept_partial=false";
    for bytes in [post(target, TWO_GOOD_ONE_BAD), chunked(target, &[], TWO_GOOD_ONE_BAD.as_bytes(), &[3])] {
        let body = server.ask(&bytes).expect(400).json();
        assert_eq!(body["error"], "parsing failed for write_lp endpoint");
        assert_eq!((&body["accepted"], &body["rejected"]), (&json!(0), &json!(3)));
        assert_eq!(body["data"][0]["line_number"], 2);
    }
    assert!(cat(&server.data).is_empty());
    server.ask(&post(target, "cpu a=1 1\ncpu a=2 2")).expect(204);
    assert_eq!(values(&cat(&server.data), "a"), [1.0, 2.0]);
    // Versions 1 and 2 know no such parameter.
    server.ask(&post("/write?accept_partial=false", TWO_GOOD_ONE_BAD)).expect(400);
    assert_eq!(cat(&server.data).len(), 4);
}

#[test]
fn precisions_scale_to_nanoseconds_and_unknown_ones_are_400() {
    let server = Server::start();
    let mut expected = Vec::new();
    for (path, names) in [
        (
            "/write",
            &[("n", 1), ("ns", 1), ("u", 1_000), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000i64)][..],
        ),
        ("/api/v2/write", &[("ns", 1), ("us", 1_000), ("u", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)]),
        (
            "/api/v3/write_lp",
            &[
                ("nanosecond", 1),
                ("microsecond", 1_000),
                ("millisecond", 1_000_000),
                ("second", 1_000_000_000),
            ],
        ),
    ] {
        for (name, scale) in names {
            server.ask(&post(&format!("{path}?precision={name}"), "cpu a=1 1700000")).expect(204);
            expected.push(1_700_000 * scale);
        }
        let body = server.ask(&post(&format!("{path}?precision=fortnight"), "cpu a=1 1")).expect(400).json();
        assert!(body.to_string().contains("fortnight"), "{body}");
    }
    let times: Vec<i64> = cat(&server.data).iter().map(|row| row["time"].as_i64().unwrap()).collect();
    assert_eq!(times, expected);
    // Out of the range of 64 bits of nanoseconds: refused, never wrapped.
    server.ask(&post("/write?precision=s", "cpu a=1 9223372037")).expect(400);
}

#[test]
fn rows_without_a_time_get_the_servers() {
    let server = Server::start();
    let now_ns = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as i64;
    let before = now_ns();
    server.ask(&post("/write", "cpu a=1\ncpu a=2\n")).expect(204);
    let after = now_ns();
    let times: Vec<i64> = cat(&server.data).iter().map(|row| row["time"].as_i64().unwrap()).collect();
    assert!(times[0] == times[1] && (before..=after).contains(&times[0]), "{before} {times:?} {after}");
}

fn encodings(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    let level = Compression::fast();
    let mut gzip = GzEncoder::new(Vec::new(), level);
    gzip.write_all(body).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(body).unwrap();
    let mut raw = DeflateEncoder::new(Vec::new(), level);
    raw.write_all(body).unwrap();
    vec![
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", raw.finish().unwrap()),
        ("zstd", zstd::encode_all(body, 3).unwrap()),
        ("identity", body.to_vec()),
    ]
}

#[test]
fn every_content_coding_gives_the_same_rows_whole_or_chunked() {
    let server = Server::start();
    let mut client = server.client();
    let lines: String = (0..500).map(|n| format!("cpu,host=h{} a={n} {n}\n", n % 7)).collect();
    let mut sent = 0;
    for (name, encoded) in encodings(lines.as_bytes()) {
        for path in VERSIONS {
            client.ask(&request("POST", path, &[("Content-Encoding", name)], &encoded)).expect(204);
            let pieces = chunked(path, &[("Content-Encoding", name)], &encoded, &[1, 7, 300]);
            client.ask(&pieces).expect(204);
            sent += 2;
        }
    }
    let mut found = values(&cat(&server.data), "a");
    found.sort_by(f64::total_cmp);
    let expected: Vec<f64> = (0..500).flat_map(|n| vec![f64::from(n); sent]).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_compressed_body_of_very_many_rows_is_taken_whole() {
    let server = Server::start();
    // Compresses so well that the decoder holds most of it when the engine first asks for a pause.
    let rows = 300_000;
    let lines = "cpu a=1 1\n".repeat(rows);
    let mut client = server.client();
    for (name, encoded) in encodings(lines.as_bytes()).iter().filter(|(name, _)| *name != "identity") {
        client.ask(&request("POST", "/write", &[("Content-Encoding", name)], encoded)).expect(204);
    }
    assert_eq!(server.metric("tidegate_rows_accepted_total{protocol=\"influx\"}"), 4.0 * rows as f64);
    super::log::verify(&server.data);
}

#[test]
fn a_line_over_the_limit_is_rejected_and_its_neighbours_are_kept() {
    let server = Server::start();
    let body = format!("m a=1 1\nm s=\"{}\" 2\nm a=3 3\n", "x".repeat(9 << 20));
    let bytes = [post("/write", &body), chunked("/write", &[], body.as_bytes(), &[100_000])];
    for request in &bytes {
        let found = server.ask(request).expect(400).json();
        assert_eq!((&found["accepted"], &found["rejected"]), (&json!(2), &json!(1)));
        assert_eq!(found["errors"][0]["index"], 2);
        assert!(found.to_string().len() < 4096, "the answer does not repeat the line");
    }
    let small = zstd::encode_all(body.as_bytes(), 1).unwrap();
    server.ask(&request("POST", "/api/v2/write", &[("Content-Encoding", "zstd")], &small)).expect(422);
    assert_eq!(cat(&server.data).len(), 6);
}

#[test]
fn a_body_that_is_not_what_its_coding_says_is_400() {
    let server = Server::start();
    for (name, encoded) in encodings(b"cpu a=1 1\n").iter().filter(|(name, _)| *name != "identity") {
        let cut = &encoded[..encoded.len() - 3];
        server.ask(&request("POST", "/write", &[("Content-Encoding", name)], cut)).expect(400);
        let reply = server.ask(&request(
            "POST",
            "/api/v2/write",
            &[("Content-Encoding", name)],
            b"\x01\x02 not that",
        ));
        assert_eq!(reply.expect(400).json()["code"], "invalid");
    }
    let reply = server.ask(&request("POST", "/api/v2/write", &[("Content-Encoding", "br")], b"xx"));
    assert_eq!(reply.expect(415).json()["code"], "unsupported media type");
}

#[test]
fn a_body_over_the_limit_is_413_compressed_or_not_and_in_the_versions_words() {
    let server = Setup::config("limits: {body_size_max: 2KiB, decoded_size_max: 4KiB}").start();
    let long = "cpu a=1 1\n".repeat(300);
    for (path, field) in VERSIONS.into_iter().zip(["error", "message", "error"]) {
        for bytes in [post(path, &long), chunked(path, &[], long.as_bytes(), &[500])] {
            let reply = server.ask(&bytes);
            assert!(reply.expect(413).json()[field].is_string(), "{path} {}", reply.text());
            assert!(
                reply.json()["accepted"].is_u64() && reply.json()["errors"].is_array(),
                "{}",
                reply.text()
            );
        }
        let bomb = zstd::encode_all(&b"cpu a=1 1\n".repeat(1000)[..], 3).unwrap();
        assert!(bomb.len() < 1024);
        let reply = server.ask(&request("POST", path, &[("Content-Encoding", "zstd")], &bomb));
        assert!(reply.expect(413).json()[field].is_string(), "{path} {}", reply.text());
    }
}

#[test]
fn a_body_that_breaks_is_counted_as_far_as_it_came() {
    let server = Server::start();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"cpu a=1 1\ncpu a=x 2\n").unwrap();
    let mut gzip = gzip.finish().unwrap();
    let crc = gzip.len() - 8;
    gzip[crc] ^= 1;
    for (path, field) in VERSIONS.into_iter().zip(["error", "message", "error"]) {
        let reply = server.ask(&request("POST", path, &[("Content-Encoding", "gzip")], &gzip));
        let said = reply.expect(400).json();
        assert!(said[field].as_str().unwrap().contains("checksum"), "{said}");
        assert_eq!((&said["accepted"], &said["rejected"]), (&json!(1), &json!(1)), "{said}");
        let reply = server.ask(&request("POST", path, &[("Content-Encoding", "gzip")], b"not gzip"));
        assert_eq!(reply.expect(400).json()["errors"], json!([]), "{}", reply.text());
    }
    assert_eq!(values(&cat(&server.data), "a"), [1.0; 3]);
}

#[test]
fn bytes_behind_compressed_data_are_answered_alike_however_the_body_is_cut() {
    let server = Server::start();
    let commits = || server.metric("tidegate_commit_duration_seconds_count");
    let mut sent = Vec::new();
    for (n, (name, encoded)) in encodings(b"cpu a=1 1\ncpu a=x 2\n").into_iter().enumerate() {
        if name == "identity" {
            continue;
        }
        let body = [&encoded[..], b"garbage"].concat();
        let whole = request("POST", "/write", &[("Content-Encoding", name)], &body);
        let at_once = server.ask(&whole).expect(400).json();
        assert_eq!((&at_once["accepted"], &at_once["rejected"]), (&json!(1), &json!(1)), "{name} {at_once}");
        let mut client = server.client();
        let (start, end) = whole.split_at(whole.len() - b"garbage".len());
        let before = commits();
        client.send(start);
        wait_until("the row's commit", || commits() > before);
        assert_eq!(client.ask(end).expect(400).json(), at_once, "{name}");
        sent.extend([1.0; 2]);
        assert_eq!(values(&cat(&server.data), "a"), sent, "{name} {n}");
    }
}

#[test]
fn a_write_that_is_refused_by_its_head_counts_no_rows() {
    let server = Server::start();
    let nothing = |reply: &Reply| {
        let said = reply.json();
        assert_eq!((&said["accepted"], &said["rejected"]), (&json!(0), &json!(0)), "{said}");
        assert_eq!(said["errors"], json!([]), "{said}");
        said
    };
    for (path, field) in VERSIONS.into_iter().zip(["error", "message", "error"]) {
        let coding = request("POST", path, &[("Content-Encoding", "br")], b"cpu a=1 1");
        for (bytes, status) in [(coding, 415), (post(&format!("{path}?precision=x"), "cpu a=1 1"), 400)] {
            let said = nothing(server.ask(&bytes).expect(status));
            assert!(said[field].is_string(), "{said}");
            assert_eq!(said.get("data"), (path == VERSIONS[2]).then_some(&json!([])), "{said}");
        }
    }
    for path in [
        "/api/v1/import",
        "/api/v1/import/ndjson",
        "/api/v1/import/prometheus",
        "/api/put",
        "/collectd",
        "/metrics/job/a",
        "/api/v1/write",
    ] {
        let coding = request("POST", path, &[("Content-Encoding", "br")], b"x");
        nothing(server.ask(&coding).expect(415));
    }
    for (target, content_type, status) in [
        ("/api/v1/import?extra_label=x", "", 400),
        ("/api/v1/import/prometheus?timestamp=x", "", 400),
        ("/api/v1/import/prometheus", "application/vnd.google.protobuf; proto=x", 415),
        ("/api/put?details=%f", "", 400),
        ("/collectd?store_rates=x", "", 400),
        ("/metrics/job/a/b", "", 400),
        ("/metrics/job/a", "application/vnd.google.protobuf; proto=x", 415),
        ("/api/v1/write", "application/json", 415),
    ] {
        let bytes = request("POST", target, &[("Content-Type", content_type)], b"x");
        nothing(server.ask(&bytes).expect(status));
    }
}

#[test]
fn expect_continue_is_granted_refused_early_or_not_needed() {
    let server = Setup::config("limits: {body_size_max: 2KiB}").start();
    let expecting = |target: &str, length: usize| {
        head("POST", target, &[("Expect", "100-continue"), ("Content-Length", &length.to_string())])
    };
    let mut client = server.client();
    for path in VERSIONS {
        assert_eq!(client.ask(&expecting(path, 9)).expect(100).status, 100);
        client.ask(b"cpu a=1 1").expect(204);
    }
    // A client that does not wait is served the same.
    let mut eager = expecting("/write", 9);
    eager.extend_from_slice(b"cpu a=1 1");
    client.send(&eager);
    client.reply().expect(204);
    // What will be refused is refused before the body is sent.
    for (target, length, status) in
        [("/write", 3000, 413), ("/nowhere", 9, 404), ("/write?precision=x", 9, 400)]
    {
        let mut client = server.client();
        client.ask(&expecting(target, length)).expect(status);
        client.expect_end();
    }
    assert_eq!(cat(&server.data).len(), 4);
}

#[test]
fn expect_continue_behind_an_answer_that_is_due_gets_its_100_after_it() {
    let server = Server::start();
    let expecting = head("POST", "/write", &[("Expect", "100-continue"), ("Content-Length", "9")]);
    let mut client = server.client();
    let reply = client.ask(&[post("/write", "cpu a=1 1"), expecting.clone()].concat());
    reply.expect(204);
    client.reply().expect(100);
    client.ask(b"cpu a=2 2").expect(204);
    // Whoever sends the body unasked gets the answer alone.
    let eager = [post("/write", "cpu a=3 3"), expecting, b"cpu a=4 4".to_vec()].concat();
    client.ask(&eager).expect(204);
    client.reply().expect(204);
    assert_eq!(cat(&server.data).len(), 4);
}

#[test]
fn an_early_answer_leaves_the_connection_usable_or_closes_it() {
    let server = Server::start();
    let mut client: Client = server.client();
    client.ask(&post("/nowhere", "a short body is read away")).expect(404);
    client.ask(&post("/write?precision=x", "cpu a=1 1")).expect(400);
    client.ask(&post("/write", "cpu a=1 1")).expect(204);
    let reply = client.ask(&request("POST", "/write", &[("Connection", "close")], b"cpu a=2 2"));
    assert_eq!(reply.expect(204).header("connection"), Some("close"));
    client.expect_end();
    assert_eq!(values(&cat(&server.data), "a"), [1.0, 2.0]);
}

#[test]
fn a_body_whose_rows_were_durable_before_it_ended_is_answered_at_once() {
    let server = Server::start();
    let pieces = chunked("/write", &[], b"slow a=1 1\n", &[11]);
    let (rows, end) = pieces.split_at(pieces.len() - b"0\r\n\r\n".len());
    let mut client = server.client();
    client.send(rows);
    wait_until("the row's commit", || server.metric("tidegate_commit_duration_seconds_count") > 0.0);
    // No commit follows that could bring the answer.
    client.ask(end).expect(204);
}
