//! Targets that hang, drip, flood and lie: each fails at its limit, and no other target notices.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use tidegate::scrape::status::Health;
use tidegate::scrape::{BodyLimits, Job};

use super::gateway::{Gateway, job, times, values};
use super::target::{Target, answer};

/// Writes until nobody listens any more.
fn flood(socket: &mut TcpStream, piece: &[u8]) {
    while socket.write_all(piece).is_ok() {}
}

fn begin(socket: &mut TcpStream) {
    _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
}

#[test]
fn no_hostile_target_passes_its_limits_or_delays_another() {
    let silent = Target::raw(|_| std::thread::park());
    let dripping = Target::raw(|socket| {
        begin(socket);
        while socket.write_all(b"a").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let endless = Target::raw(|socket| {
        begin(socket);
        flood(socket, "a{x=\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"} 1\n".repeat(1000).as_bytes());
    });
    let one_line = Target::raw(|socket| {
        begin(socket);
        flood(socket, &[b'a'; 1 << 16]);
    });
    let headers = Target::raw(|socket| {
        _ = socket.write_all(b"HTTP/1.1 200 OK\r\n");
        flood(socket, b"X-More: and more\r\n");
    });
    let labels: String = (0..100_000).map(|n| format!("l{n}=\"v\",")).collect();
    let labels = answer("200 OK", "Content-Type: text/plain\r\n", format!("a{{{labels}}} 1\n").as_bytes());
    let labels = Target::start(move |_| labels.clone());
    let bomb = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        (0..16).for_each(|_| gzip.write_all(&[b'a'; 1 << 20]).unwrap());
        let headers = "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n";
        let answer = answer("200 OK", headers, &gzip.finish().unwrap());
        Target::start(move |_| answer.clone())
    };
    let good = Target::saying("good 1\n");

    let slow = |name: &str, target: &Target| Job {
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(2),
        limits: BodyLimits { body_bytes_max: 4 << 20, labels_max: 100, ..BodyLimits::default() },
        ..job(name, target.address)
    };
    let hostile = [
        (slow("silent", &silent), "context deadline exceeded"),
        (slow("dripping", &dripping), "context deadline exceeded"),
        (slow("endless", &endless), "body size limit exceeded"),
        (slow("one line", &one_line), "body size limit exceeded"),
        (slow("headers", &headers), "headers"),
        (slow("labels", &labels), "label"),
        (slow("bomb", &bomb), "body size limit exceeded"),
    ];
    let gateway = Gateway::start();
    let mut jobs: Vec<Job> = hostile.iter().map(|(job, _)| job.clone()).collect();
    jobs.push(job("good", good.address));
    gateway.scrape(jobs);
    for (job, expected) in &hostile {
        let error = gateway.wait_for(job, Health::Down);
        assert!(error.contains(expected), "{}: {error}", job.name);
    }
    let rows = gateway.stop();
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"good\"}}", good.address);
    let up = values(&rows, &of("up"));
    assert!(up.len() > 5 && up[..up.len() - 1].iter().all(|v| *v == 1.0), "{up:?}");
    let times = times(&rows, &of("up"));
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}
