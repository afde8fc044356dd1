//! A small HTTP/1.1 client: one request at a time over one blocking connection that is kept alive, and the parts of it
//! that a connection which must not block shares.
//!
//! Comes in: a request's head and body. Goes out: the answer's status, headers of interest and body. Keeps: a request
//! costs a write and a read, nothing is copied, and buffers have bounds. Refuses to know: what requests are about.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// A server's address and name.
#[derive(Clone, Debug)]
pub(super) struct Server {
    address: SocketAddr,
    authority: String,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// X-Influxdb-Version.
    pub(super) influxdb_version: Option<String>,
    pub(super) body: Vec<u8>,
}

/// A connection; it opens when first used and again after the server closed it.
pub(super) struct Connection {
    server: Server,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Server {
    /// Finds the address of `host:port`.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn resolve(authority: &str) -> io::Result<Server> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "no address");
        let address = authority.to_socket_addrs()?.next().ok_or_else(none)?;
        Ok(Server { address, authority: authority.to_owned() })
    }

    #[cfg(test)]
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// The head of a POST up to the body's length. `headers` say what the body is, each with its line end.
    pub(super) fn post_head(&self, path: &str, headers: &str) -> Vec<u8> {
        let agent = concat!("tidegate-bench/", env!("CARGO_PKG_VERSION"));
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {agent}\r\n{headers}Content-Length: ",
            self.authority
        )
        .into_bytes()
    }

    /// Opens a socket to it.
    ///
    /// # Errors
    /// It can't be reached.
    pub(super) fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// GETs a path over a connection of its own.
    ///
    /// # Errors
    /// The server can't be reached or does not answer in HTTP.
    pub(super) fn fetch(&self, path: &str) -> io::Result<Answer> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.authority);
        Connection::new(self.clone()).exchange(head.as_bytes(), &[])
    }

    /// POSTs an empty body over a connection of its own.
    ///
    /// # Errors
    /// As [`Server::fetch`].
    pub(super) fn post_empty(&self, path: &str) -> io::Result<Answer> {
        let mut head = self.post_head(path, "");
        head.extend_from_slice(b"0\r\n\r\n");
        Connection::new(self.clone()).exchange(&head, &[])
    }
}

impl Connection {
    pub(super) fn new(server: Server) -> Connection {
        Connection { server, stream: None, buffer: Vec::with_capacity(READ_BYTES) }
    }

    /// Opens the connection, if it is not open.
    ///
    /// # Errors
    /// The server can't be reached.
    pub(super) fn open(&mut self) -> io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = self.server.connect()?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
            self.stream = Some(stream);
        }
        Ok(self.stream.as_mut().expect("it was opened above"))
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// The server can't be reached, closed without an answer, or does not speak HTTP. The connection is then closed.
    pub(super) fn exchange(&mut self, head: &[u8], body: &[u8]) -> io::Result<Answer> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let stream = self.open()?;
        // A server that refuses a body may answer and close before it has read it all: its answer counts.
        let sent = write_both(stream, head, body);
        let answer = read_answer(stream, &mut buffer);
        self.buffer = buffer;
        match (sent, answer) {
            (Ok(()), Ok((answer, true))) => Ok(answer),
            (_, Ok((answer, _))) => {
                self.stream = None;
                Ok(answer)
            }
            (sent, Err(unanswered)) => {
                self.stream = None;
                Err(sent.err().unwrap_or(unanswered))
            }
        }
    }
}

fn write_both(stream: &mut TcpStream, head: &[u8], body: &[u8]) -> io::Result<()> {
    let written = loop {
        match stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if written < head.len() {
        stream.write_all(&head[written..])?;
    }
    stream.write_all(&body[written.saturating_sub(head.len())..])
}

/// Reads one answer; also whether the connection can go on.
fn read_answer(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<(Answer, bool)> {
    loop {
        // What is there first: an interim answer may have brought the final one with it.
        if let Some(whole) = parse_answer(buffer, false)? {
            return Ok(whole);
        }
        match read_some(stream, buffer) {
            Ok(0) => return parse_answer(buffer, true)?.ok_or_else(unanswered),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(no_answer()),
            Err(e) => return Err(e),
        }
    }
}

/// The first final answer in `buffer`, if it is whole; also whether the connection can go on. `ended`: no more comes,
/// which ends an answer without a length.
pub(super) fn parse_answer(buffer: &[u8], ended: bool) -> io::Result<Option<(Answer, bool)>> {
    let mut rest = buffer;
    loop {
        let Some((head_bytes, head)) = parse_head(rest)? else { return Ok(None) };
        rest = &rest[head_bytes..];
        if !(100..200).contains(&head.answer.status) {
            return parse_body(rest, head, ended);
        }
    }
}

struct Head {
    answer: Answer,
    length: Option<usize>,
    chunked: bool,
    keeps_alive: bool,
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(buffer).map_err(|e| invalid(e.to_string()))?;
    let httparse::Status::Complete(head_bytes) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let answer = Answer { status, ..Answer::default() };
    let mut head = Head { answer, length: None, chunked: false, keeps_alive: response.version == Some(1) };
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            head.length = Some(value.parse().map_err(|_| invalid(format!("Content-Length: {value}")))?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.chunked = value.eq_ignore_ascii_case("chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.keeps_alive = !value.eq_ignore_ascii_case("close");
        } else if header.name.eq_ignore_ascii_case("x-influxdb-version") {
            head.answer.influxdb_version = Some(value.to_owned());
        }
    }
    if status == 204 || status == 304 {
        head.length = Some(0);
    }
    Ok(Some((head_bytes, head)))
}

fn parse_body(rest: &[u8], head: Head, ended: bool) -> io::Result<Option<(Answer, bool)>> {
    let Head { answer, length, chunked, keeps_alive } = head;
    let body = match length {
        _ if chunked => parse_chunks(rest)?,
        Some(length) => rest.get(..length).map(<[u8]>::to_vec),
        None => ended.then(|| rest.to_vec()),
    };
    let goes_on = keeps_alive && (chunked || length.is_some());
    Ok(body.map(|body| (Answer { body, ..answer }, goes_on)))
}

/// The whole chunked body, once all of it is there.
fn parse_chunks(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|_| invalid("a bad chunk size".to_owned()))?;
        let httparse::Status::Complete((start, size)) = size else { return Ok(None) };
        let Some(end) = usize::try_from(size).ok().and_then(|size| start.checked_add(size)) else {
            return Err(invalid("a bad chunk size".to_owned()));
        };
        if rest.len() < end.saturating_add(2) {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&rest[start..end]);
        rest = &rest[end + 2..];
    }
}

/// Reads what one call gives; 0: the server closed.
///
/// # Errors
/// The answer is too long; else as the socket says, `WouldBlock` among them.
pub(super) fn read_some(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    if buffer.len() >= ANSWER_BYTES_MAX {
        return Err(invalid(format!("an answer of more than {ANSWER_BYTES_MAX} bytes")));
    }
    let filled = buffer.len();
    buffer.resize(filled + READ_BYTES, 0);
    let read = loop {
        match stream.read(&mut buffer[filled..]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => break other,
        }
    };
    buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
    read
}

/// The server closed before it had answered.
pub(super) fn unanswered() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer")
}

/// Nothing came within [`ANSWER_TIMEOUT`].
pub(super) fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer")
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Peers have been seen to take 12 s for a request; this ends a run against a server that hangs.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 4 << 10;
/// A server's /metrics is the largest answer asked for.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const HEADERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a text in pieces of `step` bytes.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(out.len());
            out[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn read(text: &str, step: usize) -> io::Result<(Answer, bool)> {
        read_answer(&mut Pieces(text.as_bytes(), step), &mut Vec::new())
    }

    #[test]
    fn answers_are_read_wherever_they_are_split() {
        let cases = [
            ("HTTP/1.1 204 No Content\r\nX-Influxdb-Version: 1.8\r\n\r\n", 204, "", true),
            ("HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nhello", 400, "hello", true),
            ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", 200, "ok", false),
            ("HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end", false),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
                200,
                "abc0123456789",
                true,
            ),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 503, "", true),
        ];
        for (text, status, body, goes_on) in cases {
            for step in [1, 2, 7, 4096] {
                let (answer, keeps_alive) =
                    read(text, step).unwrap_or_else(|e| panic!("{text} by {step}: {e}"));
                assert_eq!((answer.status, keeps_alive), (status, goes_on), "{text} by {step}");
                assert_eq!(answer.body, body.as_bytes(), "{text} by {step}");
            }
        }
        assert_eq!(read(cases[0].0, 9).unwrap().0.influxdb_version.as_deref(), Some("1.8"));
    }

    #[test]
    fn what_is_no_whole_answer_is_an_error() {
        for text in [
            "",
            "HTTP/1.1 20",
            "220 smtp ready\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        ] {
            assert!(read(text, 3).is_err(), "{text}");
        }
    }
}
