//! URLs as far as scraping needs them: where a server is, and what is asked of it.
//!
//! Targets come as parts already; whole URLs come by `Location`.

use std::fmt::{self, Display, Formatter};
use std::net::Ipv6Addr;

use crate::scrape::Redacted;
use crate::scrape::job::Scheme;

/// Where a server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::scrape) struct Origin {
    pub(in crate::scrape) scheme: Scheme,
    /// A name or an address; a long address without brackets, and with its zone if it has one.
    pub(in crate::scrape) host: String,
    pub(in crate::scrape) port: u16,
}

/// A URL in its parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::scrape) struct Url {
    pub(in crate::scrape) origin: Origin,
    /// Path and query; begins with a slash.
    pub(in crate::scrape) path: String,
}

impl Scheme {
    /// Its port, where none is said.
    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl Origin {
    /// Where `host:port` is; the port may be left out, and a port without a host is this machine's, as in Go. `None` if
    /// it is no such thing.
    pub(in crate::scrape) fn parse(scheme: Scheme, authority: &str) -> Option<Origin> {
        let (host, port) = match authority.strip_prefix(':') {
            Some(port) => host_and_port(&format!("localhost:{port}"), scheme.port())?,
            None => host_and_port(authority, scheme.port())?,
        };
        Some(Origin { scheme, host, port })
    }

    /// Whether what this server may be told may be told to where its redirect leads: to the same host, and not in the
    /// clear what was not.
    pub(in crate::scrape) fn trusts(&self, next: &Origin) -> bool {
        self.host == next.host && (next.scheme == Scheme::Https || self.scheme == Scheme::Http)
    }

    /// As `Host` has it: without the port that its scheme has anyway.
    pub(in crate::scrape) fn authority(&self) -> String {
        if self.port == self.scheme.port() { self.bracketed() } else { self.with_port() }
    }

    /// Host and port.
    pub(in crate::scrape) fn with_port(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// The host, without a zone.
    pub(in crate::scrape) fn name(&self) -> &str {
        self.host.split_once('%').map_or(&self.host, |(host, _)| host)
    }

    fn bracketed(&self) -> String {
        // A zone means something on this machine alone.
        let host = self.name();
        if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
    }
}

impl Url {
    /// An absolute URL of one of our schemes. Its fragment is of no use to a server.
    ///
    /// # Errors
    /// Why it is none.
    pub(in crate::scrape) fn parse(text: &str) -> Result<Url, String> {
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| format!("{:?} is no absolute URL", Redacted(text)))?;
        let unsupported = || format!("unsupported protocol scheme {scheme:?}");
        let scheme = Scheme::parse(scheme).ok_or_else(unsupported)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let origin = Origin::parse(scheme, host).ok_or_else(|| format!("{host:?} is no host and port"))?;
        Ok(Url { origin, path: rooted(path) })
    }

    /// Where a `Location` leads from here.
    ///
    /// # Errors
    /// Why it leads nowhere.
    pub(in crate::scrape) fn join(&self, location: &str) -> Result<Url, String> {
        if !location.bytes().all(|b| b > b' ' && b < 0x7f) {
            return Err(format!("{location:?} is no URL"));
        }
        if has_scheme(location) {
            return Url::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", self.origin.scheme.name()));
        }
        let reference = location.split('#').next().unwrap_or_default();
        let (path, query) = split_query(&self.path);
        let joined = match reference.as_bytes().first() {
            Some(b'/') => normalized(reference),
            Some(b'?') => format!("{path}{reference}"),
            None => format!("{path}{query}"),
            Some(_) => {
                let folder = &path[..=path.rfind('/').unwrap_or(0)];
                normalized(&format!("{folder}{reference}"))
            }
        };
        Ok(Url { origin: self.origin.clone(), path: joined })
    }
}

impl Display for Url {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.origin.scheme.name(), self.origin.authority(), self.path)
    }
}

/// The parts of `host:port`, whose port may be left out; `None` if it is no such thing.
pub(super) fn host_and_port(authority: &str, port_default: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            // A zone names an interface of this machine.
            host.split('%').next()?.parse::<Ipv6Addr>().ok()?;
            (host, port)
        }
        None => match authority.find(':') {
            Some(colon) => authority.split_at(colon),
            None => (authority, ""),
        },
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => port_default,
        Some("") => port_default,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    let sound = !host.is_empty() && host.bytes().all(|b| b > b' ' && b != 0x7f && !b"/?#@\\[]".contains(&b));
    sound.then(|| (host.to_ascii_lowercase(), port))
}

fn has_scheme(text: &str) -> bool {
    let scheme = text.split([':', '/', '?', '#']).next().unwrap_or_default();
    let letters = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    text[scheme.len()..].starts_with(':') && letters && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Path and query of a URL, which begins with a slash whatever was written.
fn rooted(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn split_query(path: &str) -> (&str, &str) {
    path.split_at(path.find('?').unwrap_or(path.len()))
}

/// A path with its `.` and `..` taken out (RFC 3986, 5.2.4); its query stays.
fn normalized(path: &str) -> String {
    let (path, query) = split_query(path);
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(part) = rest.next() {
        let last = rest.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    parts.pop();
                }
                if last {
                    parts.push("");
                }
            }
            _ => parts.push(part),
        }
    }
    format!("/{}{query}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_found_in_any_spelling() {
        for (text, host, port, shown) in [
            ("a:9100", "a", 9100, "a:9100"),
            ("A", "a", 80, "a"),
            ("a:80", "a", 80, "a"),
            ("a:", "a", 80, "a"),
            (":9100", "localhost", 9100, "localhost:9100"),
            ("127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1"),
            ("[::1]:9100", "::1", 9100, "[::1]:9100"),
            ("[::1]", "::1", 80, "[::1]"),
            ("[fe80::1%eth0]:9100", "fe80::1%eth0", 9100, "[fe80::1]:9100"),
        ] {
            let origin = Origin::parse(Scheme::Http, text).unwrap();
            assert_eq!((&*origin.host, origin.port, &*origin.authority()), (host, port, shown), "{text}");
        }
        for bad in ["", ":b", "a:b", "a:65536", "a/b", "a b", "u@a", "::1", "[x]:1", "[::1", "a:+1"] {
            assert_eq!(Origin::parse(Scheme::Http, bad), None, "{bad}");
        }
    }

    #[test]
    fn a_location_leads_on_as_in_rfc_3986() {
        let base = Url::parse("http://a:1/b/c/d;p?q").unwrap();
        for (location, expected) in [
            ("https://x/y", "https://x/y"),
            ("//x:8/y?z#f", "http://x:8/y?z"),
            ("/y", "http://a:1/y"),
            ("/./y/../z/", "http://a:1/z/"),
            ("y", "http://a:1/b/c/y"),
            ("../y", "http://a:1/b/y"),
            ("../../../y", "http://a:1/y"),
            ("..", "http://a:1/b/"),
            ("?y", "http://a:1/b/c/d;p?y"),
            ("#f", "http://a:1/b/c/d;p?q"),
            ("", "http://a:1/b/c/d;p?q"),
            ("HTTP://b", "http://b/"),
        ] {
            assert_eq!(base.join(location).unwrap().to_string(), expected, "{location}");
        }
        for bad in ["ftp://x/", "http://", "a b", "http://x:y/", "mailto:x", "a\r\nb"] {
            assert!(base.join(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_trusts_itself_at_any_port_and_nobody_in_the_clear_with_what_was_not() {
        let origin = |url: &str| Url::parse(url).unwrap().origin;
        for (from, to, trusted) in [
            ("http://a:1/", "http://a:2/", true),
            ("http://a/", "https://a/", true),
            ("https://a:1/", "https://A:2/", true),
            ("https://a/", "http://a/", false),
            ("http://a/", "http://b/", false),
            ("http://a/", "http://a.b/", false),
        ] {
            assert_eq!(origin(from).trusts(&origin(to)), trusted, "{from} {to}");
        }
    }

    #[test]
    fn a_user_is_never_shown() {
        assert_eq!(Url::parse("http://u:p@a:3128").unwrap().to_string(), "http://a:3128/");
    }
}
