//! The way through a proxy: what is said with it before the server can be spoken to.
//!
//! Comes in: a connection to the proxy. Goes out: the same, once what is written to it goes to the server, or to the
//! proxy in the server's place. Keeps: nothing of what the server says is read. A proxy may say its words a byte at a
//! time; each turn hears a bounded number of them, and all turns together do.

use std::io::{self, ErrorKind, Read, Write};

use crate::scrape::job::{ClientOptions, Scheme};

use super::Failure;
use super::connect::spoken;
use super::proxy::{Proxy, ProxyKind};
use super::request::write_connect;
use super::response::{HEAD_BYTES_MAX, Head};
use super::socks::{REPLY_BYTES_MAX, Socks};
use super::transport::Transport;
use super::url::Origin;

/// Pieces heard in a row before others have their turn: of a head, which is read byte by byte, a usual one whole.
const PIECES_IN_A_ROW_MAX: usize = 2 << 10;

/// A way that is being opened.
pub(super) struct Tunnel {
    transport: Transport,
    speech: Speech,
    /// To be said, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// Whose words failures are about.
    whose: String,
}

enum Speech {
    /// The proxy takes requests as they are.
    Forward,
    Connect(Answer),
    Socks(Socks),
}

/// The head of the answer to CONNECT.
#[derive(Default)]
struct Answer {
    head: Vec<u8>,
    is_open: bool,
}

/// What became of a step.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Opening {
    Waits,
    /// There is more to hear at once: others first.
    Again,
    Open,
}

impl Tunnel {
    /// Begins to open the way to a server, on a connection to the proxy.
    ///
    /// # Errors
    /// The proxy cannot be asked for that.
    pub(super) fn new(
        transport: Transport,
        proxy: &Proxy,
        to: &Origin,
        client: &ClientOptions,
    ) -> Result<Tunnel, Failure> {
        let mut out = Vec::new();
        let mut whose = "proxy: ".to_owned();
        let speech = match (proxy.kind, to.scheme) {
            (ProxyKind::Socks, _) => {
                whose = format!("socks connect tcp {}->{}: ", proxy.with_port(), to.with_port());
                let socks = Socks::new(proxy.user.clone(), (&to.host, to.port), &mut out);
                Speech::Socks(socks.map_err(|why| format!("{whose}{why}"))?)
            }
            (_, Scheme::Http) => Speech::Forward,
            (_, Scheme::Https) => {
                write_connect(client, proxy, to, &mut out)?;
                Speech::Connect(Answer::default())
            }
        };
        Ok(Tunnel { transport, speech, out, sent: 0, whose })
    }

    /// Goes on as far as that is possible now.
    pub(super) fn step(&mut self) -> Result<Opening, Failure> {
        match self.transport.shake_hands() {
            Ok(()) => {}
            Err(error) => return self.paused(&error, "proxyconnect tcp: "),
        }
        for _ in 0..PIECES_IN_A_ROW_MAX {
            match self.say() {
                Ok(()) => {}
                Err(error) => return self.paused(&error, &self.whose),
            }
            let wants = self.speech.wants();
            if wants == 0 {
                return Ok(Opening::Open);
            }
            let mut piece = [0; REPLY_BYTES_MAX];
            let n = match self.transport.read(&mut piece[..wants]) {
                Ok(0) => return Err(Failure::Transport(format!("{}EOF", self.whose))),
                Ok(n) => n,
                Err(error) => return self.paused(&error, &self.whose),
            };
            let heard = self.speech.hear(&piece[..n], &mut self.out);
            heard.map_err(|why| format!("{}{why}", self.whose))?;
        }
        Ok(Opening::Again)
    }

    /// Others have had their turn.
    pub(super) fn begin_turn(&mut self) {
        self.transport.begin_turn();
    }

    /// The connection, once the way is open.
    pub(super) fn into_transport(self) -> Transport {
        self.transport
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let heard = match &self.speech {
            Speech::Connect(answer) => answer.head.capacity(),
            Speech::Forward | Speech::Socks(_) => 0,
        };
        self.out.capacity() + heard + self.transport.memory_bytes()
    }

    /// Says what is to be said.
    fn say(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            self.sent += self.transport.write(&self.out[self.sent..])?;
        }
        self.transport.flush()
    }

    /// What an error means that ended a step.
    fn paused(&self, error: &io::Error, whose: &str) -> Result<Opening, Failure> {
        match error.kind() {
            ErrorKind::WouldBlock => Ok(Opening::Waits),
            ErrorKind::Interrupted => Ok(Opening::Again),
            _ => Err(Failure::Transport(format!("{whose}{}", spoken(error)))),
        }
    }
}

impl Speech {
    /// How many bytes are to be heard next, at most; 0: the way is open.
    fn wants(&self) -> usize {
        match self {
            Speech::Forward => 0,
            Speech::Connect(answer) => usize::from(!answer.is_open),
            Speech::Socks(socks) => socks.wants(),
        }
    }

    fn hear(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Speech::Forward => Ok(()),
            Speech::Connect(answer) => piece.iter().try_for_each(|&byte| answer.hear(byte)),
            Speech::Socks(socks) => socks.hear(piece, out),
        }
    }
}

impl Answer {
    /// The head is read once, when it is whole: read anew at each line, it would take its length for each.
    fn hear(&mut self, byte: u8) -> Result<(), String> {
        self.head.push(byte);
        let ends = self.head.ends_with(b"\n\n") || self.head.ends_with(b"\n\r\n");
        if !ends && self.head.len() < HEAD_BYTES_MAX {
            return Ok(());
        }
        match Head::parse(&self.head)? {
            Some(head) if head.status == 200 => self.is_open = true,
            Some(head) => return Err(head.status_text),
            None => return Err("malformed HTTP response".to_owned()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the proxy's words that were left to the server; `None`: more is to come.
    fn left(words: &[u8]) -> Result<Option<usize>, String> {
        let mut answer = Answer::default();
        let mut at = 0;
        while at < words.len() && !answer.is_open {
            answer.hear(words[at])?;
            at += 1;
        }
        Ok(answer.is_open.then_some(words.len() - at))
    }

    #[test]
    fn the_answer_to_connect_ends_with_its_head() {
        for (words, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\nTLS", Ok(Some(3))),
            ("HTTP/1.0 200\n\nTLS", Ok(Some(3))),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 3\r\n\r\n", Ok(Some(0))),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", Ok(None)),
            ("", Ok(None)),
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Err("407 Proxy Authentication Required")),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Err("100 Continue")),
            ("\n\n", Err("malformed HTTP response")),
            ("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Err("malformed HTTP response")),
            ("220 smtp.example ESMTP\r\n\r\n", Err("malformed HTTP response: invalid HTTP version")),
        ] {
            assert_eq!(left(words.as_bytes()), expected.map_err(str::to_owned), "{words:?}");
        }
    }

    #[test]
    fn a_head_without_end_is_given_up() {
        let folded = ["HTTP/1.1 200 OK\r\nA: b\r\n", &" c\n".repeat(HEAD_BYTES_MAX)].concat();
        let why = Err("the response's headers are too long".to_owned());
        assert_eq!(left(folded.as_bytes()), why);
        assert!(left(&[b'a'; HEAD_BYTES_MAX]).is_err());
        assert_eq!(left(&folded.as_bytes()[..HEAD_BYTES_MAX - 1]), Ok(None));
    }
}
