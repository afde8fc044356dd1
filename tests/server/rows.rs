//! Rows written are rows read, bit for bit, however their requests were cut, mixed and spread.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::client::{chunked, get, post, request};
use super::harness::{Server, Setup};
use super::log::{cat, cat_text, ls, verify};

/// One row of every kind of value that is hard to keep, and what is expected of it.
fn hard_rows() -> Vec<(String, Json)> {
    let row =
        |time: i64, labels: Json, fields: Json| json!({"time": time, "labels": labels, "fields": fields});
    let plain = |fields| row(1, json!({"__name__": "m"}), fields);
    let mut rows: Vec<(String, Json)> = [
        ("v=0", json!({"v": {"f64": 0.0}})),
        ("v=-0", json!({"v": {"f64": -0.0}})),
        ("v=5e-324", json!({"v": {"f64": 5e-324}})),
        ("v=1.7976931348623157e308", json!({"v": {"f64": f64::MAX}})),
        ("v=0.1", json!({"v": {"f64": 0.1}})),
        ("v=-58.20000000000001", json!({"v": {"f64": -58.20000000000001}})),
        ("v=9223372036854775807i", json!({"v": {"i64": i64::MAX}})),
        ("v=-9223372036854775808i", json!({"v": {"i64": i64::MIN}})),
        ("v=18446744073709551615u", json!({"v": {"u64": u64::MAX}})),
        ("v=t,w=false", json!({"v": {"bool": true}, "w": {"bool": false}})),
        (r#"v="""#, json!({"v": {"string": ""}})),
        (r#"v="a \"b\" \\ c, d=e""#, json!({"v": {"string": r#"a "b" \ c, d=e"#}})),
        ("v=\"two\nlines\"", json!({"v": {"string": "two\nlines"}})),
        ("v=\"grüße 你好 🌊\u{0}\"", json!({"v": {"string": "grüße 你好 🌊\u{0}"}})),
        (
            "z=1,a=2i,m=3u,b=true,s=\"x\"",
            json!({"a": {"i64": 2}, "b": {"bool": true}, "m": {"u64": 3}, "s": {"string": "x"}, "z": {"f64": 1.0}}),
        ),
    ]
    .into_iter()
    .map(|(fields, expected)| (format!("m {fields} 1\n"), plain(expected)))
    .collect();
    let f = json!({"v": {"i64": 1}});
    rows.extend([
        (
            "m v=1i -9223372036854775806\n".into(),
            row(-9223372036854775806, json!({"__name__": "m"}), f.clone()),
        ),
        (
            "m v=1i 9223372036854775806\n".into(),
            row(9223372036854775806, json!({"__name__": "m"}), f.clone()),
        ),
        (
            "m\\ n\\,o,t\\=a\\ g=v\\,a\\ l,a=1 v=1i 2\n".into(),
            row(2, json!({"__name__": "m n,o", "a": "1", "t=a g": "v,a l"}), f.clone()),
        ),
        (
            format!("m,b={} v=1i 3\n", "x".repeat(2000)),
            row(3, json!({"__name__": "m", "b": "x".repeat(2000)}), f),
        ),
    ]);
    rows
}

fn sent_and_expected() -> (String, Vec<Json>) {
    let (lines, expected): (Vec<String>, Vec<Json>) = hard_rows().into_iter().unzip();
    (lines.concat(), expected)
}

/// Asserts that these are the same rows. Within a block they are in an order of the block's own.
#[track_caller]
fn assert_same(found: Vec<Json>, expected: &[Json]) {
    let sorted = |rows: &[Json]| {
        let mut texts: Vec<String> = rows.iter().map(Json::to_string).collect();
        texts.sort_unstable();
        texts
    };
    assert_eq!(found.len(), expected.len());
    for (found, expected) in sorted(&found).iter().zip(sorted(expected)) {
        assert_eq!(*found, expected);
    }
}

#[test]
fn every_kind_of_row_reads_back_equal_live_stopped_and_started_again() {
    let (lines, expected) = sent_and_expected();
    let mut server = Server::start();
    server.ask(&post("/write", &lines)).expect(204);
    assert_same(cat(&server.data), &expected);
    // Of zero and minus zero JSON's numbers are equal, their texts are not.
    assert!(cat_text(&server.data).contains(r#""v":{"f64":-0"#));
    server.stop();
    assert_same(cat(&server.data), &expected);
    verify(&server.data);

    let server = Setup::config("").data(&server.data).start();
    server.ask(&post("/api/v2/write", &lines)).expect(204);
    assert_same(cat(&server.data), &[expected.clone(), expected].concat());
}

#[test]
fn a_body_may_be_cut_anywhere() {
    let (lines, expected) = sent_and_expected();
    let server = Server::start();
    let mut client = server.client();
    let mut times = 0;
    // Byte by byte: the server reads as few as it gets.
    for bytes in [post("/write", &lines), chunked("/api/v2/write", &[], lines.as_bytes(), &[1, 2, 61])] {
        for byte in &bytes {
            client.send(&[*byte]);
        }
        client.reply().expect(204);
        times += 1;
    }
    for sizes in [&[1][..], &[2], &[3, 1], &[7, 13], &[64], &[4096], &[1_000_000]] {
        client.ask(&chunked("/write", &[], lines.as_bytes(), sizes)).expect(204);
        times += 1;
    }
    let gzip = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    for size in 1..40 {
        let encoding = [("Content-Encoding", "zstd")];
        client.ask(&chunked("/write", &encoding, &gzip, &[size])).expect(204);
        times += 1;
    }
    assert_same(cat(&server.data), &vec![expected; times].concat());
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = Server::start();
    let mut client = server.client();
    // Each kind of answer comes from another place: at once, after a commit, after a survey.
    let kinds = [
        (post("/write", "cpu a=1 1"), 204),
        (get("/ping?verbose=1"), 200),
        (post("/write", "cpu a=1 1\nbad"), 400),
        (get("/nowhere"), 404),
        (get("/api/v1/status/tsdb"), 200),
        (post("/api/v2/write", "cpu a=1 1\nbad"), 422),
        (get("/write"), 405),
        (post("/query?q=SHOW+DATABASES", ""), 200),
    ];
    let rounds = 50;
    let all: Vec<u8> = (0..rounds).flat_map(|_| kinds.iter().flat_map(|(bytes, _)| bytes.clone())).collect();
    client.send(&all);
    for round in 0..rounds {
        for (bytes, status) in &kinds {
            let reply = client.reply();
            assert_eq!(reply.status, *status, "{round}: {}", String::from_utf8_lossy(bytes));
        }
    }
    assert_eq!(cat(&server.data).len(), 3 * rounds);
}

#[test]
fn at_most_32_answers_are_parked_and_the_rest_is_read_later() {
    // One commit a second: answers to writes queue up behind it.
    let server = Setup::config("data: {commits_per_second_max: 1}\nworkers: 1").start();
    let mut client = server.client();
    client.ask(&post("/write", "cpu a=0 0")).expect(204);
    let writes = 200;
    let all: Vec<u8> = (0..writes).flat_map(|n| post("/write", format!("cpu a={n} {n}"))).collect();
    let before = server.metric("tidegate_http_requests_total");
    client.send(&all);
    // While none of them can be committed.
    super::harness::wait_until("32 requests were taken", || {
        server.metric("tidegate_http_requests_total") >= before + 32.0
    });
    for _ in 0..writes {
        client.reply().expect(204);
    }
    let commits = server.metric("tidegate_commits_total");
    let least = f64::from(writes) / 32.0;
    assert!(commits > least, "{writes} requests in {commits} commits: more than 32 were parked");
}

#[test]
fn many_connections_on_two_workers_write_at_once() {
    const CONNECTIONS: usize = 24;
    const REQUESTS: usize = 20;
    const LINES: usize = 50;
    let mut server = Setup::config("workers: 2").start();
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let address = &server.address;
            scope.spawn(move || {
                let mut client = super::client::Client::connect(address);
                for n in 0..REQUESTS {
                    let lines: String = (0..LINES)
                        .map(|line| {
                            format!("m,c={connection},l={line} n={n}i,l={line}i {}\n", n * LINES + line)
                        })
                        .collect();
                    if n % 2 == 0 {
                        client.ask(&post("/write", &lines)).expect(204);
                    } else {
                        client.ask(&chunked("/write", &[], lines.as_bytes(), &[997])).expect(204);
                    }
                }
            });
        }
    });
    let check = |rows: &[Json]| {
        let mut by_connection: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for row in rows {
            let (n, line) = (row["fields"]["n"]["i64"].as_i64(), row["fields"]["l"]["i64"].as_i64());
            assert_eq!(row["labels"]["l"], line.unwrap().to_string());
            let time = row["time"].as_i64().unwrap();
            assert_eq!(time, n.unwrap() * LINES as i64 + line.unwrap());
            by_connection.entry(row["labels"]["c"].as_str().unwrap()).or_default().push(time);
        }
        assert_eq!(by_connection.len(), CONNECTIONS);
        for (connection, mut times) in by_connection {
            times.sort_unstable();
            let all: Vec<i64> = (0..(REQUESTS * LINES) as i64).collect();
            assert_eq!(times, all, "of connection {connection}");
        }
    };
    check(&cat(&server.data));
    let segments = ls(&server.data);
    assert!(segments.contains("w000") && segments.contains("w001"), "both workers wrote: {segments}");
    server.stop();
    check(&cat(&server.data));
    verify(&server.data);
}

#[test]
fn a_connection_is_kept_for_many_requests_and_http_1_0_only_if_it_asks() {
    let server = Server::start();
    let mut client = server.client();
    for n in 0..300 {
        client.ask(&post("/write", format!("cpu a={n} {n}"))).expect(204);
    }
    let old = |extra: &str| {
        format!("POST /write HTTP/1.0\r\n{extra}Content-Length: 9\r\n\r\ncpu a=1 1").into_bytes()
    };
    let reply = client.ask(&old("Connection: keep-alive\r\n"));
    assert_eq!(reply.expect(204).header("connection"), Some("keep-alive"));
    client.ask(&request("POST", "/write", &[], b"cpu a=1 1")).expect(204);
    assert_eq!(client.ask(&old("")).expect(204).header("connection"), Some("close"));
    client.expect_end();
    assert_eq!(cat(&server.data).len(), 303);
}

#[test]
fn rows_that_an_error_counts_as_accepted_are_durable() {
    // Rows that nobody waits for would lie for a minute.
    let server = Setup::config("data:\n  commit_interval: 1m\n").start();
    let cut_short = "POST /write HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nm v=1 1\n\r\nno length\r\n";
    let reply = server.ask(cut_short.as_bytes());
    reply.expect(400);
    assert_eq!(reply.json()["accepted"], 1);
    assert_eq!(cat(&server.data).len(), 1);
}
