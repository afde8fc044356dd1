//! Real targets, scraped from one file by tidegate and by Debian's Prometheus at the same time: what both have stored
//! is the same. tests/packages.sh installs what this needs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

use super::gateway::{Row, cat, wait_until};
use super::target::Target;

/// A program, which ends with the test.
struct Program(Child);

impl Program {
    fn start(command: &str, arguments: &[String]) -> Program {
        let mut program = Command::new(command);
        program.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Program(program.spawn().unwrap_or_else(|error| panic!("{command}: {error}; see tests/packages.sh")))
    }
}

impl Program {
    /// Has it read its configuration anew.
    fn reload(&self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A port that is free just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The body of an answer; empty if there is none.
fn ask(port: u16, request: &str, body: &str) -> String {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    let head = format!(
        "{request} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = String::new();
    _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body.as_bytes()));
    _ = socket.read_to_string(&mut answer);
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// Series to (milliseconds, value), as Prometheus has stored them.
fn stored(port: u16, selector: &str) -> BTreeMap<String, Vec<(i64, f64)>> {
    let query: String = format!("{selector}[10m]").bytes().map(|b| format!("%{b:02X}")).collect();
    let answer = ask(port, "POST /api/v1/query", &format!("query={query}"));
    let json: Json = serde_json::from_str(&answer).unwrap_or_default();
    let series = json["data"]["result"].as_array().cloned().unwrap_or_default();
    let sample = |pair: &Json| {
        let ms = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
        (ms, pair[1].as_str().unwrap().parse().unwrap())
    };
    series
        .iter()
        .map(|one| (name(&one["metric"]), one["values"].as_array().unwrap().iter().map(sample).collect()))
        .collect()
}

/// A series as a selector has it.
fn name(labels: &Json) -> String {
    let labels: BTreeMap<&str, &str> =
        labels.as_object().unwrap().iter().map(|(n, v)| (&**n, v.as_str().unwrap())).collect();
    let own = labels.iter().filter(|(name, _)| **name != "__name__");
    let metric = labels.get("__name__").unwrap_or(&"");
    let pairs: Vec<String> =
        own.map(|(name, value)| format!("{name}={:?}", current(metric, name, value))).collect();
    format!("{metric}{{{}}}", pairs.join(","))
}

/// Debian's Prometheus keeps bounds as they were written; since 3.0 they are written as OpenMetrics writes floats.
fn current(metric: &str, name: &str, value: &str) -> String {
    let bound = (name == "le" || name == "quantile") && metric != "pushed";
    let whole = value.bytes().all(|b| b.is_ascii_digit());
    if bound && whole { format!("{value}.0") } else { value.to_owned() }
}

fn by_series(rows: &[Row]) -> BTreeMap<&str, Vec<&Json>> {
    let mut series: BTreeMap<&str, Vec<&Json>> = BTreeMap::new();
    for row in rows {
        series.entry(&row.series).or_default().push(&row.value);
    }
    series
}

fn number(value: &Json) -> Option<f64> {
    match value.as_str() {
        Some("+Inf") => Some(f64::INFINITY),
        Some("-Inf") => Some(f64::NEG_INFINITY),
        Some("NaN") => Some(f64::NAN),
        _ => value.as_f64(),
    }
}

fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

fn file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A page as a textfile collector has it.
const FIXED: &str = "# HELP fixed_a Whole, and signed.\n# TYPE fixed_a gauge\nfixed_a -42\n# TYPE fixed_b counter\n\
    fixed_b 1e308\nfixed_c{path=\"C:\\\\x\\n\\\"y\\\"\",empty=\"\"} 0.1\nfixed_c{path=\"ü\"} NaN\nfixed_d +Inf\n";

#[test]
fn what_prometheus_would_have_stored_is_stored() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let directory = directory.path();
    let ports: Vec<u16> = std::iter::repeat_with(free_port).take(3).collect();
    let [node, push, prometheus] = ports[..] else { unreachable!() };
    let at = |port: u16| format!("--web.listen-address=127.0.0.1:{port}");
    let _node = Program::start("prometheus-node-exporter", &[at(node)]);
    let gateway = Program::start("prometheus-pushgateway", &[at(push)]);
    wait_until("the Pushgateway takes a push", || {
        let body = "# TYPE pushed gauge\npushed{job=\"own\",le=\"1\"} 42\n";
        ask(push, "PUT /metrics/job/batch/instance/one", body);
        ask(push, "GET /metrics", "").contains("pushed{")
    });
    // What never changes is stored the same to the last value.
    let fixed = Target::saying(FIXED);
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, external_labels: {{never: stored}}}}\n\
         scrape_configs:\n\
         - job_name: node\n\
         \x20 static_configs: [{{targets: ['127.0.0.1:{node}'], labels: {{rack: a, cpu: clash}}}}]\n\
         \x20 metric_relabel_configs:\n\
         \x20 - {{source_labels: [__name__], regex: 'go_gc_.*', action: drop}}\n\
         \x20 - {{source_labels: [device], target_label: dev}}\n\
         - job_name: push\n\
         \x20 honor_labels: true\n\
         \x20 static_configs: [{{targets: ['127.0.0.1:{push}']}}]\n\
         - job_name: prometheus\n\
         \x20 static_configs: [{{targets: ['127.0.0.1:{prometheus}']}}]\n\
         - job_name: fixed\n\
         \x20 static_configs: [{{targets: ['{}']}}]\n",
        fixed.address
    );
    let file = file(directory, "prometheus.yml", &config);
    let data = directory.join("data");
    let storage = format!("--storage.tsdb.path={}", directory.join("tsdb").display());
    let peer = Program::start("prometheus", &[format!("--config.file={file}"), storage, at(prometheus)]);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--config", &file, "--data", data.to_str().unwrap()];
    let tidegate = Program::start(env!("CARGO_BIN_EXE_tidegate"), &serve.map(str::to_owned));

    // Both scrape all the time, and see a new series within a second of each other.
    let mut rows = Vec::new();
    let mut theirs = BTreeMap::new();
    wait_until("both have stored the same series", || {
        if !data.join("FORMAT").exists() {
            return false;
        }
        theirs = stored(prometheus, "{job=~\".+\"}");
        rows = cat(&data);
        let ours: BTreeSet<&str> = by_series(&rows).into_keys().collect();
        let theirs_named: BTreeSet<&str> = theirs.keys().map(String::as_str).collect();
        let enough = theirs.values().any(|samples| samples.len() >= 5);
        if enough && ours != theirs_named {
            let differ: Vec<_> = ours.symmetric_difference(&theirs_named).take(4).collect();
            println!("{} and {} series, differ: {differ:?}", ours.len(), theirs_named.len());
        }
        enough && ours == theirs_named && ours.len() > 500
    });
    let ours = by_series(&rows);
    assert!(
        ours.contains_key("pushed{instance=\"one\",job=\"batch\",le=\"1\"}")
            || ours.keys().any(|s| s.starts_with("pushed{"))
    );
    let mut unchanging = 0;
    for (series, samples) in &theirs {
        let values: Vec<f64> = ours[&**series].iter().filter_map(|value| number(value)).collect();
        let (Some(&(_, first)), Some(&own)) = (samples.first(), values.first()) else { continue };
        let constant = samples.iter().all(|(_, v)| same(*v, first)) && values.iter().all(|v| same(*v, own));
        if constant && samples.len() > 2 && values.len() > 2 && !series.starts_with("scrape_duration") {
            // What one of them sees change between two scrapes of the other may differ; and what Prometheus says of
            // itself depends on whether it is itself that asks.
            let moves = ["_seconds", "_bytes", "_total", "scrape_series_added", "job=\"prometheus\""];
            assert!(
                same(first, own) || moves.iter().any(|part| series.contains(part)),
                "{series}: {first} and {own}"
            );
            unchanging += usize::from(same(first, own));
        }
    }
    assert!(unchanging > 300, "only {unchanging} of {} series did not change", ours.len());

    let is_fixed = |series: &str| series.contains(",job=\"fixed\"") && !series.starts_with("scrape_");
    for (series, samples) in theirs.iter().filter(|(series, _)| is_fixed(series)) {
        let values: Vec<f64> = ours[&**series].iter().map(|value| number(value).unwrap()).collect();
        let first = samples[0].1;
        assert!(
            samples.iter().map(|(_, v)| v).chain(&values).all(|v| same(*v, first)),
            "{series}: {values:?}"
        );
    }
    let fixed_series =
        |names: &BTreeMap<String, Vec<(i64, f64)>>| names.keys().filter(|s| is_fixed(s)).count();
    assert_eq!(fixed_series(&theirs), FIXED.lines().filter(|line| !line.starts_with('#')).count() + 1);

    // Another rule: one series ends for both, the others go on.
    let more = "  metric_relabel_configs: [{source_labels: [__name__], regex: 'fixed_b', action: drop}]\n";
    std::fs::write(&file, config + more).unwrap();
    peer.reload();
    tidegate.reload();
    let name = |name: &str| format!("{name}{{instance=\"{}\",job=\"fixed\"}}", fixed.address);
    wait_until("both have ended the series that a rule drops", || {
        let now = ask(prometheus, "POST /api/v1/query", "query=fixed_b");
        let now: Json = serde_json::from_str(&now).unwrap_or_default();
        rows = cat(&data);
        now["data"]["result"].as_array().is_some_and(Vec::is_empty)
            && by_series(&rows)[&*name("fixed_b")].last() == Some(&&Json::from("stale"))
    });
    for (series, values) in by_series(&rows).iter().filter(|(series, _)| series.contains(",job=\"fixed\"")) {
        let stale = values.iter().filter(|value| **value == "stale").count();
        assert_eq!(stale, usize::from(series.starts_with("fixed_b")), "{series}: {values:?}");
    }
    let now = ask(prometheus, "POST /api/v1/query", "query=fixed_c");
    let now: Json = serde_json::from_str(&now).unwrap();
    assert_eq!(now["data"]["result"].as_array().map(Vec::len), Some(2), "they go on for Prometheus");

    // A target that goes: its series end for both.
    drop(gateway);
    let up = format!("up{{instance=\"127.0.0.1:{push}\",job=\"push\"}}");
    wait_until("both have found it gone", || {
        theirs = stored(prometheus, "{job=~\"push|batch\"}");
        rows = cat(&data);
        let ours = by_series(&rows);
        let down = theirs.get(&up).and_then(|s| s.last()).is_some_and(|(_, v)| *v == 0.0);
        down && ours[&*up].last() == Some(&&Json::from(0.0))
    });
    let query = "query=%7B__name__%3D%22pushed%22%7D";
    let now: Json = serde_json::from_str(&ask(prometheus, "POST /api/v1/query", query)).unwrap();
    assert_eq!(now["data"]["result"].as_array().map(Vec::len), Some(0), "stale for Prometheus");
    let ours = by_series(&rows);
    let pushed = ours.iter().find(|(series, _)| series.starts_with("pushed{")).unwrap();
    assert_eq!(pushed.1.last(), Some(&&Json::from("stale")));
    for (series, values) in ours.iter().filter(|(series, _)| series.contains(&format!("127.0.0.1:{push}"))) {
        let report = series.starts_with("up{") || series.starts_with("scrape_");
        assert_eq!(values.last() == Some(&&Json::from("stale")), !report, "{series}");
    }
}

/// Jobs: what their targets always say, and what else the job has.
const ODD: [(&str, &str, &str); 6] = [
    ("limit", "a 1\nb 2\nc 3\nd 4\n", "sample_limit: 2"),
    ("syntax", "a 1\nb x y\n", "sample_limit: 0"),
    ("ahead", "a 1\nb 1 9000000000000\n", "sample_limit: 0"),
    (
        "merged",
        "a{x=\"1\"} 1\na{x=\"2\"} 2\nb 1\n",
        "metric_relabel_configs: [{regex: x, action: labeldrop}]",
    ),
    ("again", "a 1\na 1\nb 1\na 2\n", "sample_limit: 0"),
    ("twice", "b 1\na{x=\"1\",x=\"2\"} 1\nc 1\n", "sample_limit: 0"),
];

#[test]
fn what_prometheus_reports_of_odd_bodies_is_reported() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let directory = directory.path();
    let prometheus = free_port();
    let mut config = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n".to_owned();
    let targets: Vec<Target> = ODD.iter().map(|(_, body, _)| Target::saying(body)).collect();
    for ((job, _, more), target) in ODD.iter().zip(&targets) {
        config += &format!(
            "- job_name: {job}\n  static_configs: [{{targets: ['{}']}}]\n  {more}\n",
            target.address
        );
    }
    let file = file(directory, "prometheus.yml", &config);
    let data = directory.join("data");
    let listen = format!("--web.listen-address=127.0.0.1:{prometheus}");
    let storage = format!("--storage.tsdb.path={}", directory.join("tsdb").display());
    let _peer = Program::start("prometheus", &[format!("--config.file={file}"), storage, listen]);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--config", &file, "--data", data.to_str().unwrap()];
    let _tidegate = Program::start(env!("CARGO_BIN_EXE_tidegate"), &serve.map(str::to_owned));

    let reported =
        ["scrape_series_added", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "up"];
    let selector = format!("{{__name__=~\"{}\"}}", reported.join("|"));
    let (mut theirs, mut rows) = (BTreeMap::new(), Vec::new());
    wait_until("both have scraped each three times", || {
        if !data.join("FORMAT").exists() {
            return false;
        }
        theirs = stored(prometheus, &selector);
        rows = cat(&data);
        let ours = by_series(&rows);
        theirs.len() == ODD.len() * reported.len()
            && theirs.iter().all(|(series, samples)| {
                samples.len() >= 3 && ours.get(&**series).is_some_and(|values| values.len() >= 3)
            })
    });
    let ours = by_series(&rows);
    for (series, samples) in &theirs {
        let theirs: Vec<f64> = samples.iter().map(|(_, value)| *value).take(3).collect();
        let ours: Vec<f64> = ours[&**series].iter().filter_map(|value| number(value)).take(3).collect();
        assert_eq!(ours, theirs, "{series}");
    }
}
