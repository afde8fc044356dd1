//! Connections that are passed from worker to worker all the time: every request is answered, and every row kept once
//! and in its sender's order.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use tidegate::engine::{Engine, Options};
use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};
use tidegate::serve::{Gathering, ServeOptions, Server};

const CLIENTS: usize = 6;
const REQUESTS: usize = 400;
const ANSWER: &[u8] = b"HTTP/1.1 204";

/// Whoever has more than one active connection passes half of them on, each time that it wakes.
const RESTLESS: Gathering = Gathering {
    window_ns: 1,
    spread_permille: 0,
    room_permille: 1000,
    gather_permille: 0,
    gather_windows: 1,
    asks_for_processor: false,
};

/// Writes one row for each request, now and then several requests at once, or one in pieces.
fn send(address: SocketAddr, client: usize) {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_nodelay(true).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut sent = 0;
    let mut answers = Vec::new();
    while sent < REQUESTS {
        let at_once = (1 + sent % 3).min(REQUESTS - sent);
        let mut bytes = Vec::new();
        for request in sent..sent + at_once {
            let line = format!("m,client={client} v={request}i {}\n", 1 + request);
            let head = format!("POST /write HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", line.len());
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(line.as_bytes());
        }
        sent += at_once;
        // Two writes: the border falls into a head or a body, or between two requests.
        let border = (sent * 13) % bytes.len();
        connection.write_all(&bytes[..border]).unwrap();
        connection.write_all(&bytes[border..]).unwrap();
        for _ in 0..at_once {
            take_answer(&mut connection, &mut answers);
        }
        assert!(answers.is_empty(), "more answers than requests");
    }
}

/// Takes the next answer, which has no body, off the front of what was read.
fn take_answer(connection: &mut TcpStream, read: &mut Vec<u8>) {
    let end = loop {
        match read.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None => {
                let mut piece = [0; 4096];
                let n = connection.read(&mut piece).unwrap();
                assert!(n > 0, "closed in the middle of the answers");
                read.extend_from_slice(&piece[..n]);
            }
        }
    };
    assert!(read.starts_with(ANSWER), "{}", String::from_utf8_lossy(read));
    read.drain(..end);
}

#[test]
fn passed_on_between_any_two_requests_a_sender_does_not_notice() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { workers: 3, ..Options::new(directory.path()) };
    let serve = ServeOptions {
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        gathering: RESTLESS,
        ..ServeOptions::default()
    };
    let server = Server::start(|| Engine::open(options), serve).unwrap();
    let address = server.addresses()[0];
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || send(address, client));
        }
    });
    server.control().drain();
    server.join().unwrap();

    // What came of each client, in the order of arrival, and by which worker.
    let mut found: BTreeMap<String, BTreeMap<_, (i64, u32)>> = BTreeMap::new();
    let mut rows = Reader::open(directory.path()).unwrap().rows(Query::default()).unwrap();
    rows.for_each(|row| {
        let (_, client) = row.labels.iter().find(|(name, _)| *name == b"client").unwrap();
        let client = String::from_utf8_lossy(client).into_owned();
        let arrival = row.arrival;
        let again = found.entry(client).or_default().insert(arrival, (row.time_ns, arrival.worker));
        assert_eq!(again, None);
        Ok::<_, LogError>(())
    })
    .unwrap();
    assert_eq!(found.len(), CLIENTS);
    let mut moves = 0;
    for rows in found.values() {
        let times: Vec<i64> = rows.values().map(|(time, _)| *time).collect();
        assert_eq!(times, (1..=REQUESTS as i64).collect::<Vec<_>>(), "each once, in the order sent");
        let workers: Vec<u32> = rows.values().map(|(_, worker)| *worker).collect();
        moves += workers.windows(2).filter(|pair| pair[0] != pair[1]).count();
    }
    assert!(moves > CLIENTS, "{moves} times passed on: this has tried nothing");
}
