//! What answers say becomes rows, however they are framed, coded and cut.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tidegate::scrape::status::Health;
use tidegate::scrape::{BodyLimits, Job};

use super::gateway::{Gateway, job, job_of, times, values};
use super::target::{Target, answer, text};

const REPORT: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

#[test]
fn a_target_is_scraped_in_its_slots_and_its_samples_are_durable_with_their_report() {
    let target = Target::saying("# TYPE a counter\na{x=\"1\"} 1\na{x=\"2\"} 2.5\nb 3\n");
    let gateway = Gateway::start();
    let job = Job { extra_metrics: true, ..job("j", target.address) };
    gateway.scrape(vec![job]);
    let of = |name: &str, more: &str| format!("{name}{{instance=\"{}\",job=\"j\"{more}}}", target.address);
    gateway.wait_for_rows("three scrapes are durable", |rows| values(rows, &of("b", "")).len() >= 3);
    assert!(gateway.metric("tidegate_rows_accepted_total{protocol=\"scrape\"}") >= 33.0);
    let rows = gateway.stop();
    let at = times(&rows, &of("b", ""));
    let scrapes = at.len() - 1;
    for (series, value) in [(of("a", ",x=\"1\""), 1.0), (of("a", ",x=\"2\""), 2.5), (of("b", ""), 3.0)] {
        assert_eq!(values(&rows, &series)[..scrapes], vec![json!(value); scrapes], "{series}");
        assert_eq!(times(&rows, &series), at, "{series}");
        assert_eq!(values(&rows, &series)[scrapes], "stale", "at the end");
    }
    for name in REPORT {
        assert_eq!(times(&rows, &of(name, "")), at, "{name}");
    }
    assert_eq!(values(&rows, &of("up", ""))[..scrapes], vec![json!(1.0); scrapes]);
    assert_eq!(values(&rows, &of("scrape_samples_scraped", ""))[0], 3.0);
    assert_eq!(values(&rows, &of("scrape_samples_post_metric_relabeling", ""))[0], 3.0);
    assert_eq!(values(&rows, &of("scrape_series_added", ""))[..2], [3.0, 0.0]);
    assert_eq!(values(&rows, &of("scrape_timeout_seconds", ""))[0], 0.4);
    assert_eq!(values(&rows, &of("scrape_sample_limit", ""))[0], 0.0);
    assert_eq!(values(&rows, &of("scrape_body_size_bytes", ""))[0], 45.0);
    assert!(at.iter().all(|time| time % 1_000_000 == 0), "whole milliseconds: {at:?}");
    assert_eq!(target.connections(), 1, "one connection serves all scrapes");
    let asked = &target.asked()[0];
    assert_eq!(asked.path(), "/metrics");
    assert_eq!(asked.header("Host"), Some(target.address.to_string().as_str()));
    assert_eq!(asked.header("X-Prometheus-Scrape-Timeout-Seconds"), Some("0.4"));
    assert_eq!(asked.header("Accept-Encoding"), Some("gzip"));
}

#[test]
fn bodies_come_whole_whatever_their_framing_and_coding() {
    let body: String = (0..500).map(|n| format!("m{{n=\"{n}\"}} {n}\n")).collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(body.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let chunked = |bytes: &[u8]| {
        let chunks =
            bytes.chunks(777).map(|c| [format!("{:x}\r\n", c.len()).as_bytes(), c, b"\r\n"].concat());
        [chunks.collect::<Vec<_>>().concat(), b"0\r\n\r\n".to_vec()].concat()
    };
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{more}\r\n").into_bytes();
    let answers = [
        ("length", answer("200 OK", "Content-Type: text/plain\r\n", body.as_bytes())),
        ("chunks", [head("Transfer-Encoding: chunked\r\n"), chunked(body.as_bytes())].concat()),
        ("end", [head("Connection: close\r\n"), body.clone().into_bytes()].concat()),
        ("gzip", answer("200 OK", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", &gzip)),
        (
            "gzip in chunks",
            [head("Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), chunked(&gzip)].concat(),
        ),
        ("behind others", [b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), text(&body)].concat()),
    ];
    let gateway = Gateway::start();
    let targets: Vec<Target> = answers
        .iter()
        .map(|(_, answer)| answer.clone())
        .map(|answer| Target::start(move |_| answer.clone()))
        .collect();
    let jobs: Vec<Job> = answers
        .iter()
        .zip(&targets)
        .map(|((name, _), target)| Job {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            ..job(name, target.address)
        })
        .collect();
    gateway.scrape(jobs.clone());
    for job in &jobs {
        gateway.wait_for(job, Health::Up);
    }
    let rows = gateway.stop();
    for (job, target) in jobs.iter().zip(&targets) {
        for n in [0, 1, 499] {
            let series = format!("m{{instance=\"{}\",job={:?},n=\"{n}\"}}", target.address, job.name);
            assert_eq!(values(&rows, &series)[0], f64::from(n), "{series}");
        }
    }
}

/// Waits until a target was scraped three times, and gives what all its scrapes but the last word were.
fn ups(target: Target) -> Vec<serde_json::Value> {
    let gateway = Gateway::start();
    gateway.scrape(vec![job("j", target.address)]);
    let up = format!("up{{instance=\"{}\",job=\"j\"}}", target.address);
    gateway.wait_for_rows("three scrapes are durable", |rows| values(rows, &up).len() >= 3);
    let mut ups = values(&gateway.stop(), &up);
    ups.pop();
    assert!(target.connections() >= ups.len(), "no connection was used again");
    ups
}

#[test]
fn what_follows_a_body_is_never_taken_for_the_next_answer() {
    for lines in [1, 1_000, 20_000] {
        let body: String = (0..lines).map(|n| format!("m{{n=\"{n}\"}} {n}\n")).collect();
        let more = [text(&body), answer("500 Unasked", "", b"")].concat();
        let ups = ups(Target::start(move |_| more.clone()));
        assert!(ups.iter().all(|up| *up == 1.0), "{lines}: {ups:?}");
    }
}

#[test]
fn an_answer_that_is_there_before_it_was_asked_for_is_read() {
    let speak = |mut socket: std::net::TcpStream| -> Box<dyn super::target::Stream> {
        _ = socket.write_all(&text("a 1\n"));
        Box::new(socket)
    };
    let ups = ups(Target::speaking(speak, |_| text("a 2\n")));
    assert!(ups.iter().all(|up| *up == 1.0), "{ups:?}");
}

#[test]
fn what_is_over_a_limit_fails_as_a_whole_and_says_so() {
    let target = Target::saying("a 1\nb 2\nc 3\n");
    let limited =
        |name: &str, limits: BodyLimits| Job { limits, extra_metrics: true, ..job(name, target.address) };
    let none = BodyLimits::default();
    let jobs = [
        limited("body", BodyLimits { body_bytes_max: 12, ..none }),
        limited("body fits", BodyLimits { body_bytes_max: 13, ..none }),
        limited("samples", BodyLimits { samples_max: 2, ..none }),
        limited("samples fit", BodyLimits { samples_max: 3, ..none }),
        limited("label value", BodyLimits { label_value_bytes_max: 5, ..none }),
    ];
    let gateway = Gateway::start();
    gateway.scrape(jobs.to_vec());
    assert_eq!(gateway.wait_for(&jobs[0], Health::Down), "body size limit exceeded");
    gateway.wait_for(&jobs[1], Health::Up);
    assert!(gateway.wait_for(&jobs[2], Health::Down).contains("sample limit exceeded"));
    gateway.wait_for(&jobs[3], Health::Up);
    assert!(gateway.wait_for(&jobs[4], Health::Down).contains("label"));
    let rows = gateway.stop();
    let first = |name: &str, job: &str| {
        let of = format!("{name}{{instance=\"{}\",job={job:?}}}", target.address);
        values(&rows, &of).first().and_then(serde_json::Value::as_f64)
    };
    assert_eq!((first("up", "body"), first("a", "body")), (Some(0.0), None));
    assert_eq!(first("scrape_body_size_bytes", "body"), Some(-1.0));
    assert_eq!((first("up", "samples"), first("a", "samples")), (Some(0.0), None));
    assert_eq!(first("scrape_samples_scraped", "samples"), Some(3.0));
    assert_eq!(first("scrape_sample_limit", "samples"), Some(2.0));
    assert_eq!((first("up", "samples fit"), first("c", "samples fit")), (Some(1.0), Some(3.0)));
}

#[test]
fn a_target_that_says_nothing_is_up_whatever_it_calls_that() {
    let scrapes = AtomicUsize::new(0);
    let target = Target::start(move |_| match scrapes.fetch_add(1, Ordering::Relaxed) % 4 {
        0 | 2 => text("a 1\nb 2\n"),
        1 => answer("200 OK", "", b""),
        _ => answer("200 OK", "Content-Type: application/openmetrics-text\r\n", b""),
    });
    let gateway = Gateway::start();
    gateway.scrape(vec![job("j", target.address)]);
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"j\"}}", target.address);
    gateway.wait_for_rows("five scrapes are durable", |rows| values(rows, &of("up")).len() >= 5);
    let rows = gateway.stop();
    assert_eq!(values(&rows, &of("up"))[..5], vec![json!(1.0); 5]);
    assert_eq!(values(&rows, &of("a"))[..4], [json!(1.0), json!("stale"), json!(1.0), json!("stale")]);
    // As in Prometheus they are known still.
    assert_eq!(values(&rows, &of("scrape_series_added"))[..5], [2.0, 0.0, 0.0, 0.0, 0.0].map(|n| json!(n)));
}

#[test]
fn an_answer_that_is_none_is_told_in_words() {
    let gateway = Gateway::start();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("status", answer("404 Not Found", "", b"a 1\n"), "server returned HTTP status 404 Not Found"),
        (
            "cut",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\na 1\n".to_vec(),
            "unexpected EOF",
        ),
        ("other", b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(), "malformed HTTP response"),
        (
            "chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(),
            "malformed HTTP response",
        ),
        ("text", text("a 1\nnot a line\n"), "line 2"),
        (
            "gzip",
            answer("200 OK", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", b"plain"),
            "corrupt",
        ),
        ("nothing", Vec::new(), "EOF"),
    ];
    for (name, bytes, expected) in cases {
        let target = Target::start(move |_| bytes.clone());
        let job = job(name, target.address);
        gateway.scrape(vec![job.clone()]);
        let error = gateway.wait_for(&job, Health::Down);
        assert!(error.contains(expected), "{name}: {error}");
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let job = job("refused", closed);
    gateway.scrape(vec![job.clone()]);
    let error = gateway.wait_for(&job, Health::Down);
    assert_eq!(
        error,
        format!("Get \"http://{closed}/metrics\": dial tcp {closed}: connect: connection refused")
    );
    let secret = job_of("secret", &[format!("u:S3CRET@{closed}")]);
    gateway.scrape(vec![secret.clone()]);
    let error = gateway.wait_for(&secret, Health::Down);
    assert!(error.contains("u:xxxxx@") && !error.contains("S3CRET"), "{error}");
}
