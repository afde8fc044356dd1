//! Proxies: one that speaks SOCKS 5, one that opens tunnels by CONNECT, and TLS before any of them.

use std::io::{Error, ErrorKind, Read, Result, Write, copy};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection};

use super::target::Target;

/// A proxy that speaks SOCKS 5.
pub(crate) struct SocksDouble {
    pub(crate) server: Target,
    asked: Arc<Mutex<Vec<String>>>,
}

impl SocksDouble {
    /// One that wants this name and password, if any, and leads to where `lead` says, or refuses with its code.
    pub(crate) fn start(
        user: Option<(&'static str, &'static str)>,
        lead: impl Fn(&str) -> std::result::Result<SocketAddr, u8> + Send + Sync + 'static,
    ) -> SocksDouble {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let saw = Arc::clone(&asked);
        let server = Target::accepting(move |mut socket| {
            let lead = |to: &str| {
                saw.lock().unwrap().push(to.to_owned());
                lead(to)
            };
            // Whoever asks hears what was wrong.
            _ = serve_socks(&mut socket, user, lead);
        });
        SocksDouble { server, asked }
    }

    /// To where ways were asked for, as `kind host:port`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Its URL, with a user if there is one, who ends in `@`.
    pub(crate) fn url(&self, user: &str) -> String {
        format!("socks5://{user}{}", self.server.address)
    }
}

fn serve_socks(
    socket: &mut TcpStream,
    user: Option<(&str, &str)>,
    lead: impl Fn(&str) -> std::result::Result<SocketAddr, u8>,
) -> Result<()> {
    let [_, methods] = take(socket)?;
    let methods = take_bytes(socket, methods)?;
    let wanted = if user.is_some() { 2 } else { 0 };
    if !methods.contains(&wanted) {
        return drip(socket, &[5, 0xff]);
    }
    drip(socket, &[5, wanted])?;
    if let Some((name, password)) = user {
        let [_, length] = take(socket)?;
        let named = take_bytes(socket, length)?;
        let [length] = take(socket)?;
        let right = take_bytes(socket, length)? == password.as_bytes() && named == name.as_bytes();
        drip(socket, &[1, u8::from(!right)])?;
        if !right {
            return Ok(());
        }
    }
    let [_, _, _, kind] = take(socket)?;
    let host = match kind {
        1 => format!("v4 {}", Ipv4Addr::from(take::<4>(socket)?)),
        4 => format!("v6 {}", Ipv6Addr::from(take::<16>(socket)?)),
        _ => {
            let [length] = take(socket)?;
            let name = take_bytes(socket, length)?;
            format!("name {}", String::from_utf8(name).map_err(|_| ErrorKind::InvalidData)?)
        }
    };
    let [high, low] = take(socket)?;
    let port = u16::from(high) << 8 | u16::from(low);
    match lead(&format!("{host}:{port}")) {
        Ok(server) => {
            let server = TcpStream::connect(server)?;
            drip(socket, b"\x05\x00\x00\x03\x05bound\x00\x50")?;
            join(socket, server)
        }
        Err(code) => drip(socket, &[5, code, 0, 1, 0, 0, 0, 0, 0, 0]),
    }
}

/// A proxy that opens tunnels to one server, once `admits` likes the head of the request.
pub(crate) fn tunnels(to: SocketAddr, admits: impl Fn(&str) -> bool + Send + Sync + 'static) -> Target {
    Target::raw_asked(move |socket, asked| {
        if !admits(&asked.head) {
            _ = socket.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        let server = TcpStream::connect(to).unwrap();
        _ = drip(socket, b"HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\n");
        _ = join(socket, server);
    })
}

/// A proxy that hears what it is told, says this, and does then what `then` does.
pub(crate) fn saying(words: &'static [u8], then: fn(&mut TcpStream)) -> Target {
    Target::accepting(move |mut socket| {
        let mut heard = [0; 1 << 10];
        _ = socket.read(&mut heard);
        if socket.write_all(words).is_ok() {
            then(&mut socket);
        }
    })
}

/// Speaks TLS, and what is said within to another server as it is.
pub(crate) fn in_tls(config: Arc<ServerConfig>, to: SocketAddr) -> Target {
    Target::accepting(move |socket| {
        let server = TcpStream::connect(to).unwrap();
        _ = unwrap_tls(ServerConnection::new(Arc::clone(&config)).unwrap(), socket, server);
    })
}

fn unwrap_tls(session: ServerConnection, mut socket: TcpStream, mut server: TcpStream) -> Result<()> {
    let session = Arc::new(Mutex::new(session));
    let (back, mut from, mut to) = (Arc::clone(&session), server.try_clone()?, socket.try_clone()?);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        loop {
            let n = from.read(&mut piece).unwrap_or(0);
            let mut session = back.lock().unwrap();
            if n == 0 {
                session.send_close_notify();
            }
            _ = session.writer().write_all(&piece[..n]);
            while session.wants_write() && session.write_tls(&mut to).is_ok() {}
            if n == 0 {
                return to.shutdown(Shutdown::Write);
            }
        }
    });
    let mut piece = [0; 4096];
    loop {
        let n = socket.read(&mut piece)?;
        if n == 0 {
            return server.shutdown(Shutdown::Write);
        }
        let mut rest = &piece[..n];
        while !rest.is_empty() {
            let mut session = session.lock().unwrap();
            session.read_tls(&mut rest)?;
            let state = session.process_new_packets();
            while session.wants_write() {
                session.write_tls(&mut socket)?;
            }
            let mut plain = vec![0; state.map_err(Error::other)?.plaintext_bytes_to_read()];
            session.reader().read_exact(&mut plain)?;
            server.write_all(&plain)?;
        }
    }
}

/// Moves bytes both ways until both sides have ended.
fn join(socket: &mut TcpStream, mut server: TcpStream) -> Result<()> {
    let (mut up, mut down) = (socket.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        _ = copy(&mut down, &mut up);
        _ = up.shutdown(Shutdown::Write);
    });
    copy(socket, &mut server)?;
    server.shutdown(Shutdown::Write)
}

/// Each byte in a segment of its own.
fn drip(socket: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    socket.set_nodelay(true)?;
    bytes.iter().try_for_each(|&byte| socket.write_all(&[byte]))
}

fn take<const N: usize>(socket: &mut TcpStream) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes).map(|()| bytes)
}

fn take_bytes(socket: &mut TcpStream, count: u8) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(count)];
    socket.read_exact(&mut bytes).map(|()| bytes)
}
