//! The bytes of a connection to a server: as they are on its socket, or out of and into TLS, which may lie in the TLS
//! of a proxy.
//!
//! Without I/O that waits: reading and writing say `WouldBlock`, and the poll tells when to come back.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::scrape::tls;

/// A connection's socket and what is spoken on it.
pub(super) enum Transport {
    Plain(Plain),
    Tls(Box<Tls>),
}

/// A socket, and what its poll is to tell of it.
pub(super) struct Plain {
    socket: TcpStream,
    /// Only what comes in: else each answer is told twice, since there is room for a request all the time.
    reads_only: bool,
}

/// A TLS session, and what carries it.
pub(super) struct Tls {
    below: Transport,
    session: ClientConnection,
    /// Bytes taken in since the turn began.
    taken: usize,
}

/// About what rustls holds for a session.
const SESSION_BYTES: usize = 24 << 10;

/// Times that bytes are taken in for each call: a server that sends them one by one must not keep a worker.
const READS_MAX: usize = 64;

/// Bytes taken in for each turn, about: records that hold nothing, tickets among them, cost far more than to copy them.
const TURN_BYTES_MAX: usize = 128 << 10;

impl Transport {
    /// Speaks plainly on a socket that a poll tells everything of.
    pub(super) fn plain(socket: TcpStream) -> Transport {
        Transport::Plain(Plain { socket, reads_only: false })
    }

    /// Speaks TLS from here on.
    pub(super) fn tls(
        below: Transport,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Transport, rustls::Error> {
        let session = ClientConnection::new(config, name)?;
        Ok(Transport::Tls(Box::new(Tls { below, session, taken: 0 })))
    }

    /// Others have had their turn: as many bytes as a turn may take may be taken again. Where that was too few, reading
    /// and shaking hands say `Interrupted`.
    pub(super) fn begin_turn(&mut self) {
        if let Transport::Tls(tls) = self {
            tls.taken = 0;
            tls.below.begin_turn();
        }
    }

    /// Whether bytes go as they are.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Transport::Plain(_))
    }

    /// The request is sent, and an answer may come: has the poll tell of nothing else. Whether it is sure to tell, even
    /// if the answer is there already, provided that nothing was when the poll told last.
    pub(super) fn expect_answer(&mut self, token: Token, registry: &Registry) -> bool {
        let Transport::Plain(Plain { socket, reads_only }) = self else { return false };
        // Registering anew also tells anew of what is there.
        *reads_only = *reads_only || registry.reregister(socket, token, Interest::READABLE).is_ok();
        *reads_only
    }

    /// There is no room for the request: has the poll tell when there is some.
    pub(super) fn expect_room(&mut self, token: Token, registry: &Registry) -> io::Result<()> {
        if let Transport::Plain(Plain { socket, reads_only }) = self
            && std::mem::replace(reads_only, false)
        {
            registry.reregister(socket, token, Interest::READABLE | Interest::WRITABLE)?;
        }
        Ok(())
    }

    /// Goes on with what comes before the first byte; `WouldBlock` until that is done.
    pub(super) fn shake_hands(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) => Ok(()),
            Transport::Tls(tls) => tls.shake_hands(),
        }
    }

    /// Bytes of buffers held, about.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Transport::Plain(_) => 0,
            Transport::Tls(tls) => size_of::<Tls>() + SESSION_BYTES + tls.below.memory_bytes(),
        }
    }
}

impl Read for Transport {
    /// Reads what there is; 0: the server has closed its side.
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(plain) => plain.socket.read(into),
            Transport::Tls(tls) => tls.read(into),
        }
    }
}

impl Write for Transport {
    /// Writes some of `bytes`: what was taken may be held until [`Write::flush`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(plain) => plain.socket.write(bytes),
            Transport::Tls(tls) => {
                tls.shake_hands()?;
                tls.session.writer().write(bytes)
            }
        }
    }

    /// What rustls has to say lies in pieces.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Plain(plain) => plain.socket.write_vectored(pieces),
            Transport::Tls(tls) => {
                tls.shake_hands()?;
                tls.session.writer().write_vectored(pieces)
            }
        }
    }

    /// Writes what is held.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) => Ok(()),
            Transport::Tls(tls) => tls.flush(),
        }
    }
}

impl Tls {
    /// Nothing is said before it is known to whom.
    fn shake_hands(&mut self) -> io::Result<()> {
        for _ in 0..READS_MAX {
            self.flush()?;
            if !self.session.is_handshaking() {
                return Ok(());
            }
            if self.take_in()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.process()?;
        }
        Err(io::Error::new(ErrorKind::InvalidData, "the TLS handshake does not end"))
    }

    /// Takes in what has come; 0: the other side is closed.
    fn take_in(&mut self) -> io::Result<usize> {
        if self.taken >= TURN_BYTES_MAX {
            return Err(ErrorKind::Interrupted.into());
        }
        let taken = self.session.read_tls(&mut self.below)?;
        self.taken += taken;
        Ok(taken)
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        for _ in 0..READS_MAX {
            match self.session.reader().read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.take_in()?;
            self.process()?;
            match self.flush() {
                Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e),
                _ => {}
            }
        }
        Err(ErrorKind::Interrupted.into())
    }

    fn process(&mut self) -> io::Result<()> {
        match self.session.process_new_packets() {
            Ok(_) => Ok(()),
            Err(error) => {
                // The alert that says why.
                let _ = self.flush();
                Err(io::Error::new(ErrorKind::InvalidData, tls::spoken(&error)))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.below) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => _ = other?,
            }
        }
        self.below.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

    /// Bytes that the server sends, a record each: more than a turn takes in.
    const RECORDS: usize = 20_000;

    /// A connection to a server that sends records of a byte.
    fn dripping() -> Transport {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(signed.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let session = ServerConnection::new(Arc::new(server)).unwrap();
            let mut stream = StreamOwned::new(session, listener.accept().unwrap().0);
            (0..RECORDS).for_each(|_| stream.write_all(b"x").unwrap());
            // Until the client has gone.
            let _ = stream.read(&mut [0]);
        });
        let below = Transport::plain(TcpStream::from_std(socket));
        Transport::tls(below, Arc::new(client), ServerName::try_from("localhost").unwrap()).unwrap()
    }

    #[test]
    fn a_turn_takes_in_a_bounded_number_of_bytes() {
        let mut transport = dripping();
        let (mut turns, mut read) = (1, 0);
        while read < RECORDS {
            let piece = transport.shake_hands().and_then(|()| transport.read(&mut [0; 2]));
            let Transport::Tls(tls) = &transport else { unreachable!("it speaks TLS") };
            // What is taken in at once goes past the bound by a read.
            assert!(tls.taken < TURN_BYTES_MAX + (16 << 10), "{}", tls.taken);
            match piece {
                Ok(n) => read += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(e) => {
                    assert_eq!(
                        (e.kind(), tls.taken >= TURN_BYTES_MAX),
                        (ErrorKind::Interrupted, true),
                        "{e}"
                    );
                    turns += 1;
                    transport.begin_turn();
                }
            }
        }
        assert!(turns >= RECORDS * 20 / TURN_BYTES_MAX, "{turns} turns");
    }
}
