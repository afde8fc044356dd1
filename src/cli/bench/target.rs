//! A server to measure, as the command line names it.
//!
//! Comes in: `URL[,pid=N][,data=DIR][,udp=HOST:PORT]`. Goes out: its parts. Keeps: what parses can be connected to,
//! sent in a request line and looked up in /proc without another check.

use std::path::PathBuf;
use std::str::FromStr;

/// A server to measure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    authority: String,
    /// Path and query, if the URL has any.
    pub(super) path: Option<String>,
    /// The server's process on this machine.
    pub(super) pid: Option<u32>,
    /// The server's data directory on this machine.
    pub(super) data: Option<PathBuf>,
    /// Where it takes datagrams: host and port.
    pub(super) udp: Option<String>,
}

impl Target {
    /// Host and port, as the Host header has them and as a socket is opened.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let mut parts = text.split(',');
        let (authority, path) = parse_url(parts.next().unwrap_or_default())?;
        let mut target = Target { authority, path, pid: None, data: None, udp: None };
        for part in parts {
            match part.split_once('=') {
                Some(("pid", number)) if target.pid.is_none() => {
                    let pid = number.parse().ok().filter(|pid| *pid > 0);
                    target.pid = Some(pid.ok_or_else(|| format!("{number:?} is no process id"))?);
                }
                Some(("data", directory)) if target.data.is_none() && !directory.is_empty() => {
                    target.data = Some(directory.into());
                }
                Some(("udp", address)) if target.udp.is_none() => {
                    let (udp, path) = parse_url(address)?;
                    if path.is_some() {
                        return Err(format!("{address:?} is not of the form HOST:PORT"));
                    }
                    target.udp = Some(udp);
                }
                _ => {
                    let why = "after the URL come pid=N, data=DIR and udp=HOST:PORT, each once";
                    return Err(format!("{part:?}: {why}"));
                }
            }
        }
        Ok(target)
    }
}

/// Splits `[http://]host[:port][/path]` into host with port, and path with query.
fn parse_url(url: &str) -> Result<(String, Option<String>), String> {
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some((scheme, _)) => return Err(format!("{scheme}: only http is spoken")),
        None => url,
    };
    let path_start = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_start);
    let port_start = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
    let (host, port) = match port_start {
        Some(colon) => (&authority[..colon], &authority[colon + 1..]),
        None => (authority, "80"),
    };
    let port: u16 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    if host.is_empty() || host.contains(['@', ' ']) || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{url:?} is not of the form http://host[:port][/path]"));
    }
    let path = match path {
        "" | "/" => None,
        query if query.starts_with('?') => Some(format!("/{query}")),
        path => Some(path.to_owned()),
    };
    Ok((format!("{host}:{port}"), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn a_url_alone() {
        for (text, authority, path) in [
            ("http://127.0.0.1:9480", "127.0.0.1:9480", None),
            ("127.0.0.1:9480", "127.0.0.1:9480", None),
            ("http://host", "host:80", None),
            ("http://host:8086/", "host:8086", None),
            ("http://host:8086/write?db=a&precision=ns", "host:8086", Some("/write?db=a&precision=ns")),
            ("http://[::1]:9480/write", "[::1]:9480", Some("/write")),
            ("http://[::1]", "[::1]:80", None),
            ("http://host?x=1", "host:80", Some("/?x=1")),
        ] {
            let target = target(text);
            assert_eq!((target.authority(), target.path.as_deref()), (authority, path), "{text}");
            assert_eq!((target.pid, target.data), (None, None));
        }
    }

    #[test]
    fn process_and_directory_in_either_order() {
        let both = target("http://h:1,pid=42,data=/var/lib/x y");
        assert_eq!((both.pid, both.data.as_deref()), (Some(42), Some("/var/lib/x y".as_ref())));
        assert_eq!(target("http://h:1,data=/var/lib/x y,pid=42"), both);
        assert_eq!(target("http://h:1,udp=127.0.0.1:8125,pid=4").udp.as_deref(), Some("127.0.0.1:8125"));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in [
            "",
            "http://",
            "https://h",
            "http://h:x",
            "http://h:99999",
            "http://u@h",
            "http://h/a b",
            "http://h,pid=0",
            "http://h,pid=x",
            "http://h,pid=1,pid=2",
            "http://h,data=",
            "http://h,cpu=1",
            "http://h,udp=h:1/x",
            "http://h,udp=:1",
            "http://h,",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
