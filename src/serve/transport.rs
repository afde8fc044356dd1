//! The bytes of a connection: as they are on its socket, or out of and into TLS.
//!
//! Without I/O that waits: reading and writing say `WouldBlock`, and the poll tells when to come back. What a session
//! holds is bounded by rustls: a record of 16 KiB to read, and what is given to [`Transport::write`] until it is
//! flushed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};

use super::door::Handshakes;

/// A connection's socket and what is spoken on it.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

/// A TLS session.
#[derive(Debug)]
pub(super) struct Tls {
    socket: TcpStream,
    session: ServerConnection,
    /// The first bytes have come, and were not HTTP without TLS.
    begun: bool,
    /// The handshake, until it has come to something or to nothing.
    handshake: Option<Handshake>,
}

/// A handshake that is under way.
#[derive(Debug)]
struct Handshake {
    all: Arc<Handshakes>,
    /// Asked for at once: a socket that was reset knows it no more.
    peer: Option<SocketAddr>,
    /// The peer has said something.
    heard: bool,
}

/// What Go's server says on a TLS port to who doesn't speak TLS.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// About what rustls holds for a session.
const SESSION_BYTES: usize = 24 << 10;

/// Records read for each call: a peer that sends empty ones must not keep a worker.
const RECORDS_MAX: usize = 64;

impl Transport {
    /// Speaks TLS on a socket, from the first byte on.
    pub(super) fn tls(
        socket: TcpStream,
        config: Arc<ServerConfig>,
        handshakes: &Arc<Handshakes>,
    ) -> Result<Transport, rustls::Error> {
        Transport::secured(socket, config, handshakes, false)
    }

    /// The same where lines are expected: who doesn't speak TLS is told so by TLS.
    pub(super) fn tls_for_lines(
        socket: TcpStream,
        config: Arc<ServerConfig>,
        handshakes: &Arc<Handshakes>,
    ) -> Result<Transport, rustls::Error> {
        Transport::secured(socket, config, handshakes, true)
    }

    fn secured(
        socket: TcpStream,
        config: Arc<ServerConfig>,
        handshakes: &Arc<Handshakes>,
        begun: bool,
    ) -> Result<Transport, rustls::Error> {
        let handshake = Handshake::new(&socket, handshakes);
        let session = ServerConnection::new(config)?;
        Ok(Transport::Tls(Box::new(Tls { socket, session, begun, handshake })))
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(tls) => &mut tls.socket,
        }
    }

    /// Reads what there is; 0: the peer has closed its side.
    #[inline]
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.read(into),
            Transport::Tls(tls) => tls.read(into),
        }
    }

    /// Takes some of `bytes`; with TLS they may be held until [`Transport::flush`].
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write(bytes),
            Transport::Tls(tls) => tls.write(bytes),
        }
    }

    /// Writes what is held.
    #[inline]
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) => Ok(()),
            Transport::Tls(tls) => tls.flush(),
        }
    }

    /// Whether no request can come yet.
    pub(super) fn is_shaking_hands(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(tls) => tls.session.is_handshaking(),
        }
    }

    /// Says goodbye and shuts the write side down; what the socket does not take at once is lost.
    pub(super) fn shut_down(&mut self) -> io::Result<()> {
        self.say_goodbye();
        self.socket().shutdown(Shutdown::Write)
    }

    /// Says that no more is coming, where there is a word for it.
    pub(super) fn say_goodbye(&mut self) {
        if let Transport::Tls(tls) = self
            && !tls.session.is_handshaking()
        {
            tls.session.send_close_notify();
            // Who has stopped reading is told by the end of the connection.
            let _ = tls.flush();
        }
    }

    /// The peer has shown a certificate that was checked.
    pub(super) fn peer_is_verified(&self, checks: bool) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(tls) => checks && tls.session.peer_certificates().is_some(),
        }
    }

    /// Where the peer is.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        let socket = match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(tls) => &tls.socket,
        };
        socket.peer_addr().ok().map(|address| address.ip().to_canonical())
    }

    /// Bytes of buffers held, about.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Transport::Plain(_) => 0,
            Transport::Tls(_) => size_of::<Tls>() + SESSION_BYTES,
        }
    }
}

impl Handshake {
    fn new(socket: &TcpStream, all: &Arc<Handshakes>) -> Option<Handshake> {
        Some(Handshake { all: Arc::clone(all), peer: socket.peer_addr().ok(), heard: false })
    }

    /// Whether what came of reading is its end; it is counted then.
    fn has_failed(&self, read: &io::Result<usize>) -> bool {
        match read {
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return false,
            // Who connects and says nothing, as a health check does, has begun none.
            _ if !self.heard => {}
            Err(error) => self.all.fail(self.peer, error),
            Ok(_) => self.all.fail(self.peer, &"the peer has closed the connection"),
        }
        true
    }
}

impl Tls {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.read_session(into);
        if let Some(handshake) = &self.handshake
            && (!self.session.is_handshaking() || handshake.has_failed(&read))
        {
            self.handshake = None;
        }
        read
    }

    fn read_session(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            self.begin()?;
        }
        for _ in 0..RECORDS_MAX {
            match self.session.reader().read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // No goodbye: the requests' framing says whether anything is missing.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if self.session.read_tls(&mut self.socket)? == 0 && self.session.is_handshaking() {
                return Ok(0);
            }
            self.hear();
            if let Err(error) = self.session.process_new_packets() {
                tracing::debug!(%error, "TLS session failed");
                // The alert that says why.
                let _ = self.flush();
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            if self.session.wants_write() {
                match self.flush() {
                    Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e),
                    _ => {}
                }
            }
        }
        Err(ErrorKind::Interrupted.into())
    }

    /// Looks at the first byte: a record's type is no letter, a method is.
    fn begin(&mut self) -> io::Result<()> {
        let mut first = [0];
        if self.socket.peek(&mut first)? == 0 || !first[0].is_ascii_uppercase() {
            self.begun = true;
            return Ok(());
        }
        self.hear();
        let _ = self.socket.write(NOT_TLS);
        let _ = self.socket.shutdown(Shutdown::Write);
        // What lies unread makes the kernel send a reset, which may overtake the answer.
        let mut rest = [0; 4096];
        for _ in 0..RECORDS_MAX {
            if !matches!(self.socket.read(&mut rest), Ok(1..)) {
                break;
            }
        }
        Err(io::Error::new(ErrorKind::InvalidData, "a request without TLS"))
    }

    fn hear(&mut self) {
        if let Some(handshake) = &mut self.handshake {
            handshake.heard = true;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let taken = self.session.writer().write(bytes)?;
        match self.flush() {
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(taken),
            other => other.map(|()| taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => _ = other?,
            }
        }
        Ok(())
    }
}
