use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::sync::Mutex;

use clap::Parser;

use super::*;
use crate::cli::bench::args::BenchArgs;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,
}

fn bodies(line: &str) -> Bodies {
    let args = Cli::try_parse_from(format!("bench {line}").split_whitespace()).unwrap().bench;
    Bodies::build(&args, 1_700_000_000_000_000_000, 1 << 20, |_| {}).unwrap()
}

/// A server that answers what `answer` says to the n-th request, and keeps every body. Nothing closes the connection.
fn serve(
    answer: impl Fn(u64) -> Option<String> + Send + Sync + 'static,
) -> (Server, &'static Mutex<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::resolve(&listener.local_addr().unwrap().to_string()).unwrap();
    let seen: &'static Mutex<Vec<Vec<u8>>> = Box::leak(Box::default());
    let answer: &'static _ = Box::leak(Box::new(answer));
    let count: &'static AtomicU64 = Box::leak(Box::default());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let mut length = 0;
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(value) = line.strip_prefix("Content-Length: ") {
                            length = value.trim().parse().unwrap();
                        }
                        if line == "\r\n" {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    seen.lock().unwrap().push(body);
                    let Some(answer) = answer(count.fetch_add(1, Ordering::Relaxed)) else { return };
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    (server, seen)
}

fn run(bodies: &Bodies, server: &Server, limit: Limit, rate: Option<u64>, first: u64) -> io::Result<Outcome> {
    Load { bodies, server, path: "/write", encoding: None, connections: 3, limit, rate }
        .run(first, &Progress::of(1, ""))
}

#[test]
fn a_run_sends_each_request_once_and_the_next_goes_on_behind_it() {
    let bodies = bodies("--series 20 --batch 15 --samples 1000");
    let (server, seen) = serve(|_| Some("HTTP/1.1 204 No Content\r\n\r\n".to_owned()));
    let one = run(&bodies, &server, Limit::Samples(1000), None, 0).unwrap();
    let two = run(&bodies, &server, Limit::Samples(1000), None, one.request_next).unwrap();
    assert!((1000..1150).contains(&one.samples_accepted), "{}", one.samples_accepted);
    assert_eq!(one.samples_rejected + two.samples_rejected, 0);
    assert_eq!(one.statuses.keys().copied().collect::<Vec<_>>(), [204]);
    assert!(one.elapsed_ns > 0 && one.latency_ns.percentile(0.5) > 0);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len() as u64, one.statuses[&204] + two.statuses[&204]);
    let mut distinct: Vec<_> = seen.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), seen.len(), "a request was sent twice");
    let lines: usize = seen.iter().map(|body| body.iter().filter(|byte| **byte == b'\n').count()).sum();
    assert_eq!(lines as u64 * 10, one.samples_accepted + two.samples_accepted);
}

#[test]
fn what_the_server_rejects_is_counted_as_it_says() {
    let bodies = bodies("--series 10 --batch 10 --samples 1000");
    let (server, _) = serve(|n| {
        let body = match n {
            0 => r#"{"error":"partial","accepted":7,"rejected":3}"#,
            1 => "no json",
            _ => return Some("HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
        };
        Some(format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    });
    let outcome = run(&bodies, &server, Limit::Samples(1000), None, 0).unwrap();
    assert_eq!(outcome.samples_rejected, 30 + 100);
    assert_eq!(outcome.samples_accepted, 1000 - 130);
    assert_eq!(outcome.statuses, BTreeMap::from([(204, 8), (400, 2)]));
    assert!(outcome.first_refusal.unwrap().starts_with("400 "));
}

#[test]
fn a_dropped_connection_costs_its_request() {
    let bodies = bodies("--series 10 --batch 10 --samples 1000");
    let (server, _) = serve(|n| (n != 4).then(|| "HTTP/1.1 204 No Content\r\n\r\n".to_owned()));
    let outcome = run(&bodies, &server, Limit::Samples(1000), None, 0).unwrap();
    assert_eq!(outcome.statuses, BTreeMap::from([(0, 1), (204, 9)]));
    assert_eq!((outcome.samples_accepted, outcome.samples_rejected), (900, 100));
}

#[test]
fn nobody_listening_is_an_error() {
    let server = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Server::resolve(&listener.local_addr().unwrap().to_string()).unwrap()
    };
    let Err(e) = run(&bodies("--series 1 --batch 1 --samples 1"), &server, Limit::Samples(1), None, 0) else {
        panic!("connected")
    };
    assert_eq!(e.kind(), io::ErrorKind::ConnectionRefused);
}

/// Ten requests are due 1 ms apart; the server holds the first of three connections' answers back until it has seen
/// that nothing else comes. Every request after it is late, and has to say so.
#[test]
fn at_a_fixed_rate_a_stall_is_charged_to_all_it_held_up() {
    let bodies = bodies("--series 10 --batch 10 --samples 1000");
    let (server, _) = serve(|n| {
        if n < 3 {
            // Stands for a slow server, not for synchronisation.
            thread::sleep(Duration::from_millis(60));
        }
        Some("HTTP/1.1 204 No Content\r\n\r\n".to_owned())
    });
    let outcome = run(&bodies, &server, Limit::Samples(1000), Some(100_000), 0).unwrap();
    assert_eq!(outcome.statuses, BTreeMap::from([(204, 10)]));
    assert!(outcome.latency_ns.percentile(0.1) >= 45_000_000, "{}", outcome.latency_ns.percentile(0.1));
}

#[test]
fn a_rate_is_kept_and_a_duration_ends_the_run() {
    let bodies = bodies("--series 10 --batch 10 --samples 1000");
    let (server, _) = serve(|_| Some("HTTP/1.1 204 No Content\r\n\r\n".to_owned()));
    let outcome =
        run(&bodies, &server, Limit::Duration(Duration::from_millis(200)), Some(20_000), 0).unwrap();
    // 100 samples every 5 ms; on a machine that is busy elsewhere, fewer.
    assert!((500..=4_000).contains(&outcome.samples_accepted), "{}", outcome.samples_accepted);
}
