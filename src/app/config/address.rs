//! Addresses to listen on: `127.0.0.1:9480`, `localhost:9480`, `[::1]:9480`, `:9480`.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::str::FromStr;

/// A host and a port, not looked up yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// A name or an IP address without brackets; empty means every address of this machine.
    pub host: String,
    /// The port; 0 lets the system choose one.
    pub port: u16,
}

impl Address {
    /// The socket address of it, from the system's resolver; an IPv4 one where a name has both kinds.
    ///
    /// # Errors
    /// The name is unknown, or the resolver can't be reached.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        if self.host.is_empty() {
            return Ok(everywhere(self.port));
        }
        let found: Vec<SocketAddr> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
        first.copied().ok_or_else(|| io::Error::other("the name has no address"))
    }
}

/// IPv6's wildcard takes IPv4 as well; where the system has no IPv6, IPv4's.
fn everywhere(port: u16) -> SocketAddr {
    match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
        Err(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if text.contains("://") {
            return Err("write HOST:PORT, without a scheme".into());
        }
        let (host, port) = text.rsplit_once(':').ok_or("no port: write HOST:PORT")?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.strip_suffix(']').filter(|inner| inner.parse::<Ipv6Addr>().is_ok());
                inner.ok_or("not an IPv6 address in brackets")?
            }
            None if host.contains(':') => return Err("write an IPv6 address in brackets: [::1]:9480".into()),
            None => host,
        };
        let sound = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
        if !sound {
            return Err("not a host name or IP address".into());
        }
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err("no port: write HOST:PORT".into());
        }
        let port = port.parse().map_err(|_| "the port is above 65535")?;
        Ok(Address { host: host.into(), port })
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        for text in ["127.0.0.1:9480", "localhost:0", "[::1]:65535", ":9480", "a-b.example_1:1", "[::]:80"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_addresses_say_what_is_wrong() {
        for (text, message) in [
            ("", "no port: write HOST:PORT"),
            ("9480", "no port: write HOST:PORT"),
            ("localhost", "no port: write HOST:PORT"),
            ("localhost:", "no port: write HOST:PORT"),
            ("localhost:http", "no port: write HOST:PORT"),
            ("localhost:-1", "no port: write HOST:PORT"),
            ("localhost:65536", "the port is above 65535"),
            ("::1:9480", "write an IPv6 address in brackets: [::1]:9480"),
            ("[::1:9480", "not an IPv6 address in brackets"),
            ("[localhost]:9480", "not an IPv6 address in brackets"),
            ("http://localhost:9480", "write HOST:PORT, without a scheme"),
            ("a b:1", "not a host name or IP address"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap_err(), message, "{text}");
        }
    }

    #[test]
    fn literal_addresses_and_the_wildcard_resolve_without_a_resolver() {
        let resolve = |text: &str| text.parse::<Address>().unwrap().resolve().unwrap();
        assert_eq!(resolve("127.0.0.1:9480"), "127.0.0.1:9480".parse().unwrap());
        assert_eq!(resolve("[::1]:9480"), "[::1]:9480".parse().unwrap());
        let everywhere = resolve(":9480");
        assert!(everywhere.ip().is_unspecified() && everywhere.port() == 9480);
    }

    #[test]
    fn localhost_is_the_loopback() {
        assert!("localhost:9480".parse::<Address>().unwrap().resolve().unwrap().ip().is_loopback());
    }
}
