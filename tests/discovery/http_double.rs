//! An HTTP server that answers by a closure, one request a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request, as far as these tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What is answered: status, headers, body.
pub(crate) type Reply = (u16, Vec<(String, String)>, String);

pub(crate) struct HttpDouble {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Reads one request; `None` at the end of the connection.
    pub(crate) fn read(stream: &mut impl BufRead) -> Option<Request> {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut request = Request { method, target, headers: Vec::new(), body: String::new() };
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            request.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        request.body = String::from_utf8(body).unwrap();
        Some(request)
    }
}

pub(crate) fn json(body: &str) -> Reply {
    (200, vec![("Content-Type".into(), "application/json; charset=utf-8".into())], body.to_owned())
}

impl HttpDouble {
    pub(crate) fn start(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> HttpDouble {
        HttpDouble::start_speaking(answer, |socket| Box::new(socket))
    }

    /// The same, with something spoken on the sockets, such as TLS.
    pub(crate) fn start_speaking(
        mut answer: impl FnMut(&Request) -> Reply + Send + 'static,
        speak: impl Fn(TcpStream) -> Box<dyn Stream> + Send + 'static,
    ) -> HttpDouble {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let saw = Arc::clone(&seen);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut stream = BufReader::new(speak(socket.unwrap()));
                let Some(request) = Request::read(&mut stream) else { continue };
                let (status, headers, body) = answer(&request);
                saw.lock().unwrap().push(request);
                let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                // Whoever asked may have gone.
                _ = stream.get_mut().write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
                _ = stream.get_mut().flush();
            }
        });
        HttpDouble { address, seen }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}
