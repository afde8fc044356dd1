//! The Pushgateway's protocol: what a push, a replacement and a deletion leave in the log.

use std::io::Write;

use serde_json::{Value as Json, json};

use super::client::{Reply, head, post, request};
use super::exposition::{PROTOBUF, gauge, samples, shown};
use super::harness::{Server, Setup};

fn push(server: &Server, method: &str, path: &str, body: &str) -> Reply {
    server.ask(&request(method, path, &[], body.as_bytes()))
}

/// The rows but those of the push times.
fn pushed(rows: &[Json]) -> Vec<String> {
    let shown = rows.iter().map(shown);
    shown.filter(|row| !row.starts_with("push_") || row.ends_with("stale")).collect()
}

fn of_push_times(rows: &[Json]) -> Vec<(String, f64)> {
    let named = |row: &&Json| row["labels"]["__name__"].as_str().unwrap().starts_with("push_");
    let value = |row: &Json| (shown(row), row["fields"]["value"]["f64"].as_f64().unwrap_or(f64::NAN));
    rows.iter().filter(named).map(value).collect()
}

#[test]
fn a_push_is_200_and_its_samples_have_the_groups_labels_and_the_servers_time() {
    let server = Server::start();
    let now_ns = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as i64;
    let before = now_ns();
    let body =
        "# TYPE some_metric counter\nsome_metric{label=\"val1\",job=\"own\"} 42\nanother_metric 2398.283\n";
    let reply = push(&server, "POST", "/metrics/job/some_job/instance/i%20j", body);
    assert_eq!(reply.expect(200).body.len(), 0);
    let after = now_ns();
    let rows = samples(&server);
    assert_eq!(
        pushed(&rows),
        [
            "some_metric{instance=i j,job=some_job,label=val1} 42.0",
            "another_metric{instance=i j,job=some_job} 2398.283"
        ]
    );
    let times: Vec<i64> = rows.iter().map(|row| row["time"].as_i64().unwrap()).collect();
    assert!(times.iter().all(|&t| t == times[0] && (before..=after).contains(&t)), "{times:?}");
    let own = of_push_times(&rows);
    assert!(own[0].0.starts_with("push_time_seconds{instance=i j,job=some_job} "), "{own:?}");
    assert!((own[0].1 - times[0] as f64 / 1e9).abs() < 1e-3, "{own:?}");
    assert_eq!(own[1].0, "push_failure_time_seconds{instance=i j,job=some_job} 0.0");
    assert_eq!(server.metric("tidegate_rows_accepted_total{protocol=\"pushgateway\"}"), 4.0);
}

#[test]
fn put_replaces_the_group_post_the_metrics_and_delete_ends_all() {
    // Two workers know the same groups.
    let server = Setup::config("workers: 2\n").start();
    let path = "/metrics/job/j";
    let step = |method: &str, body: &str, status: u16, expected: &[&str]| {
        let seen = samples(&server).len();
        push(&server, method, path, body).expect(status);
        assert_eq!(pushed(&samples(&server)[seen..]), expected, "{method} {body}");
    };
    step(
        "PUT",
        "a 1\nb{x=\"1\"} 1\nb{x=\"2\"} 2\n",
        200,
        &["a{job=j} 1.0", "b{job=j,x=1} 1.0", "b{job=j,x=2} 2.0"],
    );
    step("POST", "b{x=\"1\"} 3\n", 200, &["b{job=j,x=1} 3.0", "b{job=j,x=2} stale"]);
    step("PUT", "c 1\n", 200, &["c{job=j} 1.0", "a{job=j} stale", "b{job=j,x=1} stale"]);
    // Another group of the same job is another group.
    push(&server, "PUT", "/metrics/job/j/instance/i", "c 5\n").expect(200);
    step(
        "DELETE",
        "",
        202,
        &["c{job=j} stale", "push_time_seconds{job=j} stale", "push_failure_time_seconds{job=j} stale"],
    );
    step("DELETE", "not looked at", 202, &[]);
    step("PUT", "", 200, &[]);
}

#[test]
fn a_body_is_taken_whole_or_not_at_all() {
    let server = Server::start();
    let path = "/metrics/job/j";
    push(&server, "PUT", path, "a 1\n").expect(200);
    let seen = samples(&server).len();
    // Not understood: nothing is written.
    for body in [
        "a 2\nblablabla\n",
        "a 2\nb 0x1\n",
        "a 2",
        "# TYPE a nonsense\na 2\n",
        "# TYPE a gauge\n# TYPE a gauge\na 2\n",
    ] {
        let found = push(&server, "PUT", path, body).expect(400).json();
        assert!(found["error"].is_string(), "{found}");
    }
    assert_eq!(samples(&server).len(), seen);
    // Understood and inconsistent: the group says when.
    for (body, rows, line) in
        [("b 2\na 2 1700000000000\n", 2, 2), ("a 2\nb 3\na 4\n", 3, 3), ("a{job=\"x\"} 1\na 2\n", 2, 2)]
    {
        let found = push(&server, "PUT", path, body).expect(400).json();
        assert!(found["error"].as_str().unwrap().contains("inconsistent"), "{found}");
        assert_eq!((&found["accepted"], &found["rejected"]), (&json!(0), &json!(rows)), "{found}");
        // The line at fault is named, once.
        let errors = found["errors"].as_array().unwrap();
        assert_eq!((errors.len(), &errors[0]["index"]), (1, &json!(line)), "{found}");
    }
    let rows = samples(&server);
    assert_eq!(pushed(&rows[seen..]), [""; 0]);
    let own = of_push_times(&rows[seen..]);
    assert_eq!(own.len(), 3);
    assert!(
        own.iter().all(|(shown, at)| shown.starts_with("push_failure_time_seconds{job=j} ") && *at > 1e9)
    );
    // The failure is remembered, and what was pushed before it was not ended.
    push(&server, "POST", path, "b 1\n").expect(200);
    let rows = samples(&server);
    assert_eq!(pushed(&rows[seen..]), ["b{job=j} 1.0"]);
    assert_eq!(of_push_times(&rows).last().unwrap().1, own[2].1);
}

#[test]
fn a_push_with_a_series_too_many_writes_nothing_and_ends_nothing() {
    // Two of them are the group's own.
    let server = Setup::config("workers: 1\nlimits: {series_max: 5}").start();
    let path = "/metrics/job/j";
    push(&server, "PUT", path, "a 1\nb 1\n").expect(200);
    let seen = samples(&server).len();
    let too_many = [gauge("c", &[], 1.0), gauge("d", &[], 1.0)].concat();
    for (method, kind, body) in [
        ("PUT", "text/plain", &b"a 2\nc 1\nd 1\n"[..]),
        ("POST", "text/plain", b"c 1\nd 1\ne 1\n"),
        ("PUT", PROTOBUF, &too_many),
    ] {
        let found = server.ask(&request(method, path, &[("Content-Type", kind)], body)).expect(400).json();
        assert!(found["error"].as_str().unwrap().contains("series"), "{found}");
        assert_eq!(found["accepted"], json!(0), "{found}");
        let rows = if kind == PROTOBUF { 2 } else { 3 };
        assert_eq!(found["rejected"], json!(rows), "{found}");
        assert!(found["errors"][0]["index"].as_u64().unwrap() > 0, "{found}");
    }
    // Another group has no room for its own series, to begin with.
    push(&server, "PUT", "/metrics/job/k", "").expect(400);
    assert_eq!(samples(&server).len(), seen);
    // One more fits, and what was refused has ended nothing, nor is it remembered.
    push(&server, "PUT", path, "a 3\nc 1\n").expect(200);
    assert_eq!(pushed(&samples(&server)[seen..]), ["a{job=j} 3.0", "c{job=j} 1.0", "b{job=j} stale"]);
    push(&server, "PUT", path, "a 4\nc 1\n").expect(200);
    assert_eq!(pushed(&samples(&server)[seen + 5..]), ["a{job=j} 4.0", "c{job=j} 1.0"]);
    // A push that is understood and refused still says when.
    push(&server, "PUT", path, "a 1\na 1\n").expect(400);
    assert_eq!(of_push_times(&samples(&server)[seen + 9..]).len(), 1);
}

#[test]
fn groups_are_named_by_paths_as_the_pushgateway_reads_them() {
    let server = Server::start();
    push(&server, "PUT", "/metrics/job@base64/L3Zhci90bXA/path@base64/eg==/empty@base64/=", "a 1\n")
        .expect(200);
    push(&server, "PUT", "/api/v1/import/prometheus/metrics/job/vm", "a 1\n").expect(200);
    assert_eq!(pushed(&samples(&server)), ["a{job=/var/tmp,path=z} 1.0", "a{job=vm} 1.0"]);
    for bad in [
        "/metrics/job/",
        "/metrics/job//x/y",
        "/metrics/job/a/b",
        "/metrics/job/a/__b/c",
        "/metrics/job@base64/!",
    ] {
        for method in ["PUT", "POST", "DELETE"] {
            let found = push(&server, method, bad, "a 1\n").expect(400).json();
            assert!(found["error"].is_string(), "{bad} {found}");
        }
    }
    let reply = server.ask(&head("GET", "/metrics/job/a", &[]));
    assert_eq!(reply.expect(405).header("allow"), Some("POST, PUT, DELETE"));
    server.ask(&head("GET", "/metrics", &[])).expect(200);
}

#[test]
fn bodies_may_be_compressed_or_openmetrics() {
    let server = Server::start();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"a 1\n").unwrap();
    let body = gzip.finish().unwrap();
    server.ask(&request("PUT", "/metrics/job/z", &[("Content-Encoding", "gzip")], &body)).expect(200);
    // Snappy is a stream here, of frames: a block alone is none.
    let mut snappy = snap::write::FrameEncoder::new(Vec::new());
    snappy.write_all(b"a 1\n").unwrap();
    let frames = snappy.into_inner().unwrap();
    let block = snap::raw::Encoder::new().compress_vec(b"a 1\n").unwrap();
    for (body, status) in [(&frames, 200), (&block, 400), (&frames[..frames.len() - 1].to_vec(), 400)] {
        let target = "/metrics/job%40base64/cw";
        server.ask(&request("PUT", target, &[("Content-Encoding", "Snappy")], body)).expect(status);
    }
    let openmetrics = [("Content-Type", "application/openmetrics-text; version=1.0.0")];
    let target = "/metrics/job/o";
    server.ask(&request("PUT", target, &openmetrics, b"# TYPE a counter\na_total 2\n# EOF\n")).expect(200);
    server.ask(&request("PUT", target, &openmetrics, b"# TYPE a counter\na_total 2\n")).expect(400);
    server.ask(&post("/metrics/job/o?x=y", "b 3\n")).expect(200);
    assert_eq!(
        pushed(&samples(&server)),
        ["a{job=z} 1.0", "a{job=s} 1.0", "a_total{job=o} 2.0", "b{job=o} 3.0"]
    );
}

#[test]
fn a_push_may_be_protobuf() {
    let server = Server::start();
    let ask = |body: &[u8]| {
        server.ask(&request("PUT", "/metrics/job/j/x/given", &[("Content-Type", PROTOBUF)], body))
    };
    ask(&[gauge("a", &[("x", "own"), ("y", "z")], 1.5), gauge("b", &[], 2.0)].concat()).expect(200);
    ask(&gauge("a", &[("y", "z")], 3.0)).expect(200);
    assert_eq!(
        pushed(&samples(&server)),
        [
            "a{job=j,x=given,y=z} 1.5",
            "b{job=j,x=given} 2.0",
            "a{job=j,x=given,y=z} 3.0",
            "b{job=j,x=given} stale"
        ]
    );
    // Text of the same series goes on with it.
    push(&server, "PUT", "/metrics/job/j/x/given", "a{y=\"z\"} 4\n").expect(200);
    assert_eq!(pushed(&samples(&server))[4..], ["a{job=j,x=given,y=z} 4.0"]);
    for twice in [
        [gauge("a", &[("y", "z")], 3.0), gauge("a", &[("y", "z")], 3.0)].concat(),
        gauge("a", &[("y", "z"), ("y", "z")], 3.0),
        b"\x05nonsense".to_vec(),
    ] {
        ask(&twice).expect(400);
    }
}
