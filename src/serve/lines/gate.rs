//! A listener: its socket, and what belongs to it alone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};
use mio::{Interest, Registry, Token};

use super::super::door::{Context, Handshakes, Tls};
use super::super::listen;
use super::super::transport::Transport;
use super::connection::LineSocket;
use super::datagrams;
use super::feed::{Lane, LineDecoder, Sender, Sums};
use super::options::{Endpoint, LineListener, LineProtocol};
use super::report::DatagramCounts;
use super::socket::{self, SocketFile};

/// A listener.
#[derive(Debug)]
pub(in crate::serve) struct Gate {
    socket: GateSocket,
    /// Of its connections.
    tls: Option<Tls>,
    /// How those began that are encrypted.
    pub(in crate::serve) handshakes: Arc<Handshakes>,
    /// Its path on disk, removed with it.
    _file: Option<SocketFile>,
    /// Where it listens, with the port that was given for 0.
    pub(in crate::serve) endpoint: Endpoint,
    /// Of its datagrams.
    pub(super) decoder: LineDecoder,
    pub(super) lane: Lane,
    /// Of StatsD.
    pub(super) sums: Option<Sums>,
    /// Of a socket for datagrams.
    pub(in crate::serve) counts: Option<Arc<DatagramCounts>>,
    /// There may be something to accept or to read.
    pub(super) readable: bool,
    /// Nothing can be accepted, and that was said.
    pub(super) accept_fails: bool,
    /// Datagrams came since the kernel was asked what it dropped.
    pub(super) unsure: bool,
    dropped: u32,
    /// While draining: batches that are still read.
    pub(super) drain_batches_left: u32,
}

#[derive(Debug)]
enum GateSocket {
    Tcp(TcpListener),
    Udp(UdpSocket),
    Unix(UnixListener),
    Unixgram(UnixDatagram),
}

impl Gate {
    /// Binds.
    ///
    /// # Errors
    /// It cannot be listened there.
    pub(in crate::serve) fn bind(listener: &LineListener) -> io::Result<Gate> {
        let refused =
            |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {}: {e}", listener.endpoint));
        Gate::bind_plainly(listener).map_err(refused)
    }

    fn bind_plainly(listener: &LineListener) -> io::Result<Gate> {
        let (socket, file, endpoint) = match &listener.endpoint {
            Endpoint::Tcp(address) => {
                let socket = listen::tcp(*address)?;
                let endpoint = Endpoint::Tcp(socket.local_addr()?);
                (GateSocket::Tcp(socket), None, endpoint)
            }
            Endpoint::Udp(address) => {
                let socket = UdpSocket::bind(*address)?;
                let endpoint = Endpoint::Udp(socket.local_addr()?);
                (GateSocket::Udp(socket), None, endpoint)
            }
            Endpoint::Unix(path) => {
                let (socket, file) = socket::bind(path, listen::unix, socket::knock_stream)?;
                (GateSocket::Unix(socket), Some(file), listener.endpoint.clone())
            }
            Endpoint::Unixgram(path) => {
                let (socket, file) =
                    socket::bind(path, |path| UnixDatagram::bind(path), socket::knock_datagram)?;
                (GateSocket::Unixgram(socket), Some(file), listener.endpoint.clone())
            }
        };
        let counts = endpoint.is_datagram().then(|| {
            Arc::new(DatagramCounts { listener: endpoint.to_string(), ..DatagramCounts::default() })
        });
        let tls = listener.tls.as_ref().map(Tls::new).transpose();
        let tls = tls.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let gate = Gate {
            socket,
            tls,
            handshakes: Arc::new(Handshakes::new(endpoint.to_string())),
            _file: file,
            endpoint,
            decoder: LineDecoder::new(&listener.protocol),
            lane: Lane::new(&listener.protocol, None),
            sums: Sums::new(&listener.protocol, None),
            counts,
            readable: false,
            accept_fails: false,
            unsure: false,
            dropped: 0,
            drain_batches_left: DRAIN_BATCHES_MAX,
        };
        if let Some(socket) = gate.datagrams() {
            let room = datagrams::reserve(socket, listener.receive_buffer_bytes)?;
            if room < listener.receive_buffer_bytes {
                tracing::info!(
                    listener = %gate.endpoint,
                    wanted = listener.receive_buffer_bytes,
                    receive_buffer = room,
                    "the system allows a smaller receive buffer (net.core.rmem_max)"
                );
            }
        }
        Ok(gate)
    }

    /// What is done with the labels of its rows, known once there is an engine.
    pub(in crate::serve) fn label(&mut self, protocol: &LineProtocol, context: &Arc<Context>) {
        self.lane = Lane::new(protocol, Some(Arc::clone(context)));
        self.sums = Sums::new(protocol, Some(Arc::clone(context)));
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let source: &mut dyn Source = match &mut self.socket {
            GateSocket::Tcp(socket) => socket,
            GateSocket::Udp(socket) => socket,
            GateSocket::Unix(socket) => socket,
            GateSocket::Unixgram(socket) => socket,
        };
        registry.register(source, token, Interest::READABLE)
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// There is none, or the system's reasons.
    pub(super) fn accept(&self, now_ns: u64) -> io::Result<(LineSocket, Sender)> {
        match &self.socket {
            GateSocket::Tcp(listener) => {
                let (socket, peer) = listener.accept()?;
                let socket = match &self.tls {
                    None => Transport::Plain(socket),
                    Some(tls) => Transport::tls_for_lines(socket, tls.config(now_ns), &self.handshakes)
                        .map_err(io::Error::other)?,
                };
                Ok((LineSocket::Tcp(socket), Sender(Some(peer.ip()))))
            }
            GateSocket::Unix(listener) => {
                let (socket, _) = listener.accept()?;
                Ok((LineSocket::Unix(socket), Sender(None)))
            }
            GateSocket::Udp(_) | GateSocket::Unixgram(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// The socket, if datagrams come in there.
    pub(super) fn datagrams(&self) -> Option<BorrowedFd<'_>> {
        match &self.socket {
            GateSocket::Udp(socket) => Some(socket.as_fd()),
            GateSocket::Unixgram(socket) => Some(socket.as_fd()),
            GateSocket::Tcp(_) | GateSocket::Unix(_) => None,
        }
    }

    /// Whether its connections are encrypted.
    pub(in crate::serve) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads a batch of datagrams. `false`: there are none.
    pub(super) fn receive(&mut self, batch: &mut datagrams::Batch) -> bool {
        let with_senders = self.sums.is_some() && matches!(self.socket, GateSocket::Udp(_));
        let Some(socket) = self.datagrams() else { return false };
        match datagrams::receive(socket, batch, with_senders) {
            Ok(()) => {
                if let Some(counts) = &self.counts {
                    counts.received.add(batch.len() as u64);
                }
                self.unsure = true;
                true
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => true,
            Err(e) => {
                if e.kind() != io::ErrorKind::WouldBlock {
                    tracing::warn!(listener = %self.endpoint, error = %e, "datagrams could not be read");
                }
                self.readable = false;
                false
            }
        }
    }

    /// Asks the kernel what it dropped.
    pub(super) fn count_dropped(&mut self) {
        self.unsure = false;
        let dropped = self.datagrams().and_then(datagrams::dropped);
        if let (Some(dropped), Some(counts)) = (dropped, &self.counts) {
            counts.dropped.add(u64::from(dropped.wrapping_sub(self.dropped)));
            self.dropped = dropped;
        }
    }
}

/// What a drain reads of a socket that is sent to without end: more than the kernel holds when it begins.
const DRAIN_BATCHES_MAX: u32 = 1024;
