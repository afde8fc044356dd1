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
    let labeled = |count: usize| {
        let labels: String = (0..count).map(|n| format!("l{n}=\"v\",")).collect();
        let body = format!("a{{{labels}}} 1\n");
        let answer = answer("200 OK", "Content-Type: text/plain\r\n", body.as_bytes());
        Target::start(move |_| answer.clone())
    };
    let (many_labels, too_many_labels) = (labeled(50_000), labeled(100_000));
    let bomb = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        (0..16).for_each(|_| gzip.write_all(&[b'a'; 1 << 20]).unwrap());
        let headers = "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n";
        let answer = answer("200 OK", headers, &gzip.finish().unwrap());
        Target::start(move |_| answer.clone())
    };
    let liar = Target::raw(|socket| {
        _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 250000000\r\n\r\n");
        std::thread::park();
    });
    let good = Target::saying("good 1\n");

    let slow = |name: &str, target: &Target| Job {
        interval: Duration::from_secs(4),
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
        (slow("many labels", &many_labels), "label_limit exceeded"),
        (slow("too many labels", &too_many_labels), "line is longer than"),
        (slow("bomb", &bomb), "body size limit exceeded"),
        (Job { limits: BodyLimits::default(), ..slow("liar", &liar) }, "context deadline exceeded"),
    ];
    let gateway = Gateway::start();
    let mut jobs: Vec<Job> = hostile.iter().map(|(job, _)| job.clone()).collect();
    let patient = Duration::from_secs(3);
    let good_job = Job { interval: patient, timeout: patient, ..job("good", good.address) };
    jobs.push(good_job);
    gateway.scrape(jobs);
    for (job, expected) in &hostile {
        let error = gateway.wait_for(job, Health::Down);
        assert!(error.contains(expected), "{}: {error}", job.name);
    }
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"good\"}}", good.address);
    gateway.wait_for_rows("the good one goes on", |rows| values(rows, &of("up")).len() > 3);
    // All of them, a hostile one too, are asked in every slot, and soon after it has begun; a loaded machine may be
    // late.
    let metric = |name: &str| gateway.metric(&format!("tidegate_scrape{name}"));
    assert_eq!(metric("s_missed_total"), 0.0);
    let (soon, all) = (metric("_delay_seconds_bucket{le=\"0.5\"}"), metric("_delay_seconds_count"));
    assert!(all > 9.0 && soon >= 0.5 * all, "{soon} of {all}");
    let rows = gateway.stop();
    let up = values(&rows, &of("up"));
    assert!(up[..up.len() - 1].iter().all(|v| *v == 1.0), "{up:?}");
    let times = times(&rows, &of("up"));
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

#[test]
fn memory_that_is_announced_and_never_filled_is_not_taken_from_others() {
    let liars: Vec<Target> = (0..12)
        .map(|_| {
            Target::raw(|socket| {
                _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n");
                std::thread::park();
            })
        })
        .collect();
    let page: String = (0..5000).map(|n| format!("a{{n=\"{n}\"}} {n}\n")).collect();
    let good = Target::saying(&page);
    // All that is announced is three times as much.
    let gateway = Gateway::in_memory_of(128 << 20);
    let slow = |(n, target): (usize, &Target)| Job {
        interval: Duration::from_secs(3),
        timeout: Duration::from_secs(3),
        ..job(&format!("liar {n}"), target.address)
    };
    let mut jobs: Vec<Job> = liars.iter().enumerate().map(slow).collect();
    let patient = Duration::from_secs(3);
    jobs.push(Job { interval: patient, timeout: patient, ..job("good", good.address) });
    gateway.scrape(jobs.clone());
    for job in &jobs[..liars.len()] {
        assert_eq!(gateway.wait_for(job, Health::Down), "context deadline exceeded");
    }
    let rows = gateway.stop();
    let up = values(&rows, &format!("up{{instance=\"{}\",job=\"good\"}}", good.address));
    assert!(up.len() > 1 && up[..up.len() - 1].iter().all(|v| *v == 1.0), "{up:?}");
}
