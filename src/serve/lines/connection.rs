//! A connection of lines: its socket, its decoder, and what of a line has come so far.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::event::Source;
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

use crate::model::WriteResult;

use super::super::door::Context;
use super::super::transport::Transport;
use super::feed::{Lane, LineDecoder, Sender};
use super::options::LineProtocol;

/// A connection on its way to its worker.
#[derive(Debug)]
pub(in crate::serve) struct Arrival {
    pub(in crate::serve) socket: LineSocket,
    /// The number of the listener that it came by.
    pub(in crate::serve) listener: usize,
    /// Who is at the other end, where the transport says so.
    pub(in crate::serve) sender: Sender,
}

/// A connected socket.
#[derive(Debug)]
pub(in crate::serve) enum LineSocket {
    /// Over TCP, encrypted or not.
    Tcp(Transport),
    Unix(UnixStream),
}

/// One connection.
#[derive(Debug)]
pub(super) struct LineConnection {
    pub(super) socket: LineSocket,
    pub(super) listener: usize,
    pub(super) sender: Sender,
    pub(super) decoder: LineDecoder,
    pub(super) lane: Lane,
    /// Answers that the peer has not taken yet.
    out: Vec<u8>,
    /// Bytes read and not used yet.
    pub(super) tail: Vec<u8>,
    /// The tail is more than the start of a line: the engine had no room.
    pub(super) unfed: bool,
    /// The socket may have more to read.
    pub(super) readable: bool,
    /// The peer has closed its side.
    pub(super) ended: bool,
    /// It is in the list of those to be gone on with.
    pub(super) queued: bool,
    pub(super) last_read_ns: u64,
    /// While draining: bytes that are still read of it.
    pub(super) drain_bytes_left: usize,
}

/// What became of reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LineRead {
    Bytes(usize),
    Nothing,
    Ended,
}

impl LineConnection {
    pub(super) fn new(
        arrival: Arrival,
        protocol: &LineProtocol,
        context: Option<&Arc<Context>>,
        now_ns: u64,
    ) -> LineConnection {
        let decoder = match &arrival.socket {
            LineSocket::Tcp(_) => LineDecoder::new(protocol),
            LineSocket::Unix(_) => LineDecoder::on_path(protocol),
        };
        LineConnection {
            socket: arrival.socket,
            listener: arrival.listener,
            sender: arrival.sender,
            decoder,
            lane: Lane::new(protocol, context.cloned()),
            out: Vec::new(),
            tail: Vec::new(),
            unfed: false,
            readable: true,
            ended: false,
            queued: false,
            last_read_ns: now_ns,
            drain_bytes_left: DRAIN_BYTES_MAX,
        }
    }

    /// Whether no line can come yet.
    pub(super) fn is_shaking_hands(&self) -> bool {
        matches!(&self.socket, LineSocket::Tcp(socket) if socket.is_shaking_hands())
    }

    /// Reads once. A broken connection has ended like any other: what came of it stays.
    pub(super) fn read(&mut self, into: &mut [u8], now_ns: u64) -> LineRead {
        match self.socket.read(into) {
            Ok(n) if n > 0 => {
                self.last_read_ns = now_ns;
                LineRead::Bytes(n)
            }
            // It stays readable: others have their turn first.
            Err(e) if e.kind() == ErrorKind::Interrupted => LineRead::Nothing,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                LineRead::Nothing
            }
            Ok(_) | Err(_) => {
                self.readable = false;
                self.ended = true;
                LineRead::Ended
            }
        }
    }

    /// Says what was wrong with lines, a line each, and what was asked beside them, where the protocol has it. A peer
    /// that does not read its answers misses some.
    pub(super) fn answer(&mut self, result: &WriteResult) {
        let Some(answers) = self.decoder.answers() else { return };
        for error in &result.errors {
            if self.out.len() < OUT_BYTES_MAX {
                self.out.extend_from_slice(error.error.as_bytes());
                self.out.push(b'\n');
            }
        }
        if self.out.len() < OUT_BYTES_MAX {
            self.out.extend_from_slice(&answers);
        }
    }

    /// Sends answers, as far as the peer takes them.
    pub(super) fn send(&mut self) {
        while !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Ok(n) if n > 0 => drop(self.out.drain(..n)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                // Who closed the connection wants no answers; that it is closed is for reading to find.
                Ok(_) | Err(_) => self.out.clear(),
            }
        }
        self.out = Vec::new();
        // What TLS still holds of answers and of a handshake; what is wrong with the socket is for reading to find.
        _ = self.socket.flush();
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        let session = match &self.socket {
            LineSocket::Tcp(socket) => socket.memory_bytes(),
            LineSocket::Unix(_) => 0,
        };
        size_of::<LineConnection>() + session + self.tail.capacity() + self.out.capacity()
    }
}

impl Read for LineSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            LineSocket::Tcp(socket) => socket.read(into),
            LineSocket::Unix(socket) => socket.read(into),
        }
    }
}

impl Write for LineSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            LineSocket::Tcp(socket) => socket.write(bytes),
            LineSocket::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            LineSocket::Tcp(socket) => socket.flush(),
            LineSocket::Unix(_) => Ok(()),
        }
    }
}

impl Source for LineSocket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            LineSocket::Tcp(socket) => socket.socket().register(registry, token, interests),
            LineSocket::Unix(socket) => socket.register(registry, token, interests),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            LineSocket::Tcp(socket) => socket.socket().reregister(registry, token, interests),
            LineSocket::Unix(socket) => socket.reregister(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            LineSocket::Tcp(socket) => socket.socket().deregister(registry),
            LineSocket::Unix(socket) => socket.deregister(registry),
        }
    }
}

/// What a drain reads of a peer that goes on sending: more than the kernel has buffered when it begins.
const DRAIN_BYTES_MAX: usize = 8 << 20;

/// Answers kept for a peer that does not read.
const OUT_BYTES_MAX: usize = 64 << 10;
