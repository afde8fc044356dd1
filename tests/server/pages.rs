//! The paths that take no rows: probes, InfluxDB's side calls, metrics, and refusals that any path gives.

use serde_json::json;

use super::client::{get, head, post, request};
use super::harness::{Server, Setup, wait_until};

#[test]
fn probes_answer_get_and_head() {
    let server = Server::start();
    let mut client = server.client();
    for path in ["/health", "/-/healthy", "/ready", "/-/ready", "/", "/metrics", "/api/v1/status/tsdb"] {
        let got = client.ask(&get(path));
        assert!(!got.expect(200).body.is_empty(), "{path}");
        client.send(&head("HEAD", path, &[]));
        let headed = client.reply_to_head();
        assert!(headed.expect(200).header("content-length").is_some_and(|n| n != "0"), "{path}");
    }
    for prefix in ["", "/influx"] {
        for target in ["/ping", "/ping?wait_for_leader=1s"] {
            let reply = client.ask(&get(&format!("{prefix}{target}")));
            assert!(reply.expect(204).header("x-influxdb-version").is_some());
            client.send(&head("HEAD", &format!("{prefix}{target}"), &[]));
            client.reply_to_head().expect(204);
        }
        let reply = client.ask(&get(&format!("{prefix}/ping?verbose=true")));
        assert!(reply.expect(200).json()["version"].is_string());
    }
}

#[test]
fn influxdb_2s_client_understands_health_and_readiness() {
    let mut server = Server::start();
    let mut client = server.client();
    let health = client.ask(&get("/health")).expect(200).json();
    assert_eq!((&health["name"], &health["status"]), (&json!("tidegate"), &json!("pass")), "{health}");
    assert!(health["message"].is_string() && health["version"].is_string(), "{health}");
    assert_eq!(health["checks"], json!([]));
    let ready = client.ask(&get("/ready")).expect(200).json();
    assert_eq!(ready["status"], "ready");
    let started: jiff::Timestamp = ready["started"].as_str().unwrap().parse().unwrap();
    assert!(started <= jiff::Timestamp::now() && started > jiff::Timestamp::UNIX_EPOCH, "{ready}");
    assert!(ready["up"].as_str().unwrap().starts_with("0h"), "{ready}");
    // Whoever asks the others gets text.
    assert_eq!(client.ask(&get("/-/healthy")).expect(200).text(), "ok\n");
    assert_eq!(client.ask(&get("/-/ready")).expect(200).text(), "ready\n");
    // A write that is not at its end keeps the server up while it drains.
    let whole = post("/write", "m a=1 1\nm a=2 2");
    let mut half = server.client();
    half.send(&whole[..whole.len() - 1]);
    wait_until("its first row is taken", || server.metric("tidegate_series") > 0.0);
    server.signal("TERM");
    server.line("draining");
    assert_eq!(client.ask(&get("/ready")).expect(503).json()["status"], "draining");
    half.send(b"2");
    half.reply().expect(204);
}

#[test]
fn errors_under_version_2s_paths_are_in_its_words() {
    let server = Server::start();
    let unknown = head("GET", "/api/v2/buckets", &[]);
    let malformed = b"POST /api/v2/write HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_vec();
    for (request, status, code) in [
        (unknown, 404, "not found"),
        (get("/api/v2/write"), 405, "method not allowed"),
        (get("/influx/api/v2/write"), 405, "method not allowed"),
        (malformed, 400, "invalid"),
    ] {
        let body = server.ask(&request).expect(status).json();
        assert_eq!(body["code"], code, "{body}");
        assert!(body["message"].is_string() && body["error"].is_null(), "{body}");
    }
    assert!(server.ask(&get("/api/v2x")).expect(404).json()["error"].is_string());
}

#[test]
fn answers_have_a_date() {
    let server = Server::start();
    for bytes in [get("/health"), get("/nowhere"), post("/write", "m a=1 1"), b"garbage\r\n\r\n".to_vec()] {
        let reply = server.ask(&bytes);
        let date = reply.header("date").unwrap_or_else(|| panic!("{reply:?}"));
        let at = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
        let off_s = at.duration_until(jiff::Timestamp::now()).as_secs();
        assert!((0..=60).contains(&off_s), "{date}");
    }
}

#[test]
fn what_influx_clients_ask_before_they_write_is_answered() {
    let server = Server::start();
    let mut client = server.client();
    let created = client.ask(&post("/query?q=CREATE+DATABASE+%22bench%22", ""));
    assert_eq!(created.expect(200).json(), json!({"results": [{"statement_id": 0}]}));
    let form = &[("Content-Type", "application/x-www-form-urlencoded")];
    let created = client.ask(&request("POST", "/influx/query", form, b"q=create%20database%20x"));
    created.expect(200);
    let shown = client.ask(&get("/query?q=SHOW%20DATABASES"));
    assert_eq!(shown.expect(200).json()["results"][0]["series"][0]["name"], "databases");
    client.ask(&get("/query?q=SELECT+*+FROM+cpu")).expect(400);
    client.ask(&get("/query")).expect(400);
}

#[test]
fn a_wrong_method_is_405_and_says_which_are_right() {
    let server = Server::start();
    let mut client = server.client();
    for (method, path, allow) in [
        ("GET", "/write", "POST"),
        ("PUT", "/api/v2/write", "POST"),
        ("DELETE", "/api/v3/write_lp", "POST"),
        ("OPTIONS", "/write", "POST"),
        ("POST", "/metrics", "GET, HEAD"),
        ("PATCH", "/query", "GET, POST"),
    ] {
        let reply = client.ask(&request(method, path, &[], b""));
        assert_eq!(reply.expect(405).header("allow"), Some(allow), "{method} {path}");
    }
    // Of no path: which there are at all.
    let all = client.ask(&request("OPTIONS", "*", &[], b""));
    assert_eq!(all.expect(204).header("allow"), Some("GET, HEAD, POST, PUT, DELETE, OPTIONS"));
    client.send(&head("HEAD", "/write", &[]));
    assert_eq!(client.reply_to_head().expect(405).header("allow"), Some("POST"));
    for path in ["/writes", "/influxwrite", "/influx", "/api/v2", "/%77rite"] {
        client.ask(&post(path, "cpu a=1")).expect(404);
    }
}

#[test]
fn the_metrics_that_are_promised_are_there_and_count() {
    let server = Setup::config("workers: 2").start();
    server.ask(&post("/write", "cpu,host=a u=1,v=2i 1\ncpu,host=b u=1 2\ncpu\n")).expect(400);
    let page = server.ask(&get("/metrics"));
    assert!(page.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    for line in [
        "tidegate_rows_accepted_total{protocol=\"influx\"} 2",
        "tidegate_samples_accepted_total{protocol=\"influx\"} 3",
        "tidegate_series 2",
        "tidegate_config_last_reload_successful 1",
        "tidegate_workers 2",
        "tidegate_commit_duration_seconds_count 1",
    ] {
        assert!(page.text().lines().any(|l| l == line), "{line} is not in\n{}", page.text());
    }
    let begins = |start: &str| page.text().lines().any(|l| l.starts_with(start));
    for start in [
        "tidegate_rows_rejected_total{protocol=\"influx\",reason=\"",
        "tidegate_commit_duration_seconds_bucket{le=\"",
        "tidegate_commit_duration_seconds_sum ",
        "tidegate_build_info{version=\"",
        "tidegate_disk_backend_info{backend=\"",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_start_time_seconds ",
    ] {
        assert!(begins(start), "{start} is not in\n{}", page.text());
    }
    assert!(server.metric("tidegate_log_bytes") >= 8192.0, "a segment's page and a block");
    for line in page.text().lines().filter(|l| !l.starts_with('#')) {
        let name = line.split([' ', '{']).next().unwrap();
        for unit in ["_ms", "_milliseconds", "_nanoseconds", "_kb", "_mb"] {
            assert!(!name.ends_with(unit), "seconds and bytes only: {name}");
        }
    }
}

#[test]
fn a_reload_that_fails_shows_in_the_metrics_until_one_works() {
    let mut server = Server::start();
    let config = server.config_path();
    std::fs::write(&config, "limits: {memory: nonsense}").unwrap();
    server.signal("HUP");
    server.line("not reloaded");
    assert_eq!(server.metric("tidegate_config_last_reload_successful"), 0.0);
    std::fs::write(&config, "").unwrap();
    server.signal("HUP");
    server.line("configuration reloaded");
    assert_eq!(server.metric("tidegate_config_last_reload_successful"), 1.0);
}

#[test]
fn the_status_names_who_makes_the_series_over_all_workers() {
    let server = Setup::config("workers: 2").start();
    let lines: String = (0..30).map(|n| format!("cpu,host=h{n} a=1 1\n")).collect();
    let mut connections: Vec<_> = (0..4).map(|_| server.client()).collect();
    for (n, client) in connections.iter_mut().enumerate() {
        client.ask(&post("/write", lines.replace("cpu", &format!("cpu{n}")))).expect(204);
    }
    let status = server.ask(&get("/api/v1/status/tsdb")).expect(200).json();
    assert_eq!(
        (&status["status"], &status["data"]["headStats"]["numSeries"]),
        (&json!("success"), &json!(120))
    );
    for name in ["chunkCount", "minTime", "maxTime"] {
        assert_eq!(status["data"]["headStats"][name], 0);
    }
    let by_metric = &status["data"]["seriesCountByMetricName"];
    assert_eq!(by_metric[0], json!({"name": "cpu0", "value": 30}), "{by_metric}");
    let values = &status["data"]["labelValueCountByLabelName"][0];
    assert_eq!(values["name"], "host");
    // Each worker counts its own: a value that both have seen may count twice.
    assert!((30..=60).contains(&values["value"].as_u64().unwrap()), "{values}");
    for list in ["memoryInBytesByLabelName", "seriesCountByLabelValuePair"] {
        assert!(status["data"][list][0]["value"].as_u64().unwrap() > 0, "{list}");
    }
}
