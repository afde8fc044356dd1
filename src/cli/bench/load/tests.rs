use std::net::TcpListener;

use clap::Parser;

use super::*;
use crate::cli::bench::args::BenchArgs;
use crate::cli::bench::fake::{NO_CONTENT, answer_of, serve};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,
}

fn bodies(line: &str) -> Bodies {
    let args = Cli::try_parse_from(format!("bench {line}").split_whitespace()).unwrap().bench;
    Bodies::build(&args, 1_700_000_000_000_000_000, 64 << 20, |_| {}).unwrap()
}

fn run(bodies: &Bodies, server: &Server, limit: Limit, rate: Option<u64>, first: u64) -> io::Result<Outcome> {
    let way = Way::Http { server, path: "/write", headers: "" };
    Load { bodies, way, connections: 3, limit, rate }.run(first, &Progress::of(1, ""))
}

#[test]
fn a_run_sends_each_request_once_and_the_next_goes_on_behind_it() {
    let bodies = bodies("--series 20 --batch 15 --samples 1000");
    let (server, seen) = serve(|_| Some(NO_CONTENT.to_owned()));
    let one = run(&bodies, &server, Limit::Samples(1000), None, 0).unwrap();
    let two = run(&bodies, &server, Limit::Samples(1000), None, one.request_next).unwrap();
    assert!((1000..1150).contains(&one.samples_accepted), "{}", one.samples_accepted);
    assert_eq!(one.samples_rejected + two.samples_rejected, 0);
    assert_eq!(one.statuses.keys().copied().collect::<Vec<_>>(), [204]);
    assert!(one.elapsed_ns > 0 && one.latency_ns.percentile(0.5) > 0);
    let seen = seen.lock();
    assert_eq!(seen.len() as u64, one.statuses[&204] + two.statuses[&204]);
    assert_eq!(seen.len() as u64, two.request_next, "a request was left out");
    let mut distinct: Vec<&Vec<u8>> = seen.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), seen.len(), "a request was sent twice");
    let lines: usize = seen.iter().map(|body| body.iter().filter(|byte| **byte == b'\n').count()).sum();
    assert_eq!(lines as u64 * 10, one.samples_accepted + two.samples_accepted);
}

/// As fast as answers come, and at a rate that is as fast: two ways to drive connections.
const RATES: [Option<u64>; 2] = [None, Some(10_000_000)];

#[test]
fn what_the_server_rejects_is_counted_as_it_says() {
    let bodies = bodies("--series 10 --batch 10 --samples 1000");
    for rate in RATES {
        let (server, _) = serve(|request| {
            let body = match request.number {
                0 => r#"{"error":"partial","accepted":7,"rejected":3}"#,
                1 => "no json",
                _ => return Some(NO_CONTENT.to_owned()),
            };
            Some(answer_of("400 Bad Request", body))
        });
        let outcome = run(&bodies, &server, Limit::Samples(1000), rate, 0).unwrap();
        assert_eq!(outcome.samples_rejected, 30 + 100);
        assert_eq!(outcome.samples_accepted, 1000 - 130);
        assert_eq!(outcome.statuses, BTreeMap::from([(204, 8), (400, 2)]));
        assert!(outcome.first_refusal.unwrap().starts_with("400 "));
    }
}

#[test]
fn a_dropped_connection_costs_its_request() {
    let bodies = bodies("--series 10 --batch 10 --samples 1000");
    for rate in RATES {
        let (server, _) = serve(|request| (request.number != 4).then(|| NO_CONTENT.to_owned()));
        let outcome = run(&bodies, &server, Limit::Samples(1000), rate, 0).unwrap();
        assert_eq!(outcome.statuses, BTreeMap::from([(0, 1), (204, 9)]));
        assert_eq!((outcome.samples_accepted, outcome.samples_rejected), (900, 100));
    }
}

/// A server may say with any answer that it closes: that costs no request.
#[test]
fn a_connection_that_ends_after_an_answer_is_opened_again() {
    let bodies = bodies("--series 10 --batch 10 --samples 1000");
    for rate in RATES {
        let (server, seen) =
            serve(|_| Some("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()));
        let outcome = run(&bodies, &server, Limit::Samples(1000), rate, 0).unwrap();
        assert_eq!((outcome.statuses, seen.lock().len()), (BTreeMap::from([(200, 10)]), 10));
    }
}

/// Several times what a socket holds, at a fixed rate, where nothing may block.
#[test]
fn a_large_body_goes_out_in_pieces() {
    let bodies = bodies("--series 4000 --batch 100000 --samples 3000000");
    let (server, seen) = serve(|_| Some(NO_CONTENT.to_owned()));
    let outcome = run(&bodies, &server, Limit::Samples(2_000_000), Some(100_000_000), 0).unwrap();
    assert_eq!(outcome.statuses.keys().copied().collect::<Vec<_>>(), [204]);
    let seen = seen.lock();
    let lines: usize = seen.iter().map(|body| body.iter().filter(|byte| **byte == b'\n').count()).sum();
    assert_eq!(lines as u64 * 10, outcome.samples_accepted);
    assert!(seen.iter().any(|body| body.len() > 16 << 20));
}

#[test]
fn nobody_listening_is_an_error() {
    let server = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Server::resolve(&listener.local_addr().unwrap().to_string()).unwrap()
    };
    for rate in RATES {
        let bodies = bodies("--series 1 --batch 1 --samples 1");
        let Err(e) = run(&bodies, &server, Limit::Samples(1), rate, 0) else { panic!("connected") };
        assert_eq!(e.kind(), io::ErrorKind::ConnectionRefused);
    }
}

/// Ten requests are due 1 ms apart, and the server takes 60 ms over the first on each of three connections. The others
/// were answered at once, yet each was held up, and has to say so.
#[test]
fn at_a_fixed_rate_a_stall_is_charged_to_all_it_held_up() {
    let bodies = bodies("--series 10 --batch 10 --samples 1000");
    let (server, _) = serve(|request| {
        if request.number < 3 {
            // Stands for a slow server, not for synchronisation.
            thread::sleep(Duration::from_millis(60));
        }
        Some(NO_CONTENT.to_owned())
    });
    let outcome = run(&bodies, &server, Limit::Samples(1000), Some(100_000), 0).unwrap();
    assert_eq!(outcome.statuses, BTreeMap::from([(204, 10)]));
    assert!(outcome.latency_ns.percentile(0.1) >= 45_000_000, "{}", outcome.latency_ns.percentile(0.1));
}

#[test]
fn a_rate_is_kept_and_a_duration_ends_the_run() {
    let bodies = bodies("--series 10 --batch 10 --samples 1000");
    let (server, _) = serve(|_| Some(NO_CONTENT.to_owned()));
    let outcome =
        run(&bodies, &server, Limit::Duration(Duration::from_millis(200)), Some(20_000), 0).unwrap();
    // 100 samples every 5 ms; on a machine that is busy elsewhere, fewer.
    assert!((500..=4_000).contains(&outcome.samples_accepted), "{}", outcome.samples_accepted);
    // The last request has its 5 ms too.
    assert!(outcome.elapsed_ns >= outcome.samples_accepted * 50_000, "{}", outcome.elapsed_ns);
}

#[test]
fn datagrams_are_sent_once_each_and_count_as_accepted() {
    let bodies = bodies(
        "--protocol statsd --workload single --series 20 --batch 5 --samples 300 --to http://h:1,udp=h:2",
    );
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let way = Way::Datagrams(socket.local_addr().unwrap());
    let load = Load { bodies: &bodies, way, connections: 3, limit: Limit::Samples(300), rate: None };
    let outcome = load.run(0, &Progress::of(1, "")).unwrap();
    assert_eq!((outcome.samples_accepted, outcome.samples_rejected, outcome.request_next), (300, 0, 60));
    assert!(outcome.statuses.is_empty());
    let mut buffer = [0; 2000];
    for _ in 0..60 {
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..length].iter().filter(|byte| **byte == b'\n').count(), 5);
    }
}

#[test]
fn what_otlp_rejects_is_counted() {
    let answer = |body: &[u8]| Answer { status: 200, body: body.to_vec(), ..Answer::default() };
    let partial = b"\x0a\x07\x08\x96\x01\x12\x02no";
    assert_eq!(samples_rejected(&answer(partial), 1000, 1), 150);
    for whole in [&b""[..], b"\x0a\x00", b"ok", b"\x0a\x04\x12\x02hi"] {
        assert_eq!(samples_rejected(&answer(whole), 1000, 1), 0, "{whole:?}");
    }
}
