//! Targets: small servers that say what a test has them say, well or badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// What a server has been asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The request line and headers.
    pub(crate) head: String,
}

impl Asked {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// The values of all headers of a name.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.head.lines().skip(1).filter_map(move |line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

pub(crate) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// A target.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    asked: Mutex<Vec<Asked>>,
    /// Notified of each question.
    heard: Condvar,
    connections: AtomicUsize,
    gone: AtomicBool,
}

/// Sees how often a target is asked.
pub(crate) struct Watch(Arc<State>);

impl Watch {
    /// How often it has been asked.
    pub(crate) fn count(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    /// Waits until it has been asked so many times more.
    pub(crate) fn wait_for(&self, more: usize) {
        let asked = self.0.asked.lock().unwrap();
        let enough = asked.len() + more;
        drop(self.0.heard.wait_while(asked, |asked| asked.len() < enough).unwrap());
    }
}

impl State {
    fn hear(&self, asked: Asked) {
        self.asked.lock().unwrap().push(asked);
        self.heard.notify_all();
    }
}

impl Target {
    /// A target that answers each request with the bytes that `answer` makes, on connections that stay.
    pub(crate) fn start(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Target {
        Target::speaking(|socket| Box::new(socket), answer)
    }

    /// The same, speaking what `speak` makes of each socket.
    pub(crate) fn speaking(
        speak: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Sync + 'static,
        answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    ) -> Target {
        Target::serving(move |socket, state| {
            let mut stream = BufReader::new(speak(socket));
            while let Some(asked) = read_head(&mut stream) {
                let bytes = answer(&asked);
                state.hear(asked);
                let closes = bytes.windows(17).any(|w| w.eq_ignore_ascii_case(b"connection: close"));
                if bytes.is_empty() || stream.get_mut().write_all(&bytes).is_err() || closes {
                    return;
                }
                _ = stream.get_mut().flush();
            }
        })
    }

    /// A target that does with each connection what `serve` does, after the head of the first request was read.
    pub(crate) fn raw(serve: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Target {
        Target::raw_asked(move |socket, _| serve(socket))
    }

    /// The same, knowing the head.
    pub(crate) fn raw_asked(serve: impl Fn(&mut TcpStream, &Asked) + Send + Sync + 'static) -> Target {
        Target::serving(move |mut socket, state| {
            if let Some(asked) = read_head(&mut BufReader::new(socket.try_clone().unwrap())) {
                state.hear(asked.clone());
                serve(&mut socket, &asked);
            }
        })
    }

    /// A server that does with each connection what `serve` does.
    pub(crate) fn accepting(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Target {
        Target::serving(move |socket, _| serve(socket))
    }

    fn serving(serve: impl Fn(TcpStream, &State) + Send + Sync + 'static) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let (shared, serve) = (Arc::clone(&state), Arc::new(serve));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if shared.gone.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(socket) = socket else { return };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (serve, shared) = (Arc::clone(&serve), Arc::clone(&shared));
                std::thread::spawn(move || serve(socket, &shared));
            }
        });
        Target { address, state }
    }

    /// A target that always says this.
    pub(crate) fn saying(body: &str) -> Target {
        let answer = text(body);
        Target::start(move |_| answer.clone())
    }

    /// How many connections it has had.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// One that sees how often it is asked, wherever it goes.
    pub(crate) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.state))
    }

    /// What it has been asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.state.gone.store(true, Ordering::SeqCst);
        // Wakes the one who accepts.
        _ = TcpStream::connect(self.address);
    }
}

fn read_head(stream: &mut impl BufRead) -> Option<Asked> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head[before..].trim_end().is_empty() {
            return Some(Asked { head: head.replace("\r\n", "\n") });
        }
    }
}

/// The answer that is this text.
pub(crate) fn text(body: &str) -> Vec<u8> {
    answer("200 OK", "Content-Type: text/plain; version=0.0.4\r\n", body.as_bytes())
}

/// An answer of known length.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
