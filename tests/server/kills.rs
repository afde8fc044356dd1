//! Killed under load, again and again: what was acknowledged is there, and nothing that was never sent.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::client::post;
use super::harness::{Setup, directory, wait_until};
use super::log::{cat_text, ls, verify};

/// How often it is killed; a longer run is asked for with `TIDEGATE_KILL_ROUNDS`.
const ROUNDS: u64 = 20;
const CONNECTIONS: usize = 4;
/// Requests that a connection has under way.
const PIPELINED: usize = 3;

/// What one connection of one round knows: requests are numbered, each writes as many rows as the number says.
#[derive(Clone, Copy)]
struct Told {
    /// Requests whose first byte may have left.
    sent: u64,
    /// Requests that were answered 204.
    acknowledged: u64,
}

fn rows_of(request: u64) -> u64 {
    1 + request * 7 % 40
}

fn body(round: u64, connection: usize, request: u64) -> String {
    (0..rows_of(request))
        .map(|row| {
            // A new series now and then, values of several types, so that blocks define and refer back.
            let series = (request * 31 + row) % 500;
            let text = text(round, request, row);
            format!("m,s={series} round={round}i,c={connection}i,q={request}i,r={row}i,f={row}.5,t=\"{text}\" {request}\n")
        })
        .collect()
}

/// In some rounds long, and different each time, so that segments fill and are sealed while it is killed.
fn text(round: u64, request: u64, row: u64) -> String {
    let seed = request << 8 | row;
    if round % 5 != 4 {
        return seed.to_string();
    }
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..60).map(|_| format!("{:016x}", random.below(u64::MAX))).collect()
}

/// Writes until the connection breaks.
fn write_until_killed(address: &str, round: u64, connection: usize, total: &AtomicU64) -> Told {
    let mut told = Told { sent: 0, acknowledged: 0 };
    let Ok(mut socket) = TcpStream::connect(address) else { return told };
    let mut answers = Vec::new();
    let mut piece = [0; 4096];
    loop {
        while told.sent < told.acknowledged + PIPELINED as u64 {
            let request = post("/write", body(round, connection, told.sent));
            told.sent += 1;
            if socket.write_all(&request).is_err() {
                // What was answered before it died can still be read, and counts.
                break;
            }
        }
        match socket.read(&mut piece) {
            Ok(n @ 1..) => answers.extend_from_slice(&piece[..n]),
            _ => return told,
        }
        while let Some(end) = answers.windows(4).position(|w| w == b"\r\n\r\n") {
            let answer: Vec<u8> = answers.drain(..end + 4).collect();
            assert!(answer.starts_with(b"HTTP/1.1 204 "), "{}", String::from_utf8_lossy(&answer));
            told.acknowledged += 1;
            total.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn no_acknowledged_row_is_lost_by_kill_9() {
    let rounds = std::env::var("TIDEGATE_KILL_ROUNDS").map_or(ROUNDS, |n| n.parse().unwrap());
    let directory = directory();
    let data = directory.path().join("data");
    let mut told: BTreeMap<(u64, usize), Told> = BTreeMap::new();
    let mut random = Random(rounds ^ 0x9e37_79b9_7f4a_7c15);
    for round in 0..rounds {
        let disk = if round % 2 == 0 { "auto" } else { "threads" };
        // A machine that is short of room is no reason to lose rows here.
        let config = format!("workers: 2\ndata: {{disk: {disk}, free_space_min: 0%}}");
        let server = Setup::config(&config).data(&data).start();
        let total = AtomicU64::new(0);
        // Sometimes at once, sometimes late: after so many answers, and then a moment that is nobody's boundary.
        let enough = random.below(if round % 5 == 4 { 1000 } else { 120 });
        let moment = Duration::from_micros(random.below(3_000));
        let address = server.address.clone();
        std::thread::scope(|scope| {
            let total = &total;
            let writers: Vec<_> = (0..CONNECTIONS)
                .map(|connection| {
                    let address = &address;
                    scope.spawn(move || write_until_killed(address, round, connection, total))
                })
                .collect();
            wait_until("enough was acknowledged", || total.load(Ordering::Relaxed) >= enough);
            std::thread::sleep(moment);
            server.kill();
            for (connection, writer) in writers.into_iter().enumerate() {
                told.insert((round, connection), writer.join().unwrap());
            }
        });
        if round % 10 == 9 || round + 1 == rounds {
            check(&data, &told);
        }
    }
    let acknowledged: u64 = told.values().map(|t| t.acknowledged).sum();
    println!("{rounds} times killed, {acknowledged} requests acknowledged, none lost");
    assert!(acknowledged > rounds, "only {acknowledged} requests were acknowledged");
    if rounds >= ROUNDS {
        assert!(ls(&data).contains("sealed"), "no segment was ever sealed while it ran:\n{}", ls(&data));
    }
    let mut server = Setup::config("data: {free_space_min: 0%}").data(&data).start();
    check(&data, &told);
    server.stop();
    check(&data, &told);
    verify(&data);
}

/// Every acknowledged request has all its rows, once; every row is of a request that was sent, with the values sent.
fn check(data: &Path, told: &BTreeMap<(u64, usize), Told>) {
    // Of each request which rows were found, a bit for each.
    let mut found: BTreeMap<(u64, usize, u64), u64> = BTreeMap::new();
    for line in cat_text(data).lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| row["fields"][name]["i64"].as_u64().unwrap();
        let (round, connection, request, number) =
            (field("round"), field("c") as usize, field("q"), field("r"));
        let sent = told[&(round, connection)].sent;
        assert!(request < sent, "never sent: {line}");
        let rows = found.entry((round, connection, request)).or_default();
        assert!(number < rows_of(request) && *rows & 1 << number == 0, "twice, or never sent: {line}");
        *rows |= 1 << number;
        let series = (request * 31 + number) % 500;
        assert_eq!(row["labels"]["s"], series.to_string(), "{line}");
        assert_eq!(row["fields"]["f"]["f64"], number as f64 + 0.5, "{line}");
        assert_eq!(row["fields"]["t"]["string"], text(round, request, number), "{line}");
        assert_eq!(row["time"], request, "{line}");
    }
    for (&(round, connection), told) in told {
        for request in 0..told.acknowledged {
            let rows = found.get(&(round, connection, request)).copied().unwrap_or(0);
            assert_eq!(
                rows,
                (1 << rows_of(request)) - 1,
                "round {round}, connection {connection}, request {request}"
            );
        }
    }
}

/// Moments differ from round to round, and are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
