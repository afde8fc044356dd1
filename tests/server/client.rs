//! A client that sends exactly the bytes it is told to, and reads answers one by one.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value as Json;

/// How long an answer may take before the test has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    socket: TcpStream,
    /// What is spoken on the socket.
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Client {
        Client::speaking(address, |socket| Box::new(socket))
    }

    /// Connects, and speaks what `speak` makes of the socket.
    pub(crate) fn speaking(address: &str, speak: impl FnOnce(TcpStream) -> Box<dyn Stream>) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        socket.set_write_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        let stream = speak(socket.try_clone().unwrap());
        Client { socket, stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends what the server may no longer want to read.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub(crate) fn end_sending(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Sends and reads the answer.
    pub(crate) fn ask(&mut self, bytes: &[u8]) -> Reply {
        self.send(bytes);
        self.reply()
    }

    pub(crate) fn reply(&mut self) -> Reply {
        self.reply_or_end(false).expect("an answer, and not the end of the connection")
    }

    /// The answer to a HEAD: a body is announced and none comes.
    pub(crate) fn reply_to_head(&mut self) -> Reply {
        self.reply_or_end(true).expect("an answer, and not the end of the connection")
    }

    /// `None`: the connection ended before an answer began.
    pub(crate) fn reply_or_end(&mut self, head_only: bool) -> Option<Reply> {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if self.read_more() == 0 {
                assert!(self.unread.is_empty(), "cut: {}", String::from_utf8_lossy(&self.unread));
                return None;
            }
        };
        let head: Vec<u8> = self.unread.drain(..head_end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap();
        let status = status_line.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |n| n.parse().unwrap());
        if !head_only {
            while self.unread.len() < length {
                assert!(self.read_more() > 0, "a body cut short: {reply:?}");
            }
            reply.body = self.unread.drain(..length).collect();
        }
        Some(reply)
    }

    /// Asserts that the server closes, having sent nothing more.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.read_more(), 0, "{}", String::from_utf8_lossy(&self.unread));
        assert!(self.unread.is_empty(), "{}", String::from_utf8_lossy(&self.unread));
    }

    /// Whether the answer's first bytes are there, waiting at most `wait`.
    pub(crate) fn has_answer_within(&mut self, wait: Duration) -> bool {
        if !self.unread.is_empty() {
            return true;
        }
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let mut byte = [0];
        let there = self.socket.peek(&mut byte);
        self.socket.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        match there {
            Ok(n) => n > 0,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => false,
            Err(e) => panic!("{e}"),
        }
    }

    /// 0 at the end, an abrupt one included.
    fn read_more(&mut self) -> usize {
        let mut piece = [0; 64 << 10];
        match self.stream.read(&mut piece) {
            Ok(n) => {
                self.unread.extend_from_slice(&piece[..n]);
                n
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => 0,
            // With a time limit on reading no signal's handler is needed for it: a process that is stopped and goes on.
            Err(e) if e.kind() == ErrorKind::Interrupted => self.read_more(),
            Err(e) => panic!("no answer: {e}"),
        }
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Asserts the status, and what every answer of that status has to keep.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> &Reply {
        assert_eq!(self.status, status, "{self:?} {}", self.text());
        if status == 503 {
            let after = self.header("retry-after").expect("503 says when to try again");
            assert!(after.parse::<u32>().is_ok_and(|s| s > 0), "{after}");
        }
        if status >= 500 {
            for words in ["partial write", "unable to parse"] {
                assert!(!self.text().contains(words), "agents drop data on these words: {}", self.text());
            }
        }
        self
    }
}

/// A request with a body of known length.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = head(method, target, headers);
    let at = bytes.len() - 2;
    bytes.splice(at..at, format!("Content-Length: {}\r\n", body.len()).into_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A request's head alone.
pub(crate) fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    head.into_bytes()
}

pub(crate) fn post(target: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST", target, &[], body.as_ref())
}

pub(crate) fn get(target: &str) -> Vec<u8> {
    head("GET", target, &[])
}

/// A request whose body comes in chunks of these sizes, over and over.
pub(crate) fn chunked(target: &str, headers: &[(&str, &str)], body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut all = headers.to_vec();
    all.push(("Transfer-Encoding", "chunked"));
    let mut bytes = head("POST", target, &all);
    let mut at = 0;
    for &size in sizes.iter().cycle() {
        let piece = &body[at..body.len().min(at + size)];
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
        at += piece.len();
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
