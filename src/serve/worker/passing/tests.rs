//! Workers that are driven by hand, in one thread: what is passed on when, and what they know of who stays.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Events;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;

use super::super::super::connection::Receiving;
use super::super::super::door::{ClientAuth, DoorOptions, Pem, TlsOptions, TlsVersion};
use super::super::super::gathering::Gathering;
use super::super::super::live::Settings;
use super::super::super::server::{Assembly, ServeOptions, Shared, assemble};
use super::*;
use crate::engine::{Engine, Options};
use crate::http::Timeouts;
use crate::model::BATCH_ROWS_MAX;

/// Windows that never end: only what a test passes on is passed on.
const STILL: Gathering = Gathering {
    window_ns: 3_600_000_000_000,
    spread_permille: 950,
    room_permille: 450,
    gather_permille: 600,
    gather_windows: 5,
    asks_for_processor: false,
};

/// What anything may take before a test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const INBOX_MAX: usize = 2;

/// The workers of a server, none of which does anything by itself.
struct House {
    workers: Vec<Worker>,
    events: Events,
    shared: Arc<Shared>,
    address: SocketAddr,
    _directory: TempDir,
}

impl House {
    fn new(workers: u32, door: DoorOptions) -> House {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { workers, ..Options::new(directory.path()) };
        let serve = ServeOptions {
            listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            settings: Settings { doors: vec![door], ..Settings::default() },
            gathering: STILL,
            ..ServeOptions::default()
        };
        let Assembly { addresses, shared, workers, .. } =
            assemble(|| Engine::open(options), serve, INBOX_MAX).unwrap();
        let events = Events::with_capacity(64);
        House { workers, events, shared, address: addresses[0], _directory: directory }
    }

    /// One worker looks at what there is, and waits for nothing.
    fn step(&mut self, number: usize) {
        let worker = &mut self.workers[number];
        worker.look_once_more = true;
        worker.go_around(&mut self.events, &mut None).unwrap();
    }

    /// Lets these workers work until there is news for a client.
    fn until<T>(&mut self, numbers: &[usize], mut news: impl FnMut(&mut House) -> Option<T>) -> T {
        let from = Instant::now();
        while from.elapsed() < PATIENCE {
            numbers.iter().for_each(|&number| self.step(number));
            if let Some(news) = news(self) {
                return news;
            }
            std::thread::yield_now();
        }
        panic!("nothing has come of it");
    }

    /// The next answer's first line, with these workers at work.
    fn answer(&mut self, numbers: &[usize], client: &mut Client) -> String {
        self.until(numbers, |_| client.answer())
    }

    /// A worker passes on whatever it has, as far as it may go now.
    fn let_all_go(&mut self, from: usize, to: usize) {
        let all: Vec<usize> = (0..self.workers[from].connections.len()).collect();
        self.workers[from].let_go(&all, to);
    }

    /// New connections go to others than the first worker.
    fn occupy_the_first(&self) {
        self.shared.expect_load(0, self.workers[0].engine.monotonic_ns(), BUSY);
    }

    /// Lets these workers work until each has so many connections.
    fn until_open(&mut self, numbers: &[usize], open: &[usize]) {
        self.until(numbers, |house| (house.open() == open).then_some(()));
    }

    /// Waits until the kernel has bytes for a worker's only connection.
    fn until_sent(&mut self, number: usize) {
        self.until(&[], |house| {
            let connection = house.workers[number].connections.iter_mut().flatten().next()?;
            connection.transport.socket().peek(&mut [0]).ok()
        });
    }

    /// Takes a connection and its request in, and doesn't let the engine have its turn.
    fn accept_request(&mut self, number: usize) {
        self.until(&[], |house| {
            let worker = &mut house.workers[number];
            worker.accept();
            let connection = worker.connections.iter_mut().flatten().next()?;
            if !connection.busy() {
                connection.readable = true;
                worker.serve(0);
            }
            worker.connections[0].as_ref()?.busy().then_some(())
        });
    }

    /// Takes in what has come to a worker, and doesn't let the engine have its turn.
    fn take_in(&mut self, number: usize) {
        let worker = &mut self.workers[number];
        worker.accept();
        for id in 0..worker.connections.len() {
            worker.connections[id].iter_mut().for_each(|connection| connection.readable = true);
            worker.serve(id);
        }
    }

    /// How many of a worker's writes wait for room.
    fn stalled(&self, number: usize) -> usize {
        let connections = self.workers[number].connections.iter().flatten();
        connections.filter(|connection| matches!(connection.receiving, Receiving::Stalled(_))).count()
    }

    /// The open connections of each worker.
    fn open(&self) -> Vec<usize> {
        self.workers.iter().map(|worker| worker.open).collect()
    }

    fn receiving(&self, number: usize) -> &Receiving {
        &self.workers[number].connections.iter().flatten().next().unwrap().receiving
    }
}

/// A client that never waits.
struct Client {
    socket: TcpStream,
    session: Option<ClientConnection>,
    read: Vec<u8>,
    ended: bool,
}

impl Client {
    fn new(house: &House) -> Client {
        let socket = TcpStream::connect(house.address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        Client { socket, session: None, read: Vec::new(), ended: false }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Takes what has come; gives the first line of the next answer, of which none here has a body.
    fn answer(&mut self) -> Option<String> {
        self.receive();
        let end = self.read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        head.lines().next().map(str::to_owned)
    }

    fn receive(&mut self) {
        let mut piece = [0; 4096];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => return self.ended = true,
                Ok(n) => self.take(&piece[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => panic!("{e}"),
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        let Some(session) = &mut self.session else { return self.read.extend_from_slice(bytes) };
        while !bytes.is_empty() {
            session.read_tls(&mut bytes).unwrap();
            session.process_new_packets().unwrap();
            match session.reader().read_to_end(&mut self.read) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                other => _ = other.unwrap(),
            }
        }
    }

    /// What the socket is to be sent for these bytes to be said.
    fn encrypted(&mut self, bytes: &[u8]) -> Vec<u8> {
        let session = self.session.as_mut().unwrap();
        let mut out = Vec::new();
        session.writer().write_all(bytes).unwrap();
        while session.wants_write() {
            session.write_tls(&mut out).unwrap();
        }
        out
    }
}

fn write(line: &str) -> String {
    format!("POST /write HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{line}", line.len())
}

const PING: &str = "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";
const TAKEN: &str = "HTTP/1.1 204 No Content";

#[test]
fn who_finds_no_room_where_it_is_sent_goes_to_another_and_at_last_stays() {
    let mut house = House::new(3, DoorOptions::default());
    house.occupy_the_first();
    let mut clients: Vec<Client> = (0..2 * INBOX_MAX + 3).map(|_| Client::new(&house)).collect();
    // The others' inboxes are full.
    house.until_open(&[0], &[3, 0, 0]);
    house.until_open(&[1, 2], &[3, INBOX_MAX, INBOX_MAX]);
    for client in &mut clients {
        client.send(write("m v=1 1"));
        assert_eq!(house.answer(&[0, 1, 2], client), TAKEN);
    }
    assert!(
        house.shared.has_room(clients.len() + 1) && !house.shared.has_room(clients.len()),
        "each counted once"
    );
}

#[test]
fn who_is_to_be_passed_on_to_a_full_inbox_stays() {
    let mut house = House::new(2, DoorOptions::default());
    let mut clients: Vec<Client> = (0..INBOX_MAX + 2).map(|_| Client::new(&house)).collect();
    house.until_open(&[0], &[INBOX_MAX + 2, 0]);
    house.let_all_go(0, 1);
    assert_eq!(house.open(), [2, 0]);
    for client in &mut clients {
        client.send(write("m v=1 1"));
        assert_eq!(house.answer(&[0, 1], client), TAKEN);
    }
    assert_eq!(house.open(), [2, INBOX_MAX]);
    assert!(house.shared.has_room(clients.len() + 1) && !house.shared.has_room(clients.len()));
}

#[test]
fn a_worker_that_is_gone_is_passed_by() {
    let mut house = House::new(2, DoorOptions::default());
    drop(house.workers.pop());
    let mut early = Client::new(&house);
    house.until_open(&[0], &[1]);
    house.let_all_go(0, 1);
    house.occupy_the_first();
    let mut late = Client::new(&house);
    for client in [&mut early, &mut late] {
        client.send(write("m v=1 1"));
        assert_eq!(house.answer(&[0], client), TAKEN);
    }
    assert_eq!(house.open(), [2]);
}

#[test]
fn what_was_read_of_a_request_keeps_its_connection_until_that_is_answered() {
    let mut house = House::new(2, DoorOptions::default());
    let mut client = Client::new(&house);
    let three = [write("m v=1 1"), write("m v=2 2"), write("m v=3 3")].concat();
    // Within the third request's head, then within its body.
    let (head, body) = (three.len() - 40, three.len() - 3);
    client.send(&three[..head]);
    for _ in 0..2 {
        assert_eq!(house.answer(&[0], &mut client), TAKEN);
    }
    house.let_all_go(0, 1);
    assert_eq!(house.open(), [1, 0], "half a head");
    client.send(&three[head..body]);
    house.until_sent(0);
    house.step(0);
    house.let_all_go(0, 1);
    assert_eq!(house.open(), [1, 0], "half a body");
    client.send(&three[body..]);
    assert_eq!(house.answer(&[0], &mut client), TAKEN);
    assert_eq!(house.open(), [0, 0], "it left when it was answered");
    client.send(write("m v=4 4"));
    assert_eq!(house.answer(&[1], &mut client), TAKEN);
    assert_eq!(house.open(), [0, 1]);
}

#[test]
fn what_came_of_a_body_with_its_head_counts_for_its_pace() {
    let mut house = House::new(1, DoorOptions::default());
    let mut client = Client::new(&house);
    let request = write(&"m v=1 1\n".repeat(300));
    client.send(&request[..request.len() - 10]);
    house.until(&[0], |house| house.workers[0].open.eq(&1).then_some(()));
    house.until(&[0], |house| matches!(house.receiving(0), Receiving::Write(_)).then_some(()));
    let timeouts = Timeouts { body_grace_ms: 0, body_rate_bytes_min: 1, ..Timeouts::default() };
    let connection = house.workers[0].connections[0].as_ref().unwrap();
    let now_ns = house.workers[0].engine.monotonic_ns();
    let left_ns = connection.pace.deadline_ns(&timeouts).unwrap().saturating_sub(now_ns);
    assert!(left_ns > 10_000_000_000, "over 2000 bytes have come: {left_ns} ns are left at a byte a second");
}

#[test]
fn a_parked_answer_keeps_its_connection() {
    let mut house = House::new(2, DoorOptions::default());
    let mut client = Client::new(&house);
    client.send(write("m v=1 1"));
    house.accept_request(0);
    assert!(house.workers[0].connections[0].as_ref().unwrap().waits_for_commit());
    house.let_all_go(0, 1);
    assert_eq!(house.open(), [1, 0]);
    assert_eq!(house.answer(&[0], &mut client), TAKEN);
    assert_eq!(house.open(), [0, 0]);
}

#[test]
fn who_was_told_to_go_on_sends_its_body_where_it_was_told() {
    let mut house = House::new(2, DoorOptions::default());
    let mut client = Client::new(&house);
    client.send("POST /write HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n");
    assert_eq!(house.answer(&[0], &mut client), "HTTP/1.1 100 Continue");
    house.let_all_go(0, 1);
    house.step(1);
    assert_eq!(house.open(), [1, 0]);
    client.send("m v=1 1");
    assert_eq!(house.answer(&[0], &mut client), TAKEN);
    client.send(PING);
    assert_eq!(house.answer(&[1], &mut client), TAKEN);
    assert_eq!(house.open(), [0, 1]);
}

#[test]
fn a_request_that_waits_to_be_let_in_keeps_its_connection() {
    let hash = bcrypt::hash_with_result("secret", 4).unwrap().to_string().parse().unwrap();
    let door = DoorOptions { users: [("u".to_owned(), hash)].into(), ..DoorOptions::default() };
    let mut house = House::new(2, door);
    let mut client = Client::new(&house);
    let request = write("m v=1 1").replace("Host: a", "Host: a\r\nAuthorization: Basic dTpzZWNyZXQ=");
    client.send(&request);
    house.accept_request(0);
    assert!(matches!(house.receiving(0), Receiving::Held { .. }));
    house.let_all_go(0, 1);
    assert_eq!(house.open(), [1, 0]);
    assert_eq!(house.answer(&[0], &mut client), TAKEN);
    client.send(&request);
    assert_eq!(house.answer(&[1], &mut client), TAKEN);
    assert_eq!(house.open(), [0, 1]);
}

#[test]
fn a_write_that_waits_for_room_keeps_its_connection_though_all_of_it_was_read() {
    let mut house = House::new(2, DoorOptions::default());
    let (mut large, mut small) = (Client::new(&house), Client::new(&house));
    // More than a batch and the commits ahead of it take while the engine doesn't get its turn.
    let request = write(&"m v=1 1\n".repeat(4 * BATCH_ROWS_MAX));
    let mut sent = 0;
    house.until(&[], |house| {
        sent += large.socket.write(&request.as_bytes()[sent..]).unwrap_or(0);
        house.take_in(0);
        (house.stalled(0) == 1).then_some(())
    });
    // Its only line is pushed when the body has ended.
    small.send(write("m v=2 2"));
    house.until(&[], |house| {
        house.take_in(0);
        (house.stalled(0) == 2).then_some(())
    });
    house.let_all_go(0, 1);
    assert_eq!(house.open(), [2, 0]);
    let taken = house.until(&[0], |_| {
        sent += large.socket.write(&request.as_bytes()[sent..]).unwrap_or(0);
        large.answer()
    });
    assert_eq!((taken, house.answer(&[0], &mut small)), (TAKEN.to_owned(), TAKEN.to_owned()));
}

#[test]
fn what_is_in_an_inbox_when_the_server_drains_is_answered_before_the_end() {
    let mut house = House::new(2, DoorOptions::default());
    let mut client = Client::new(&house);
    client.send(PING);
    assert_eq!(house.answer(&[0], &mut client), TAKEN);
    house.shared.drain();
    // The second worker has looked at everything when the first, in the middle of a turn, passes a connection on.
    for _ in 0..2 {
        assert!(!house.workers[1].finished());
        house.step(1);
    }
    client.send(write("m v=1 1"));
    house.until_sent(0);
    house.let_all_go(0, 1);
    for _ in 0..2 {
        assert!(!house.workers[1].finished(), "the first has not said that it is settled");
        house.workers[0].finished();
    }
    let answer = house.until(&[0], |house| {
        if house.workers[1].finished() {
            panic!("it went with {} answers due", house.open()[1]);
        }
        house.step(1);
        client.answer()
    });
    assert_eq!(answer, "HTTP/1.1 503 Service Unavailable");
    house.until(&[0, 1], |house| {
        let ended = [0, 1].map(|number| house.workers[number].finished());
        (ended == [true, true]).then_some(())
    });
    drop(house.workers);
    client.receive();
    assert!(client.ended, "it is closed, not left");
}

/// A door with TLS, and who trusts it.
fn tls(version: &'static SupportedProtocolVersion) -> (DoorOptions, Arc<ClientConfig>) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let options = TlsOptions {
        cert: Pem::Text(certificate),
        key: Pem::Text(key.serialize_pem()),
        client_auth: ClientAuth::None,
        client_ca: None,
        min_version: TlsVersion::Tls12,
        max_version: TlsVersion::Tls13,
        cipher_suites: Vec::new(),
        curves: Vec::new(),
        prefer_server_cipher_suites: false,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (DoorOptions { tls: Some(options), ..DoorOptions::default() }, Arc::new(config))
}

#[test]
fn a_session_goes_along_with_half_a_record_and_with_what_it_has_decrypted() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (door, config) = tls(version);
        let mut house = House::new(2, door);
        let mut client = Client::new(&house);
        client.session = Some(ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap());
        // Between two messages of the handshake it stays.
        house.until(&[0, 1], |house| {
            let hello = client.encrypted(b"");
            client.send(hello);
            client.receive();
            let shaking = client.session.as_ref().unwrap().is_handshaking();
            house.let_all_go(0, 1);
            (!shaking).then_some(())
        });
        let request = client.encrypted(write("m v=1 1").as_bytes());
        client.send(request);
        assert_eq!(house.answer(&[0, 1], &mut client), TAKEN);
        house.let_all_go(0, 1);
        house.step(1);
        assert_eq!(house.open(), [0, 1]);

        // Half a record has come to one worker, and the rest comes to the other.
        let record = client.encrypted(write("m v=2 2").as_bytes());
        let (first, second) = record.split_at(record.len() / 2);
        client.send(first);
        house.until_sent(1);
        house.step(1);
        house.let_all_go(1, 0);
        assert_eq!(house.open(), [0, 0], "nothing of a request was read");
        client.send(second);
        assert_eq!(house.answer(&[0], &mut client), TAKEN);
        assert_eq!(house.open(), [1, 0]);

        // More than is read in a row; then bit by bit, in records that end where requests end, and in others.
        const PINGS: usize = 3000;
        let pings = PING.repeat(PINGS);
        let whole = 3 * PING.len();
        for (piece, at_once, moves_min) in [(whole, usize::MAX, 1), (whole, 1777, 20), (1000, 1777, 0)] {
            let records: Vec<u8> =
                pings.as_bytes().chunks(piece).flat_map(|piece| client.encrypted(piece)).collect();
            let (mut sent, mut answers, mut moves) = (0, 0, 0);
            house.until(&[0, 1], |house| {
                let rest = &records[sent..];
                sent += client.socket.write(&rest[..rest.len().min(at_once)]).unwrap_or(0);
                while client.answer().is_some() {
                    answers += 1;
                }
                let from = usize::from(house.open()[1] > 0);
                house.let_all_go(from, 1 - from);
                moves += usize::from(house.open() == [0, 0]);
                (answers == PINGS).then_some(())
            });
            assert!(moves >= moves_min, "{moves} times passed on: this has tried nothing");
        }
    }
}
