//! What is said with a proxy before a server can be spoken to: nothing, CONNECT (RFC 9110, 9.3.6), or SOCKS.
//!
//! Comes in: what the proxy says, in pieces of any size. Goes out: what it is to be told, and how many bytes it is to
//! be heard for: those behind them are the server's. Keeps: a proxy is heard for a bounded number of bytes, and told
//! the same whoever asks, workers or discovery. It refuses to know how bytes travel, and how long that may take.

use crate::scrape::job::{ClientOptions, Scheme};

use super::proxy::{Proxy, ProxyKind};
use super::request::write_connect;
use super::response::{HEAD_BYTES_MAX, Head};
use super::socks::{REPLY_BYTES_MAX, Socks};
use super::url::Origin;

/// Bytes [wanted](Speech::wants) at once, at most.
pub(in crate::scrape) const PIECE_BYTES_MAX: usize = REPLY_BYTES_MAX;

/// A conversation with a proxy.
pub(in crate::scrape) enum Speech {
    /// The proxy takes requests as they are.
    Forward,
    Connect(Answer),
    Socks(Socks),
}

/// The head of the answer to CONNECT.
#[derive(Default)]
pub(in crate::scrape) struct Answer {
    head: Vec<u8>,
    is_open: bool,
}

impl Speech {
    /// Begins to ask for the way to a server; what is to be said at once is appended to `out`.
    ///
    /// # Errors
    /// The proxy cannot be asked for that: what it is to be told cannot be read or written, or the server is none.
    pub(in crate::scrape) fn new(
        client: &ClientOptions,
        proxy: &Proxy,
        to: &Origin,
        out: &mut Vec<u8>,
    ) -> Result<Speech, String> {
        Ok(match (proxy.kind, to.scheme) {
            (ProxyKind::Socks, _) => Speech::Socks(Socks::new(proxy.user.clone(), (&to.host, to.port), out)?),
            (_, Scheme::Http) => Speech::Forward,
            (_, Scheme::Https) => {
                write_connect(&client.proxy.connect_headers, proxy, to, out)?;
                Speech::Connect(Answer::default())
            }
        })
    }

    /// How many bytes are to be heard next, at most; 0: the way is open.
    pub(in crate::scrape) fn wants(&self) -> usize {
        match self {
            Speech::Forward => 0,
            Speech::Connect(answer) => usize::from(!answer.is_open),
            Speech::Socks(socks) => socks.wants(),
        }
    }

    /// Hears some of the bytes [wanted](Speech::wants); what is to be said next is appended to `out`.
    ///
    /// # Errors
    /// What the proxy refuses, or does not speak.
    pub(in crate::scrape) fn hear(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Speech::Forward => Ok(()),
            Speech::Connect(answer) => piece.iter().try_for_each(|&byte| answer.hear(byte)),
            Speech::Socks(socks) => socks.hear(piece, out),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Speech::Connect(answer) => answer.head.capacity(),
            Speech::Forward | Speech::Socks(_) => 0,
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
