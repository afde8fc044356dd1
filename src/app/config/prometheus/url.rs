//! URLs, as far as a configuration is checked: what Go's `net/url` would refuse is refused.

use std::net::Ipv6Addr;

/// The parts of a URL that are asked about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// In lower case; empty where there is none.
    pub(super) scheme: String,
    /// Host and port, without who asks.
    pub(super) host: &'a str,
}

/// Takes a URL apart.
///
/// # Errors
/// What is wrong with it, without its text: there may be a password in it.
pub(super) fn parse(text: &str) -> Result<Url<'_>, &'static str> {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err("invalid control character in URL");
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    if !escapes_are_sound(fragment) {
        return Err(ESCAPE);
    }
    let (scheme, rest) = scheme(text)?;
    let rest = rest.split('?').next().unwrap_or_default();
    if !rest.starts_with('/') {
        // With a scheme it is opaque, and nothing more is asked.
        let first = rest.split('/').next().unwrap_or_default();
        return match scheme.is_empty() {
            true if first.contains(':') => Err("first path segment in URL cannot contain colon"),
            true if !escapes_are_sound(rest) => Err(ESCAPE),
            _ => Ok(Url { scheme, host: "" }),
        };
    }
    let has_authority = !scheme.is_empty() || !rest.starts_with("///");
    let (authority, path) = match rest.strip_prefix("//").filter(|_| has_authority) {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if !user.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b)) {
        return Err("invalid userinfo");
    }
    check_host(host, &scheme)?;
    if !escapes_are_sound(user) || !escapes_are_sound(path) {
        return Err(ESCAPE);
    }
    Ok(Url { scheme, host })
}

/// Checks a host and its port.
fn check_host(host: &str, scheme: &str) -> Result<(), &'static str> {
    let (name, port) = match host.rfind('[') {
        Some(0) => {
            let (address, port) = host[1..].rsplit_once(']').ok_or("missing ']' in host")?;
            // What stands behind a percent sign is the zone.
            let (address, zone) = address.split_once("%25").map_or((address, None), |(a, z)| (a, Some(z)));
            if address.parse::<Ipv6Addr>().is_err() || zone == Some("") {
                return Err("invalid IPv6 address in brackets");
            }
            (zone.unwrap_or_default(), port)
        }
        Some(_) => return Err("invalid IP-literal"),
        None => {
            let is_strict = ["http", "https"].contains(&scheme);
            let colon = if is_strict { host.find(':') } else { host.rfind(':') };
            host.split_at(colon.unwrap_or(host.len()))
        }
    };
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Err("invalid port after host");
    }
    if name.bytes().any(|b| b" \\^`{|}".contains(&b)) {
        return Err("invalid character in host name");
    }
    // Letters that stand for themselves may not be escaped.
    let is_needed =
        |escape: &str| escape.starts_with("25") || !matches!(escape.as_bytes().first(), Some(b'0'..=b'7'));
    if !escapes_are_sound(name) || !name.split('%').skip(1).all(is_needed) {
        return Err(ESCAPE);
    }
    Ok(())
}

/// What stands before the first colon, if it can be a scheme, and the rest.
fn scheme(text: &str) -> Result<(String, &str), &'static str> {
    let end = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b"+-.".contains(&b)));
    match end {
        Some(0) if text.starts_with(':') => Err("missing protocol scheme"),
        Some(end) if text.as_bytes()[end] == b':' && text.as_bytes()[0].is_ascii_alphabetic() => {
            Ok((text[..end].to_ascii_lowercase(), &text[end + 1..]))
        }
        _ => Ok((String::new(), text)),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn escapes_are_sound(text: &str) -> bool {
    let digits = |s: &str| s.len() >= 2 && s.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    text.split('%').skip(1).all(digits)
}

const ESCAPE: &str = "invalid URL escape";

#[cfg(test)]
mod tests {
    use super::{Url, parse};

    #[test]
    fn urls_are_taken_apart() {
        for (text, scheme, host) in [
            ("http://a/b", "http", "a"),
            ("HTTPS://u:p@a:1?q=%", "https", "a:1"),
            ("http://[::1]:9090/x", "http", "[::1]:9090"),
            ("http://", "http", ""),
            ("localhost:9090", "localhost", ""),
            ("kubernetes:443", "kubernetes", ""),
            ("http://u:p%20q@b@a", "http", "a"),
            ("http://[fe80::1%25en0]:1/", "http", "[fe80::1%25en0]:1"),
            ("http://é%C3%A9", "http", "é%C3%A9"),
            ("//a:1/x", "", "a:1"),
            ("///a:x", "", ""),
            ("x:%zz", "x", ""),
            ("/path/a:b", "", ""),
            ("invalid", "", ""),
            ("", "", ""),
        ] {
            assert_eq!(parse(text), Ok(Url { scheme: scheme.into(), host }), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            ":8080",
            "1.2.3.4:9090",
            "http://a:b/",
            "http://[::1",
            "http://[::1]x",
            "http://a b/",
            "http://a/%zz",
            "http://a#%zz",
            "http://u:p%zz@a",
            "http://u[:p@a",
            "http://é:p@a",
            "http://a%41",
            "http://a:1:2",
            "http://a[::1]",
            "http://[a]:1",
            "http://[::1%25]",
            "http://[::1%en0]",
            "http://a\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
