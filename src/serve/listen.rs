//! Sockets that are listened on, with room for a burst of connections to wait in.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use mio::net::{TcpListener, UnixListener};

/// Listens on an address.
///
/// # Errors
/// The operating system's.
pub(super) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).and_then(widen)
}

/// Listens on a path.
///
/// # Errors
/// The operating system's.
pub(super) fn unix(path: &Path) -> io::Result<UnixListener> {
    UnixListener::bind(path).and_then(widen)
}

/// Has [`WAITING_MAX`] connections wait for the listener, where its library asked for 128: a connection that finds no
/// room is tried again by its kernel a second later, or refused on a path.
#[allow(unsafe_code)]
fn widen<S: AsFd>(listener: S) -> io::Result<S> {
    // SAFETY: no pointers, and the descriptor is borrowed. To listen once more changes only how many may wait.
    match unsafe { libc::listen(listener.as_fd().as_raw_fd(), WAITING_MAX) } {
        0 => Ok(listener),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Connections that wait to be accepted, as far as the system allows it (net.core.somaxconn, 4096 by default): all
/// agents of a large site that come at once after a restart. The kernel has about 2.5 KiB for each, 10 MiB in all.
const WAITING_MAX: libc::c_int = 4096;

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use mio::net::UnixStream;

    use super::super::lines::{Endpoint, Gate, LineListener, LineProtocol};
    use super::*;
    use crate::relabel::Rules;

    /// Connects as often as the system allows it, 300 times at most, to a listener that accepts none.
    fn connect_all<S>(connect: impl Fn() -> io::Result<S>) {
        let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let allowed = allowed.map_or(128, |text| text.trim().parse().unwrap());
        let connected: io::Result<Vec<S>> = (0..allowed.min(300)).map(|_| connect()).collect();
        assert_eq!(connected.map(|all| all.len()).map_err(|e| e.to_string()), Ok(allowed.min(300)));
    }

    fn knock(address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect_timeout(&address, Duration::from_secs(10))
    }

    // One after the other: each takes many descriptors.
    #[test]
    fn a_burst_of_connections_finds_room_to_wait() {
        let any = "127.0.0.1:0".parse().unwrap();
        let http = tcp(any).unwrap();
        connect_all(|| knock(http.local_addr().unwrap()));

        let bind = |endpoint| {
            let protocol = LineProtocol::Graphite;
            let rules = Rules::default();
            let (receive_buffer_bytes, idle_ns_max) = (0, 0);
            let tls = None;
            Gate::bind(&LineListener { endpoint, protocol, receive_buffer_bytes, idle_ns_max, tls, rules })
        };
        let lines = bind(Endpoint::Tcp(any)).unwrap();
        let Endpoint::Tcp(address) = lines.endpoint else { unreachable!("as it was bound") };
        connect_all(|| knock(address));

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let _lines = bind(Endpoint::Unix(path.clone())).unwrap();
        connect_all(|| UnixStream::connect(&path));
    }
}
