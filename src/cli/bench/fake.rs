//! A server for tests: it answers what the test says and keeps what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use super::http::Server;

/// What a test's server was asked.
pub(super) struct Request {
    /// Counts all requests from 0.
    pub(super) number: u64,
    pub(super) path: String,
    /// Lines of the body.
    pub(super) lines: u64,
}

/// The bodies that a test's server was sent.
#[derive(Clone, Copy)]
pub(super) struct Seen(&'static Mutex<Vec<Vec<u8>>>);

impl Seen {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap()
    }
}

/// Starts a server that lives as long as the test process. `None` closes the connection without an answer.
pub(super) fn serve(answer: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> (Server, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::resolve(&listener.local_addr().unwrap().to_string()).unwrap();
    let seen = Seen(Box::leak(Box::default()));
    let answer: &'static _ = Box::leak(Box::new(answer));
    let count: &'static AtomicU64 = Box::leak(Box::default());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || answer_all(&stream, answer, count, seen));
        }
    });
    (server, seen)
}

fn answer_all(
    mut stream: &TcpStream,
    answer: &(impl Fn(&Request) -> Option<String> + ?Sized),
    count: &AtomicU64,
    seen: Seen,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut request_line = String::new();
        reader.read_line(&mut request_line).ok().filter(|read| *read > 0)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let request = Request {
            number: count.fetch_add(1, Ordering::Relaxed),
            path: request_line.split(' ').nth(1).unwrap().to_owned(),
            lines: body.iter().filter(|byte| **byte == b'\n').count() as u64,
        };
        if !body.is_empty() {
            seen.lock().push(body);
        }
        stream.write_all(answer(&request)?.as_bytes()).ok()?;
    }
}

pub(super) fn answer_of(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(super) const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
