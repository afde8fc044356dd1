//! A connection to the first of a server's addresses that answers.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::{Failure, Means};

/// Of several addresses each gets at least so long, if there is so long.
const CONNECT_NS_MIN: u64 = 2_000_000_000;

/// Addresses that are being tried.
pub(super) struct Connecting {
    pub(super) socket: Option<TcpStream>,
    to: Option<SocketAddr>,
    pub(super) rest: VecDeque<SocketAddr>,
    pub(super) until_ns: u64,
    /// Of the first address that failed.
    pub(super) failure: String,
}

impl Connecting {
    pub(super) fn new(addresses: &[SocketAddr], port: u16) -> Connecting {
        let at = |mut address: SocketAddr| {
            address.set_port(port);
            address
        };
        let rest = addresses.iter().copied().map(at).collect();
        Connecting { socket: None, to: None, rest, until_ns: 0, failure: String::new() }
    }

    /// Goes on connecting: the socket, once there is one. With none under way all have failed.
    pub(super) fn step(
        &mut self,
        token: Token,
        deadline_ns: u64,
        means: &mut Means<'_>,
    ) -> Result<Option<TcpStream>, Failure> {
        loop {
            if let Some(socket) = &self.socket {
                match connected(socket) {
                    Ok(true) => return Ok(self.socket.take()),
                    Ok(false) if means.now_ns < self.until_ns || self.rest.is_empty() => return Ok(None),
                    Ok(false) => self.fail(&ErrorKind::TimedOut.into()),
                    Err(error) => self.fail(&error),
                }
            }
            let Some(to) = self.rest.pop_front() else { return Ok(None) };
            let left_ns = deadline_ns.saturating_sub(means.now_ns);
            // Each address gets its part of the time, as Go's dialer has it.
            let part_ns = left_ns / (self.rest.len() as u64 + 1);
            self.until_ns = means.now_ns + part_ns.max(CONNECT_NS_MIN.min(left_ns));
            self.to = Some(to);
            match TcpStream::connect(to) {
                Err(error) => self.fail(&error),
                Ok(mut socket) => {
                    let both = Interest::READABLE | Interest::WRITABLE;
                    match means.registry.register(&mut socket, token, both) {
                        Ok(()) => self.socket = Some(socket),
                        Err(error) => self.fail(&error),
                    }
                }
            }
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.socket = None;
        let to = self.to.map_or_else(String::new, |to| to.to_string());
        // The first one is told: it is the one that most would have taken.
        if self.failure.is_empty() {
            self.failure = format!("dial tcp {to}: connect: {}", spoken(error));
        }
    }
}

/// Whether a socket is connected by now.
fn connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotConnected => Ok(false),
        // Elsewhere than on Linux a connection under way has no peer, either.
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(false),
        Err(e) => Err(e),
    }
}

/// An error as Go's programs have it, without the number.
pub(super) fn spoken(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => error.to_string(),
    }
}
